"""``capframe quickstart``: the whole way from captions to a scored captioner, on pictures drawn for it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING

import click

from ..errors import RunFolderError
from .arguments import NEW_FOLDER
from .evaluate import evaluate_runs
from .group import keep_when_interrupted, registry_of, remark
from .train import train_run

if TYPE_CHECKING:
    from ..drawings import DrawnDataset
    from ..registry import Registry

TRUTH = "truth.json"
PICTURES = 900
EPOCHS = 20
EXAMPLES = 8
SHEET_PICTURES = 12


@click.command(short_help="See it work: train on pictures drawn for it, in 2 minutes.")
@click.option(
    "--out",
    type=NEW_FOLDER,
    default="quickstart",
    show_default=True,
    help="Folder for drawings, run and picture sheet.",
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of everything.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier quickstart in that folder.")
@click.pass_context
def quickstart(ctx: click.Context, out: Path, seed: int, overwrite: bool) -> None:
    """Draw captioned pictures, train on them, caption and score unseen ones: under 2 minutes.

    Needs no pictures, no download and no graphics card. What happens is what the other commands do.
    """
    _make_room(out, overwrite)
    try:
        drawn, captions = _whole_way(registry_of(ctx), out, seed)
        _show(registry_of(ctx), drawn, captions, out)
    except KeyboardInterrupt:
        again = join(["capframe", "quickstart", "--out", str(out), "--overwrite"])
        # What was not drawn to the end is not known again, and not overwritten.
        first = "" if (out / TRUTH).is_file() else "remove that folder; "
        keep_when_interrupted(f"{out}. To start over: {first}{again}")
        raise
    run = quote(str(out / "run"))
    remark(
        f"\nNext: capframe caption {quote(str(drawn.images))} --run {run}\n"
        f"      capframe caption PICTURE --run {run}    (it knows nothing but such drawings)\n"
        "      capframe train --captions captions.txt --images Images --out run    (on your own pictures)"
    )


def _whole_way(registry: Registry, out: Path, seed: int) -> tuple[DrawnDataset, dict[str, str]]:
    """Draw, train, score; return the drawings and the captions of those that were never trained on."""
    from ..drawings import draw_dataset
    from ..progress import track

    with track(PICTURES, "drawing pictures", enabled=True) as bar:
        drawn = draw_dataset(out, PICTURES, seed, progress=bar.reach)
    run, store = out / "run", out / "run.features"
    train_run(
        registry,
        captions=drawn.captions,
        images=drawn.images,
        out=run,
        features=store,
        train_split=drawn.train_split,
        dev_split=drawn.dev_split,
        feature_extractor="efficientnet-lite0",
        epochs=EPOCHS,
        seed=seed,
        assignments=["vocabulary.min_count=1"],
    )
    captions = evaluate_runs(
        registry,
        [run],
        captions=drawn.captions,
        images=drawn.images,
        features=[store],
        split=drawn.test_split,
        per_picture=out / "test_scores.csv",
    )
    return drawn, captions


def _show(registry: Registry, drawn: DrawnDataset, captions: Mapping[str, str], out: Path) -> None:
    """Print some captions beside references, and how many are true; draw the picture sheet."""
    from ..dataset import read_captions
    from ..drawings import is_true_of
    from ..sheet import picture_sheet

    references = read_captions(drawn.captions, registry=registry)
    true = {name: is_true_of(text, drawn.scenes[name]) for name, text in captions.items()}
    click.echo("\nCaptions of drawings it was never trained on (a reference in brackets):")
    for name in list(captions)[:EXAMPLES]:
        mark = "" if true[name] else "    <- not true"
        click.echo(f"  {name}  {captions[name]}  [{references[name][0]}]{mark}")
    click.echo(f"\n{sum(true.values())} of {len(true)} captions are true of their drawing.")
    rows = [(drawn.images / name, captions[name], references[name][0]) for name in captions]
    sheet = picture_sheet(rows[:SHEET_PICTURES], out / "sheet.png")
    remark(f"Picture sheet: {sheet}")


def _make_room(out: Path, overwrite: bool) -> None:
    """Check that ``out`` is free; remove what an earlier quickstart computed from other drawings."""
    if not out.exists() or not any(out.iterdir()):
        return
    if not overwrite:
        raise RunFolderError(f"{out} exists already. Choose another folder (--out), or add --overwrite.")
    if not (out / TRUTH).is_file():
        raise RunFolderError(
            f"{out} is no folder of an earlier quickstart and is left alone. Choose another."
        )
    for computed in (out / "Images", *out.glob("run*")):
        shutil.rmtree(computed, ignore_errors=True)
