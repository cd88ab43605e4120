"""``capframe evaluate``: score a trained captioner on pictures that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ScoringError, UsageError
from .arguments import (
    CAPTIONS,
    FILE,
    FOLDER,
    NEW_FILE,
    dataset_reader_option,
    given,
    report_options,
    run_folders_of,
    run_option,
    search_options,
    set_option,
)
from .group import registry_of, remark

if TYPE_CHECKING:
    from ..captioning import Captioning
    from ..dataset import Dataset
    from ..features import FeatureStore
    from ..registry import Registry

SCORED = "scored"  # the split of the dataset that holds the pictures to be scored


@click.command(short_help="Score a captioner on pictures that it was not trained on.")
@run_option
@click.option(
    "--captions", type=CAPTIONS, required=True, help="Caption file with all references of a picture."
)
@click.option(
    "--images", type=FOLDER, help="Folder of pictures. Not needed if --features or --captions has them."
)
@click.option(
    "--features",
    type=FOLDER,
    multiple=True,
    help="Feature store of the pictures; what it lacks is added from --images. May be repeated for several "
    "runs: a store for each feature extractor.",
)
@click.option(
    "--split",
    type=FILE,
    help="File with a picture name a line: which pictures to score. Default: the test split that 'train' "
    "made if it was given no split files, else all pictures.",
)
@dataset_reader_option
@set_option("dataset_reader")
@search_options
@report_options
@click.option("--allow-train", is_flag=True, help="Score pictures that a run was trained on, too.")
@click.option("--out", type=NEW_FILE, metavar="FILE.json", help="Write the scores there, too.")
@click.pass_context
def evaluate(ctx: click.Context, /, **options: Any) -> None:
    """Caption pictures with the captioner of a run folder, or several, and score the captions.

    BLEU-1 to 4, ROUGE-L and CIDEr-D, with the digits of the COCO toolkit. The scores are printed, and
    written to metrics.json in the run folder (unless the captioner is an installed one). Those of several
    runs together are written to --out only.
    """
    registry = registry_of(ctx)
    runs = options.pop("runs")
    # The folder of an installed captioner belongs to its package and stays as it is.
    own = len(runs) == 1 and Path(runs[0]).is_dir()
    evaluate_runs(registry, run_folders_of(runs, registry), record=own, **options)


def evaluate_runs(
    registry: Registry,
    run_folders: Sequence[Path],
    *,
    captions: Path,
    images: Path | None,
    features: Sequence[Path] = (),
    split: Path | None = None,
    dataset_reader: str | None = None,
    assignments: Sequence[str] = (),
    tokens: str = "ptb",
    metrics: Sequence[str] = (),
    record: bool = True,
    allow_train: bool = False,
    form: str = "text",
    out: Path | None = None,
    per_picture: Path | None = None,
    **search: float | None,
) -> dict[str, str]:
    """Do what the command says, with the values of its options; return the captions by picture name.

    ``record``: write the scores into the run folder, too; it must be one.
    """
    from ..run_folder import METRICS, write_json
    from ..search import SearchOptions
    from .compose import load
    from .settings import reader_of

    reading = {"reader": reader_of(dataset_reader, assignments), "registry": registry}
    chosen = given(**search)
    options = SearchOptions.of(chosen)
    captioner = load(run_folders, registry)
    dataset, scored = _read(
        captioner, captions, images=images, features=features, split=split, reading=reading
    )
    if not dataset.image_paths and not features:
        raise UsageError("There is nothing to look at: give the pictures (--images), or stored --features.")
    remark(f"Scoring {len(dataset.splits[SCORED])} pictures: {scored}.")
    if dataset.image_paths and features:
        _complete(captioner, dataset, features)
    report, hypotheses = captioner.evaluate(
        dataset,
        SCORED,
        features=features,
        tokens=tokens,
        metrics=metrics,
        allow_train=allow_train,
        progress=True,
        **chosen,
    )
    scores = {**report.to_json(), "split": scored, "search_options": asdict(options)}
    for path in (run_folders[0] / METRICS if record else None, out):
        if path is not None:
            write_json(path, scores)
    if per_picture is not None:
        report.write_per_picture(per_picture)
    click.echo(json.dumps(scores, indent=2) if form == "json" else report.to_text())
    return hypotheses


def _read(
    captioner: Captioning,
    captions: Path,
    *,
    images: Path | None,
    features: Sequence[Path],
    split: Path | None,
    reading: Mapping[str, Any],
) -> tuple[Dataset, str]:
    """Read the dataset, with the pictures to be scored as its split ``SCORED``; say which they are."""
    from ..dataset import Dataset, read_split
    from ..features import FeatureStore

    stored = None if images or not features else _names_in_all(map(FeatureStore, features))
    sources: dict[str, Any] = {"images": images, "names": stored, **reading}
    if split is not None:
        dataset = Dataset.read(captions, train_split=split, **sources)
        names = dataset.splits["train"]
        found = set(names)
        absent = [name for name in read_split(split) if name not in found]
        if absent:
            raise ScoringError(
                f"{len(absent)} of the pictures in {split} were not found: {', '.join(absent[:5])}. All must "
                "be scored, or the scores do not compare: complete the folder or store, or shorten the file."
            )
        return replace(dataset, splits={SCORED: names}), split.name
    seed = captioner.members[0].composition.training_options.seed
    dataset = Dataset.read(captions, seed=seed, **sources)
    names, scored = tuple(dataset.captions), "all pictures"
    if _split_by_training(dataset, captioner):
        names, scored = dataset.splits["test"], "the test split that 'train' made"
    if dataset.missing_images:
        remark(f"Warning: {len(dataset.missing_images)} pictures in {captions} were not found.")
    return replace(dataset, splits={SCORED: names}), scored


def _names_in_all(stores: Iterable[FeatureStore]) -> list[str]:
    first, *further = stores
    return [name for name in first.names if all(name in store for store in further)]


def _split_by_training(dataset: Dataset, captioner: Captioning) -> bool:
    """Whether the random split of ``dataset`` is the one that this captioner was trained with."""
    saw = captioner.saw
    kept_back = [*dataset.splits.get("dev", ()), *dataset.splits.get("test", ())]
    return (
        "test" in dataset.splits
        and any(map(saw, dataset.splits.get("train", ())))
        and not any(map(saw, kept_back))
    )


def _complete(captioner: Captioning, dataset: Dataset, features: Sequence[Path]) -> None:
    """Add the pictures to be scored that the stores lack."""
    from ..evaluation import stores_of
    from ..extraction import extract

    for member, store in zip(captioner.distinct, stores_of(captioner, features), strict=True):
        if store is not None:
            lacking = {
                name: dataset.image_paths[name] for name in dataset.splits[SCORED] if name not in store
            }
            if lacking:
                extract(member.composition, lacking, store, progress=True)
