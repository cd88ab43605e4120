"""Import TensorFlow without the lines that it writes before it obeys TF_CPP_MIN_LOG_LEVEL."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
SILENT = "3"


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hold back what is written to stderr while TensorFlow may be imported; show it if that fails.

    The library writes to the file descriptor, past ``sys.stderr``. Setting the variable
    TF_CPP_MIN_LOG_LEVEL to anything below 3 shows everything.
    """
    if os.environ.get(LOG_LEVEL, SILENT) != SILENT or "tensorflow" in sys.modules:
        yield
        return
    try:
        sys.stderr.flush()
        stderr = os.dup(2)
    except (OSError, AttributeError):  # started without stderr: there is nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        finished = False
        try:
            yield
            finished = True
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if not finished:
                chatter.seek(0)
                sys.stderr.write(chatter.read().decode(errors="replace"))


def import_tensorflow() -> None:
    """Import TensorFlow now, and quietly, lest it be imported later, and not."""
    with quiet_imports():
        importlib.import_module("tensorflow")
