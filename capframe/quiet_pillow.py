"""Pillow without what it and its libraries say on the terminal of files that are odd or damaged."""

from __future__ import annotations

import ctypes
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from PIL import _imaging

# A filter of its own, so that taking it away takes none of the user's.
_PILLOW = r"(?:PIL)\."
# Without a handler, Python would print what Pillow logs of damaged files.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_lock = threading.Lock()
_readers = 0
_libtiff_handler: int | None = None


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Hold back the warnings of Pillow for the time of a block, in all threads.

    What they tell of (odd notes of a camera, a large picture) is no news to whoever reads thousands of
    files. ``warnings.catch_warnings`` would do for one thread; several would undo each other's work.
    """
    global _readers, _libtiff_handler  # noqa: PLW0603
    with _lock:
        _readers += 1
        if _readers == 1:
            warnings.filterwarnings("ignore", module=_PILLOW)
            _libtiff_handler = _exchange_libtiff_handler(None)
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _exchange_libtiff_handler(_libtiff_handler)
                filters = cast("list[Any]", warnings.filters)
                for own in [entry for entry in filters if getattr(entry[3], "pattern", None) == _PILLOW]:
                    with suppress(ValueError):
                        filters.remove(own)


def _exchange_libtiff_handler(handler: int | None) -> int | None:
    """Give libtiff, which writes past Python to stderr, another handler of errors; return the one it had.

    Pillow has no function for it. Where the library is linked in otherwise and is not found, it goes on
    writing.
    """
    try:
        exchange = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):
        return None
    exchange.argtypes, exchange.restype = [ctypes.c_void_p], ctypes.c_void_p
    before: int | None = exchange(handler)
    return before
