"""Training: against the notebook, against the machine, and as the data grow."""

from __future__ import annotations

from typing import Any

import keras
import machine
import notebook
import numpy as np
from drawn import drawn_captions, drawn_features
from harness import Row, ratio_row, ratios, take_turns

from capframe import Vocabulary
from capframe.batches import Batch, CaptionBatches
from capframe.default_plugins.decoders.add_merge import AddMerge
from capframe.default_plugins.decoders.transformer import Transformer
from capframe.training import compile_steps
from capframe.vocabulary import END, START

FEATURES, UNITS, BATCH = 1280, 256, 32


def training(quick: bool, repeats: int) -> list[Row]:
    """Measure steps of training: both vocabularies, and the arithmetic bound."""
    pictures = 320 if quick else 6000
    captions = drawn_captions(pictures, words=400 if quick else 16_000)
    features = drawn_features(pictures, (FEATURES,))
    every = Vocabulary.build((text for own in captions for text in own), min_count=1)
    common = Vocabulary.build((text for own in captions for text in own), min_count=5)
    steps = 2 if quick else 10
    ours = {name: _Ours(captions, features, words) for name, words in (("common", common), ("every", every))}
    theirs = _theirs(captions, features, every)
    rates: list[float] = []

    def limit() -> None:
        rates.append(machine.product_rate())

    seconds = take_turns(
        {
            "common": lambda: ours["common"](steps),
            "every": lambda: ours["every"](steps),
            "notebook": theirs,
            "machine": limit,
        },
        repeats,
    )
    sizes = f"{len(common)} words against {len(every)}, {BATCH} pictures a batch"
    rows = []
    for name, goal in (("common", 15.0), ("every", 9.0)):
        here, there = (np.median(seconds[key]) / (steps if key == name else 1) for key in (name, "notebook"))
        rows.append(
            ratio_row(
                f"training, captions a second, against the notebook: {name} words",
                "at least",
                goal,
                "times",
                ratios(seconds, "notebook", name, steps),
                detail=f"{BATCH * 5 / here:.0f} against {BATCH * 5 / there:.0f} captions/s; {sizes}",
            )
        )
    shares = []
    for rate, spent in zip(rates[1:], seconds["common"], strict=True):
        needed = sum(
            _needed(batch, len(common))
            for _, batch in zip(range(steps), ours["common"].batches, strict=False)
        )
        shares.append(needed / rate / spent)
    rows.append(
        ratio_row(
            "training, share of the arithmetic bound",
            "at least",
            0.7,
            "share",
            shares,
            detail=f"products of 2048 x 2048 run at {np.median(rates) / 1e9:.0f} GFLOP/s; a step needs "
            f"{needed / steps / 1e9:.1f} GFLOP, takes {1000 * np.median(seconds['common']) / steps:.0f} ms",
        )
    )
    return rows


class _Ours:
    """Steps of capframe's training; each call goes on where the last one stopped."""

    def __init__(self, captions: Any, features: Any, vocabulary: Vocabulary) -> None:
        decoder = AddMerge()
        model = decoder.build((FEATURES,), len(vocabulary))
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
        self.step = compile_steps(model, 0.0, decoder)[0]
        loader = CaptionBatches(captions, vocabulary, lambda rows: features[rows], batch_size=BATCH)
        self.batches = [batch for _, batch in zip(range(10), loader.epoch(0), strict=False)]

    def __call__(self, steps: int) -> None:
        for number in range(steps):
            float(self.step(*self.batches[number % len(self.batches)])[0])


def _theirs(captions: Any, features: Any, vocabulary: Vocabulary) -> Any:
    ids = [[[START, *vocabulary.encode(text), END] for text in own] for own in captions]
    longest = max(len(caption) for own in ids for caption in own)
    model = notebook.model_of(len(vocabulary), longest)
    batches = notebook.batches(ids, features, longest, len(vocabulary), BATCH)
    return lambda: model.fit(batches, steps_per_epoch=1, epochs=1, verbose=0)


def _needed(batch: Batch, vocabulary: int) -> int:
    return machine.add_merge_operations(
        words=int((batch.targets != 0).sum()),
        captions=len(batch.targets),
        pictures=len(batch.features),
        vocabulary=vocabulary,
        features=FEATURES,
        units=UNITS,
        embedding=UNITS,
    )


def reading(quick: bool, repeats: int) -> list[Row]:
    """Measure what gathering features from a store takes of a step: grids, which are the larger ones."""
    import tempfile

    from capframe.feature_parts import FeatureSource
    from capframe.features import FeatureStore
    from capframe.training_batches import read_features

    pictures = 96 if quick else 1024
    captions = drawn_captions(pictures)
    vocabulary = Vocabulary.build((text for own in captions for text in own), min_count=5)
    decoder = Transformer()
    model = decoder.build((49, FEATURES), len(vocabulary))
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    step = compile_steps(model, 0.0, decoder)[0]
    with tempfile.TemporaryDirectory() as folder:
        store = FeatureStore.create(folder, FeatureSource("drawn", {}, (49, FEATURES), ""), "float16")
        names = [str(number) for number in range(pictures)]
        for first in range(0, pictures, 512):
            some = names[first : first + 512]
            store.add(some, drawn_features(len(some), (49, FEATURES), first))
        positions = store.positions(names)
        order = np.random.default_rng(0).permutation(positions)
        steps = 3
        loader = CaptionBatches(captions, vocabulary, store.gather_positions, batch_size=BATCH)
        batches = [batch for _, batch in zip(range(steps), loader.epoch(0), strict=False)]
        seconds = take_turns(
            {
                "step": lambda: [float(step(*batch)[0]) for batch in batches],
                "read": lambda: [
                    read_features(store, order[first : first + BATCH])
                    for first in range(0, BATCH * steps, BATCH)
                ],
            },
            repeats,
        )
    return [
        ratio_row(
            "reading features while training, share of a step",
            "at most",
            0.05,
            "share",
            ratios(seconds, "read", "step"),
            detail="grids [49, 1280] in float16, `transformer`",
        )
    ]


def growth(quick: bool, repeats: int) -> list[Row]:
    """Measure the seconds of a caption in a hundred times as many captions."""
    few, many = (200, 2_000) if quick else (2_000, 200_000)
    steps = 2 if quick else 10
    turns = {}
    for pictures in (few, many):
        captions = drawn_captions(pictures)
        vocabulary = Vocabulary.build((text for own in drawn_captions(few) for text in own), min_count=5)
        features = drawn_features(pictures, (256,))
        decoder = AddMerge()
        model = decoder.build((256,), len(vocabulary))
        model.compile(optimizer=keras.optimizers.Adam(1e-3))
        step = compile_steps(model, 0.0, decoder)[0]
        loader = CaptionBatches(
            captions, vocabulary, lambda rows, all_=features: all_[rows], batch_size=BATCH
        )
        turns[str(pictures)] = _Going(loader, step, steps)
        del captions
    take_turns(turns, repeats)
    costs = [turn.costs[1:] for turn in turns.values()]
    return [
        ratio_row(
            f"seconds a word, {5 * many} captions against {5 * few}",
            "at most",
            1.1,
            "times",
            [large / small for small, large in zip(*costs, strict=True)],
            detail=f"{1e6 * np.median(costs[0]):.1f} and {1e6 * np.median(costs[1]):.1f} microseconds",
        )
    ]


class _Going:
    """Takes batches from one endless training; keeps the seconds of a word in each turn."""

    def __init__(self, loader: CaptionBatches, step: Any, steps: int) -> None:
        self.loader, self.step, self.steps = loader, step, steps
        self.costs: list[float] = []
        self.batches = self._endless()

    def _endless(self) -> Any:
        for number in range(10_000):
            yield from self.loader.epoch(number)

    def __call__(self) -> None:
        import time

        started, words = time.perf_counter(), 0.0
        for _ in range(self.steps):
            words += float(self.step(*next(self.batches))[1])
        self.costs.append((time.perf_counter() - started) / words)
