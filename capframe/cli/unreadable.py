"""Pictures that cannot be read: told of one by one, counted at the end."""

from __future__ import annotations

from ..errors import ImageError
from .group import remark

SHOWN = 5


class Unreadable:
    """Collects the errors of pictures that are left out; pass it as ``on_bad_image``."""

    def __init__(self) -> None:
        self.errors: dict[str, ImageError] = {}

    def __call__(self, name: str, error: ImageError) -> None:
        """Note one picture; the first few are told of at once, lest a thousand lines hide the rest."""
        self.errors[name] = error
        if len(self.errors) <= SHOWN:
            remark(f"Warning: {error}")

    def report(self, pictures: int) -> None:
        """Say how many of ``pictures`` were left out, if any."""
        if self.errors:
            remark(f"Warning: {len(self.errors)} of {pictures} pictures cannot be read and were left out.")
