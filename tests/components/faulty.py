"""Components that break one law each, and sound ones beside them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from capframe.errors import DatasetError
from capframe.interfaces import CaptionedImages


class Means:
    """Mean colours of a picture."""

    image_size: Any = (8, 8)
    feature_shape: Any = (3,)

    def __call__(self, images):
        return images.mean(axis=(1, 2), dtype=np.float32) / np.float32(255)


class ListedSize(Means):
    """Gives its size as a list."""

    image_size: Any = [8, 8]  # noqa: RUF012


class Doubles(Means):
    """Gives float64."""

    def __call__(self, images):
        return super().__call__(images).astype(np.float64)


class Logarithms(Means):
    """Gives minus infinity for black."""

    def __call__(self, images):
        with np.errstate(divide="ignore"):
            return np.log(super().__call__(images))


class RandomWeights(Means):
    """Projects by weights that differ from object to object."""

    def __init__(self) -> None:
        self.factor = np.float32(random.random() + 1)

    def __call__(self, images):
        return super().__call__(images) * self.factor


class BatchCentred(Means):
    """Takes the mean of the batch off."""

    def __call__(self, images):
        features = super().__call__(images)
        return features - features.mean(axis=0)


class Inverting(Means):
    """Works in place, and undoes nothing."""

    def __call__(self, images):
        features = super().__call__(images)
        images //= 255
        return features


class Spaced:
    """Keeps single spaces."""

    def __call__(self, caption: str) -> str:
        return " ".join(caption.split())


class Listing(Spaced):
    """Gives a tuple, which equals itself and cleans to itself."""

    def __call__(self, caption):
        clean = " ".join(caption.parts if isinstance(caption, Parts) else caption.split())
        return Parts(clean)


class Parts:
    """Words that are no text, but look and compare like some."""

    def __init__(self, text: str) -> None:
        self.parts = text.split()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parts) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(self.parts))

    def __str__(self) -> str:
        return " ".join(self.parts)


class Growing(Spaced):
    """Adds a word each time."""

    def __call__(self, caption):
        return super().__call__(f"{caption} x")


class Remembering(Spaced):
    """Drops a caption that it has cleaned before, unless it comes twice in a row."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.last = ""

    def __call__(self, caption):
        clean = super().__call__(caption)
        if clean in self.seen and clean != self.last:
            return ""
        self.seen.add(clean)
        self.last = clean
        return clean


class Unspaced(Spaced):
    """Leaves spaces as they are."""

    def __call__(self, caption):
        return caption


class Recall:
    """Share of the words of the first reference that the caption has."""

    def __call__(self, hypotheses, references):
        rows = np.array(
            [len({*h} & {*r[0]}) / len({*r[0]}) for h, r in zip(hypotheses, references, strict=True)], float
        )
        return float(rows.mean()), rows


class Rounded(Recall):
    """Gives whole numbers."""

    def __call__(self, hypotheses, references):
        total, rows = super().__call__(hypotheses, references)
        return total, rows.astype(np.float32)


class Noisy(Recall):
    """Adds a little at random."""

    def __call__(self, hypotheses, references):
        total, rows = super().__call__(hypotheses, references)
        return total + random.random() * 1e-10, rows


class Ranked(Recall):
    """Counts the first picture twice."""

    def __call__(self, hypotheses, references):
        total, rows = super().__call__(hypotheses, references)
        return total + rows[0], rows


class Distance(Recall):
    """Less is better."""

    def __call__(self, hypotheses, references):
        total, rows = super().__call__(hypotheses, references)
        return -total, -rows


class Emptying(Recall):
    """Takes the references apart."""

    def __call__(self, hypotheses, references):
        result = super().__call__(hypotheses, references)
        for texts in references:
            texts.append([])
        return result


class Semicolons:
    """Reads name;caption."""

    example: Any = b"one.png;a dot\ntwo.png;a star\n"

    def recognises(self, path):
        try:
            return b";" in path.read_bytes().partition(b"\n")[0]
        except OSError:
            return False

    def read(self, path):
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
            captions = {name: (text,) for name, text in (line.split(";", 1) for line in lines)}
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: {error}") from error
        if not captions:
            raise DatasetError(f"{path} is empty")
        return CaptionedImages(captions)


class Greedy(Semicolons):
    """Recognises everything that is a file."""

    def recognises(self, path):
        return path.is_file()


class Careless(Semicolons):
    """Lets any error through."""

    def read(self, path):
        lines = path.read_text(encoding="utf-8").splitlines()
        return CaptionedImages({name: (text,) for name, text in (line.split(";", 1) for line in lines)})


class Bare(Semicolons):
    """Gives captions as text."""

    def read(self, path):
        found = super().read(path)
        return CaptionedImages({name: texts[0] for name, texts in found.captions.items()})


class Untyped(Spaced):
    """Has an option without a type.

    Args:
        width: is not used.
    """

    def __init__(self, width=3) -> None:
        self.width = width


class Undocumented(Spaced):
    """Says nothing about its option."""

    def __init__(self, width: int = 3) -> None:
        self.width = width


class Unwritable(Spaced):
    """Has an option that JSON does not know.

    Args:
        places: paths.
    """

    def __init__(self, places: Any = frozenset({1})) -> None:
        self.places = places


def unreachable() -> type:
    class Local(Spaced):
        """Cannot be sent to another process."""

    return Local


class Failing(Spaced):
    """Cannot be made."""

    def __init__(self) -> None:
        raise ValueError("no weights")


class OwnSplits(Semicolons):
    """Calls the dev split by another name."""

    def read(self, path):
        found = super().read(path)
        return CaptionedImages(found.captions, {"validation": tuple(found.captions)})
