"""Captioning: from stored features against the notebook, and one picture against its own forward pass."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import keras
import notebook
import numpy as np
from drawn import drawn_captions, drawn_features, drawn_photographs
from harness import Row, ratio_row, ratios, take_turns

from capframe import Captioner, Dataset, Vocabulary
from capframe.batches import CaptionBatches
from capframe.default_plugins.decoders.add_merge import AddMerge
from capframe.images import read_image
from capframe.search import Search, SearchOptions
from capframe.training import compile_steps
from capframe.vocabulary import END, START

FEATURES = 1280
LONGEST = 34


def captioning(quick: bool, repeats: int) -> list[Row]:
    """Caption 1,000 pictures from stored features; the notebook captions a few, and is scaled up."""
    pictures, few, training = (100, 2, 320) if quick else (1000, 3, 6000)
    captions = drawn_captions(training, words=300 if quick else 16_000)
    vocabulary = Vocabulary.build((text for own in captions for text in own), min_count=5)
    decoder = AddMerge()
    model = decoder.build((FEATURES,), len(vocabulary))
    model.compile(optimizer=keras.optimizers.Adam(2e-3))
    step = compile_steps(model, 0.0, decoder)[0]
    learnt = drawn_features(training, (FEATURES,))
    for batch in CaptionBatches(captions, vocabulary, lambda rows: learnt[rows]).epoch(0):
        step(*batch)
    features = drawn_features(pictures, (FEATURES,), seed=9)
    search = Search(decoder, model)
    theirs = _the_same(model, len(vocabulary))
    found: dict[str, list[list[int]]] = {}

    def ours(beam: int) -> None:
        tokens, _ = search(features, SearchOptions(beam=beam, max_words=LONGEST, min_words=0))
        for row in tokens.tolist():
            vocabulary.decode(row)
        found[f"beam {beam}"] = [[word for word in row if word] for row in tokens.tolist()]

    def notebooks() -> None:
        found["notebook"] = [
            notebook.caption(theirs, picture, LONGEST, START, END) for picture in features[:few]
        ]

    seconds = take_turns(
        {"greedy": lambda: ours(1), "beam 3": lambda: ours(3), "notebook": notebooks}, repeats
    )
    same = sum(one == other for one, other in zip(found["beam 1"], found["notebook"], strict=False))
    words = np.mean([len(row) for row in found["beam 1"]])
    rows = []
    for name, goal in (("greedy", 300.0), ("beam 3", 100.0)):
        rows.append(
            ratio_row(
                f"captioning {pictures} pictures from stored features, {name}, against the notebook",
                "at least",
                goal,
                "times",
                ratios(seconds, "notebook", name, pictures / few),
                detail=f"{1000 * np.median(seconds[name]) / pictures:.2f} against "
                f"{1000 * np.median(seconds['notebook']) / few:.0f} ms a picture, {words:.1f} words; "
                f"the notebook's {few} captions: {same} are the same as greedy ones",
            )
        )
    return rows


def _the_same(model: keras.Model, vocabulary: int) -> keras.Model:
    """Return the notebook's model with the weights of ours."""
    theirs = notebook.model_of(vocabulary, LONGEST)
    by_shape: dict[str, Any] = {weight.path.split("/", 1)[-1]: weight for weight in model.weights}
    layers = {type(layer).__name__: layer for layer in theirs.layers}
    layers["Embedding"].set_weights([by_shape["embeddings"].numpy()])
    layers["LSTM"].set_weights([weight.numpy() for weight in model.get_layer("words").weights])
    dense = [layer for layer in theirs.layers if isinstance(layer, keras.layers.Dense)]
    for layer, name in zip(dense, ("picture", "hidden", "logits"), strict=True):
        layer.set_weights([weight.numpy() for weight in model.get_layer(name).weights])
    return theirs


def one_picture(quick: bool, repeats: int) -> list[Row]:
    """Caption one photograph file in a warm process, against the extractor's own forward pass."""
    with tempfile.TemporaryDirectory() as folder:
        photographs = drawn_photographs(Path(folder) / "images", 16)
        texts = drawn_captions(16, words=60)
        dataset = Dataset(
            dict(zip(photographs, map(tuple, texts), strict=True)),
            image_paths=photographs,
            splits={"train": tuple(photographs)},
        )
        captioner = Captioner("efficientnet-lite0", vocabulary={"min_count": 1}, callbacks=())
        captioner.fit(dataset, epochs=2)
        extractor: Any = captioner.composition.feature_extractor.value
        path = next(iter(photographs.values()))
        pixels = read_image(path, extractor.image_size)[None]
        rounds = 5
        seconds = take_turns(
            {
                "greedy": lambda: [captioner.caption([path], beam=1) for _ in range(rounds)],
                "beam 3": lambda: [captioner.caption([path], beam=3) for _ in range(rounds)],
                "forward": lambda: [extractor(pixels) for _ in range(rounds)],
                "decode": lambda: [read_image(path, extractor.image_size) for _ in range(rounds)],
            },
            max(repeats, 7),
        )
    milliseconds = {name: 1000 * np.median(some) / rounds for name, some in seconds.items()}
    return [
        ratio_row(
            f"captioning one picture file, warm, {name}, against the extractor's forward pass",
            "at most",
            1.3,
            "times",
            ratios(seconds, name, "forward"),
            detail=f"{milliseconds[name]:.1f} against {milliseconds['forward']:.1f} ms; reading the "
            f"JPEG file takes {milliseconds['decode']:.1f} ms of it",
        )
        for name in ("greedy", "beam 3")
    ]
