"""Import TensorFlow without the lines that it writes before it obeys TF_CPP_MIN_LOG_LEVEL."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile

LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
SILENT = "3"


def import_tensorflow() -> None:
    """Import TensorFlow; what it writes meanwhile is shown only if that fails or the user asked for it.

    The library writes to the file descriptor of stderr, past ``sys.stderr``. Setting the variable
    TF_CPP_MIN_LOG_LEVEL to anything below 3 shows everything.
    """
    if os.environ.get(LOG_LEVEL, SILENT) != SILENT or "tensorflow" in sys.modules:
        return
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # started without stderr: there is nothing to keep clean
        return
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        loaded = False
        try:
            importlib.import_module("tensorflow")
            loaded = True
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            if not loaded:
                chatter.seek(0)
                sys.stderr.write(chatter.read().decode(errors="replace"))
