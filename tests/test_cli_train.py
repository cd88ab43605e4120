"""The commands that compute, on drawings and with an extractor that is quick to compute."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from capframe import FeatureStore, PluginManager, Registry, hookimpl
from capframe.cli import main
from capframe.cli.unreadable import SHOWN
from capframe.drawings import DrawnDataset, draw_dataset

SMALL = ("--set", "decoder.units=4", "--set", "decoder.embedding_size=4", "--set", "vocabulary.min_count=1")


class MeanColour:
    """Mean red, green and blue of a picture.

    Args:
        scale: factor of every feature.
    """

    image_size = (8, 8)
    feature_shape = (3,)

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __call__(self, images):
        return self.scale * images.mean(axis=(1, 2), dtype="float32") / 255


def make_registry() -> Registry:
    plugins = PluginManager(strict=True, disabled={"*"})
    offer = SimpleNamespace(register_feature_extractors=hookimpl(lambda: {"mean-colour": MeanColour}))
    plugins.register(offer, "made-in-test")
    return Registry(plugins)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], obj=make_registry())


def succeed(*arguments: object) -> Result:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


@dataclass(frozen=True)
class House:
    """Drawings, and a run that was trained on them."""

    drawn: DrawnDataset
    run: Path
    stderr: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    folder = tmp_path_factory.mktemp("house")
    drawn = draw_dataset(folder, 20, seed=3)
    result = succeed(
        "train", "--captions", drawn.captions, "--images", drawn.images, "--out", folder / "run",
        "--feature-extractor", "mean-colour", "--epochs", 2, "--batch-size", 8, *SMALL,
    )  # fmt: skip
    assert result.stdout == ""
    return House(drawn, folder / "run", result.stderr)


def test_training_leaves_a_run_folder_and_a_feature_store_beside_it(house: House) -> None:
    config = json.loads((house.run / "config.json").read_text())
    store = FeatureStore(house.run.with_name("run.features"))

    assert config["decoder"]["options"]["units"] == 4
    assert config["vocabulary"] == {"min_count": 1}
    assert config["training"]["epochs"] == 2
    assert config["feature_extractor"]["name"] == "mean-colour"
    assert len(store) == 18  # the two test pictures are not looked at


def test_training_tells_what_was_read_each_epoch_and_what_to_type_next(house: House) -> None:
    assert "Read 80 captions of 20 pictures: train 16, dev 2, test 2." in house.stderr
    lines = [line for line in house.stderr.splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    for column in ("loss", "validation loss", "learning rate 0.001"):
        assert all(column in line for line in lines)
    assert f"Features: {house.run}.features" in house.stderr
    assert f"Run folder: {house.run}" in house.stderr
    assert f"Next: capframe caption PICTURE_OR_FOLDER --run {house.run}\n" in house.stderr


def test_an_existing_run_folder_is_refused_before_anything_is_read(house: House, tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("not a caption file")

    result = run(
        "train", "--captions", tmp_path / "captions.csv", "--images", house.drawn.images, "--out", house.run
    )

    assert result.exit_code == 1
    assert f"{house.run} exists already" in result.stderr
    assert "--overwrite" in result.stderr


def test_stored_features_are_enough_to_train(house: House, tmp_path: Path) -> None:
    result = succeed(
        "train", "--captions", house.drawn.captions, "--features", house.run.with_name("run.features"),
        "--out", tmp_path / "run", "--epochs", 1, *SMALL,
    )  # fmt: skip

    assert "Read 72 captions of 18 pictures" in result.stderr
    assert "Warning: 2 pictures have captions but were not found" in result.stderr
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["feature_extractor"]["name"] == "mean-colour"


def test_training_from_nothing_to_look_at_is_refused(house: House, tmp_path: Path) -> None:
    result = run("train", "--captions", house.drawn.captions, "--out", tmp_path / "run")

    assert result.exit_code == 1
    assert "--images" in result.stderr


def test_a_file_sets_what_the_command_line_does_not(house: House, tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text(
        'callbacks = ["checkpoint"]\nepochs = 5\nseed = 9\n'
        "[decoder]\nunits = 3\nembedding_size = 2\n[vocabulary]\nmin_count = 1"
    )

    succeed(
        "train", "--captions", house.drawn.captions, "--features", house.run.with_name("run.features"),
        "--out", tmp_path / "run", "--epochs", 1, "--config", tmp_path / "my.toml",
        "--set", "decoder.units=5",
    )  # fmt: skip

    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert [callback["name"] for callback in config["callbacks"]] == ["checkpoint"]
    assert (config["training"]["epochs"], config["training"]["seed"]) == (1, 9)
    assert (config["decoder"]["options"]["units"], config["decoder"]["options"]["embedding_size"]) == (5, 2)


def test_pictures_that_cannot_be_read_are_counted_and_left_out(house: House, tmp_path: Path) -> None:
    images = tmp_path / "Images"
    shutil.copytree(house.drawn.images, images)
    for name in house.drawn.train_split.read_text().split()[: SHOWN + 1]:
        (images / name).write_bytes(b"")

    result = succeed(
        "train", "--captions", house.drawn.captions, "--images", images, "--out", tmp_path / "run",
        "--train-split", house.drawn.train_split, "--feature-extractor", "mean-colour", "--epochs", 1, *SMALL,
    )  # fmt: skip

    assert result.stderr.count("the file is empty") == SHOWN + 1  # no terminal: all are named
    assert f"Warning: {SHOWN + 1} of 16 pictures cannot be read and were left out." in result.stderr


def test_extracting_goes_on_where_it_stopped_with_the_extractor_of_the_store(
    house: House, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(house.run.with_name("run.features"), store)

    result = succeed("extract", "--images", house.drawn.images, "--out", store)

    assert "extracting features: 20 of 20" in result.stderr
    assert f"20 pictures in {store}, by mean-colour(scale=1.0) [3]." in result.stderr
    assert sorted(FeatureStore(store).names) == sorted(path.name for path in house.drawn.images.iterdir())


def test_extracting_with_other_options_into_a_store_is_refused(house: House) -> None:
    result = run(
        "extract", "--images", house.drawn.images, "--out", house.run.with_name("run.features"),
        "--set", "feature_extractor.scale=2",
    )  # fmt: skip

    assert result.exit_code == 1
    assert "mean-colour(scale=1.0) [3], and this is mean-colour(scale=2.0) [3]" in result.stderr


def test_extracting_takes_no_options_of_other_parts(house: House, tmp_path: Path) -> None:
    result = run("extract", "--images", house.drawn.images, "--out", tmp_path, "--set", "decoder.units=2")

    assert result.exit_code == 1
    assert "only feature_extractor.OPTION=VALUE" in result.stderr


def test_one_picture_gives_the_caption_alone(house: House) -> None:
    result = succeed("caption", house.drawn.images / "drawing-0001.png", "--run", house.run, "--min-words", 2)

    assert result.stderr == ""
    assert "\t" not in result.stdout
    assert len(result.stdout.split()) >= 2
    assert result.stdout.count("\n") == 1


def test_several_pictures_give_path_tab_caption(house: House) -> None:
    first, second = (house.drawn.images / f"drawing-000{number}.png" for number in (1, 2))

    result = succeed("caption", first, second, "--run", house.run, "--min-words", 1)

    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == [str(first), str(second)]
    assert all(len(row) == 2 for row in rows)


def test_a_folder_as_csv_is_a_caption_file_with_names_relative_to_it(house: House, tmp_path: Path) -> None:
    succeed("caption", house.drawn.images, "--run", house.run, "--format", "csv", "--out", tmp_path / "c.csv")
    printed = succeed("caption", house.drawn.images, "--run", house.run, "--format", "csv").stdout

    rows = list(csv.reader(io.StringIO(printed)))
    assert rows[0] == ["image", "caption"]
    assert [name for name, _ in rows[1:]] == [f"drawing-{number:04d}.png" for number in range(1, 21)]
    assert (tmp_path / "c.csv").read_text() == printed
    scored = succeed("score", "--references", house.drawn.captions, "--hypotheses", tmp_path / "c.csv")
    assert "BLEU-4" in scored.stdout


def test_json_is_a_list_of_objects(house: House) -> None:
    result = succeed(
        "caption", house.drawn.images / "drawing-0002.png", "--run", house.run, "--format", "json"
    )

    (record,) = json.loads(result.stdout)
    assert record["image"] == "drawing-0002.png"
    assert isinstance(record["caption"], str)


def test_two_pictures_of_one_name_are_refused_where_the_name_is_all_there_is(
    house: House, tmp_path: Path
) -> None:
    picture = house.drawn.images / "drawing-0001.png"
    shutil.copy(picture, tmp_path)
    pictures = (picture, tmp_path / picture.name)

    assert len(succeed("caption", *pictures, "--run", house.run).stdout.splitlines()) == 2
    result = run("caption", *pictures, "--run", house.run, "--format", "csv")

    assert result.exit_code == 1
    assert "would be called 'drawing-0001.png'" in result.stderr


def test_bad_pictures_of_a_folder_are_told_of_and_left_out(house: House, tmp_path: Path) -> None:
    shutil.copy(house.drawn.images / "drawing-0001.png", tmp_path)
    (tmp_path / "bad.png").write_bytes(b"no picture")

    result = succeed("caption", tmp_path, "--run", house.run)

    assert result.stdout.startswith(f"{tmp_path / 'drawing-0001.png'}\t")
    assert result.stdout.count("\n") == 1
    assert f"Warning: Cannot read the picture '{tmp_path / 'bad.png'}'" in result.stderr
    assert "Warning: 1 of 2 pictures cannot be read and were left out." in result.stderr


def test_a_bad_picture_that_was_named_is_an_error(house: House, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")

    alone = run("caption", bad, "--run", house.run)
    among = run("caption", bad, house.drawn.images / "drawing-0001.png", "--run", house.run)

    assert (alone.exit_code, alone.stdout) == (1, "")
    assert alone.stderr.startswith(f"Error: Cannot read the picture '{bad}': it is not a picture")
    assert among.exit_code == 1
    assert among.stdout.startswith(str(house.drawn.images / "drawing-0001.png"))
    assert f"Error: No caption for: {bad}" in among.stderr


def test_a_sheet_shows_the_pictures(house: House, tmp_path: Path) -> None:
    succeed("caption", house.drawn.images, "--run", house.run, "--sheet", tmp_path / "sheet.png")

    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 4 * 200
        assert sheet.height > 5 * 200


@pytest.mark.parametrize("option", [("--beam", 0), ("--min-words", -1), ("--length-penalty", "x")])
def test_search_options_out_of_range_are_usage_errors(house: House, option: tuple[str, object]) -> None:
    result = run("caption", house.drawn.images, "--run", house.run, *option)

    assert result.exit_code == 2
    assert option[0] in result.stderr


def test_search_options_that_do_not_go_together_are_refused_before_the_run_is_loaded(
    house: House, tmp_path: Path
) -> None:
    result = run("caption", house.drawn.images, "--run", tmp_path, "--min-words", 9, "--max-words", 5)

    assert result.exit_code == 1
    assert "min_words=9 and max_words=5 do not go together" in result.stderr


def test_without_a_split_file_the_test_split_of_the_training_is_scored(house: House, tmp_path: Path) -> None:
    result = succeed(
        "evaluate", "--run", house.run, "--captions", house.drawn.captions, "--images", house.drawn.images,
        "--beam", 2, "--format", "json", "--out", tmp_path / "scores.json",
        "--per-picture", tmp_path / "rows.csv",
    )  # fmt: skip

    metrics = json.loads(result.stdout)
    assert metrics == json.loads((house.run / "metrics.json").read_text())
    assert metrics == json.loads((tmp_path / "scores.json").read_text())
    assert (metrics["pictures"], metrics["references"]) == (2, 8)
    assert metrics["split"] == "the test split that 'train' made"
    assert metrics["search_options"]["beam"] == 2
    with (tmp_path / "rows.csv").open(newline="") as file:
        stored = FeatureStore(house.run.with_name("run.features"))
        assert not [row["image"] for row in csv.DictReader(file) if row["image"] in stored]


def test_a_split_file_and_stored_features_are_scored_and_completed(
    house: House, tmp_path: Path, write_names: Callable[..., Path]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(house.run.with_name("run.features"), store)
    unseen = [path.name for path in house.drawn.images.iterdir() if path.name not in FeatureStore(store)]

    arguments = (
        "evaluate", "--run", house.run, "--captions", house.drawn.captions, "--features", store,
        "--split", write_names(unseen), "--format", "json",
    )  # fmt: skip
    lacking = run(*arguments)
    completed = succeed(*arguments, "--images", house.drawn.images)

    assert lacking.exit_code == 1
    assert unseen[0] in lacking.stderr
    assert json.loads(completed.stdout)["split"] == "split.txt"
    assert len(FeatureStore(store)) == 20
    assert succeed(*arguments).stdout == completed.stdout


def test_pictures_that_were_trained_on_are_scored_only_if_that_is_allowed(
    house: House, write_names: Callable[..., Path]
) -> None:
    seen = FeatureStore(house.run.with_name("run.features")).names
    arguments = (
        "evaluate", "--run", house.run, "--captions", house.drawn.captions, "--images", house.drawn.images,
        "--split", write_names(seen),
    )  # fmt: skip

    refused = run(*arguments)

    assert refused.exit_code == 1
    assert "trained on 16 of the 18 pictures" in refused.stderr
    assert "BLEU-4" in succeed(*arguments, "--allow-train").stdout


@pytest.fixture
def write_names(tmp_path: Path) -> Callable[..., Path]:
    def write(names: list[str]) -> Path:
        path = tmp_path / "split.txt"
        path.write_text("".join(f"{name}\n" for name in names))
        return path

    return write


def test_interrupted_extraction_keeps_what_was_done(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupt(self: MeanColour, images: object) -> object:
        calls.append(images)
        raise KeyboardInterrupt

    monkeypatch.setattr(MeanColour, "__call__", interrupt)

    result = run(
        "train", "--captions", house.drawn.captions, "--images", house.drawn.images,
        "--out", tmp_path / "run", "--feature-extractor", "mean-colour",
    )  # fmt: skip

    assert calls
    assert result.exit_code == 130
    assert f"kept: features in {tmp_path / 'run.features'}. Type the same command again" in result.stderr
    assert not (tmp_path / "run").exists()


def test_an_interrupted_training_says_how_to_go_on_and_goes_on(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from capframe.training import CaptionBatches

    command = (
        "train", "--captions", house.drawn.captions, "--features", house.run.with_name("run.features"),
        "--out", tmp_path / "run", "--epochs", 2, "--batch-size", 8, *SMALL,
    )  # fmt: skip
    epoch = CaptionBatches.epoch

    def interrupt(self: CaptionBatches, number: int | None = None) -> object:
        if number == 1:
            raise KeyboardInterrupt
        return epoch(self, number)

    with monkeypatch.context() as patch:
        patch.setattr(CaptionBatches, "epoch", interrupt)
        result = run(*command)
    assert result.exit_code == 130
    assert f"the epochs so far in {tmp_path / 'run.unfinished'}. Type the same command with --resume" in (
        result.stderr
    )
    assert "holds a training that was interrupted" in run(*command).stderr

    resumed = succeed(*command, "--resume")
    assert [line.split()[1] for line in resumed.stderr.splitlines() if line.startswith("epoch")] == ["2/2"]
    rows = (tmp_path / "run" / "history.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "1", "2"]
    assert f"{tmp_path / 'run'} is finished: there is nothing to go on with." in (
        succeed(*command, "--resume").stderr
    )


def test_without_a_split_file_a_run_with_another_split_is_not_scored_on_what_it_knows(
    house: House, tmp_path: Path, write_names: Callable[..., Path]
) -> None:
    store = house.run.with_name("run.features")
    succeed(
        "train", "--captions", house.drawn.captions, "--features", store, "--out", tmp_path / "run",
        "--epochs", 1, "--train-split", write_names(FeatureStore(store).names[1::2]), *SMALL,
    )  # fmt: skip

    result = run(
        "evaluate", "--run", tmp_path / "run", "--captions", house.drawn.captions,
        "--images", house.drawn.images,
    )  # fmt: skip

    assert result.exit_code == 1
    assert "was trained on 9 of the 20 pictures to be scored" in result.stderr
