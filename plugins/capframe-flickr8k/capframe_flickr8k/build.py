"""Train the captioner of this package anew: ``python -m capframe_flickr8k.build --help``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from capframe import Captioner, Dataset
from capframe.recipes import recipe

SEEDS = (0, 1)
SEARCH = {"beam": 3}
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)


def build(
    dataset: Dataset,
    work: Path,
    out: Path,
    first: Mapping[str, Any] | None = None,
    second: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Train in two stages, write the run folder ``out`` with weights in half precision, and score it.

    What was interrupted goes on where it stood when it is called again with the same ``work``.

    Args:
        dataset: captions and pictures, with the splits ``train`` and ``dev``.
        work: folder for the features and the runs of both stages.
        out: run folder to write, in the place of the one that is there.
        first: training options of the first stage that differ from the recipe ``best``.
        second: training options of the second stage that differ from the recipe ``self-critical``.

    Returns:
        The scores on the dev split, as ``metrics.json`` of the run folder has them.
    """
    parts = recipe("best", training={"seed": SEEDS[0], **(first or {})})
    further = recipe("self-critical", training={"seed": SEEDS[1], **(second or {})})
    further |= {part: parts[part] for part in ("feature_extractor", "decoder")}
    features = work / "features"
    for name, arguments, start in (("first", parts, None), ("second", further, work / "first")):
        if not (work / name).exists():
            captioner = Captioner(**arguments)
            captioner.fit(
                dataset, features=features, start=start, out=work / name, resume=True, progress=True
            )
    Captioner.load(work / "second").save(out, overwrite=True, half_precision=True)
    report, _ = Captioner.load(out).evaluate(dataset, "dev", features=features, progress=True, **SEARCH)
    scores = {**report.to_json(), "split": "dev", "search_options": SEARCH}
    (out / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    return scores


@click.command()
@click.option("--captions", type=FILE, required=True, help="Caption file.")
@click.option("--images", type=FOLDER, required=True, help="Folder of pictures.")
@click.option("--train-split", type=FILE, required=True, help="File with a picture name a line.")
@click.option("--dev-split", type=FILE, required=True, help="Likewise.")
@click.option("--work", type=FOLDER, default=Path("build"), show_default=True, help="For what lies between.")
@click.option("--out", type=FOLDER, required=True, help="Run folder to write.")
def main(*, captions: Path, images: Path, train_split: Path, dev_split: Path, work: Path, out: Path) -> None:
    """Train the captioner anew. Stopped half-way, the same command goes on."""
    dataset = Dataset.read(captions, images=images, train_split=train_split, dev_split=dev_split)
    click.echo(json.dumps(build(dataset, work, out), indent=2))


if __name__ == "__main__":
    main()
