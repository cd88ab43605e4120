"""``capframe features``: what a notebook pickled becomes a feature store, is trained on, and goes back."""

from __future__ import annotations

import csv
import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from capframe import Captioner, FeatureStore, PluginManager, Registry, hookimpl
from capframe.cli import main
from capframe.errors import UsageError
from capframe.image_views import view_name

SMALL = ("--set", "decoder.units=4", "--set", "decoder.embedding_size=4", "--set", "vocabulary.min_count=1")
NAMES = [f"{number}.jpg" for number in range(12)]


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


def rows() -> dict[str, np.ndarray]:
    """Features as a notebook keeps them: the key is the name without ending, the row has a batch axis."""
    return {Path(name).stem: np.full((1, 3), number, np.float32) for number, name in enumerate(NAMES)}


@pytest.fixture
def pickled(tmp_path: Path) -> Path:
    path = tmp_path / "image_features.pkl"
    path.write_bytes(pickle.dumps(rows()))
    return path


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    path = tmp_path / "captions.txt"
    with path.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["image", "caption"])
        table.writerows([name, f"a dog , number {number % 3}"] for number, name in enumerate(NAMES))
    return path


def test_imported_features_are_enough_to_train_and_to_score(tmp_path, pickled, captions):
    store, trained = tmp_path / "store", tmp_path / "run"
    succeed("features", "import", pickled, "--out", store, "--captions", captions)

    result = succeed(
        "train", "--captions", captions, "--features", store, "--out", trained, "--epochs", 1, *SMALL
    )
    scores = succeed(
        "evaluate", "--run", trained, "--captions", captions, "--features", store, "--allow-train",
        "--format", "json",
    )  # fmt: skip

    assert "Read 12 captions of 12 pictures" in result.stderr
    assert json.loads((trained / "config.json").read_text())["feature_extractor"]["name"] == "imported"
    assert json.loads(scores.stdout)["pictures"] > 0


def test_a_run_on_features_of_unknown_origin_says_how_to_caption_with_it(tmp_path, pickled, captions):
    store, trained = tmp_path / "store", tmp_path / "run"
    succeed("features", "import", pickled, "--out", store, "--captions", captions)
    succeed("train", "--captions", captions, "--features", store, "--out", trained, "--epochs", 1, *SMALL)
    picture = np.zeros((8, 8, 3), np.uint8)

    with pytest.raises(
        UsageError, match=r"imported, and what made them is not known.*feature_extractor=\.\.\."
    ):
        Captioner.load(trained, registry=make_registry()).caption([picture])

    named = Captioner.load(trained, registry=make_registry(), feature_extractor="mean-colour")
    assert len(named.caption([picture])) == 1


def test_features_of_a_named_extractor_are_captioned_with_it(tmp_path, pickled, captions):
    store, trained = tmp_path / "store", tmp_path / "run"
    succeed(
        "features", "import", pickled, "--out", store, "--captions", captions,
        "--feature-extractor", "mean-colour", "--set", "feature_extractor.scale=2",
    )  # fmt: skip
    succeed("train", "--captions", captions, "--features", store, "--out", trained, "--epochs", 1, *SMALL)

    captioner = Captioner.load(trained, registry=make_registry())

    assert captioner.composition.feature_extractor.options == {"scale": 2.0}
    assert len(captioner.caption([np.zeros((8, 8, 3), np.uint8)])) == 1


def test_names_without_ending_find_their_pictures_in_the_captions(tmp_path, pickled, captions):
    result = succeed("features", "import", pickled, "--out", tmp_path / "store", "--captions", captions)

    store = FeatureStore(tmp_path / "store")
    assert store.names == NAMES
    assert np.array_equal(store.gather(["7.jpg"]), [[7, 7, 7]])
    assert "12 pictures" in result.stderr
    assert "Warning" not in result.stderr


def test_names_stay_as_they_are_without_captions_and_the_user_is_told(tmp_path, pickled):
    result = succeed("features", "import", pickled, "--out", tmp_path / "store")

    assert FeatureStore(tmp_path / "store").names == [Path(name).stem for name in NAMES]
    assert "no file ending" in result.stderr
    assert "--captions FILE" in result.stderr


def test_names_with_ending_need_no_captions_and_no_warning(tmp_path):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({name: np.ones(3) for name in NAMES}))

    result = succeed("features", "import", tmp_path / "f.pkl", "--out", tmp_path / "store")

    assert FeatureStore(tmp_path / "store").names == NAMES
    assert "Warning" not in result.stderr


def test_pictures_that_the_captions_lack_are_told_of(tmp_path, captions):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({"0": np.ones(3), "stranger": np.ones(3)}))

    result = succeed(
        "features", "import", tmp_path / "f.pkl", "--out", tmp_path / "s", "--captions", captions
    )

    assert FeatureStore(tmp_path / "s").names == ["0.jpg", "stranger"]
    assert f"1 pictures are not in {captions}: stranger" in result.stderr


def test_an_import_can_be_repeated_and_continued(tmp_path, pickled):
    succeed("features", "import", pickled, "--out", tmp_path / "store")
    (tmp_path / "more.pkl").write_bytes(pickle.dumps({"new": np.ones((1, 3)), "0": np.ones((1, 3))}))

    result = succeed("features", "import", tmp_path / "more.pkl", "--out", tmp_path / "store")

    store = FeatureStore(tmp_path / "store")
    assert "13 pictures" in result.stderr
    assert "(1 new)" in result.stderr
    assert np.array_equal(store.gather(["0", "new"]), [[0, 0, 0], [1, 1, 1]])


def test_a_store_of_another_extractor_takes_no_imported_features(tmp_path, pickled):
    succeed("features", "import", pickled, "--out", tmp_path / "store")

    result = run(
        "features", "import", pickled, "--out", tmp_path / "store", "--feature-extractor", "mean-colour"
    )

    assert result.exit_code == 1
    assert "filled by imported(feature_shape=[3]) [3]" in result.stderr
    assert "mean-colour(scale=1.0) [3]" in result.stderr


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ((), ("7.jpg", (3,))),
        (("--without-endings",), ("7", (3,))),
        (("--batch-axis",), ("7.jpg", (1, 3))),
        (("--without-endings", "--batch-axis"), ("7", (1, 3))),
    ],
)
def test_an_exported_store_is_a_plain_dict_of_arrays(tmp_path, pickled, captions, flags, expected):
    key, shape = expected
    succeed("features", "import", pickled, "--out", tmp_path / "store", "--captions", captions)

    succeed("features", "export", tmp_path / "store", "--out", tmp_path / "out.pkl", *flags)

    exported = pickle.loads((tmp_path / "out.pkl").read_bytes())
    assert len(exported) == 12
    assert exported[key].dtype == np.float32
    assert np.array_equal(exported[key], np.full(shape, 7, np.float32))
    assert not list(tmp_path.glob(".*"))


def test_views_are_told_apart_from_pictures_and_not_exported(tmp_path):
    views = {view_name(name, number): np.ones(3) for name in ("a.jpg", "b.jpg") for number in range(3)}
    (tmp_path / "f.pkl").write_bytes(pickle.dumps(views))
    succeed("features", "import", tmp_path / "f.pkl", "--out", tmp_path / "store")

    assert json.loads(succeed("features", "info", tmp_path / "store", "--json").stdout)["pictures"] == 2
    assert "views     4" in succeed("features", "info", tmp_path / "store").stdout
    exported = succeed("features", "export", tmp_path / "store", "--out", tmp_path / "out.pkl")
    assert "2 pictures in" in exported.stderr
    assert pickle.loads((tmp_path / "out.pkl").read_bytes()).keys() == {"a.jpg", "b.jpg"}


def test_names_that_differ_in_their_ending_alone_are_exported_with_it(tmp_path):
    (tmp_path / "f.pkl").write_bytes(pickle.dumps({"a.jpg": np.ones(3), "a.png": np.ones(3)}))
    succeed("features", "import", tmp_path / "f.pkl", "--out", tmp_path / "store")

    result = run("features", "export", tmp_path / "store", "--out", tmp_path / "out.pkl", "--without-endings")

    assert result.exit_code == 1
    assert "keep the endings" in result.stderr
    assert not (tmp_path / "out.pkl").exists()


def test_info_tells_what_is_in_a_store(tmp_path, pickled):
    succeed("features", "import", pickled, "--out", tmp_path / "store")
    parts = list((tmp_path / "store").glob("part-*"))

    described = json.loads(succeed("features", "info", tmp_path / "store", "--json").stdout)

    assert described == {
        "pictures": 12,
        "shape": [3],
        "dtype": "float32",
        "source": {
            "extractor": "imported",
            "options": {"feature_shape": [3]},
            "feature_shape": [3],
            "fingerprint": "",
        },
        "parts": len(parts),
        "bytes": sum(part.stat().st_size for part in parts),
    }
    lines = succeed("features", "info", tmp_path / "store").stdout.splitlines()
    assert lines[0].split() == ["pictures", "12"]
    assert lines[1].split() == ["shape", "3"]


def test_options_without_an_extractor_are_refused(tmp_path, pickled):
    result = run("features", "import", pickled, "--out", tmp_path / "s", "--set", "feature_extractor.scale=2")

    assert result.exit_code == 1
    assert "Name it with --feature-extractor" in result.stderr
    assert not (tmp_path / "s").exists()
