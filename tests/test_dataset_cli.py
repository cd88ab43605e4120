"""Caption files of any format on the command line."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from pyarrow import parquet

from capframe import FeatureStore, Registry
from capframe.cli import main
from capframe.dataset import read_captions
from capframe.drawings import DrawnDataset, draw_dataset

SMALL = ("--set", "decoder.units=4", "--set", "decoder.embedding_size=4", "--set", "vocabulary.min_count=1")
QUICK = ("--feature-extractor", "quarter-colours")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> DrawnDataset:
    """Draw twelve pictures."""
    return draw_dataset(tmp_path_factory.mktemp("drawn"), 12, seed=1)


def run(registry: Registry, *arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], obj=registry)


def succeed(registry: Registry, *arguments: object) -> Result:
    result = run(registry, *arguments)
    assert result.exit_code == 0, result.output
    return result


def write_table(path: Path, drawn: DrawnDataset) -> list[str]:
    """Write pictures, captions and splits (two are for test) as one Parquet file; return the names."""
    captions = read_captions(drawn.captions)
    names = list(captions)
    table = {
        "image": [{"bytes": (drawn.images / name).read_bytes(), "path": name} for name in names],
        "caption": [list(texts) for texts in captions.values()],
        "split": ["test", "test", "val", *["train"] * 9],
    }
    parquet.write_table(pa.table(table), path)
    return names


def test_a_parquet_file_with_pictures_is_all_that_training_and_scoring_need(
    registry: Registry, tmp_path: Path, drawn: DrawnDataset
) -> None:
    names = write_table(tmp_path / "drawn.parquet", drawn)
    captions, out = ("--captions", tmp_path / "drawn.parquet"), tmp_path / "run"
    trained = succeed(registry, "train", *captions, "--out", out, *QUICK, "--epochs", 1, *SMALL)
    assert "48 captions of 12 pictures: train 9, dev 1, test 2" in trained.stderr
    assert sorted(FeatureStore(tmp_path / "run.features").names) == sorted(names[2:])

    scored = succeed(registry, "evaluate", "--run", out, *captions, "--format", "json")
    assert json.loads(scored.stdout)["pictures"] == 2
    stored = ("--features", tmp_path / "run.features")
    again = succeed(registry, "evaluate", "--run", out, *captions, *stored, "--format", "json")
    assert json.loads(again.stdout)["cider"] == json.loads(scored.stdout)["cider"]
    assert len(FeatureStore(tmp_path / "run.features")) == 12


def test_extract_takes_the_pictures_of_a_caption_file(
    registry: Registry, tmp_path: Path, drawn: DrawnDataset
) -> None:
    names = write_table(tmp_path / "table", drawn)
    succeed(registry, "extract", "--captions", tmp_path / "table", "--out", tmp_path / "store", *QUICK)
    few = tmp_path / "few.txt"
    few.write_text(f"{names[0]},A star\n")
    of_few = ("--captions", few, "--images", drawn.images)
    succeed(registry, "extract", *of_few, "--out", tmp_path / "few", *QUICK)
    assert FeatureStore(tmp_path / "store").names == names
    assert FeatureStore(tmp_path / "few").names == names[:1]


def test_extract_needs_pictures(registry: Registry, tmp_path: Path, drawn: DrawnDataset) -> None:
    for given in ((), ("--captions", drawn.captions)):
        result = run(registry, "extract", *given, "--out", tmp_path / "store", *QUICK)
        assert result.exit_code == 1
        assert "There is nothing to look at" in result.stderr
    assert not (tmp_path / "store").exists()


@pytest.fixture
def unclear(tmp_path: Path) -> Path:
    """Write captions in Latin-1, with quotes that are letters."""
    path = tmp_path / "unclear.txt"
    path.write_bytes('Été.jpg,"Rouge" et bleu\n'.encode("latin-1"))
    return path


def test_score_reads_with_the_reader_that_is_named_and_its_options(registry: Registry, unclear: Path) -> None:
    both = ("score", "--references", unclear, "--hypotheses", unclear, "--format", "json")
    refused = run(registry, *both)
    assert refused.exit_code == 1
    assert "line 1: not UTF-8" in refused.stderr
    options = ("--set", "dataset_reader.encoding=latin-1", "--set", "dataset_reader.quoted=false")
    scored = succeed(registry, *both, "--dataset-reader", "captions-txt", *options)
    assert json.loads(scored.stdout)["bleu_1"] == pytest.approx(1.0)
    nameless = run(registry, *both, *options)
    assert "Name it, with --dataset-reader NAME" in nameless.stderr
    other = run(registry, *both, "--set", "decoder.units=4")
    assert "here only dataset_reader.OPTION=VALUE" in other.stderr


def test_score_reads_references_and_hypotheses_of_different_formats(
    registry: Registry, tmp_path: Path
) -> None:
    (tmp_path / "coco").write_text(
        '{"images": [{"id": 1, "file_name": "a.jpg"}], '
        '"annotations": [{"image_id": 1, "caption": "A dog runs"}]}'
    )
    (tmp_path / "tokens").write_text("a.jpg#0\tA dog runs\n")
    files = ("--references", tmp_path / "coco", "--hypotheses", tmp_path / "tokens")
    scored = succeed(registry, "score", *files, "--format", "json")
    assert json.loads(scored.stdout)["rouge_l"] == pytest.approx(1.0)


def test_train_takes_reader_and_options_from_command_line_or_config(
    registry: Registry, tmp_path: Path, unclear: Path
) -> None:
    (tmp_path / "Images").mkdir()
    name = unicodedata.normalize("NFD", "Été.JPG")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "Images" / name)
    command = ("train", "--captions", unclear, "--images", tmp_path / "Images", *QUICK, "--epochs", 1, *SMALL)
    options = ("--set", "dataset_reader.encoding=latin-1", "--set", "dataset_reader.quoted=false")
    succeed(registry, *command, "--out", tmp_path / "one", "--dataset-reader", "captions-txt", *options)
    config = tmp_path / "config.toml"
    config.write_text('[dataset_reader]\nname = "captions-txt"\nencoding = "latin-1"\nquoted = false\n')
    succeed(registry, *command, "--out", tmp_path / "two", "--config", config)
    assert FeatureStore(tmp_path / "one.features").names == [name]
    words = [(tmp_path / run / "vocabulary.txt").read_text("utf-8").split()[4:] for run in ("one", "two")]
    assert sorted(words[0]) == ["bleu", "et", "rouge"]
    assert words[0] == words[1]


def test_a_reader_that_is_not_the_one_for_a_file_says_what_is_wrong(
    registry: Registry, drawn: DrawnDataset
) -> None:
    files = ("--references", drawn.captions, "--hypotheses", drawn.captions)
    result = run(registry, "score", *files, "--dataset-reader", "flickr-token")
    assert result.exit_code == 1
    assert f"{drawn.captions}, line 1: expected a picture name, #, a number" in result.stderr
