"""``capframe extract``: fill a feature store, so that later training need not look at the pictures."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import UsageError
from .arguments import FOLDER, NEW_FOLDER, feature_extractor_option, set_option
from .group import keep_when_interrupted, registry_of, remark
from .unreadable import Unreadable


@click.command(short_help="Compute the features of pictures and keep them.")
@click.option("--images", type=FOLDER, required=True, help="Folder of pictures; folders in it count too.")
@click.option(
    "--out", "store", type=NEW_FOLDER, required=True, help="Feature store to make, or to go on filling."
)
@feature_extractor_option
@set_option("feature_extractor")
@click.pass_context
def extract(
    ctx: click.Context, images: Path, store: Path, feature_extractor: str | None, assignments: tuple[str, ...]
) -> None:
    """Compute the features of pictures and keep them in a feature store.

    What the store holds already is not computed again: after an interruption the same command goes on.
    """
    from ..images import list_images
    from .compose import compose, keep_extractor_of
    from .settings import Settings

    found = list_images(images)
    settings = Settings(text_cleaners=[], callbacks=[])
    settings.choose(feature_extractor)
    for assignment in assignments:
        if not assignment.startswith("feature_extractor."):
            raise UsageError(f"--set {assignment}: here only feature_extractor.OPTION=VALUE can be set.")
        settings.assign(assignment)
    keep_extractor_of(store, settings)
    captioner = compose(settings, registry_of(ctx))
    keep_when_interrupted(f"features in {store}. Type the same command again to go on.")
    unreadable = Unreadable()
    filled = captioner.extract(found, store, progress=True, on_bad_image=unreadable)
    unreadable.report(len(found))
    remark(f"{len(filled)} pictures in {store}, by {filled.source}.")
    remark(f"Next: capframe train --captions FILE --images {images} --features {store} --out run")
