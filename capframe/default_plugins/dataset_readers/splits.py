"""The words for splits that formats use, in capframe's three."""

from __future__ import annotations

from capframe.errors import DatasetError

SPLITS = {
    "train": "train",
    "training": "train",
    "restval": "train",
    "val": "dev",
    "valid": "dev",
    "validation": "dev",
    "dev": "dev",
    "test": "test",
}


class Splits:
    """Collects which picture is in which split.

    Attributes:
        names: ``train``, ``dev`` and ``test`` as there are -> names of pictures, in order.
    """

    def __init__(self) -> None:
        self._of: dict[str, str] = {}

    def add(self, name: str, word: str, place: str) -> None:
        """Put a picture into the split that the file calls ``word``.

        Raises:
            DatasetError: the word is unknown, or the picture is in another split; cites ``place``.
        """
        split = SPLITS.get(word.strip().lower())
        if split is None:
            raise DatasetError(
                f"{place}: the split {word[:40]!r} of {name!r} is none of {', '.join(SPLITS)}."
            )
        if self._of.setdefault(name, split) != split:
            raise DatasetError(
                f"{place}: {name!r} is in the splits {self._of[name]} and {split}. Keep it in one only."
            )

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Split -> names, for the splits that there are."""
        known = dict.fromkeys(SPLITS.values())
        found = {split: tuple(name for name, own in self._of.items() if own == split) for split in known}
        return {split: names for split, names in found.items() if names}
