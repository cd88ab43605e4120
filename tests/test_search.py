from __future__ import annotations

from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from capframe import PluginManager, Registry
from capframe.compile_later import SINGLES_BEFORE_XLA
from capframe.errors import OptionError, UsageError
from capframe.search import Search, SearchOptions
from capframe.vocabulary import END, PAD, START, UNK

WORDS = 12
PICTURES = 6
SEEDS = (0, 1, 2)

Array = NDArray[Any]


@cache
def searched(seed: int, bias: tuple[tuple[int, float], ...] = ()) -> Search:
    """Return a search over a small random decoder; ``bias`` is added to the logits of some words."""
    import keras

    keras.utils.set_random_seed(seed)
    options = {"units": 6, "embedding_size": 5}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", "add-merge", options).value
    model = decoder.build((5,), WORDS)
    random = np.random.default_rng(seed)
    *weights, last = (random.normal(0, 0.8, weight.shape) for weight in model.get_weights())
    last[END] += 1.0  # some captions end early, and some never
    for word, more in bias:
        last[word] += more
    model.set_weights([*weights, last])
    return Search(decoder, model)


@cache
def searched_together(seed: int) -> Search:
    """Return a search over that decoder and another one, of another size, which sees other features."""
    import keras

    one = searched(seed)
    keras.utils.set_random_seed(seed)
    options = {"units": 4, "embedding_size": 3}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", "add-merge", options).value
    model = decoder.build((2, 3), WORDS)
    random = np.random.default_rng(10 + seed)
    model.set_weights([random.normal(0, 0.8, weight.shape) for weight in model.get_weights()])
    return Search(one.decoder, one.model, (decoder, model))


def features_of(seed: int, pictures: int = PICTURES) -> Array:
    return np.random.default_rng(100 + seed).normal(0, 1.5, (pictures, 5)).astype(np.float32)


def grids_of(seed: int) -> Array:
    return np.random.default_rng(200 + seed).normal(0, 1.5, (PICTURES, 2, 3)).astype(np.float32)


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


Picture: TypeAlias = tuple[bytes, ...]
"""The features of one picture, an array a decoder, in a form that can be a key."""


@cache
def continuations(search: Search, picture: Picture, prefix: tuple[int, ...]) -> tuple[Array, Any]:
    """Return log-probabilities float64 ``[V]`` of the word after a prefix, and the decoders' states there.

    Those of several decoders are averaged as probabilities.
    """
    if len(prefix) == 1:
        states = []
        for (decoder, model), own in zip(search.members, picture, strict=True):
            features = np.frombuffer(own, np.float32).reshape(1, *model.inputs[0].shape[1:])
            states.append(decoder.start(model, features))
    else:
        _, states = continuations(search, picture, prefix[:-1])
    last = np.array(prefix[-1:], np.int32)
    both = zip(search.members, states, strict=True)
    stepped = [decoder.step(model, last, state) for (decoder, model), state in both]
    gains = [log_softmax(np.asarray(logits, np.float64)[0]) for logits, _ in stepped]
    mean = np.logaddexp.reduce(gains, axis=0) - np.log(len(gains))
    return mean, [state for _, state in stepped]


def repeats(caption: tuple[int, ...], words: int) -> bool:
    """Whether a run of so many words, the last one of the caption, occurs earlier in it, too."""
    runs = [caption[first : first + words] for first in range(len(caption) - words + 1)]
    return bool(words) and runs.count(caption[-words:]) > 1


def reference(search: Search, picture: Picture, options: SearchOptions) -> tuple[list[int], float]:
    """Beam search over one picture, one live caption after another, from its definition alone."""

    def score(total: float, words: int) -> float:
        return float(total / words**options.length_penalty)

    live: list[tuple[float, tuple[int, ...]]] = [(0.0, (START,))]
    ended: list[tuple[float, tuple[int, ...]]] = []
    for words in range(options.max_words + 1):
        best_ended = max((one for one, _ in ended), default=-np.inf)
        reachable = max((score(total, options.max_words + 1) for total, _ in live), default=-np.inf)
        if len(ended) >= options.beam or best_ended >= reachable:
            break
        continued = []
        for total, caption in live:
            gains, _ = continuations(search, picture, caption)
            for word, gain in enumerate(gains):
                if word in (PAD, UNK, START) or (word == END and words < options.min_words):
                    continue
                if word != END and repeats((*caption[1:], word), options.block_repeats):
                    continue
                continued.append((total + gain, (*caption, word)))
        continued.sort(key=lambda one: -one[0])
        for total, caption in continued[: options.beam]:
            if caption[-1] == END and np.isfinite(total):
                ended.append((score(total, words + 1), caption[1:-1]))
        if words < options.max_words:
            growing = [one for one in continued[: 2 * options.beam] if one[1][-1] != END]
            live = growing[: options.beam]
    if ended:
        best, caption = max(ended, key=lambda one: one[0])
        return list(caption), best
    total, caption = live[0]
    return list(caption[1:]), score(total, options.max_words)


def unpadded(row: Array) -> list[int]:
    words = [int(word) for word in row if word != PAD]
    assert row[len(words) :].tolist() == [PAD] * (len(row) - len(words)), "padding stands at the end only"
    return words


def check_against_reference(
    search: Search, features: Array | tuple[Array, ...], options: SearchOptions
) -> list[list[int]]:
    tokens, scores = search(features, options)
    each = features if isinstance(features, tuple) else (features,)
    assert tokens.shape == (len(each[0]), options.max_words)
    assert (tokens.dtype, scores.dtype) == (np.int32, np.float32)
    for row, found, *picture in zip(tokens, scores, *each, strict=True):
        caption, best = reference(search, tuple(own.tobytes() for own in picture), options)
        assert unpadded(row) == caption
        assert found == pytest.approx(best, rel=1e-6, abs=1e-5)
    return [unpadded(row) for row in tokens]


@pytest.mark.parametrize("min_words", [0, 3])
@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("beam", [1, 3, 5])
def test_search_finds_what_its_definition_finds(beam: int, length_penalty: float, min_words: int) -> None:
    options = SearchOptions(beam, max_words=6, min_words=min_words, length_penalty=length_penalty)
    lengths = set()
    for seed in SEEDS:
        found = check_against_reference(searched(seed), features_of(seed), options)
        lengths |= {len(caption) for caption in found}
    assert min(lengths) >= min_words
    assert len(lengths) > 1, "captions of different lengths end at different steps"


def test_a_wider_beam_finds_captions_that_greedy_search_misses() -> None:
    improved = 0
    for seed in SEEDS:
        _, greedy = searched(seed)(features_of(seed), SearchOptions(1, max_words=6, length_penalty=0))
        _, wide = searched(seed)(features_of(seed), SearchOptions(5, max_words=6, length_penalty=0))
        improved += int((wide > greedy + 1e-3).sum())
    assert improved > 0


@pytest.mark.parametrize("seed", SEEDS)
def test_a_beam_of_one_takes_the_most_probable_word_each_time(seed: int) -> None:
    search = searched(seed)
    tokens, scores = search(features_of(seed), SearchOptions(1, max_words=6, min_words=0, length_penalty=0))
    for row, score, picture in zip(tokens, scores, features_of(seed), strict=True):
        caption, total = [START], 0.0
        while caption[-1] != END and len(caption) < 8:
            gains = continuations(search, (picture.tobytes(),), tuple(caption))[0].copy()
            gains[[PAD, UNK, START]] = -np.inf
            if len(caption) == 7 and gains.argmax() != END:
                break  # six words, and the seventh would be another one
            caption.append(int(gains.argmax()))
            total += gains.max()
        assert unpadded(row) == [word for word in caption if word > END]
        assert score == pytest.approx(total, abs=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("never", [-1e9, -np.inf])
def test_where_no_caption_ends_the_best_prefix_stands_in(beam: int, never: float) -> None:
    options = SearchOptions(beam, max_words=6, length_penalty=0.7)
    found = check_against_reference(searched(0, ((END, never),)), features_of(0), options)
    assert {len(caption) for caption in found} == {6}


@pytest.mark.parametrize("beam", [1, 3, 5])
def test_padding_unknown_and_start_are_never_generated(beam: int) -> None:
    search = searched(0, ((PAD, 30.0), (UNK, 30.0), (START, 30.0)))
    found = check_against_reference(search, features_of(0), SearchOptions(beam, max_words=6))
    assert all(word > END for caption in found for word in caption)
    assert all(found)


@pytest.mark.parametrize("beam", [1, 3])
def test_no_caption_is_shorter_than_asked_for(beam: int) -> None:
    search = searched(0, ((END, 30.0),))
    for min_words in (0, 1, 4, 6):
        found = check_against_reference(search, features_of(0), SearchOptions(beam, 6, min_words))
        assert {len(caption) for caption in found} == {min_words}


@pytest.mark.parametrize(("beam", "block_repeats"), [(1, 3), (3, 1), (3, 2), (5, 3)])
def test_no_run_of_words_occurs_twice_where_that_is_blocked(beam: int, block_repeats: int) -> None:
    search = searched(1, ((END, -4.0),))
    free = SearchOptions(beam, max_words=9, min_words=7)
    blocked = SearchOptions(beam, max_words=9, min_words=7, block_repeats=block_repeats)
    found = check_against_reference(search, features_of(1), blocked)

    def holds_repeats(caption: list[int]) -> bool:
        return any(repeats(tuple(caption[:end]), block_repeats) for end in range(1, len(caption) + 1))

    assert not any(map(holds_repeats, found))
    tokens, _ = search(features_of(1), free)
    assert any(holds_repeats(unpadded(row)) for row in tokens), "else there was nothing to block"


def test_a_blocked_run_may_overlap_the_one_before_it() -> None:
    favoured = END + 1
    search = searched(0, ((favoured, 1e3),))  # would say one word for ever
    options = SearchOptions(1, max_words=6, min_words=6, block_repeats=3)
    for caption in check_against_reference(search, features_of(0), options):
        assert caption[:3] == [favoured] * 3
        assert caption[3] != favoured
        assert caption[4:] == [favoured] * 2


def test_longer_runs_than_a_caption_has_words_block_nothing() -> None:
    options = SearchOptions(3, max_words=4)
    tokens, scores = searched(0)(features_of(0), options)
    found = searched(0)(features_of(0), SearchOptions(3, max_words=4, block_repeats=6))
    np.testing.assert_array_equal(found[0], tokens)
    np.testing.assert_allclose(found[1], scores, atol=1e-5)


def test_where_every_word_is_blocked_the_caption_is_cut_there() -> None:
    options = SearchOptions(2, max_words=10, min_words=10, block_repeats=1)
    tokens, _ = searched(0)(features_of(0), options)
    for row in tokens:
        assert sorted(unpadded(row)) == list(range(END + 1, WORDS))


@pytest.mark.parametrize(("beam", "block_repeats"), [(1, 0), (3, 2), (5, 0)])
def test_the_probabilities_of_several_decoders_are_averaged(beam: int, block_repeats: int) -> None:
    options = SearchOptions(beam, max_words=6, min_words=3, block_repeats=block_repeats)
    both = alone = 0
    for seed in SEEDS[:2]:
        features = features_of(seed), grids_of(seed)
        found = check_against_reference(searched_together(seed), features, options)
        own, _ = searched(seed)(features[0], options)
        alone += sum(unpadded(row) == caption for row, caption in zip(own, found, strict=True))
        both += len(found)
    assert 0 < alone < both, "some captions change with the second decoder, and some do not"


def test_two_decoders_that_are_the_same_find_what_one_finds() -> None:
    one = searched(1)
    twice = Search(one.decoder, one.model, (one.decoder, one.model))
    for beam in (1, 3):
        options = SearchOptions(beam, max_words=6)
        tokens, scores = one(features_of(1), options)
        both = twice((features_of(1), features_of(1)), options)
        np.testing.assert_array_equal(both[0], tokens)
        np.testing.assert_allclose(both[1], scores, atol=1e-5)


def test_the_order_of_decoders_does_not_matter() -> None:
    one, other = searched_together(0).members
    options = SearchOptions(3, max_words=6)
    tokens, scores = Search(*one, other)((features_of(0), grids_of(0)), options)
    turned = Search(*other, one)((grids_of(0), features_of(0)), options)
    np.testing.assert_array_equal(turned[0], tokens)
    np.testing.assert_allclose(turned[1], scores, atol=1e-5)


def test_what_no_decoder_can_say_has_no_probability() -> None:
    never = ((END, -np.inf),)
    one, other = searched(0, never), searched(1, never)
    both = Search(one.decoder, one.model, (other.decoder, other.model))
    features = (features_of(0), features_of(1))
    found = check_against_reference(both, features, SearchOptions(3, max_words=6))
    assert {len(caption) for caption in found} == {6}


def test_captions_are_no_longer_than_every_decoder_allows() -> None:
    one = searched(0)
    options = {"layers": 1, "width": 8, "heads": 2, "feed_forward": 8, "max_words": 6}
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", "transformer", options).value
    both = Search(one.decoder, one.model, (decoder, decoder.build((2, 3), WORDS)))
    tokens, _ = both((features_of(0), grids_of(0)), SearchOptions(1, min_words=6, max_words=9))
    assert tokens.shape == (PICTURES, 6)
    assert tokens.all()


def test_a_beam_wider_than_the_vocabulary_is_no_mistake() -> None:
    check_against_reference(searched(1), features_of(1, 2), SearchOptions(beam=20, max_words=3))


@given(first=st.integers(0, 5), pictures=st.integers(0, 6), chunk=st.integers(1, 7))
@settings(max_examples=12, deadline=None)
def test_a_caption_depends_neither_on_its_neighbours_nor_on_the_chunks(
    first: int, pictures: int, chunk: int
) -> None:
    search = searched(2)
    features = np.roll(features_of(2), -first, axis=0)[:pictures]
    expected_tokens, expected_scores = search(features_of(2), SearchOptions(3, max_words=6))
    search.chunk = chunk
    try:
        tokens, scores = search(features, SearchOptions(3, max_words=6))
    finally:
        search.chunk = 256
    np.testing.assert_array_equal(tokens, np.roll(expected_tokens, -first, axis=0)[:pictures])
    np.testing.assert_allclose(scores, np.roll(expected_scores, -first)[:pictures], atol=1e-5)


@pytest.mark.parametrize("beam", [1, 3])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_first_picture_alone_is_captioned_as_it_is_compiled(beam: int, seed: int) -> None:
    options = SearchOptions(beam, max_words=6)
    compiled, scores = searched(seed)(features_of(seed), options)
    fresh = Search(searched(seed).decoder, searched(seed).model)
    plain, score = fresh(features_of(seed)[:1], options)
    again, _ = fresh(features_of(seed)[:1], options)
    np.testing.assert_array_equal(plain, compiled[:1])
    np.testing.assert_array_equal(again, compiled[:1])
    np.testing.assert_allclose(score, scores[:1], atol=1e-5)


DECODERS: dict[str, dict[str, Any]] = {
    "add-merge": {"units": 6, "embedding_size": 5},
    "show-attend-tell": {"units": 6, "embedding_size": 5, "attention_size": 4},
    "transformer": {"layers": 2, "width": 8, "heads": 2, "feed_forward": 12, "max_words": 9},
}


@cache
def searched_with(name: str) -> Search:
    """Return a search over a small random decoder of this name, which sees grids."""
    decoder = Registry(PluginManager(disabled={"*"})).create("decoder", name, DECODERS[name]).value
    model = decoder.build((2, 3), WORDS)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.8, weight.shape) for weight in model.get_weights()])
    return Search(decoder, model)


@pytest.mark.parametrize(("beam", "block_repeats"), [(1, 0), (3, 0), (5, 2)])
@pytest.mark.parametrize("name", DECODERS)
def test_single_pictures_that_come_again_and_again_find_the_same_by_xla(
    name: str, beam: int, block_repeats: int
) -> None:
    search, options = searched_with(name), SearchOptions(beam, max_words=6, block_repeats=block_repeats)
    expected = check_against_reference(search, grids_of(0), options)
    for _ in range(SINGLES_BEFORE_XLA):
        check_against_reference(search, grids_of(0)[:1], options)
    for place in range(PICTURES):
        assert check_against_reference(search, grids_of(0)[place : place + 1], options) == [expected[place]]
    assert len(set(map(tuple, expected))) > 1
    assert all(compiled.xla for compiled in search._compiled.values()), "else XLA was not used"


@pytest.mark.parametrize("pictures", [PICTURES, 1])
def test_the_weights_of_the_moment_are_used(pictures: int) -> None:
    search = searched(0)
    weights = search.model.get_weights()
    options = SearchOptions(1, max_words=6, min_words=0)
    for _ in range(SINGLES_BEFORE_XLA + 2):
        before, _ = search(features_of(0)[:pictures], options)
    *others, last = weights
    try:
        search.model.set_weights([*others, last + 30.0 * (np.arange(WORDS) == END)])
        after, _ = search(features_of(0)[:pictures], options)
    finally:
        search.model.set_weights(weights)
    assert before.any()
    assert not after.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beam": 0}, "beam width is 0"),
        ({"beam": -3}, "beam width is -3"),
        ({"max_words": 0, "min_words": 0}, "min_words=0 and max_words=0 do not go together"),
        ({"min_words": -1}, "min_words=-1"),
        ({"min_words": 7, "max_words": 6}, "min_words=7 and max_words=6"),
        ({"length_penalty": -0.5}, "length penalty is -0.5"),
        ({"block_repeats": -1}, "block_repeats is -1"),
        ({"length_penalty": float("nan")}, "length penalty is nan"),
        ({"length_penalty": float("inf")}, "length penalty is inf"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        SearchOptions.of(options)


def test_unknown_options_are_refused_with_those_that_exist() -> None:
    with pytest.raises(
        OptionError, match=r"has no option 'beams'. Did you mean 'beam'\? Its options: beam: int"
    ):
        SearchOptions.of({"beams": 3})


def test_options_are_written_as_a_signature() -> None:
    assert str(SearchOptions()) == "beam:3|length-penalty:0.7|words:1-40"
    assert str(SearchOptions(1, 20, 4, 0.7)) == "beam:1|length-penalty:0.7|words:4-20"
    assert str(SearchOptions(block_repeats=3)) == "beam:3|length-penalty:0.7|words:1-40|block-repeats:3"
