"""Options that several commands share, in the same words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from ..registry import Registry

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
CAPTIONS = click.Path(exists=True, path_type=Path)
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
NEW_FILE = click.Path(dir_okay=False, path_type=Path)
NEW_FOLDER = click.Path(file_okay=False, path_type=Path)


def feature_extractor_option(command: Command) -> Command:
    """Add ``--feature-extractor``."""
    return click.option(
        "--feature-extractor",
        metavar="NAME",
        help="What turns pictures into features. Default: what filled the feature store, else vgg16, which "
        "downloads its weights once; efficientnet-lite0 needs no download.",
    )(command)


def dataset_reader_option(command: Command) -> Command:
    """Add ``--dataset-reader``."""
    return click.option(
        "--dataset-reader",
        metavar="NAME",
        help="What reads the caption file. Default: the one that recognises its content.",
    )(command)


def set_option(kinds: str) -> Callable[[Command], Command]:
    """Add ``--set``, whose help names ``kinds``."""
    return click.option(
        "--set",
        "assignments",
        metavar="KIND.OPTION=VALUE",
        multiple=True,
        help=f"Set an option of a part; may be repeated. KIND is {kinds}. "
        "'capframe plugins --options NAME' lists the options of a part.",
    )


def run_option(command: Command) -> Command:
    """Add ``--run``, which may be repeated; see `run_folders_of`."""
    return click.option(
        "--run",
        "runs",
        metavar="FOLDER_OR_NAME",
        multiple=True,
        help="Run folder, as 'capframe train' leaves it, or the name of an installed captioner. May be "
        "repeated: several runs of one vocabulary caption together, each word by their mean probability.  "
        "[default: the installed captioner]",
    )(command)


def run_folders_of(runs: Sequence[str], registry: Registry) -> list[Path]:
    """Return the folders of ``runs``, or that of the installed captioner; see `run_folder_of`."""
    return [run_folder_of(run, registry) for run in runs or (None,)]


def run_folder_of(run: str | None, registry: Registry) -> Path:
    """Return the folder of the run called ``run``: a path, or the name of an installed captioner.

    Raises:
        UsageError: there is no such run, or, for None, not exactly one installed captioner.
    """
    names = registry.names("captioner")
    if run is not None and (Path(run).is_dir() or run not in names):
        if not Path(run).is_dir():
            known = f" Installed captioners: {', '.join(names)}." if names else ""
            raise UsageError(f"There is no run folder '{run}'.{did_you_mean(run, names)}{known}")
        return Path(run)
    if run is None:
        if not names:
            raise UsageError(
                "Which captioner? Give --run FOLDER, a run that 'capframe train' left, or install a package "
                "that offers a trained one: python -m pip install capframe-flickr8k."
            )
        if len(names) > 1:
            raise UsageError(
                f"Several captioners are installed: {', '.join(names)}. Choose one with --run NAME."
            )
        run = names[0]
    return registry.captioner(run)


def search_options(command: Command) -> Command:
    """Add the options of the search; None stands for the default of `capframe.search.SearchOptions`."""
    options = (
        click.option(
            "--beam",
            type=click.IntRange(min=1),
            help="Beam width: so many captions are followed at a time; 1 is greedy.  [default: 3]",
        ),
        click.option(
            "--min-words",
            type=click.IntRange(min=0),
            help="No caption ends before it has so many words.  [default: 1]",
        ),
        click.option(
            "--max-words",
            type=click.IntRange(min=1),
            help="A caption that has not ended after so many words is cut there.  [default: 40]",
        ),
        click.option(
            "--length-penalty",
            type=click.FloatRange(min=0),
            help="Captions are ranked by log-probability / words ** PENALTY: 0 favours short ones, "
            "1 takes the mean per word.  [default: 0.7]",
        ),
        click.option(
            "--block-repeats",
            type=click.IntRange(min=0),
            metavar="WORDS",
            help="No run of so many words comes twice in a caption: 3 blocks repeated trigrams, 0 nothing.  "
            "[default: 0]",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def report_options(command: Command) -> Command:
    """Add the options of a score report: ``--tokens``, ``--format``, ``--metric``, ``--per-picture``."""
    options = (
        click.option(
            "--tokens",
            type=click.Choice(["ptb", "karpathy"]),
            default="ptb",
            show_default=True,
            help="How both sides are cut into words. ptb: as the COCO toolkit does. karpathy: lower case, "
            "all but letters and digits become spaces.",
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(["text", "json"]),
            default="text",
            show_default=True,
            help="How the scores are printed.",
        ),
        click.option(
            "--metric",
            "metrics",
            metavar="NAME",
            multiple=True,
            help="Also score with this metric of a plugin; may be repeated.",
        ),
        click.option(
            "--per-picture", type=NEW_FILE, metavar="FILE.csv", help="Write the scores of each picture."
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def given(**options: Any) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}
