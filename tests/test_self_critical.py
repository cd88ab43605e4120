"""Self-critical training: the reward, the samples, the gradient worked by hand, and the whole stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capframe import Captioner, Dataset, FeatureStore, PluginManager, Registry
from capframe.caption_rewards import CiderReward
from capframe.errors import FeatureStoreError, UsageError
from capframe.features import FeatureSource
from capframe.metrics import CiderD
from capframe.sampling import compile_sampler
from capframe.self_critical import PictureBatches, advantages, compile_policy_step, with_ends
from capframe.training_options import TrainingOptions
from capframe.vocabulary import END, PAD, START, UNK, Vocabulary

# The reward

WORDS = st.lists(st.sampled_from([UNK, 4, 5, 6, 7]), max_size=8)
REFERENCES = st.lists(st.lists(WORDS, min_size=1, max_size=3), min_size=1, max_size=4)


def rows_of(captions: list[list[int]]) -> Any:
    rows = np.full((len(captions), max(map(len, captions)) + 1), PAD, np.int32)
    for row, words in zip(rows, captions, strict=True):
        row[: len(words)] = words
    return rows


def as_tokens(captions: list[list[int]]) -> list[list[str]]:
    return [[str(word) for word in words] for words in captions]


@given(REFERENCES, st.data())
def test_cider_as_reward_equals_cider_as_score(references: list[list[list[int]]], data: Any) -> None:
    pictures = data.draw(st.lists(st.integers(0, len(references) - 1), min_size=1, max_size=5))
    captions = [data.draw(WORDS) + data.draw(st.sampled_from([[END], []])) for _ in pictures]
    ended = [as_tokens([[*words, END] for words in own]) for own in references]
    expected = CiderD(ended).score(as_tokens(captions), pictures)
    rewards = CiderReward(references)(rows_of(captions), pictures)
    np.testing.assert_allclose(rewards, expected, atol=1e-9)


def test_a_caption_that_stops_before_its_end_earns_less() -> None:
    reward = CiderReward([[[4, 5, 6]], [[7, 8]]])
    whole, cut = reward(rows_of([[4, 5, 6, END], [4, 5, 6]]), [0, 0])
    assert whole == pytest.approx(10.0)
    assert cut < whole - 1


def test_other_pictures_are_scored_with_the_document_frequencies_of_training() -> None:
    training = CiderReward([[[4, 5]], [[4, 6]], [[7, 8]]])
    dev = CiderReward([[[4, 5]]], training)
    np.testing.assert_allclose(dev(rows_of([[4, 5, END], [4, 6, END]]), [0, 0]), training(
        rows_of([[4, 5, END], [4, 6, END]]), [0, 0]
    ))  # fmt: skip
    assert CiderReward([[[4, 5]]])(rows_of([[4, 5, END]]), [0])[0] == 0


def test_what_search_found_gets_its_end_unless_it_was_cut() -> None:
    assert with_ends(np.array([[4, 5, 0], [4, 5, 6], [0, 0, 0]], np.int32)).tolist() == [
        [4, 5, END, 0], [4, 5, 6, 0], [END, 0, 0, 0],
    ]  # fmt: skip


# Samples


class OnlyLogits:
    """A decoder whose logits are its only weights: the same at every position, of every picture."""

    def build(self, feature_shape: tuple[int, ...], vocabulary_size: int) -> Any:
        import keras

        class Logits(keras.layers.Layer):
            def build(self, shape: Any) -> None:
                self.logits = self.add_weight(shape=(vocabulary_size,), initializer="zeros")

            def call(self, inputs: Any) -> Any:
                features, tokens = inputs
                zeros = keras.ops.cast(tokens[..., None] * 0, "float32")
                return zeros + keras.ops.sum(features) * 0 + self.logits

        inputs = [keras.Input(feature_shape), keras.Input((None,), dtype="int32")]
        return keras.Model(inputs, Logits()(inputs))

    def start(self, model: Any, features: Any) -> Any:
        return {"features": features}

    def step(self, model: Any, tokens: Any, state: Any) -> Any:
        return model([state["features"], tokens[:, None]])[:, 0], state


def two_words(logits: tuple[float, float], rate: float = 1.0) -> tuple[Any, Any]:
    """Return a decoder and its model of two words, <end> (id 3) and a word (id 4), and their logits."""
    import keras

    decoder = OnlyLogits()
    model = decoder.build((1,), 5)
    # What captions never hold has large logits, which must count for nothing.
    model.set_weights([np.array([9.0, 9.0, 9.0, *logits], np.float32)])
    model.compile(optimizer=keras.optimizers.SGD(rate))
    return decoder, model


def test_samples_are_drawn_as_often_as_their_probability_says() -> None:
    decoder, model = two_words((np.log(0.25), np.log(0.75)))
    sample = compile_sampler(decoder, model, 1000, 2)
    seed = np.array([1, 2], np.int64)
    captions = sample(np.zeros((2, 1), np.float32), seed).numpy()
    assert captions.shape == (2000, 3)
    kinds, counts = np.unique(captions, axis=0, return_counts=True)
    assert kinds.tolist() == [[END, 0, 0], [4, END, 0], [4, 4, END], [4, 4, 4]]
    # Standard deviations below 0.011: five of them on either side.
    np.testing.assert_allclose(counts / 2000, [0.25, 0.75 * 0.25, 0.75**2 * 0.25, 0.75**3], atol=0.055)
    np.testing.assert_array_equal(captions, sample(np.zeros((2, 1), np.float32), seed).numpy())
    assert (captions[:1000] != captions[1000:]).any()
    other = sample(np.zeros((2, 1), np.float32), np.array([1, 3], np.int64)).numpy()
    assert other.shape != captions.shape or (other != captions).any()


def test_a_sample_that_has_ended_stays_so_while_others_go_on() -> None:
    # One in ten ends at each word: for some words too few to be taken out of the loop.
    decoder, model = two_words((np.log(0.1), np.log(0.9)))
    sample = compile_sampler(decoder, model, 1000, 8)
    captions = sample(np.zeros((1, 1), np.float32), np.array([1, 2], np.int64)).numpy()
    lengths = (captions != PAD).sum(axis=1)
    for caption, length in zip(captions.tolist(), lengths.tolist(), strict=True):
        ended = length < captions.shape[1] or caption[-1] == END
        assert caption[:length] == [4] * (length - 1) + [END if ended else 4]
    # Standard deviations below 0.0095: five of them on either side.
    for length in (1, 2, 5):
        assert (lengths == length).mean() == pytest.approx(0.1 * 0.9 ** (length - 1), abs=0.048)


def test_an_advantage_is_what_a_sample_earned_above_the_others_of_its_picture() -> None:
    assert advantages(np.array([1.0, 2.0, 6.0, 0.5, 0.5, 0.5]), 3).tolist() == [-3.0, -1.5, 4.5, 0, 0, 0]


# The gradient


def test_the_gradient_is_that_of_two_words_worked_by_hand() -> None:
    # p(end) = 1/4, p(word) = 3/4. The captions: "<end>" with advantage 2, "word <end>" with advantage -1.
    _, model = two_words((0.0, float(np.log(3.0))))
    step = compile_policy_step(model)
    before = model.get_weights()[0]
    loss = step(
        np.zeros((1, 1), np.float32),
        np.zeros(2, np.int32),
        np.array([[END, PAD], [4, END]], np.int32),
        np.array([2.0, -1.0], np.float32),
    )
    # Minus advantage * log p of each word, over the three words.
    assert float(loss) == pytest.approx((2 * np.log(4) - np.log(4 / 3) - np.log(4)) / 3, abs=1e-6)
    # By the logits: advantage * (p - one-hot). For <end>:  2 (1/4 - 1) - (1/4 - 0) - (1/4 - 1) = -1,
    # for the word: 2 (3/4 - 0) - (3/4 - 1) - (3/4 - 0) = 1; over three words.
    expected = before - np.array([0, 0, 0, -1 / 3, 1 / 3])
    np.testing.assert_allclose(model.get_weights()[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["add-merge", "transformer"])
def test_the_fast_way_of_a_decoder_gives_the_step_of_its_model_alone(name: str) -> None:
    import keras

    options = {"dropout": 0.0, **({"units": 6, "embedding_size": 5} if name == "add-merge" else {"width": 8})}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", name, options).value
    random = np.random.default_rng(1)
    captions = np.array([[4, END, 0, 0], [5, 6, END, 0], [6, 4, 5, 7], [END, 0, 0, 0]], np.int32)
    batch = (random.normal(size=(2, 4)).astype(np.float32), np.array([0, 1, 1, 0], np.int32), captions)
    after = []
    for given_decoder in (None, decoder):
        keras.utils.set_random_seed(0)
        model = decoder.build((4,), 8)
        model.compile(optimizer=keras.optimizers.SGD(1.0))
        compile_policy_step(model, given_decoder)(*batch, np.array([1, -2, 0.5, 3], np.float32))
        after.append(model.get_weights())
    for one, two in zip(*after, strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


# The stage

PICTURES = [f"{number}.png" for number in range(12)]
TEXTS = [("a red thing", "something red"), ("a blue box here", "one blue box"), ("two dogs run",)]
DATASET = Dataset(
    {name: TEXTS[int(name[:-4]) % 3] for name in PICTURES},
    {},
    {"train": tuple(PICTURES[:9]), "dev": tuple(PICTURES[9:])},
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    source = FeatureSource("imported", {"feature_shape": [3]}, (3,))
    store = FeatureStore.create(tmp_path_factory.mktemp("store"), source)
    store.add(PICTURES, np.eye(3, dtype=np.float32)[np.arange(12) % 3])
    return store


def captioner(units: int = 8, **training: Any) -> Captioner:
    return Captioner(
        ("imported", {"feature_shape": [3]}),
        decoder=("add-merge", {"units": units, "embedding_size": 6, "dropout": 0.1}),
        callbacks=["checkpoint"],
        vocabulary={"min_count": 1},
        training={"epochs": 10, "batch_size": 5, "learning_rate": 0.03, "max_words": 6, **training},
        registry=Registry(PluginManager(disabled={"*"})),
    )


@pytest.fixture(scope="module")
def begun(store: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that has learned a little."""
    out = tmp_path_factory.mktemp("begun") / "run"
    captioner().fit(DATASET, features=store, out=out)
    return out


SECOND: dict[str, Any] = {"objective": "self-critical", "learning_rate": 0.01, "epochs": 8}


@pytest.mark.slow
def test_the_second_stage_raises_the_reward_and_the_score(
    begun: Path, store: FeatureStore, tmp_path: Path
) -> None:
    second = captioner(**SECOND)
    history = second.fit(DATASET, features=store, start=begun, out=tmp_path / "run")
    first = Captioner.load(begun, registry=second.composition.registry)
    assert history[-1]["loss"] < history[0]["loss"] < 0
    assert min(logs["val_loss"] for logs in history) < history[0]["val_loss"] + 1e-9
    before, after = (one.evaluate(DATASET, features=store, beam=1)[0].cider for one in (first, second))
    assert after > before + 0.3
    assert second.trained.vocabulary == first.trained.vocabulary


def test_the_validation_loss_is_minus_the_reward_of_greedy_captions(begun: Path, store: FeatureStore) -> None:
    second = captioner(**{**SECOND, "epochs": 1})
    history = second.fit(DATASET, features=store, start=begun)
    vocabulary = second.trained.vocabulary
    captions = second.caption_features(store.gather(PICTURES[9:]), beam=1, max_words=6)
    texts = [[[*vocabulary.encode(text), END] for text in DATASET.captions[name]] for name in PICTURES]
    # The document frequencies are those of the training split: nine pictures, three of each kind.
    scorer = CiderD([as_tokens(own) for own in texts[:9]])
    scores = scorer.score(as_tokens([[*vocabulary.encode(caption), END] for caption in captions]), [0, 1, 2])
    assert history[0]["val_loss"] == pytest.approx(-scores.mean(), abs=1e-9)


@pytest.mark.slow
def test_a_second_stage_that_was_interrupted_goes_on_to_the_same_rewards(
    begun: Path, store: FeatureStore, tmp_path: Path
) -> None:
    import keras

    class Cut(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    class Nothing(keras.callbacks.Callback):
        pass

    Nothing.__module__, Nothing.__qualname__ = Cut.__module__, Cut.__qualname__
    chosen = {**SECOND, "epochs": 3}

    def with_callback(callback: Any) -> Captioner:
        one = captioner(**chosen)
        return Captioner(
            one.composition.feature_extractor,
            decoder=one.composition.decoder,
            callbacks=["checkpoint", callback],
            vocabulary={"min_count": 1},
            training={"batch_size": 5, "max_words": 6, **chosen},
            registry=one.composition.registry,
        )

    whole = with_callback(Nothing()).fit(DATASET, features=store, start=begun)
    with pytest.raises(KeyboardInterrupt):
        with_callback(Cut()).fit(DATASET, features=store, start=begun, out=tmp_path / "cut")
    resumed = with_callback(Nothing()).fit(
        DATASET, features=store, start=begun, out=tmp_path / "cut", resume=True
    )
    assert [(logs["loss"], logs["val_loss"]) for logs in resumed] == [
        (logs["loss"], logs["val_loss"]) for logs in whole
    ]


def test_a_trained_captioner_may_be_the_start_and_its_pictures_stay_known(
    begun: Path, store: FeatureStore
) -> None:
    second = captioner(epochs=1)
    first = Captioner.load(begun, registry=second.composition.registry)
    other = Dataset(DATASET.captions, {}, {"train": tuple(PICTURES[9:])})
    second.fit(other, features=store, start=first)
    assert all(second.trained.saw(name) for name in PICTURES)
    assert second.trained.vocabulary == first.trained.vocabulary


def test_without_a_start_or_with_one_that_does_not_fit_there_is_an_error_that_says_what_to_do(
    begun: Path, store: FeatureStore, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"then start from that run: --from RUN"):
        captioner(**SECOND).fit(DATASET, features=store)
    with pytest.raises(UsageError, match=r"has the decoder add-merge\(.*units=8.*this training .*units=9"):
        captioner(units=9, **SECOND).fit(DATASET, features=store, start=begun)
    source = FeatureSource("imported", {"feature_shape": [2]}, (2,))
    other = FeatureStore.create(tmp_path / "other", source)
    other.add(PICTURES, np.zeros((12, 2), np.float32))
    with pytest.raises(FeatureStoreError, match="was filled by"):
        captioner(**SECOND).fit(DATASET, features=other, start=begun)
    with pytest.raises(UsageError, match=r"training\.samples is 1; it must be 2 or more"):
        TrainingOptions(samples=1)


def test_batches_of_pictures_bring_the_rewards_of_their_own_pictures() -> None:
    vocabulary = Vocabulary(["red", "blue", "green"])
    captions = [["red"], ["blue"], ["green"]]
    batches = PictureBatches(
        captions, vocabulary, lambda rows: rows[:, None].astype(np.float32), batch_size=2
    )
    assert len(batches) == 2
    for number in (None, 0, 1):
        seen = []
        for features, reward in batches.epoch(number):
            pictures = features[:, 0].astype(int)
            seen += pictures.tolist()
            own = np.array([[4 + picture, END] for picture in pictures for _ in range(2)], np.int32)
            own[1::2, 0] = START  # no word of any reference
            values = reward(own)
            assert (values[::2] > values[1::2] + 1).all()
        assert sorted(seen) == [0, 1, 2]


@settings(max_examples=25)
@given(st.lists(st.floats(0, 10), min_size=6, max_size=6))
def test_the_advantages_of_a_picture_add_up_to_nothing(rewards: list[float]) -> None:
    assert advantages(np.array(rewards), 3).reshape(2, 3).sum(axis=1) == pytest.approx(0, abs=1e-4)
