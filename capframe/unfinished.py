"""The working folder of a training that is not finished: it survives whatever ends the process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from .errors import RunFolderError
from .run_folder import check_free, give_name

STATE = "training_state.npz"
PARTIAL = ".partial-*"

_LOCK = ".lock"


def unfinished(path: Path) -> Path:
    """Return the working folder of the run that shall become ``path``."""
    return path.with_name(f"{path.name}.unfinished")


def check_unbegun(path: Path, *, overwrite: bool, resume: bool) -> None:
    """Refuse to train a run to ``path`` where that would destroy something.

    Raises:
        RunFolderError: ``path`` exists, or a run that was interrupted is beside it, and neither ``resume``
            nor ``overwrite`` says what shall become of it.
    """
    check_free(path, overwrite)
    if (unfinished(path) / STATE).exists() and not (overwrite or resume):
        raise RunFolderError(
            f"{unfinished(path)} holds a training that was interrupted. Go on with it (--resume), or start "
            "over (--overwrite)."
        )


@contextmanager
def unfinished_run(path: Path, *, overwrite: bool = False, resume: bool = False) -> Iterator[Path]:
    """Yield the working folder of a run, which takes the name ``path`` when the block succeeds.

    When the block fails, or the process is killed, it stays as it is; with ``resume`` the next process
    finds in it what was finished.

    Raises:
        RunFolderError: as `check_unbegun`; or another process is training the same run.
    """
    check_unbegun(path, overwrite=overwrite, resume=resume)
    working = unfinished(path)
    working.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(working / _LOCK)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise RunFolderError(
            f"Another process is training in {working}. Wait for it, or choose another folder."
        ) from None
    try:
        check_unbegun(path, overwrite=overwrite, resume=resume)  # another process may just have finished it
        # Without a state there is nothing to go on with: a model left there may be of another training.
        for old in working.glob(PARTIAL if resume and (working / STATE).exists() else "*"):
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name != _LOCK:
                old.unlink()
        yield working
        check_free(path, overwrite)
        if os.name == "nt":  # where a folder with an open file cannot be renamed
            lock.release()
        give_name(working, path)
    finally:
        lock.release()
    for name in (_LOCK, STATE):
        (path / name).unlink(missing_ok=True)
