"""One part of a feature store: an Arrow IPC file that says what made it, written whole or not at all."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .errors import FeatureStoreError
from .interfaces import FeatureExtractor

FORMAT_VERSION = 1
PATTERN = "part-*.arrow"
LEFTOVER_SECONDS = 3600.0
"""Age from which a part that was never finished counts as left behind: writing one takes seconds."""

StorageDtype: TypeAlias = Literal["float32", "float16"]

_METADATA_KEY = b"capframe.features"
_UNFINISHED = ".tmp"
_DAMAGE = (pa.ArrowException, OSError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
_MOST_NUMBERS = 2**31


@dataclass(frozen=True)
class FeatureSource:
    """What makes the features of a store; features of different sources never mix.

    Attributes:
        extractor: name of the feature extractor.
        options: its options.
        feature_shape: shape of one picture's features.
        fingerprint: hash of its weights; empty for an extractor without one.
    """

    extractor: str
    options: Mapping[str, Any] = field(default_factory=dict)
    feature_shape: tuple[int, ...] = ()
    fingerprint: str = ""

    @classmethod
    def of(
        cls, extractor: FeatureExtractor, name: str, options: Mapping[str, Any] | None = None
    ) -> FeatureSource:
        """Describe a feature extractor that was built under ``name`` with ``options``."""
        fingerprint = str(getattr(extractor, "fingerprint", ""))
        return cls(name, dict(options or {}), tuple(extractor.feature_shape), fingerprint)

    @classmethod
    def from_json(cls, description: Mapping[str, Any]) -> FeatureSource:
        """Return the source that `to_json` described.

        Raises:
            FeatureStoreError: something is missing from the description.
        """
        try:
            shape = tuple(int(length) for length in description["feature_shape"])
            if not shape or not all(0 < length < _MOST_NUMBERS for length in shape):
                raise ValueError(f"no feature has the shape {shape}")
            extractor, fingerprint = str(description["extractor"]), str(description["fingerprint"])
            return cls(extractor, dict(description["options"]), shape, fingerprint)
        except (KeyError, TypeError, ValueError) as error:
            raise FeatureStoreError(
                f"{description!r} does not describe what made features ({error!r}): extract them again."
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return a description of nothing but strings, numbers, lists and dicts."""
        description = {
            "extractor": self.extractor,
            "options": dict(self.options),
            "feature_shape": list(self.feature_shape),
            "fingerprint": self.fingerprint,
        }
        return cast("dict[str, Any]", json.loads(json.dumps(description, default=str)))

    def gives_same_as(self, other: FeatureSource) -> bool:
        """Whether both give the same features.

        Where both have a fingerprint, an option ``weights`` is not compared: the same weights may lie
        in different places. An option that is None leaves the choice to the extractor, like one that the
        extractor did not have yet when it filled a store or trained a run.
        """
        mine, theirs = self.to_json(), other.to_json()
        for description in (mine, theirs):
            if self.fingerprint and other.fingerprint:
                description["options"].pop("weights", None)
            description["options"] = {
                name: value for name, value in description["options"].items() if value is not None
            }
        return mine == theirs

    def __str__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in sorted(self.options.items()))
        shape = "x".join(map(str, self.feature_shape))
        weights = f", weights {self.fingerprint}" if self.fingerprint else ""
        return f"{self.extractor}({options}) [{shape}{weights}]"


class Part(NamedTuple):
    """What is in one part: ``features`` is ``[N, *feature_shape]``, a view of the mapped file."""

    source: FeatureSource
    dtype: StorageDtype
    names: list[str]
    features: NDArray[Any]


def write_part(folder: Path, source: FeatureSource, names: Sequence[str], features: NDArray[Any]) -> Path:
    """Write a part aside, sync it, and only then give it its name.

    Args:
        folder: the folder of the store.
        source: what made the features.
        names: names of the pictures.
        features: float32 or float16 ``[N, *feature_shape]``.

    Returns:
        The path of the part.

    Raises:
        FeatureStoreError: it cannot be written.
    """
    width = int(np.prod(source.feature_shape, dtype=np.int64))
    column = pa.FixedSizeListArray.from_arrays(pa.array(features.reshape(-1)), width)
    description = {"format": FORMAT_VERSION, "dtype": str(features.dtype), **source.to_json()}
    schema = pa.schema(
        [("image", pa.string()), ("features", column.type)],
        metadata={_METADATA_KEY: json.dumps(description, sort_keys=True).encode()},
    )
    # Names sort by time, and no two processes choose the same.
    path = folder / f"part-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.arrow"
    aside = path.with_name(f".{path.name}{_UNFINISHED}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with aside.open("wb") as file:
            with pa.ipc.new_file(file, schema) as writer:
                if names:
                    writer.write_batch(pa.record_batch([pa.array(names, pa.string()), column], schema=schema))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
        _sync_folder(folder)
    except OSError as error:
        raise FeatureStoreError(
            f"Cannot write '{path}': {error}. Make room, or choose another folder."
        ) from error
    finally:
        with suppress(OSError):
            aside.unlink()
    return path


def remove_leftovers(folder: Path) -> None:
    """Remove unfinished parts of writers that were killed: those untouched for `LEFTOVER_SECONDS`.

    Processes of other machines may be writing into the same folder, so that only age tells which are
    abandoned. What cannot be removed stays; it is never read.
    """
    for leftover in folder.glob(f".{PATTERN}{_UNFINISHED}"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > LEFTOVER_SECONDS:
                leftover.unlink()


def read_part(path: Path) -> Part:
    """Map a part into memory.

    Raises:
        FeatureStoreError: it is broken, or of another format version.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        description = json.loads((reader.schema.metadata or {})[_METADATA_KEY])
        if description["format"] != FORMAT_VERSION:
            raise FeatureStoreError(
                f"'{path}' has the format {description['format']}, and this capframe reads {FORMAT_VERSION}: "
                "extract the features again, or use the capframe that wrote them."
            )
        source, dtype = _source(path, description), description["dtype"]
        width = int(np.prod(source.feature_shape, dtype=np.int64))
        column = pa.list_({"float16": pa.float16(), "float32": pa.float32()}[dtype], width)
        if not reader.schema.equals(pa.schema([("image", pa.string()), ("features", column)])):
            raise ValueError(f"its columns are {reader.schema.to_string(show_schema_metadata=False)!r}")
        names: list[str] = []
        arrays: list[NDArray[Any]] = [np.empty((0, *source.feature_shape), dtype)]
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            # Lengths and offsets in a damaged file must not be believed: reading would leave the map.
            batch.validate(full=True)
            if any(values.null_count for values in (*batch.columns, batch.column("features").flatten())):
                raise ValueError("it holds nulls")
            names += batch.column("image").to_pylist()
            arrays.append(batch.column("features").flatten().to_numpy().reshape(-1, *source.feature_shape))
    except _DAMAGE as error:
        raise FeatureStoreError(
            f"'{path}' is not a whole part of a feature store ({error}): delete it and run "
            "'capframe extract' again; the other parts stay."
        ) from error
    return Part(source, dtype, names, arrays[1] if len(arrays) == 2 else np.concatenate(arrays))


def _source(path: Path, description: Mapping[str, Any]) -> FeatureSource:
    try:
        return FeatureSource.from_json(description)
    except FeatureStoreError as error:
        raise FeatureStoreError(f"'{path}' is damaged: {error}") from error


def _sync_folder(folder: Path) -> None:
    # Windows cannot open folders; there the rename alone must do.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
