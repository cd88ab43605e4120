"""``capframe score``: score any captioner's captions against references."""

from __future__ import annotations

import json
from pathlib import Path

import click

from ..errors import ScoringError
from .arguments import CAPTIONS, FILE, dataset_reader_option, report_options, set_option
from .group import registry_of


@click.command(short_help="Score any captioner's captions from a file.")
@click.option(
    "--references", type=CAPTIONS, required=True, help="Caption file, with all captions of a picture."
)
@click.option("--hypotheses", type=CAPTIONS, required=True, help="Caption file, with one caption a picture.")
@click.option("--split", type=FILE, help="File with a picture name a line: which references count.")
@dataset_reader_option
@set_option("dataset_reader")
@report_options
@click.pass_context
def score(
    ctx: click.Context,
    *,
    references: Path,
    hypotheses: Path,
    split: Path | None,
    dataset_reader: str | None,
    assignments: tuple[str, ...],
    tokens: str,
    metrics: tuple[str, ...],
    form: str,
    per_picture: Path | None,
) -> None:
    """Score captions from a file with BLEU, ROUGE-L and CIDEr-D, as the COCO toolkit does.

    Both are caption files, of any format that a dataset reader knows; one that is named with
    --dataset-reader reads both. Captions are matched by picture name.
    """
    from ..composition import compose_all
    from ..dataset import read_captions, read_split
    from ..scoring import match
    from ..scoring import score as score_captions
    from .settings import reader_of

    registry, reader = registry_of(ctx), reader_of(dataset_reader, assignments)
    known = read_captions(references, reader, registry)
    if split is not None:
        names = read_split(split)
        missing = [name for name in names if name not in known]
        if missing:
            raise ScoringError(
                f"{references} has no captions of {len(missing)} pictures in {split}: "
                f"{', '.join(missing[:5])}. Give the references of this split."
            )
        known = {name: known[name] for name in names}
    further = compose_all(registry, "metric", metrics)
    report = score_captions(
        match(read_captions(hypotheses, reader, registry), known),
        known,
        tokens=tokens,
        metrics={metric.name: metric.value for metric in further},
    )
    if per_picture is not None:
        report.write_per_picture(per_picture)
    click.echo(json.dumps(report.to_json(), indent=2) if form == "json" else report.to_text())
