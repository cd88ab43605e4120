"""``capframe caption``: caption pictures with a trained captioner."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ImageError, UsageError
from .arguments import NEW_FILE, given, run_folders_of, run_option, search_options
from .group import registry_of, remark
from .unreadable import Unreadable

if TYPE_CHECKING:
    from ..captioning import Captioning

SHEET_PICTURES = 200  # a sheet of more would take gigabytes to draw
ATTENTION_PICTURES = 40  # each is drawn once for each word

Captions = list[tuple[Path, str, str]]
"""Path, name and caption of each picture."""


@click.command(short_help="Caption pictures, or all pictures in folders.")
@click.argument(
    "pictures",
    metavar="PICTURE_OR_FOLDER...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
)
@run_option
@search_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json"]),
    default="text",
    show_default=True,
    help="text: the caption alone for one picture, else path, tab, caption. csv: a caption file, with names "
    "relative to the folder. json: a list of objects with image and caption.",
)
@click.option("--out", type=NEW_FILE, help="Write the captions there instead of printing them.")
@click.option(
    "--sheet", type=NEW_FILE, metavar="FILE.png", help="Also draw the pictures with their captions."
)
@click.option(
    "--attention",
    type=NEW_FILE,
    metavar="FILE.png",
    help="Also draw where the decoder looked at each word; for decoders that weigh the regions of a picture.",
)
@click.pass_context
def caption(
    ctx: click.Context,
    /,
    *,
    pictures: tuple[Path, ...],
    runs: tuple[str, ...],
    form: str,
    out: Path | None,
    sheet: Path | None,
    attention: Path | None,
    **search: float | None,
) -> None:
    """Caption pictures, or all pictures in folders, with a trained captioner or several.

    Pictures of a folder that cannot be read are told of and left out; one that you name must be readable.
    """
    from ..attention import grid_of
    from ..run_folder import write_text
    from ..search import SearchOptions
    from .compose import load

    chosen = given(**search)
    SearchOptions.of(chosen)
    named = _names_of(pictures, unique=form != "text")
    registry = registry_of(ctx)
    captioner = load(run_folders_of(runs, registry), registry)
    if attention is not None:
        grid_of(captioner)  # what cannot be drawn is an error before anything is captioned
    unreadable = Unreadable()
    alone = len(pictures) == 1 and pictures[0].is_file()
    captions: Captions = []
    # Lines that scroll by are progress enough, and a bar among them would not be readable.
    bar = len(named) > 1 and (out is not None or not sys.stdout.isatty())
    for path, text in _captions(captioner, list(named), chosen, None if alone else unreadable, bar):
        captions.append((path, named[path], text))
        if form == "text" and out is None:
            click.echo(_line(captions[-1], alone))
    if out is not None:
        write_text(out, _formatted(captions, form, alone))
    elif form != "text":
        click.echo(_formatted(captions, form, alone), nl=False)
    if sheet is not None and captions:
        _draw(captions, sheet)
    if attention is not None and captions:
        _draw_attention(captioner, captions, attention)
    _finish(pictures, unreadable, len(named))


def _names_of(pictures: Sequence[Path], unique: bool) -> dict[Path, str]:
    """Return each picture once, with its name: relative to its folder, or its own if it was named."""
    from ..images import list_images

    named: dict[Path, str] = {}
    for picture in pictures:
        if picture.is_dir():
            for name, path in list_images(picture).items():
                named.setdefault(path, name)
        else:
            named.setdefault(picture, picture.name)
    if unique:
        owners: dict[str, Path] = {}
        for path, name in named.items():
            if name in owners:
                raise UsageError(
                    f"Both {owners[name]} and {path} would be called '{name}'. Caption them in two calls, or "
                    "name a folder that holds both."
                )
            owners[name] = path
    return named


def _captions(
    captioner: Captioning,
    paths: Sequence[Path],
    search: dict[str, int | float],
    unreadable: Unreadable | None,
    bar: bool,
) -> Iterator[tuple[Path, str]]:
    from ..progress import track

    with track(len(paths), "captioning", enabled=bar) as tracker:
        images = {str(path): path for path in paths}
        for path, text in captioner.caption_each(images, unreadable, **search):
            yield images[path], text
            tracker.advance()


def _line(captioned: tuple[Path, str, str], alone: bool) -> str:
    path, _, text = captioned
    return text if alone else f"{path}\t{text}"


def _formatted(captions: Captions, form: str, alone: bool) -> str:
    if form == "text":
        return "".join(f"{_line(captioned, alone)}\n" for captioned in captions)
    if form == "json":
        records = [{"image": name, "caption": text} for _, name, text in captions]
        return json.dumps(records, indent=2, ensure_ascii=False) + "\n"
    return caption_file((name, text) for _, name, text in captions)


def caption_file(captions: Iterable[tuple[str, str]]) -> str:
    """Return the text of a caption file: CSV with the header ``image,caption``."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image", "caption"), *captions])
    return text.getvalue()


def _draw(captions: Captions, sheet: Path) -> None:
    from ..sheet import picture_sheet

    if len(captions) > SHEET_PICTURES:
        remark(f"Warning: the sheet shows the first {SHEET_PICTURES} of {len(captions)} pictures.")
    picture_sheet([(path, text, None) for path, _, text in captions[:SHEET_PICTURES]], sheet)
    remark(f"Picture sheet: {sheet}")


def _draw_attention(captioner: Captioning, captions: Captions, sheet: Path) -> None:
    from ..attention import attention_of, grid_of
    from ..attention_sheet import attention_sheet

    shown = captions[:ATTENTION_PICTURES]
    if len(shown) < len(captions):
        remark(f"Warning: the attention sheet shows the first {len(shown)} of {len(captions)} pictures.")
    paths = [path for path, _, _ in shown]
    attended = attention_of(captioner, paths, [text for _, _, text in shown])
    rows = [(path, *words) for path, words in zip(paths, attended, strict=True)]
    attention_sheet(rows, grid_of(captioner), sheet)
    remark(f"Attention sheet: {sheet}")


def _finish(named_by_user: Sequence[Path], unreadable: Unreadable, pictures: int) -> None:
    """Fail if a picture that the user named, or every one, cannot be read."""
    unreadable.report(pictures)
    bad = [str(path) for path in named_by_user if str(path) in unreadable.errors]
    if bad or len(unreadable.errors) == pictures:
        raise ImageError(f"No caption for: {', '.join(bad or list(unreadable.errors)[:5])}. See above.")
