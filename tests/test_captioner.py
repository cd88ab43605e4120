from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from capframe import Captioner, Dataset, FeatureStore, PluginManager, Registry
from capframe.batches import CaptionBatches
from capframe.errors import (
    CapframeError,
    DatasetError,
    FeatureStoreError,
    ImageError,
    OptionError,
    RunFolderError,
    ScoringError,
    TrainingError,
    UnknownComponentError,
    UsageError,
    VocabularyError,
)
from capframe.features import FeatureSource
from capframe.training import caption_losses

COLOURS = {"red": (250, 10, 20), "green": (10, 240, 30), "blue": (20, 10, 245)}
PARTS: dict[str, Any] = {
    "feature_extractor": "quarter-colours",
    "decoder": ("add-merge", {"units": 16, "embedding_size": 8, "dropout": 0.2}),
    "vocabulary": {"min_count": 1},
    "training": {"epochs": 25, "batch_size": 8, "learning_rate": 0.03, "seed": 3},
}
NewPlugins = Callable[[], PluginManager]
InstallPackage = Callable[..., None]


def picture_of(left: str, right: str) -> NDArray[np.uint8]:
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:, :4], picture[:, 4:] = COLOURS[left], COLOURS[right]
    return picture


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw 36 pictures of two colours, four of each pair, with two captions each; the last nine are dev."""
    folder = tmp_path_factory.mktemp("drawn")
    (folder / "Images").mkdir()
    rows, names = [["image", "caption"]], []
    for number in range(36):
        left, right = list(COLOURS)[number % 3], list(COLOURS)[number // 3 % 3]
        names.append(f"{number:02}.png")
        Image.fromarray(picture_of(left, right)).save(folder / "Images" / names[-1])
        rows += [[names[-1], f"{left.title()}, then {right}!"], [names[-1], f"{left} then {right}"]]
    with (folder / "captions.txt").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    (folder / "train.txt").write_text("\n".join(names[:27]))
    (folder / "dev.txt").write_text("\n".join(names[27:]))
    return folder


def read(drawn: Path, *, images: bool = True, dev: bool = True) -> Dataset:
    return Dataset.read(
        drawn / "captions.txt",
        images=drawn / "Images" if images else None,
        train_split=drawn / "train.txt",
        dev_split=drawn / "dev.txt" if dev else None,
    )


def without_seconds(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{name: value for name, value in logs.items() if name != "seconds"} for logs in history]


@pytest.fixture(scope="module")
def run(drawn: Path, new_plugins: NewPlugins, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """Train once: captioner, dataset, run folder and feature store."""
    folder = tmp_path_factory.mktemp("trained")
    captioner = Captioner(**PARTS, registry=Registry(new_plugins()))
    dataset = read(drawn)
    history = captioner.fit(dataset, features=folder / "features", out=folder / "run")
    store = FeatureStore(folder / "features")
    return SimpleNamespace(
        captioner=captioner, dataset=dataset, path=folder / "run", history=history, store=store
    )


@pytest.fixture
def copied(run: SimpleNamespace, tmp_path: Path) -> Path:
    """Return a copy of the run folder, to be damaged."""
    return Path(shutil.copytree(run.path, tmp_path / "copied"))


def dev_pictures(run: SimpleNamespace) -> list[Path]:
    return [run.dataset.image_paths[name] for name in run.dataset.splits["dev"]]


DEV_CAPTIONS = [f"{left} then {right}" for right in COLOURS for left in COLOURS]


# Training and captioning


def test_a_trained_captioner_says_what_unseen_pictures_show(run: SimpleNamespace) -> None:
    assert run.captioner.caption(dev_pictures(run)) == DEV_CAPTIONS
    assert run.captioner.caption(dev_pictures(run), beam=1) == DEV_CAPTIONS


def test_paths_pil_pictures_and_arrays_give_the_same_captions(run: SimpleNamespace) -> None:
    paths = dev_pictures(run)
    opened = [Image.open(path) for path in paths]
    arrays = np.stack([np.asarray(picture) for picture in opened])
    expected = run.captioner.caption(paths)
    assert run.captioner.caption(map(str, paths)) == expected
    assert run.captioner.caption(opened) == expected
    assert run.captioner.caption(arrays) == expected
    assert run.captioner.caption([paths[3], arrays[1], opened[3]]) == [expected[i] for i in (3, 1, 3)]
    assert run.captioner.caption([]) == []


def test_features_are_captioned_as_their_pictures(run: SimpleNamespace) -> None:
    features = run.store.gather(run.dataset.splits["dev"])
    assert run.captioner.caption_features(features, beam=5) == run.captioner.caption(
        dev_pictures(run), beam=5
    )
    assert run.captioner.caption_features(features[:0]) == []
    with pytest.raises(UsageError, match=r"shape \(9, 4\); they must be \[N, \(12,\)\]"):
        run.captioner.caption_features(features[:, :4])


def test_search_options_reach_the_search(run: SimpleNamespace) -> None:
    (picture, *_) = dev_pictures(run)
    assert run.captioner.caption([picture], max_words=2) == ["red then"]
    (long,) = run.captioner.caption([picture], min_words=5, max_words=6)
    assert len(long.split()) in (5, 6)
    with pytest.raises(OptionError, match="has no option 'beams'"):
        run.captioner.caption([picture], beams=2)
    with pytest.raises(UsageError, match="beam width is 0"):
        run.captioner.caption([picture], beam=0)


@pytest.mark.parametrize(
    "one",
    [
        "photo.jpg",
        Path("photo.jpg"),
        picture_of("red", "blue"),
        Image.fromarray(picture_of("red", "blue")),
    ],
    ids=["name", "path", "array", "PIL"],
)
def test_one_picture_in_place_of_several_is_refused(run: SimpleNamespace, one: Any) -> None:
    with pytest.raises(UsageError, match="put one picture in a list"):
        run.captioner.caption(one)


def test_a_picture_that_cannot_be_read_is_an_error_or_is_passed_over(
    run: SimpleNamespace, tmp_path: Path
) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    pictures = {"bad": tmp_path / "bad.png", "good": picture_of("blue", "green")}
    with pytest.raises(ImageError, match=r"bad\.png"):
        run.captioner.caption(list(pictures.values()))
    reported: list[str] = []
    captions = dict(run.captioner.caption_each(pictures, lambda name, error: reported.append(name)))
    assert captions == {"good": "blue then green"}
    assert reported == ["bad"]


def test_one_seed_gives_the_same_losses_and_captions_and_another_does_not(
    run: SimpleNamespace, new_plugins: NewPlugins
) -> None:
    again = Captioner(**PARTS, registry=Registry(new_plugins()))
    history = again.fit(run.dataset, features=run.store)
    assert without_seconds(history) == without_seconds(run.history)
    for one, two in zip(
        again.trained.model.get_weights(), run.captioner.trained.model.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, two)
    random = np.random.default_rng(0).random((20, 12), np.float32)
    assert again.caption_features(random) == run.captioner.caption_features(random)
    # The same captioner again, with another seed.
    other = again.fit(run.dataset, features=run.store, epochs=1, seed=4)
    assert len(other) == 1
    assert other[0]["loss"] != history[0]["loss"]
    assert again.composition.training_options.seed == 4


def test_the_kept_weights_are_those_of_the_lowest_validation_loss(
    run: SimpleNamespace, new_plugins: NewPlugins
) -> None:
    import keras

    class Spoil(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            if epoch == 3:
                self.model.optimizer.learning_rate.assign(5.0)

    captioner = Captioner(**PARTS, callbacks=["checkpoint", Spoil()], registry=Registry(new_plugins()))
    history = captioner.fit(run.dataset, features=run.store, epochs=4)
    losses = [logs["val_loss"] for logs in history]
    assert min(losses) < losses[-1], "the last epoch must not be the best, or nothing is shown"
    trained = captioner.trained
    groups = [captioner.composition.clean(texts) for texts in run.dataset.split("dev").values()]
    features = run.store.gather(run.dataset.splits["dev"])
    (batch,) = CaptionBatches(groups, trained.vocabulary, lambda pictures: features[pictures]).epoch()
    logits = trained.model([batch.features[batch.pictures], batch.inputs], training=False)
    total, words = caption_losses(batch.targets, logits)
    assert float(total) / float(words) == pytest.approx(min(losses), rel=1e-4)


def test_without_dev_split_the_training_loss_is_watched(
    run: SimpleNamespace, new_plugins: NewPlugins
) -> None:
    captioner = Captioner(**PARTS, registry=Registry(new_plugins()))
    dataset = Dataset(run.dataset.captions, splits={"train": run.dataset.splits["train"]})
    history = captioner.fit(dataset, features=run.store, epochs=2)
    assert [set(logs) for logs in history] == [{"epoch", "loss", "learning_rate", "seconds"}] * 2
    assert captioner.caption_features(run.store.gather(["00.png"]))


# Parts


def test_parts_are_names_pairs_or_objects(run: SimpleNamespace, registry: Registry) -> None:
    captioner = Captioner(
        ("quarter-colours", {"regions": True}), [str.lower, "regex"], "add-merge", [], registry=registry
    )
    composition = captioner.composition
    assert composition.feature_extractor.options == {"regions": True, "scale": 1.0}
    assert [cleaner.name for cleaner in composition.text_cleaners] == ["builtins:str.lower", "regex"]
    assert composition.decoder.options["units"] == 256
    assert composition.callbacks == ()
    assert composition.clean(["It's a DOG!", ""]) == ("its a dog", "")


def test_text_cleaners_are_applied_in_the_order_given(registry: Registry) -> None:
    captioner = Captioner(text_cleaners=[lambda text: text + "b", lambda text: text + "c"], registry=registry)
    assert captioner.composition.clean(["a"]) == ("abc",)


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"decoder": "add_merge"}, UnknownComponentError, "Did you mean 'add-merge'?"),
        (
            {"decoder": ("add-merge", {"unit": 8})},
            OptionError,
            "Did you mean 'units'? Its options: units: int",
        ),
        ({"decoder": ("add-merge", {"units": "wide"})}, OptionError, "cannot take units='wide'"),
        ({"decoder": 5}, UsageError, "5 is no decoder: it lacks build, start, step"),
        ({"text_cleaners": "regex"}, UsageError, "'regex' is one name; give a list"),
        ({"text_cleaners": [("regex", {"pattern": "("})]}, OptionError, "not a regular expression"),
        ({"callbacks": ["checkpont"]}, UnknownComponentError, "Did you mean 'checkpoint'?"),
        ({"vocabulary": {"mincount": 2}}, OptionError, "Did you mean 'min_count'?"),
        ({"training": {"epoch": 2}}, OptionError, "Did you mean 'epochs'?"),
        ({"training": {"epochs": 0}}, UsageError, "training.epochs is 0"),
    ],
)
def test_wrong_parts_and_options_are_refused_at_once(
    registry: Registry, parts: dict[str, Any], error: type[CapframeError], message: str
) -> None:
    with pytest.raises(error) as caught:
        Captioner(**parts, registry=registry)
    assert message in str(caught.value)


def never_extract(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    raise AssertionError("features were extracted before a mistake was found")


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ({"decoder": ("add-merge", {"dropout": 2.0})}, {}, "cannot take dropout=2.0"),
        ({"callbacks": [("checkpoint", {"filename": "x.h5"})]}, {}, "cannot take filename='x.h5'"),
        ({}, {"epochs": 0}, "training.epochs is 0"),
        ({}, {"batch_size": "many"}, "cannot take batch_size='many'"),
        ({}, {"out": Path(__file__).parent}, "tests exists already"),
        ({}, {"out": Path(__file__).parent, "overwrite": True}, "tests is not a run folder"),
    ],
)
def test_mistakes_are_found_before_features_are_extracted(
    run: SimpleNamespace, registry: Registry, parts: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    class Lazy:
        image_size, feature_shape = (8, 8), (12,)
        __call__ = staticmethod(never_extract)

    captioner = Captioner(**{**PARTS, "feature_extractor": Lazy(), **parts}, registry=registry)
    with pytest.raises(CapframeError) as caught:
        captioner.fit(run.dataset, **options)
    assert message in str(caught.value)


def test_an_untrained_captioner_says_so(registry: Registry, tmp_path: Path) -> None:
    captioner = Captioner(**PARTS, registry=registry)
    for use in (
        lambda: captioner.caption([picture_of("red", "red")]),
        lambda: captioner.caption_features(np.zeros((1, 12), np.float32)),
        lambda: captioner.save(tmp_path / "run"),
    ):
        with pytest.raises(UsageError, match=r"not trained. Call fit\(\), or Captioner.load\(\)"):
            use()
    assert list(tmp_path.iterdir()) == []


# Features


class Counting:
    """An extractor of mean colours that counts the pictures it is given."""

    image_size, feature_shape = (8, 8), (3,)
    pictures = 0

    def __init__(self, fingerprint: str = "") -> None:
        self.fingerprint = fingerprint

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.pictures += len(images)
        return images.mean(axis=(1, 2)).astype(np.float32) / 255


class Counting12(Counting):
    feature_shape = (12,)


class Quarters(Counting):
    feature_shape = (4, 3)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.repeat(super().__call__(images)[:, None], 4, axis=1)


@pytest.mark.parametrize(("extractor", "dtype"), [(Counting(), "float32"), (Quarters(), "float16")])
def test_a_new_store_keeps_grids_in_half_precision_and_vectors_in_full(
    run: SimpleNamespace, registry: Registry, tmp_path: Path, extractor: Counting, dtype: str
) -> None:
    captioner = Captioner(**{**PARTS, "feature_extractor": extractor}, registry=registry)
    some = dict(list(run.dataset.image_paths.items())[:3])
    store = captioner.extract(some, tmp_path / "store")
    assert store.dtype == np.dtype(dtype)
    exact = extractor(np.stack([np.asarray(Image.open(path)) for path in some.values()]))
    assert captioner.extract(some, tmp_path / "other", dtype="float32").dtype == np.dtype("float32")
    np.testing.assert_allclose(store.gather(list(some)), exact, rtol=1e-3 if dtype == "float16" else 1e-6)


def test_each_picture_is_extracted_once_and_a_store_is_filled_up(
    run: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    counting = Counting()
    captioner = Captioner(**{**PARTS, "feature_extractor": counting}, registry=registry)
    some = dict(list(run.dataset.image_paths.items())[:10])
    assert len(captioner.extract(some, tmp_path / "store")) == counting.pictures == 10
    captioner.fit(run.dataset, features=tmp_path / "store", epochs=1)
    assert counting.pictures == 36
    captioner.fit(run.dataset, features=FeatureStore(tmp_path / "store"), epochs=1)
    assert counting.pictures == 36


def test_an_empty_store_is_filled_and_not_passed_over(
    run: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    counting = Counting()
    captioner = Captioner(**{**PARTS, "feature_extractor": counting}, registry=registry)
    component = captioner.composition.feature_extractor
    empty = FeatureStore.create(tmp_path / "store", FeatureSource.of(counting, component.name))
    captioner.fit(run.dataset, features=empty, epochs=1)
    assert len(FeatureStore(tmp_path / "store")) == 36


def test_a_store_of_another_extractor_is_refused(run: SimpleNamespace, registry: Registry) -> None:
    captioner = Captioner(**{**PARTS, "feature_extractor": Counting()}, registry=registry)
    for features in (run.store, run.store.path):
        with pytest.raises(FeatureStoreError, match="filled by quarter-colours"):
            captioner.fit(run.dataset, features=features)
    pictureless = Dataset(run.dataset.captions, splits=run.dataset.splits)
    with pytest.raises(FeatureStoreError, match="filled by quarter-colours"):
        captioner.fit(pictureless, features=run.store)


def test_a_store_chooses_the_extractor_where_the_user_does_not(
    run: SimpleNamespace, registry: Registry
) -> None:
    captioner = Captioner(**{**PARTS, "feature_extractor": None}, registry=registry)
    captioner.fit(Dataset(run.dataset.captions, splits=run.dataset.splits), features=run.store, epochs=1)
    assert captioner.composition.feature_extractor.name == "quarter-colours"
    assert captioner.caption(dev_pictures(run)[:1], max_words=1)


def test_pictures_that_cannot_be_read_are_reported_and_left_out(
    drawn: Path, registry: Registry, tmp_path: Path
) -> None:
    images = Path(shutil.copytree(drawn / "Images", tmp_path / "Images"))
    (images / "05.png").write_text("no picture")
    dataset = Dataset.read(drawn / "captions.txt", images=images, train_split=drawn / "train.txt")
    captioner = Captioner(**PARTS, registry=registry)
    with pytest.raises(ImageError, match=r"05\.png"):
        captioner.fit(dataset, epochs=1)
    reported: list[str] = []
    captioner.fit(dataset, epochs=1, on_bad_image=lambda name, error: reported.append(name))
    assert reported == ["05.png"]
    assert [captioner.trained.saw(name) for name in ("04.png", "05.png")] == [True, False]


def test_a_dataset_without_training_pictures_is_refused(run: SimpleNamespace, registry: Registry) -> None:
    captioner = Captioner(**PARTS, registry=registry)
    for splits in ({"dev": run.dataset.splits["dev"]}, {"train": ()}):
        dataset = Dataset(run.dataset.captions, run.dataset.image_paths, splits)
        with pytest.raises(TrainingError, match="No picture of the training split has features"):
            captioner.fit(dataset, features=run.store)
    strict = Captioner(**{**PARTS, "vocabulary": {"min_count": 999}}, registry=registry)
    with pytest.raises(VocabularyError, match="No word occurs 999 times"):
        strict.fit(run.dataset, features=run.store)


# Run folders


def test_a_run_folder_says_which_pictures_were_left_out(
    run: SimpleNamespace, new_plugins: NewPlugins, tmp_path: Path
) -> None:
    captioner = Captioner(**PARTS, registry=Registry(new_plugins()))
    dataset = replace(run.dataset, missing_images=("lost.png",))
    captioner.fit(dataset, features=run.store, epochs=1, out=tmp_path / "run")

    report = (tmp_path / "run" / "dataset_report.txt").read_text()
    assert "were not found, and were skipped: 1\n    lost.png\n" in report
    assert f"pictures: {len(dataset)}\n" in report


def test_a_run_folder_holds_what_the_design_says(run: SimpleNamespace) -> None:
    assert sorted(path.name for path in run.path.iterdir()) == [
        "best_model.keras",
        "config.json",
        "dataset_report.txt",
        "history.csv",
        "training_images.txt",
        "vocabulary.txt",
    ]
    config = json.loads((run.path / "config.json").read_text())
    assert config["decoder"]["name"] == "add-merge"
    assert config["decoder"]["options"]["units"] == 16
    assert (config["decoder"]["package"], config["text_cleaners"][0]["name"]) == ("capframe", "regex")
    assert config["training"]["seed"] == 3
    assert [callback["name"] for callback in config["callbacks"]] == [
        "checkpoint",
        "early-stopping",
        "reduce-lr",
    ]
    words = (run.path / "vocabulary.txt").read_text().split("\n")
    # "then" stands in every caption, and each colour in as many as the others.
    assert words == ["<pad>", "<unk>", "<start>", "<end>", "then", "blue", "green", "red", ""]
    with (run.path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "val_loss", "learning_rate", "seconds"]
    assert [float(row["val_loss"]) for row in rows] == [logs["val_loss"] for logs in run.history]


@pytest.mark.parametrize("saved", [False, True], ids=["left by fit", "saved"])
def test_a_loaded_captioner_gives_the_same_captions(
    run: SimpleNamespace, new_plugins: NewPlugins, tmp_path: Path, saved: bool
) -> None:
    if saved:
        run.captioner.save(tmp_path / "run")
    loaded = Captioner.load(tmp_path / "run" if saved else run.path, registry=Registry(new_plugins()))
    assert loaded.caption(dev_pictures(run)) == DEV_CAPTIONS
    random = np.random.default_rng(0).random((20, 12), np.float32)
    assert loaded.caption_features(random) == run.captioner.caption_features(random)
    assert without_seconds(loaded.trained.history) == without_seconds(run.history)
    assert loaded.trained.saw("00.png")
    assert not loaded.trained.saw("35.png")
    assert loaded.composition.describe() == run.captioner.composition.describe()


@pytest.mark.slow
def test_the_model_of_a_run_opens_in_plain_keras_without_capframe(
    run: SimpleNamespace, tmp_path: Path
) -> None:
    features = run.store.gather(run.dataset.splits["dev"])
    tokens = np.tile(np.array([2, 5, 4, 6], np.int32), (len(features), 1))
    np.savez(tmp_path / "given.npz", features=features, tokens=tokens)
    program = (
        "import sys, keras, numpy\n"
        "given = numpy.load('given.npz')\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "numpy.save('logits.npy', model.predict([given['features'], given['tokens']], verbose=0))\n"
        "print('capframe' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, str(run.path / "best_model.keras")]
    ran = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert ran.stdout == "False\n"
    expected = run.captioner.trained.model([features, tokens], training=False)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-5)


def test_a_failing_training_leaves_no_run_folder_under_its_name(
    run: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    import keras

    class PowerCut(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                raise KeyboardInterrupt

    captioner = Captioner(**PARTS, callbacks=["checkpoint", PowerCut()], registry=registry)
    with pytest.raises(KeyboardInterrupt):
        captioner.fit(run.dataset, features=run.store, out=tmp_path / "run")
    (left,) = tmp_path.iterdir()
    assert left.name == "run.unfinished"
    assert {"best_model.keras", "history.csv"} <= {path.name for path in left.iterdir()}
    with pytest.raises(UsageError, match="not trained"):
        captioner.caption([])
    with pytest.raises(RunFolderError, match=r"has no config.json"):
        Captioner.load(left, registry=registry)


def test_an_existing_folder_is_not_overwritten_unless_wanted(
    run: SimpleNamespace, registry: Registry, copied: Path
) -> None:
    before = (copied / "config.json").read_bytes()
    with pytest.raises(RunFolderError, match="copied exists already"):
        run.captioner.save(copied)
    assert (copied / "config.json").read_bytes() == before
    (copied / "vocabulary.txt").unlink()
    run.captioner.save(copied, overwrite=True)
    assert Captioner.load(copied, registry=registry).caption(dev_pictures(run)) == DEV_CAPTIONS


def test_a_missing_plugin_is_named_with_the_package_to_install(
    run: SimpleNamespace, new_plugins: NewPlugins, install_package: InstallPackage, tmp_path: Path
) -> None:
    hook = "def register_text_cleaners(): return {'soft': lambda: str.lower}"
    source = f"from capframe import hookimpl\n@hookimpl\n{hook}"
    bare = Registry(new_plugins())
    install_package("acme-text", {"acme": source}, version="1.5")
    acme = Registry(PluginManager(strict=True))
    loaded = Captioner.load(
        run.path, registry=acme, feature_extractor=run.captioner.composition.feature_extractor.value,
        text_cleaners=["soft"],
    )  # fmt: skip
    loaded.save(tmp_path / "run")
    with pytest.raises(
        UnknownComponentError, match="needs the text cleaner 'soft' of the package 'acme-text'"
    ):
        Captioner.load(tmp_path / "run", registry=bare, feature_extractor="quarter-colours")
    again = Captioner.load(tmp_path / "run", registry=acme, feature_extractor=Counting12())
    assert again.composition.clean(["A Dog."]) == ("a dog.",)


def test_ready_objects_must_be_given_again_when_a_run_is_loaded(
    run: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    Captioner.load(run.path, registry=registry, text_cleaners=[str.lower]).save(tmp_path / "run")
    with pytest.raises(UsageError, match=r"ready-made text cleaner \(builtins:str.lower\).*Captioner.load"):
        Captioner.load(tmp_path / "run", registry=registry)
    again = Captioner.load(tmp_path / "run", registry=registry, text_cleaners=[str.lower])
    assert again.caption(dev_pictures(run)) == DEV_CAPTIONS
    with pytest.raises(
        UsageError, match="no part 'text_cleaner'; its parts: feature_extractor, text_cleaners"
    ):
        Captioner.load(tmp_path / "run", registry=registry, text_cleaner=str.lower)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def damage_config(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "has no config.json"),
        (lambda folder: (folder / "vocabulary.txt").unlink(), "vocabulary.txt cannot be read"),
        (lambda folder: (folder / "best_model.keras").unlink(), "has no best_model.keras"),
        (lambda folder: (folder / "history.csv").unlink(), "history.csv cannot be read"),
        (lambda folder: (folder / "training_images.txt").unlink(), "training_images.txt cannot be read"),
        (
            lambda folder: append(folder / "vocabulary.txt", "more\n"),
            "best_model.keras cannot be loaded",
        ),
        (lambda folder: damage_config(folder, lambda c: c.pop("training")), "lacks 'training'"),
        (
            lambda folder: damage_config(folder, lambda c: c["decoder"].pop("name")),
            "config.json is damaged: 'decoder' is of another form",
        ),
        (lambda folder: damage_config(folder, lambda c: c["features"].clear()), "what made features"),
        (lambda folder: damage_config(folder, lambda c: c.update(format=99)), "has format 99"),
    ],
)
def test_a_damaged_run_folder_is_refused_and_named(
    copied: Path, registry: Registry, damage: Callable[[Path], object], message: str
) -> None:
    damage(copied)
    with pytest.raises(CapframeError) as caught:
        Captioner.load(copied, registry=registry)
    assert message in str(caught.value)


def test_an_extractor_with_other_weights_or_features_is_refused(
    run: SimpleNamespace, registry: Registry, copied: Path
) -> None:
    damage_config(copied, lambda config: config["features"].update(fingerprint="aaaa"))
    captioner = Captioner.load(copied, registry=registry, feature_extractor=Counting12("bbbb"))
    with pytest.raises(
        UsageError, match=r"trained on features of .*weights aaaa.*, and this is .*weights bbbb"
    ):
        captioner.caption(dev_pictures(run))
    captioner = Captioner.load(copied, registry=registry, feature_extractor=Counting("aaaa"))
    with pytest.raises(UsageError, match="trained on features of"):
        captioner.caption(dev_pictures(run))
    assert Captioner.load(copied, registry=registry).caption(dev_pictures(run)) == DEV_CAPTIONS


# Evaluation


def test_scoring_pictures_that_were_trained_on_is_refused_unless_allowed(run: SimpleNamespace) -> None:
    with pytest.raises(ScoringError, match=r"trained on 27 of the 27 pictures .*\(00.png, 01.png, 02.png"):
        run.captioner.evaluate(run.dataset, "train")
    mixed = Dataset(
        run.dataset.captions, run.dataset.image_paths, {"dev": (*run.dataset.splits["dev"], "03.png")}
    )
    with pytest.raises(ScoringError, match=r"trained on 1 of the 10 pictures to be scored \(03.png\)"):
        run.captioner.evaluate(mixed)
    _, captions = run.captioner.evaluate(mixed, allow_train=True)
    assert list(captions) == list(mixed.splits["dev"])


def test_evaluation_captions_every_picture_of_the_split_from_files_or_from_a_store(
    run: SimpleNamespace,
) -> None:
    expected = dict(zip(run.dataset.splits["dev"], DEV_CAPTIONS, strict=True))
    report, from_files = run.captioner.evaluate(run.dataset, beam=2)
    assert from_files == expected
    assert report.bleu[:3] == pytest.approx((1, 1, 1))
    assert (report.pictures, report.references, report.copied) == (9, 18, 1.0)
    assert "beam:2|length-penalty:0.7|words:1-40" in report.signature
    pictureless = Dataset(run.dataset.captions, splits=run.dataset.splits)
    for features in (run.store, run.store.path):
        _, from_store = run.captioner.evaluate(pictureless, features=features, beam=2)
        assert from_store == expected
    with pytest.raises(UsageError, match=r"no picture files of 27.png, 28.png"):
        run.captioner.evaluate(pictureless)
    with pytest.raises(DatasetError, match=r"no split 'deev'. Did you mean 'dev'"):
        run.captioner.evaluate(run.dataset, "deev")
    with pytest.raises(OptionError, match="has no option 'beams'"):
        run.captioner.evaluate(run.dataset, beams=2)


def test_evaluation_refuses_features_that_were_made_in_another_way(
    run: SimpleNamespace, tmp_path: Path
) -> None:
    other = FeatureStore.create(tmp_path / "store", FeatureSource("another", {}, (12,)))
    other.add(list(run.dataset.splits["dev"]), np.zeros((9, 12), np.float32))
    with pytest.raises(FeatureStoreError, match="filled by another"):
        run.captioner.evaluate(run.dataset, features=other)
