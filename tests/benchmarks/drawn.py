"""Drawn data in the sizes of a real set: captions with the lengths and word counts of human ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LEAST, MOST = 3, 33


def drawn_captions(pictures: int, each: int = 5, *, words: int = 16_000, seed: int = 0) -> list[list[str]]:
    """Return ``each`` captions for every picture.

    Lengths are about those of human captions (mean 11 words), words follow Zipf's law with a faster fall at
    the end: of 30,000 captions some 7,600 words, 2,400 of them five times or more. Which words are likely
    changes from position to position, so that there is an order to learn.
    """
    random = np.random.default_rng(seed)
    lengths = np.clip(np.round(random.gamma(8.5, 1.27, pictures * each)), LEAST, MOST).astype(int)
    ranks = np.arange(1, words + 1)
    likely = 1 / (ranks * (1 + (ranks / 850) ** 1.1))
    drawn = random.choice(words, lengths.sum(), p=likely / likely.sum())
    positions = np.concatenate([np.arange(length) for length in lengths])
    # The commonest words are dealt out by position.
    common = drawn < 200
    drawn[common] = (drawn[common] // 20) * 20 + positions[common] % 20
    tokens = np.char.add("w", drawn.astype(str)).tolist()
    ends = np.cumsum(lengths)
    texts = [" ".join(tokens[end - length : end]) for end, length in zip(ends, lengths, strict=True)]
    return [texts[first : first + each] for first in range(0, len(texts), each)]


def drawn_features(pictures: int, shape: tuple[int, ...] = (1280,), seed: int = 1) -> NDArray[np.float32]:
    """Return features as an extractor with a final ReLU gives them."""
    random = np.random.default_rng(seed)
    return np.maximum(random.standard_normal((pictures, *shape), np.float32), 0)


def drawn_photographs(folder: Path, pictures: int, seed: int = 2) -> dict[str, Path]:
    """Write JPEG files of 500 x 375 pixels that compress about as photographs do; return name -> path."""
    from PIL import Image

    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = {}
    for number in range(pictures):
        path = folder / f"{number:05d}.jpg"
        layers = [
            Image.fromarray(random.integers(0, 256, (side * 3, side * 4, 3), np.uint8)).resize((500, 375))
            for side in (3, 12, 45)
        ]
        mixed = np.average([np.asarray(layer, np.float32) for layer in layers], axis=0, weights=(5, 3, 1))
        Image.fromarray(mixed.astype(np.uint8)).save(path, quality=90)
        paths[path.name] = path
    return paths
