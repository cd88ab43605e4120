"""Pictures that cannot be read: told of one by one, counted at the end."""

from __future__ import annotations

import sys

from ..errors import ImageError
from .group import remark

SHOWN = 5


class Unreadable:
    """Collects the errors of pictures that are left out; pass it as ``on_bad_image``."""

    def __init__(self) -> None:
        self.errors: dict[str, ImageError] = {}

    def __call__(self, name: str, error: ImageError) -> None:
        """Note one picture.

        On a terminal only the first few are told of, lest a thousand lines hide the rest; a file gets all.
        """
        self.errors[name] = error
        if len(self.errors) <= SHOWN or not sys.stderr.isatty():
            remark(f"Warning: {error}")

    def report(self, pictures: int) -> None:
        """Say how many of ``pictures`` were left out, if any."""
        if self.errors:
            more = len(self.errors) > SHOWN and sys.stderr.isatty()
            hint = f" The first {SHOWN} are named above; with 2> FILE all are." if more else ""
            remark(
                f"Warning: {len(self.errors)} of {pictures} pictures cannot be read and were left out.{hint}"
            )
