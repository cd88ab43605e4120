"""The run folder: what a trained captioner is written to and read from, without running its code."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import RunFolderError
from .half_precision import halve_weights
from .image_marks import ImageMarks
from .model_weights import load_weights
from .run_folder_checks import check_config, check_files

if TYPE_CHECKING:
    import keras

FORMAT = 1
CONFIG = "config.json"
VOCABULARY = "vocabulary.txt"
MODEL = "best_model.keras"
HISTORY = "history.csv"
METRICS = "metrics.json"
TRAINING_IMAGES = "training_images.txt"
DATASET_REPORT = "dataset_report.txt"

KEYS = ("feature_extractor", "text_cleaners", "decoder", "callbacks", "vocabulary", "training", "features")


@contextmanager
def new_run_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a working folder beside ``path``, which takes the name ``path`` when the block succeeds.

    When the block fails, the working folder stays as it is, under its own name, so that nothing that
    was finished in it is lost.

    Raises:
        RunFolderError: ``path`` exists and is not to be overwritten.
    """
    check_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=f"{path.name}.unfinished-", dir=path.parent))
    working.chmod(0o755)
    yield working
    check_free(path, overwrite)
    give_name(working, path)


def give_name(working: Path, path: Path) -> None:
    """Rename the folder ``working`` to ``path``, in the place of what may be there."""
    old = path.with_name(f"{path.name}.replaced")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        path.rename(old)
    working.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def check_free(path: Path, overwrite: bool) -> None:
    """Raise a `RunFolderError` where ``path`` exists and is not a run folder that may be overwritten."""
    if path.name in ("", ".."):
        raise RunFolderError(f"'{path}' cannot be made into a run folder. Name a folder in it.")
    if not path.exists():
        return
    if not overwrite:
        raise RunFolderError(f"{path} exists already. Choose another folder, or overwrite it (--overwrite).")
    if not (path / CONFIG).is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise RunFolderError(f"{path} is not a run folder and will not be overwritten. Choose another name.")


def write_text(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, given whole or in pieces, to a file: all of it or nothing (UTF-8).

    Raises:
        RunFolderError: it cannot be written.
    """
    aside = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        with aside.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines([text] if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise RunFolderError(f"Cannot write {path}: {error}. Make room, or choose another place.") from error
    finally:
        with suppress(OSError):
            aside.unlink()


def write_json(path: Path, value: object) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_history(folder: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Write the logs of the epochs to ``history.csv``, a row an epoch."""
    text = io.StringIO()
    columns = list(dict.fromkeys(column for logs in history for column in logs))
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows(history)
    write_text(folder / HISTORY, text.getvalue())


def read_history(folder: Path) -> list[dict[str, float]]:
    """Return the logs that ``history.csv`` holds."""
    path = folder / HISTORY
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return [{name: float(value) for name, value in row.items() if value} for row in rows]
    except (OSError, ValueError, TypeError, AttributeError, csv.Error) as error:
        raise RunFolderError(f"{path} cannot be read: {error}. Copy the run folder anew.") from None


def write_model(folder: Path, model: keras.Model, *, half_precision: bool = False) -> None:
    """Write ``best_model.keras``, aside first.

    Raises:
        RunFolderError: a weight is too large for ``half_precision``.
    """
    aside = folder / f".partial-{os.getpid()}-{MODEL}"
    try:
        model.save(aside)
        if half_precision:
            halve_weights(aside)
        aside.replace(folder / MODEL)
    finally:
        aside.unlink(missing_ok=True)


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """Write ``config.json``: ``config``, with the format and the versions of what made it."""
    versions = {name: _version(name) for name in ("capframe", "tensorflow", "keras", "numpy")}
    write_json(folder / CONFIG, {"format": FORMAT, **config, "versions": versions})


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:  # TensorFlow also comes in distributions of other names
        return "unknown"


def read_config(folder: Path) -> dict[str, Any]:
    """Return ``config.json`` of a run folder.

    Raises:
        RunFolderError: it is not a run folder, a file in it is a link to elsewhere, the file is damaged, or
            a newer capframe wrote it.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise RunFolderError(
            f"{folder} is not a run folder: it has no {CONFIG}. Name a folder made by capframe."
        )
    check_files(folder, (CONFIG, VOCABULARY, HISTORY, METRICS, TRAINING_IMAGES), (MODEL,))
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        found = config["format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunFolderError(
            f"{path} is damaged: {type(error).__name__}: {error}. Train or copy it anew."
        ) from None
    if found != FORMAT:
        versions = config.get("versions")
        writer = versions.get("capframe") if isinstance(versions, dict) else "of an unknown version"
        raise RunFolderError(
            f"{path} has format {found!r:.40}, written by capframe {writer!s:.40}; this one reads format "
            f"{FORMAT}. Update capframe."
        )
    missing = [key for key in KEYS if key not in config]
    if missing:
        raise RunFolderError(f"{path} is damaged: it lacks '{missing[0]}'. Train or copy it anew.")
    check_config(path, config)
    return dict(config)


def read_model(folder: Path, build: Callable[[], keras.Model]) -> keras.Model:
    """Build the model anew and load its weights from ``best_model.keras``; nothing else is read from it.

    Raises:
        RunFolderError: the file is missing or damaged, or holds weights of another model.
    """
    path = folder / MODEL
    if not path.is_file():
        raise RunFolderError(f"{folder} has no {MODEL}. Train the run anew, or copy the folder whole.")
    try:
        model = build()
        load_weights(path, model)
    except Exception as error:
        raise RunFolderError(
            f"{path} cannot be loaded: {type(error).__name__}: {str(error).partition(chr(10))[0]}. "
            f"Copy the run folder anew: it must belong to the {CONFIG} and {VOCABULARY} beside it."
        ) from error
    return model


def write_training_images(folder: Path, marks: ImageMarks) -> None:
    """Record which pictures were trained on: a line each."""
    write_text(folder / TRAINING_IMAGES, (f"{mark}\n" for mark in marks))


def read_training_images(folder: Path) -> ImageMarks:
    """Return the marks of the pictures that the run was trained on."""
    path = folder / TRAINING_IMAGES
    try:
        with path.open(encoding="ascii") as file:
            return ImageMarks(mark for line in file for mark in line.split())
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path} cannot be read: {error}. Copy the run folder anew.") from None
