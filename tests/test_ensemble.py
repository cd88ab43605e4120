"""Several captioners that caption together: an ensemble from Python, and ``--run`` given several times."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray
from PIL import Image

from capframe import (
    Captioner,
    Dataset,
    Ensemble,
    FeatureStore,
    PluginManager,
    Registry,
    Vocabulary,
    image_marks,
    run_folder,
)
from capframe.cli import main
from capframe.errors import FeatureStoreError, ImageError, RunFolderError, ScoringError, UsageError
from capframe.features import FeatureSource

COLOURS = ("red", "green", "blue", "black", "white", "pink")
NAMES = [f"{number:02}.png" for number in range(18)]
TRAIN, DEV = NAMES[:12], NAMES[12:]
SHORT: dict[str, Any] = {"beam": 2, "max_words": 6}

NewPlugins = Callable[[], PluginManager]


class MeanColour:
    """Mean red, green and blue, which notes how many pictures it is given.

    Args:
        side: the side of the pictures that it looks at, in pixels.
    """

    feature_shape = (3,)
    looked_at: ClassVar[list[int]] = []

    def __init__(self, side: int = 4) -> None:
        self.image_size = (side, side)

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.looked_at.append(len(images))
        return images.mean(axis=(1, 2), dtype=np.float32) / 255


@pytest.fixture(scope="module")
def registry(new_plugins: NewPlugins, offering: Callable[..., SimpleNamespace]) -> Registry:
    plugins = new_plugins()
    plugins.register(offering(register_feature_extractors={"mean-colour": MeanColour}), "counted")
    return Registry(plugins)


@pytest.fixture(autouse=True)
def looked_at() -> list[int]:
    """How many pictures ``mean-colour`` was given, call by call."""
    MeanColour.looked_at.clear()
    return MeanColour.looked_at


def write_run(
    folder: Path,
    registry: Registry,
    extractor: str,
    seed: int,
    *,
    words: tuple[str, ...] = COLOURS,
    learned: list[str] = TRAIN,
) -> Captioner:
    """Write a run folder as training leaves it, with random weights, and load it."""
    from capframe.trained import Trained

    composed = Captioner(
        extractor,
        decoder=("add-merge", {"units": 3 + seed, "embedding_size": 4}),
        callbacks=["checkpoint"],
        vocabulary={"min_count": 1},
        training={"epochs": 1, "seed": seed},
        registry=registry,
    ).composition
    component = composed.feature_extractor
    source = FeatureSource.of(component.value, component.name, component.options)
    vocabulary = Vocabulary(words)
    model = composed.decoder.value.build(source.feature_shape, len(vocabulary))
    random = np.random.default_rng(seed)
    model.set_weights([random.normal(0, 1.5, weight.shape) for weight in model.get_weights()])
    marks = frozenset(map(image_marks.image_mark, learned))
    with run_folder.new_run_folder(folder) as working:
        Trained(model, vocabulary, source, [{"epoch": 1.0, "loss": 2.0}], marks).write(working, composed)
    return Captioner.load(folder, registry=registry)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> SimpleNamespace:
    """Pictures of random colours, and three runs: two see the mean colour, one that of the quarters."""
    folder = tmp_path_factory.mktemp("house")
    (folder / "Images").mkdir()
    random = np.random.default_rng(0)
    captions = {}
    for name in NAMES:
        level = random.choice([0, 128, 255], (2, 2, 3))
        pixels = np.kron(level, np.ones((4, 4, 1))).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "Images" / name)
        captions[name] = tuple(" ".join(random.choice(COLOURS, 3)) for _ in range(2))
    rows = [f"{name},{text}" for name, texts in captions.items() for text in texts]
    (folder / "captions.txt").write_text("\n".join(["image,caption", *rows]))
    (folder / "train.txt").write_text("\n".join(TRAIN))
    (folder / "dev.txt").write_text("\n".join(DEV))
    dataset = Dataset.read(
        folder / "captions.txt", images=folder / "Images", train_split=folder / "train.txt",
        dev_split=folder / "dev.txt",
    )  # fmt: skip
    mean = write_run(folder / "mean", registry, "mean-colour", 1)
    mean_2 = write_run(folder / "mean-2", registry, "mean-colour", 2)
    quarters = write_run(folder / "quarters", registry, "quarter-colours", 3)
    stores = {
        "mean-colour": mean.extract(dataset.image_paths, folder / "mean-colour.store"),
        "quarter-colours": quarters.extract(dataset.image_paths, folder / "quarter-colours.store"),
    }
    return SimpleNamespace(
        folder=folder,
        dataset=dataset,
        mean=mean,
        mean_2=mean_2,
        quarters=quarters,
        three=Ensemble([mean, quarters, mean_2]),
        stores=stores,
        files=[dataset.image_paths[name] for name in NAMES],
    )


def features_of(house: SimpleNamespace, extractor: str, names: list[str] = NAMES) -> NDArray[np.float32]:
    found: NDArray[np.float32] = house.stores[extractor].gather(names)
    return found


def probabilities(captioner: Captioner, features: NDArray[np.float32], words: list[int]) -> NDArray[Any]:
    """Return the probabilities of the word after ``words``, from the model of the whole caption."""
    tokens = np.tile(np.array(words, np.int32), (len(features), 1))
    logits = np.asarray(captioner.trained.model([features, tokens], training=False))[:, -1]
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


# Captions


def test_an_ensemble_of_one_gives_the_captions_of_that_one(house: SimpleNamespace) -> None:
    alone = house.quarters.caption(house.files, **SHORT)
    assert Ensemble([house.quarters]).caption(house.files, **SHORT) == alone
    assert len(set(alone)) > 5


def test_two_copies_of_a_run_give_its_captions(house: SimpleNamespace, registry: Registry) -> None:
    twice = Ensemble.load([house.folder / "quarters"] * 2, registry=registry)
    assert twice.caption(house.files, **SHORT) == house.quarters.caption(house.files, **SHORT)
    features = np.random.default_rng(0).random((40, 12), np.float32)
    assert twice.caption_features(features, **SHORT) == house.quarters.caption_features(features, **SHORT)


def test_the_order_of_the_members_does_not_matter(house: SimpleNamespace) -> None:
    captions = house.three.caption(house.files, **SHORT)
    moved = Ensemble([house.mean_2, house.mean, house.quarters])
    assert moved.caption(house.files, **SHORT) == captions
    assert captions != house.mean.caption(house.files, **SHORT)
    assert captions != house.quarters.caption(house.files, **SHORT)


def test_the_first_word_is_that_of_the_highest_mean_probability(house: SimpleNamespace) -> None:
    start, first_word = [2], 4
    mean, quarters = features_of(house, "mean-colour"), features_of(house, "quarter-colours")
    averaged = (
        probabilities(house.mean, mean, start)
        + probabilities(house.mean_2, mean, start)
        + probabilities(house.quarters, quarters, start)
    )
    words = house.mean.trained.vocabulary.words
    expected = [words[first_word + place] for place in averaged[:, first_word:].argmax(axis=1)]
    assert house.three.caption(house.files, beam=1, max_words=1) == expected


def test_search_options_reach_the_search(house: SimpleNamespace) -> None:
    long = house.three.caption(house.files, beam=2, min_words=6, max_words=6)
    blocked = house.three.caption(house.files, beam=2, min_words=6, max_words=6, block_repeats=2)
    assert {len(caption.split()) for caption in long} == {6}

    def repeats(caption: str) -> bool:
        words = caption.split()
        pairs = list(pairwise(words))
        return len(set(pairs)) < len(pairs)

    assert any(map(repeats, long))
    assert not any(map(repeats, blocked))


# Feature extractors


def test_each_picture_goes_once_through_each_distinct_extractor(
    house: SimpleNamespace, looked_at: list[int]
) -> None:
    assert [source.extractor for source in house.three.sources] == ["mean-colour", "quarter-colours"]
    house.three.caption(house.files, **SHORT)
    assert sum(looked_at) == len(house.files)


def test_an_extractor_with_other_options_is_another_one(
    house: SimpleNamespace, registry: Registry, looked_at: list[int]
) -> None:
    larger = Captioner.load(
        house.folder / "mean-2", registry=registry, feature_extractor=("mean-colour", {"side": 8})
    )
    assert len(Ensemble([house.mean, larger]).sources) == 2
    Ensemble([house.mean, larger]).caption(house.files, **SHORT)
    assert sum(looked_at) == 2 * len(house.files)


def test_two_ready_made_extractors_are_never_taken_for_one(
    house: SimpleNamespace, registry: Registry
) -> None:
    one, two = MeanColour(4), MeanColour(8)

    def load(run: str, extractor: MeanColour) -> Captioner:
        return Captioner.load(house.folder / run, registry=registry, feature_extractor=extractor)

    assert len(Ensemble([load("mean", one), load("mean-2", two)]).sources) == 2
    assert len(Ensemble([load("mean", one), load("mean-2", one)]).sources) == 1


def test_features_are_captioned_as_their_pictures(house: SimpleNamespace) -> None:
    arrays = [features_of(house, source.extractor) for source in house.three.sources]
    assert house.three.caption_features(arrays, **SHORT) == house.three.caption(house.files, **SHORT)
    alike = Ensemble([house.mean, house.mean_2])
    assert alike.caption_features(arrays[0], **SHORT) == alike.caption(house.files, **SHORT)


def test_features_that_do_not_fit_are_refused(house: SimpleNamespace) -> None:
    ensemble = Ensemble([house.mean, house.quarters])
    mean, quarters = features_of(house, "mean-colour"), features_of(house, "quarter-colours")
    with pytest.raises(
        UsageError, match=r"Features of 1 feature extractors were given and 2 are needed.*mean"
    ):
        ensemble.caption_features(mean)
    with pytest.raises(UsageError, match=r"shape \(18, 12\); they must be \[N, \(3,\)\]"):
        ensemble.caption_features([quarters, mean])
    with pytest.raises(UsageError, match="features are of 18 and 17 pictures"):
        ensemble.caption_features([mean, quarters[1:]])


def test_a_picture_that_cannot_be_read_is_reported_once(house: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no picture")
    pictures = {"bad": tmp_path / "bad.png", "good": house.files[0]}
    ensemble = house.three
    with pytest.raises(ImageError, match=r"bad\.png"):
        ensemble.caption(list(pictures.values()))
    reported: list[str] = []
    captions = dict(ensemble.caption_each(pictures, lambda name, error: reported.append(name), **SHORT))
    assert captions == {"good": ensemble.caption(house.files[:1], **SHORT)[0]}
    assert reported == ["bad"]


# Members


@pytest.mark.slow
def test_a_member_that_is_trained_further_does_not_change_the_ensemble(
    house: SimpleNamespace, registry: Registry
) -> None:
    member = Captioner.load(house.folder / "mean", registry=registry)
    ensemble = Ensemble([member])
    before = ensemble.caption(house.files, **SHORT)
    member.fit(house.dataset, features=house.stores["mean-colour"], epochs=1, seed=9)
    assert ensemble.caption(house.files, **SHORT) == before
    assert member.caption(house.files, **SHORT) != before


def test_other_vocabularies_are_refused_with_the_names_of_the_runs(
    house: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    folders = [house.folder / "mean", house.folder / "quarters", tmp_path / "grey"]
    write_run(folders[2], registry, "mean-colour", 1, words=(*COLOURS[:-1], "grey"))
    with pytest.raises(UsageError) as caught:
        Ensemble.load(folders, registry=registry)
    assert f"The vocabularies of {folders[0]} and {folders[2]} differ: " in str(caught.value)
    assert "only the first has 'pink'; only the second has 'grey'" in str(caught.value)
    assert "the same text cleaners and vocabulary.min_count" in str(caught.value)
    with pytest.raises(UsageError, match="vocabularies of captioner 1 and captioner 2 differ"):
        Ensemble([Captioner.load(folder, registry=registry) for folder in folders[1:]])


def test_the_same_words_with_other_ids_are_another_vocabulary(
    house: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(house.folder / "mean", tmp_path / "moved"))
    *first, one, two = (moved / "vocabulary.txt").read_text().splitlines()
    (moved / "vocabulary.txt").write_text("\n".join([*first, two, one, ""]))
    with pytest.raises(UsageError, match=r"moved differ: the same words in another order\."):
        Ensemble.load([house.folder / "mean", moved], registry=registry)


def test_what_is_no_ensemble_is_refused(house: SimpleNamespace, registry: Registry) -> None:
    with pytest.raises(UsageError, match="give at least one"):
        Ensemble([])
    with pytest.raises(UsageError, match=r"put one in a list, \[folder\]"):
        Ensemble.load(house.folder / "mean", registry=registry)
    with pytest.raises(UsageError, match="not trained"):
        Ensemble([house.mean, Captioner("mean-colour", registry=registry)])
    with pytest.raises(RunFolderError, match="not a run folder"):
        Ensemble.load([house.folder / "mean", house.folder], registry=registry)


# Evaluation


def test_evaluation_takes_what_is_stored_and_computes_the_rest(
    house: SimpleNamespace, looked_at: list[int]
) -> None:
    ensemble = house.three
    stores = list(house.stores.values())
    expected = dict(zip(DEV, ensemble.caption(house.files[12:], **SHORT), strict=True))
    pictureless = Dataset(house.dataset.captions, splits=house.dataset.splits)
    for dataset, features, computed in [
        (house.dataset, None, len(DEV)),
        (house.dataset, stores[0], 0),
        (house.dataset, stores[1].path, len(DEV)),
        (pictureless, stores, 0),
        (pictureless, [stores[1].path, stores[0]], 0),
    ]:
        looked_at.clear()
        report, captions = ensemble.evaluate(dataset, features=features, **SHORT)
        assert captions == expected
        assert (report.pictures, report.references, sum(looked_at)) == (6, 12, computed)
    with pytest.raises(
        UsageError, match=r"no picture files of 12.png.*features by quarter-colours\(.*\(--feat"
    ):
        ensemble.evaluate(pictureless, features=stores[0])


def test_stores_that_do_not_belong_to_the_members_are_refused(house: SimpleNamespace, tmp_path: Path) -> None:
    mean, quarters = house.stores.values()
    with pytest.raises(FeatureStoreError, match=r"filled by quarter-colours.*this is mean-colour"):
        Ensemble([house.mean, house.mean_2]).evaluate(house.dataset, features=[mean, quarters])
    strange = FeatureStore.create(tmp_path / "strange", FeatureSource("strange", {}, (3,)))
    with pytest.raises(FeatureStoreError, match=r"strange' was filled by strange.*mean-.* and quarter-"):
        house.three.evaluate(house.dataset, features=[mean, strange])
    other = house.quarters.extract({}, tmp_path / "other")
    ensemble = Ensemble([house.mean, house.quarters])
    with pytest.raises(UsageError, match=r"quarter-colours.store' and '.*other' were filled by the same"):
        ensemble.evaluate(house.dataset, features=[quarters, other])


def test_pictures_that_any_member_was_trained_on_are_refused_unless_allowed(
    house: SimpleNamespace, registry: Registry, tmp_path: Path
) -> None:
    further = write_run(tmp_path / "further", registry, "mean-colour", 4, learned=NAMES[1:13])
    for members in ([house.mean_2, further], [further, house.mean_2]):
        ensemble = Ensemble(members)
        assert [name for name in NAMES if ensemble.saw(name)] == NAMES[:13]
        with pytest.raises(ScoringError, match=r"This ensemble was trained on 1 of the 6 .*\(12.png\)"):
            ensemble.evaluate(house.dataset)
    assert len(ensemble.evaluate(house.dataset, allow_train=True, **SHORT)[1]) == 6


# The command line


def run(registry: Registry, *arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], obj=registry)


def test_caption_takes_several_runs(house: SimpleNamespace, registry: Registry) -> None:
    picture = house.files[3]
    result = run(
        registry, "caption", picture, "--run", house.folder / "mean", "--run", house.folder / "quarters",
        "--min-words", 7, "--max-words", 7, "--block-repeats", 3,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    options = {"min_words": 7, "max_words": 7, "block_repeats": 3}
    assert [result.stdout.strip()] == Ensemble([house.mean, house.quarters]).caption([picture], **options)


@pytest.fixture
def two_runs(house: SimpleNamespace, tmp_path: Path) -> list[object]:
    """The beginning of a command that scores two runs, which were copied, on the dev split."""
    runs = [shutil.copytree(house.folder / name, tmp_path / name) for name in ("mean", "quarters")]
    split = ["--captions", house.folder / "captions.txt", "--split", house.folder / "dev.txt"]
    return ["evaluate", "--run", runs[0], "--run", runs[1], *split, "--format", "json"]


def test_evaluate_scores_several_runs_and_writes_into_none_of_them(
    house: SimpleNamespace, registry: Registry, tmp_path: Path, two_runs: list[object]
) -> None:
    result = run(
        registry, *two_runs, "--images", house.folder / "Images", "--out", tmp_path / "scores.json",
        "--beam", 2, "--max-words", 6,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert scores == json.loads((tmp_path / "scores.json").read_text())
    report, _ = Ensemble([house.mean, house.quarters]).evaluate(house.dataset, **SHORT)
    assert {name: scores[name] for name in report.scores} == report.scores
    assert not list(tmp_path.glob("*/metrics.json"))


def test_evaluate_takes_a_store_for_each_extractor_and_completes_them(
    house: SimpleNamespace, registry: Registry, tmp_path: Path, two_runs: list[object], looked_at: list[int]
) -> None:
    mean, quarters = (tmp_path / "mean.store", tmp_path / "quarters.store")
    shutil.copytree(house.stores["quarter-colours"].path, quarters)
    house.mean.extract(dict(zip(DEV[:2], house.files[12:14], strict=True)), mean)
    stores = ["--features", quarters, "--features", mean]
    lacking = run(registry, *two_runs, *stores)
    assert lacking.exit_code == 1
    assert "14.png" in lacking.stderr
    looked_at.clear()
    completed = run(registry, *two_runs, *stores, "--images", house.folder / "Images")
    assert completed.exit_code == 0, completed.output
    assert sum(looked_at) == 4
    assert FeatureStore(mean).names == DEV
    again = run(registry, *two_runs, *stores)
    # Only what is stored is known there, and of that nothing was trained on.
    assert json.loads(again.stdout) == {**json.loads(completed.stdout), "copied": None}


def test_a_member_without_a_store_is_computed_if_there_are_pictures(
    house: SimpleNamespace, registry: Registry, two_runs: list[object]
) -> None:
    store = ["--features", house.stores["quarter-colours"].path]
    without = run(registry, *two_runs, *store)
    assert without.exit_code == 1
    assert "features by mean-colour(" in without.stderr
    completed = run(registry, *two_runs, *store, "--images", house.folder / "Images")
    stored = run(registry, *two_runs, *store, "--features", house.stores["mean-colour"].path)
    assert json.loads(completed.stdout)["pictures"] == 6
    assert completed.stdout == stored.stdout
