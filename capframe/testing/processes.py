"""Fresh Python processes, in which a component knows nothing of the one that checks it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .laws import ConformanceError

PROGRAM = """
import pickle, sys
sys.path[:] = {path!r}
with open("call", "rb") as file:
    function, arguments = pickle.load(file)
answer = function(*arguments)
with open("answer", "wb") as file:
    pickle.dump(answer, file)
"""


def call_in_fresh_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call ``function(*arguments)`` in a new process, whose sets have another order, and return the answer.

    Raises:
        ConformanceError: they cannot be pickled, or the process failed; says with which error.
    """
    try:
        call = pickle.dumps((function, arguments))
    except Exception as error:
        raise ConformanceError(f"it cannot be pickled: {error}") from error
    other_seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "call").write_bytes(call)
        path = [os.path.abspath(entry) for entry in sys.path]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(path=path)],
            cwd=scratch,
            env={**os.environ, "PYTHONHASHSEED": other_seed},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if done.returncode:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise ConformanceError(f"in another process: {lines[-1] if lines else 'it ended'}")
        return pickle.loads((Path(scratch) / "answer").read_bytes())
