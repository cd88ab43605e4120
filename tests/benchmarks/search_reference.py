"""Compare the searches of a trained run with beam search in plain NumPy over the decoder's ``step``.

    python tests/benchmarks/search_reference.py RUN --features STORE [--names splits/dev.txt] [--pictures 200]

Fails where a caption differs, or a score by more than 1e-4.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capframe import Captioner, FeatureStore
from capframe.search import Search, SearchOptions
from capframe.vocabulary import END, PAD, START, UNK


def searched(decoder: Any, model: Any, picture: NDArray[np.float32], options: SearchOptions) -> Any:
    """Return ids and score of the best caption of one picture, float32 ``[*feature_shape]``.

    The ``beam`` best live captions are stepped together; the definition is that of `capframe.search`.
    """
    import tensorflow as tf

    beam, penalty = options.beam, options.length_penalty
    state = decoder.start(model, tf.constant(picture[None]))
    live: list[tuple[float, list[int]]] = [(0.0, [START])]
    ended: list[tuple[float, list[int]]] = []
    for words in range(options.max_words + 1):
        best = max((score for score, _ in ended), default=-np.inf)
        if len(ended) >= beam or best >= max(total for total, _ in live) / (options.max_words + 1) ** penalty:
            break
        logits, state = decoder.step(model, tf.constant([caption[-1] for _, caption in live]), state)
        logits = np.asarray(logits, np.float64)
        gains = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
        gains -= logits.max(1, keepdims=True)
        gains[:, [PAD, UNK, START]] = -np.inf
        if words < options.min_words:
            gains[:, END] = -np.inf
        totals = np.array([total for total, _ in live])[:, None] + gains
        ranked = np.argsort(-totals, axis=None, kind="stable")[: 2 * beam]
        continued = [(float(totals.flat[index]), *divmod(int(index), gains.shape[1])) for index in ranked]
        for total, parent, word in continued[:beam]:
            if word == END and np.isfinite(total):
                ended.append((total / (words + 1) ** penalty, live[parent][1][1:]))
        if words < options.max_words:
            growing = [(total, parent, word) for total, parent, word in continued if word != END][:beam]
            origin = [parent for _, parent, _ in growing]
            live = [(total, [*live[parent][1], word]) for total, parent, word in growing]
            state = tf.nest.map_structure(lambda part, rows=origin: tf.gather(part, rows), state)
    if ended:
        return max(ended, key=lambda one: one[0])[::-1]
    return live[0][1][1:], live[0][0] / options.max_words**penalty


def compare(captioner: Captioner, features: NDArray[np.float32], beam: int) -> tuple[int, float]:
    """Return how many captions differ, and the greatest difference of a score."""
    decoder, model = captioner.composition.decoder.value, captioner.trained.model
    options = SearchOptions(beam=beam)
    tokens, scores = Search(decoder, model)(features, options)
    other, difference = 0, 0.0
    for row, score, picture in zip(tokens, scores, features, strict=True):
        caption, best = searched(decoder, model, picture, options)
        other += caption != [int(word) for word in row if word != PAD]
        difference = max(difference, abs(float(score) - best))
    return other, difference


def main() -> None:
    """Compare beams of 1, 3 and 5."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--features", type=Path, required=True, help="store with features of the pictures")
    parser.add_argument("--names", type=Path, help="file with names of pictures, one a line")
    parser.add_argument("--pictures", type=int, default=200)
    options = parser.parse_args()
    captioner, store = Captioner.load(options.run), FeatureStore(options.features)
    names = options.names.read_text().split("\n") if options.names else store.names
    features = store.gather([name.strip() for name in names if name.strip()][: options.pictures])
    wrong = False
    for beam in (1, 3, 5):
        other, difference = compare(captioner, features, beam)
        print(f"beam {beam}: {other} of {len(features)} captions differ, scores by {difference:.2g} at most")
        wrong |= bool(other) or difference > 1e-4
    if wrong:
        raise SystemExit("The search does not find what its definition finds.")


if __name__ == "__main__":
    main()
