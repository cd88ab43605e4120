"""``capframe features``: look into feature stores; take features from other tools, and give them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .arguments import CAPTIONS, FILE, FOLDER, NEW_FILE, NEW_FOLDER, dataset_reader_option, set_option
from .group import keep_when_interrupted, registry_of, remark
from .quiet import quiet_imports

if TYPE_CHECKING:
    from ..registry import Registry

STORE = click.argument("store", type=FOLDER)


@click.group(short_help="Look into a feature store; import and export features.")
def features() -> None:
    """Look into feature stores; take features from other tools, and give them."""


@features.command("import", short_help="Fill a feature store from a pickled dict of arrays.")
@click.argument("file", type=FILE)
@click.option("--out", "store", type=NEW_FOLDER, required=True, help="Feature store to make or add to.")
@click.option(
    "--feature-extractor",
    metavar="NAME",
    help="What made the features. Without it they can be trained on, but new pictures cannot be captioned.",
)
@set_option("feature_extractor")
@click.option(
    "--captions",
    type=CAPTIONS,
    help="Caption file whose pictures these are: names without a file ending are matched with its names.",
)
@dataset_reader_option
@click.pass_context
def import_(
    ctx: click.Context,
    *,
    file: Path,
    store: Path,
    feature_extractor: str | None,
    assignments: tuple[str, ...],
    captions: Path | None,
    dataset_reader: str | None,
) -> None:
    """Fill a feature store from FILE, a pickled dict {picture name: array}, such as image_features.pkl.

    The file is read without running anything in it.
    """
    from ..dataset import read_captions
    from ..feature_exchange import import_features

    registry = registry_of(ctx)
    source = _source(registry, feature_extractor, assignments)
    names = None if captions is None else read_captions(captions, dataset_reader, registry)
    keep_when_interrupted(f"features in {store}. Type the same command again to go on.")
    done = import_features(file, store, names=names, **source)
    if done.unmatched:
        remark(
            f"Warning: {len(done.unmatched)} pictures are not in {captions}: {', '.join(done.unmatched[:5])}"
        )
    if done.without_ending and captions is None:
        remark(
            "Warning: the names have no file ending. If your captions say name.jpg, import with "
            "--captions FILE."
        )
    remark(f"{len(done.store)} pictures in {store} ({done.added} new), by {done.store.source}.")
    remark(f"Next: capframe train --captions FILE --features {store} --out run")


@features.command(short_help="Write a feature store as a pickled dict of arrays.")
@STORE
@click.option("--out", "file", type=NEW_FILE, required=True, help="File to write.")
@click.option("--without-endings", is_flag=True, help="Leave the file endings of the names out.")
@click.option("--batch-axis", is_flag=True, help="Write arrays (1, N), as predict() returns them, not (N,).")
def export(store: Path, file: Path, without_endings: bool, batch_axis: bool) -> None:
    """Write STORE as a pickled dict {picture name: array}, for other tools."""
    from ..feature_exchange import export_features
    from ..features import FeatureStore
    from ..image_views import is_view

    opened = FeatureStore(store)
    export_features(opened, file, endings=not without_endings, batch_axis=batch_axis)
    remark(f"{sum(not is_view(name) for name in opened.names)} pictures in {file}.")


@features.command(short_help="Say what is in a feature store.")
@STORE
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(store: Path, as_json: bool) -> None:
    """Say what is in STORE: pictures, shape, numbers, what made them, parts and size."""
    from ..features import FeatureStore
    from ..image_views import is_view

    opened = FeatureStore(store)
    views = sum(map(is_view, opened.names))
    described: dict[str, Any] = {
        "pictures": len(opened) - views,
        **({"views": views} if views else {}),
        "shape": list(opened.source.feature_shape),
        "dtype": opened.dtype,
        "source": opened.source.to_json(),
        "parts": len(opened.part_files),
        "bytes": sum(part.stat().st_size for part in opened.part_files),
    }
    if as_json:
        click.echo(json.dumps(described, indent=2, ensure_ascii=False))
        return
    described["source"] = opened.source
    for name, value in described.items():
        click.echo(f"{name:<9} {'x'.join(map(str, value)) if name == 'shape' else value}")


def _source(registry: Registry, name: str | None, assignments: tuple[str, ...]) -> dict[str, Any]:
    """Return name and options of the extractor that the user names, checked; nothing is built."""
    from .settings import Settings

    if name is None:
        if assignments:
            raise UsageError(f"--set {assignments[0]}: of which extractor? Name it with --feature-extractor.")
        return {}
    settings = Settings(text_cleaners=[], callbacks=[])
    settings.choose(name)
    for assignment in assignments:
        if not assignment.startswith("feature_extractor."):
            raise UsageError(f"--set {assignment}: here only feature_extractor.OPTION=VALUE can be set.")
        settings.assign(assignment)
    with quiet_imports():
        component = registry.create("feature_extractor", name, settings.feature_extractor.options)
    return {"extractor": component.name, "options": component.options}
