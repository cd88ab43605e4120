"""The benchmarks measure what they say: same mathematics on both sides, arithmetic worked out."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from capframe import PluginManager, Registry
from capframe.word_losses import caption_losses

BENCHMARKS = Path(__file__).with_name("benchmarks")
START, END = 2, 3


@pytest.fixture
def benchmark_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        if str(BENCHMARKS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_contestants_take_turns_after_one_run_that_does_not_count(benchmark_module: Any) -> None:
    harness = benchmark_module("harness")
    calls: list[str] = []
    seconds = harness.take_turns({name: lambda name=name: calls.append(name) for name in "ab"}, 3)
    assert "".join(calls) == "ab" + "ababab"
    assert {name: len(some) for name, some in seconds.items()} == {"a": 3, "b": 3}


def test_a_row_holds_the_median_of_the_ratios_of_each_turn(benchmark_module: Any) -> None:
    harness = benchmark_module("harness")
    figures = harness.ratios({"slow": [4.0, 9.0, 10.0], "fast": [1.0, 3.0, 1.0]}, "slow", "fast", 2.0)
    assert figures == [8.0, 6.0, 20.0]
    row = harness.ratio_row("x", "at least", 8.5, "times", figures)
    assert (row.figure, row.spread, row.reached) == (8.0, (6.0, 20.0), False)
    assert harness.ratio_row("x", "at most", 8.5, "times", figures).reached
    assert "| x | at least 8.50 times | 8.00 times | 6.00 times to 20.0 times | **no** |" in harness.table(
        [row]
    )


def test_the_arithmetic_of_a_step_is_that_of_a_hand_worked_case(benchmark_module: Any) -> None:
    # One picture of 2 numbers, one caption of 3 predictions, 2 units, 1 embedding number, 5 words:
    # a word: 4*2*1 for its gates, 2*2 hidden, 2*5 logits = 22; 3 words, three products each: 198.
    # State: 4*2*2 = 16 for 2 of the 3 words, three products each: 96. Picture: 2*2, by weights too: 8.
    # 302 multiplications, and as many additions.
    needed = benchmark_module("machine").add_merge_operations(
        words=3, captions=1, pictures=1, vocabulary=5, features=2, units=2, embedding=1
    )
    assert needed == 604


def test_the_notebook_and_capframe_learn_from_the_same_loss(benchmark_module: Any) -> None:
    import keras

    notebook = benchmark_module("notebook")
    keras.utils.set_random_seed(0)
    size, longest, features = 9, 5, np.array([0.3, -1.0, 0.5], np.float32)
    theirs = notebook.model_of(size, longest, features=3, units=4)
    registry = Registry(PluginManager(strict=True, disabled={"*"}))
    decoder = registry.create("decoder", "add-merge", {"units": 4, "embedding_size": 4}).value
    ours = decoder.build((3,), size)
    layers = [layer for layer in theirs.layers if layer.weights]
    for layer in layers:
        kind = type(layer).__name__
        same = [
            own
            for own in ours.layers
            if type(own).__name__ == kind
            and [w.shape for w in own.weights] == [w.shape for w in layer.weights]
        ]
        # The picture's and the hidden layer differ in the width of their input.
        (own,) = same
        layer.set_weights([weight.numpy() for weight in own.weights])
    captions = [[START, 5, 6, 7, END], [START, 8, END]]
    (pictures, prefixes), targets = notebook.rows_of(captions, features, longest, size)
    assert prefixes.shape == (6, longest)
    likely = np.asarray(theirs([pictures, prefixes], training=False))
    loss = -np.log((likely * targets).sum(1)).sum()
    inputs = np.array([[START, 5, 6, 7], [START, 8, 0, 0]], np.int32)
    wanted = np.array([[5, 6, 7, END], [8, END, 0, 0]], np.int32)
    total, words = caption_losses(wanted, ours([np.stack([features] * 2), inputs], training=False))
    assert float(words) == 6
    assert float(total) == pytest.approx(float(loss), rel=1e-5)


def test_drawn_captions_are_as_long_as_human_ones(benchmark_module: Any) -> None:
    captions = benchmark_module("drawn").drawn_captions(400)
    lengths = [len(text.split()) for own in captions for text in own]
    assert {len(own) for own in captions} == {5}
    assert 10 < np.mean(lengths) < 12
    assert min(lengths) >= 3
    assert max(lengths) <= 33


def test_onnx_runtime_gets_the_same_network(benchmark_module: Any) -> None:
    pytest.importorskip("onnxruntime", reason="only the environment that measures has it")
    extractor = (
        Registry(PluginManager(disabled={"*"})).create("feature_extractor", "efficientnet-lite0").value
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)
    theirs = benchmark_module("onnx_lite0").session_of(extractor).run(None, {"images": images})[0]
    np.testing.assert_allclose(extractor(images), theirs, atol=1e-4)


def test_the_reference_search_of_runs_finds_what_the_search_finds(benchmark_module: Any) -> None:
    import keras

    from capframe.search import Search, SearchOptions

    keras.utils.set_random_seed(1)
    registry = Registry(PluginManager(strict=True, disabled={"*"}))
    decoder = registry.create("decoder", "add-merge", {"units": 6, "embedding_size": 5}).value
    model = decoder.build((5,), 12)
    random = np.random.default_rng(1)
    model.set_weights([random.normal(0, 0.8, weight.shape) for weight in model.get_weights()])
    features = random.normal(size=(3, 5)).astype(np.float32)
    options = SearchOptions(beam=3, max_words=6)
    tokens, scores = Search(decoder, model)(features, options)
    for row, score, picture in zip(tokens, scores, features, strict=True):
        caption, best = benchmark_module("search_reference").searched(decoder, model, picture, options)
        assert caption == [word for word in row.tolist() if word]
        assert best == pytest.approx(float(score), abs=1e-5)
