"""A plugin that imports a heavy package when it is loaded."""

from __future__ import annotations

import sklearn  # noqa: F401 - the fault

import capframe


class Spaced:
    """Keeps single spaces."""

    def __call__(self, caption: str) -> str:
        return " ".join(caption.split())


@capframe.hookimpl
def register_text_cleaners():
    return {"spaced": Spaced}
