"""``capframe score``: score any captioner's captions against references."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import ScoringError
from .arguments import FILE, report_options
from .group import registry_of


@click.command(short_help="Score any captioner's captions from a file.")
@click.option("--references", type=FILE, required=True, help="Caption file, with all captions of a picture.")
@click.option("--hypotheses", type=FILE, required=True, help="Caption file, with one caption a picture.")
@click.option("--split", type=FILE, help="File with a picture name a line: which references count.")
@report_options
@click.pass_context
def score(
    ctx: click.Context,
    *,
    references: Path,
    hypotheses: Path,
    split: Path | None,
    tokens: str,
    metrics: tuple[str, ...],
    form: str,
    per_picture: Path | None,
) -> None:
    """Score captions from a file with BLEU, ROUGE-L and CIDEr-D, as the COCO toolkit does.

    Both files are caption files: CSV with the header image,caption. Captions are matched by picture name.
    """
    from ..composition import compose_all
    from ..dataset import read_captions, read_split
    from ..scoring import match
    from ..scoring import score as score_captions

    known = read_captions(references)
    if split is not None:
        names = read_split(split)
        missing = [name for name in names if name not in known]
        if missing:
            raise ScoringError(
                f"{references} has no captions of {len(missing)} pictures in {split}: "
                f"{', '.join(missing[:5])}. Give the references of this split."
            )
        known = {name: known[name] for name in names}
    # Without a metric of a plugin, no plugin is loaded.
    further = compose_all(registry_of(ctx), "metric", metrics) if metrics else ()
    report = score_captions(
        match(read_captions(hypotheses), known),
        known,
        tokens=tokens,
        metrics={metric.name: metric.value for metric in further},
    )
    if per_picture is not None:
        report.write_per_picture(per_picture)
    click.echo(json.dumps(report.to_json(), indent=2) if form == "json" else report.to_text())
