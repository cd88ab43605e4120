"""``capframe train``: from captions and pictures to a run folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..recipes import RECIPES
from .arguments import (
    CAPTIONS,
    FILE,
    FOLDER,
    NEW_FOLDER,
    dataset_reader_option,
    feature_extractor_option,
    given,
    set_option,
)
from .group import keep_when_interrupted, registry_of, remark
from .unreadable import SHOWN, Unreadable

if TYPE_CHECKING:
    from ..captioner import Captioner
    from ..dataset import Dataset
    from ..registry import Registry
    from ..training import Logs

_KINDS = (
    "dataset_reader, feature_extractor, text_cleaner, decoder, vocabulary, training, or the name of a "
    "callback or cleaner"
)


@click.command(short_help="Train a captioner; leave a run folder.")
@click.option(
    "--captions",
    type=CAPTIONS,
    required=True,
    help="Caption file (or folder), of any format that an installed dataset reader knows.",
)
@click.option(
    "--images", type=FOLDER, help="Folder of pictures. Not needed if --features or --captions has them."
)
@click.option("--out", type=NEW_FOLDER, required=True, help="Run folder to make.")
@click.option(
    "--features",
    type=NEW_FOLDER,
    help="Feature store to use and fill.  [default: RUN.features]",
)
@click.option(
    "--train-split",
    type=FILE,
    help="File with the name of a picture a line. Without it the splits of the caption file count; if it "
    "has none, 80 % of the pictures train, 10 % are the dev split and 10 % the test split.",
)
@click.option("--dev-split", type=FILE, help="Likewise: the pictures on which the validation loss is taken.")
@dataset_reader_option
@feature_extractor_option
@click.option(
    "--text-cleaner",
    "text_cleaners",
    metavar="NAME",
    multiple=True,
    help="Cleans captions; several are applied in the order given.  [default: regex]",
)
@click.option("--decoder", metavar="NAME", help="The network that predicts words.  [default: add-merge]")
@click.option(
    "--callback",
    "callbacks",
    metavar="NAME",
    multiple=True,
    help="Called while training; may be repeated.  [default: checkpoint, early-stopping, reduce-lr]",
)
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the training split.  [default: 20]")
@click.option(
    "--batch-size", type=click.IntRange(min=1), help="Pictures in a batch, with all captions.  [default: 32]"
)
@click.option("--seed", type=click.IntRange(min=0), help="Seed of split, weights and order.  [default: 0]")
@click.option(
    "--from",
    "start",
    type=FOLDER,
    help="Run folder to start from: its decoder, cleaners, weights and vocabulary. For a second stage of "
    "training: --recipe self-critical.",
)
@click.option(
    "--recipe",
    type=click.Choice(tuple(RECIPES)),
    default="seed",
    show_default=True,
    help="Parts and options to begin with: those that this page calls default, those that gave the best "
    "captions, or those of a second stage, which starts --from such a run. Everything else on the command "
    "line, and --config, wins over it.",
)
@set_option(_KINDS)
@click.option("--config", type=FILE, help="TOML file with parts and options; the command line wins over it.")
@click.option("--overwrite", is_flag=True, help="Replace the run folder if it exists, or was begun.")
@click.option(
    "--resume", is_flag=True, help="Go on after the last finished epoch of a training that was interrupted."
)
@click.pass_context
def train(ctx: click.Context, /, **options: Any) -> None:
    """Train a captioner from a caption file and a folder of pictures; leave a run folder."""
    train_run(registry_of(ctx), **options)
    out, captions, images = options["out"], options["captions"], options["images"]
    remark(f"Next: capframe caption PICTURE_OR_FOLDER --run {quote(str(out))}")
    if images is not None:
        command = ("capframe", "evaluate", "--run", out, "--captions", captions, "--images", images)
        remark(f"      {join(map(str, command))}{' --split FILE' if options['train_split'] else ''}")


def train_run(
    registry: Registry,
    *,
    captions: Path,
    images: Path | None,
    out: Path,
    features: Path | None = None,
    train_split: Path | None = None,
    dev_split: Path | None = None,
    dataset_reader: str | None = None,
    feature_extractor: str | None = None,
    text_cleaners: Sequence[str] = (),
    decoder: str | None = None,
    callbacks: Sequence[str] = (),
    epochs: int | None = None,
    batch_size: int | None = None,
    seed: int | None = None,
    start: Path | None = None,
    recipe: str = "seed",
    assignments: Sequence[str] = (),
    config: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Do what the command says, with the values of its options."""
    from ..dataset import Dataset
    from ..features import FeatureStore
    from ..run_folder import CONFIG, read_config
    from ..unfinished import check_unbegun, unfinished
    from .compose import compose, keep_extractor_of
    from .settings import Part, Settings

    if resume and not overwrite and (out / CONFIG).is_file():
        remark(f"{out} is finished: there is nothing to go on with.")
        return
    check_unbegun(out, overwrite=overwrite, resume=resume)
    store = features or out.with_name(f"{out.name}.features")
    settings = Settings.of_recipe(recipe)
    if start is not None:
        settings.take_run(read_config(start), start)
    if FeatureStore.exists(store):
        settings.feature_extractor = Part(None)  # what filled the store is a better guess than a recipe
    if config is not None:
        settings = Settings.read(config, settings)
    settings.choose(feature_extractor, text_cleaners, decoder, callbacks, dataset_reader)
    for assignment in assignments:
        settings.assign(assignment)
    settings.training.update(given(epochs=epochs, batch_size=batch_size, seed=seed))
    keep_extractor_of(store, settings)
    captioner = compose(settings, registry, config)
    for part in (captioner.composition.decoder, *captioner.composition.callbacks):
        _ = part.value  # options out of range are an error now, not after hours of extraction
    options = captioner.composition.training_options
    dataset = Dataset.read(
        captions,
        images=images,
        train_split=train_split,
        dev_split=dev_split,
        seed=options.seed,
        names=FeatureStore(store) if images is None and FeatureStore.exists(store) else None,
        reader=settings.reader,
        registry=registry,
    )
    if not dataset.image_paths:
        if features is None:
            raise UsageError(
                "There is nothing to look at: give the pictures (--images), or stored --features."
            )
        FeatureStore(store)  # without pictures there must be one
    _tell_of(dataset)

    keep_when_interrupted(
        f"features in {store}. Type the same command again: features that are there are not computed anew."
    )
    if dataset.image_paths:
        dataset = _extract(captioner, dataset, store)
    keep_when_interrupted(
        f"features in {store}, the epochs so far in {unfinished(out)}. "
        "Type the same command with --resume to go on after the last finished epoch."
    )
    history = captioner.fit(
        dataset,
        features=store,
        start=start,
        out=out,
        overwrite=overwrite,
        resume=resume,
        progress=sys.stderr.isatty(),
        on_epoch=lambda logs: remark(_epoch_line(logs, options.epochs)),
    )
    best = min(history, key=lambda logs: logs.get("val_loss", logs["loss"]))
    remark(f"Run folder: {out} (the lowest loss came in epoch {best['epoch']:g}).")


def _extract(captioner: Captioner, dataset: Dataset, store: Path) -> Dataset:
    """Fill the store with what training looks at; pictures that cannot be read are told of and left out."""
    from ..extraction import training_views
    from ..name_table import restricted

    wanted = [dataset.splits.get(split, ()) for split in ("train", "dev")]
    unreadable = Unreadable()
    paths = restricted(dataset.image_paths, (name for own in wanted for name in own))
    filled = captioner.extract(paths, store, progress=True, on_bad_image=unreadable)
    if views := training_views(captioner.composition, dataset, filled):
        filled = captioner.extract(views, store, progress=True)
    unreadable.report(sum(map(len, wanted)))
    remark(f"Features: {store}, by {filled.source}. They stay there; --features uses them again.")
    return replace(dataset, image_paths=restricted(dataset.image_paths, filled))


def _tell_of(dataset: Dataset) -> None:
    texts = sum(map(len, dataset.captions.values()))
    splits = ", ".join(f"{split} {len(names)}" for split, names in dataset.splits.items())
    remark(f"Read {texts} captions of {len(dataset)} pictures: {splits}.")
    for names, what in (
        (dataset.missing_images, "pictures have captions but were not found, and are left out"),
        (dataset.uncaptioned_images, "pictures have no captions, and are left out"),
    ):
        if names:
            more = ", ..." if len(names) > SHOWN else ""
            remark(f"Warning: {len(names)} {what}: {', '.join(names[:SHOWN])}{more}")


def _epoch_line(logs: Logs, epochs: int) -> str:
    validation = f"  validation loss {logs['val_loss']:.3f}" if "val_loss" in logs else ""
    return (
        f"epoch {logs['epoch']:>3.0f}/{epochs}  loss {logs['loss']:.3f}{validation}"
        f"  learning rate {logs['learning_rate']:.2g}  {logs['seconds']:.1f} s"
    )
