"""``capframe extract``: fill a feature store, so that later training need not look at the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import UsageError
from .arguments import (
    CAPTIONS,
    FOLDER,
    NEW_FOLDER,
    dataset_reader_option,
    feature_extractor_option,
    set_option,
)
from .group import keep_when_interrupted, registry_of, remark
from .unreadable import Unreadable

if TYPE_CHECKING:
    from ..feature_parts import StorageDtype
    from ..images import ImageSource


@click.command(short_help="Compute the features of pictures and keep them.")
@click.option("--images", type=FOLDER, help="Folder of pictures; folders in it count too.")
@click.option(
    "--captions",
    type=CAPTIONS,
    help="Caption file: only its pictures count. Without --images it must bring them itself.",
)
@click.option(
    "--out", "store", type=NEW_FOLDER, required=True, help="Feature store to make, or to go on filling."
)
@dataset_reader_option
@feature_extractor_option
@set_option("dataset_reader, feature_extractor")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32"]),
    help="Numbers in the files of a new store.  [default: float32, and float16 for grids of regions]",
)
@click.pass_context
def extract(
    ctx: click.Context,
    *,
    images: Path | None,
    captions: Path | None,
    store: Path,
    dataset_reader: str | None,
    feature_extractor: str | None,
    assignments: tuple[str, ...],
    dtype: StorageDtype | None,
) -> None:
    """Compute the features of pictures and keep them in a feature store.

    What the store holds already is not computed again: after an interruption the same command goes on.
    """
    from ..dataset import Dataset
    from ..images import list_images
    from .compose import compose, keep_extractor_of
    from .settings import Settings

    settings = Settings(text_cleaners=[], callbacks=[])
    settings.choose(feature_extractor, dataset_reader=dataset_reader)
    for assignment in assignments:
        if not assignment.startswith(("feature_extractor.", "dataset_reader.")):
            raise UsageError(
                f"--set {assignment}: here only feature_extractor.OPTION=VALUE and "
                "dataset_reader.OPTION=VALUE can be set."
            )
        settings.assign(assignment)
    found: Mapping[str, ImageSource] = {}
    if captions is not None:
        dataset = Dataset.read(captions, images=images, reader=settings.reader, registry=registry_of(ctx))
        found = dataset.image_paths
    elif images is not None:
        found = list_images(images)
    if not found:
        raise UsageError("There is nothing to look at: give --images, or --captions that bring pictures.")
    keep_extractor_of(store, settings)
    captioner = compose(settings, registry_of(ctx))
    keep_when_interrupted(f"features in {store}. Type the same command again to go on.")
    unreadable = Unreadable()
    filled = captioner.extract(found, store, dtype=dtype, progress=True, on_bad_image=unreadable)
    unreadable.report(len(found))
    remark(f"{len(filled)} pictures in {store}, by {filled.source}.")
    folder = "" if images is None else f" --images {images}"
    remark(f"Next: capframe train --captions {captions or 'FILE'}{folder} --features {store} --out run")
