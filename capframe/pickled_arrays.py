"""Pickled NumPy arrays, read without ``pickle``: nothing that the file names is imported or called.

Unpickling calls whatever the file names. Here the opcodes of the file are followed by a small machine
that knows dicts, strings, numbers and arrays. The few names that every pickled array mentions are signs
to it; any other name is refused.
"""

from __future__ import annotations

import mmap
import os
import pickletools
import re
from collections.abc import Iterable
from contextlib import suppress
from enum import Enum
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_DIMENSIONS = 8


class PickleRefusedError(Exception):
    """The file is damaged, or asks for something that a dict of arrays does not need; says what."""


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read a pickled dict {string: array of numbers}, of any pickle protocol and any NumPy.

    What is read never takes more than a few times the bytes of the file, whatever it claims.

    Raises:
        PickleRefusedError: see there.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise PickleRefusedError("it is empty")
        try:
            # Mapped: a string that claims to be longer than the file is found out before room is made for it.
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                return _Machine(2 * size).run(pickletools.genops(mapped))  # type: ignore[arg-type]
        except (ValueError, LookupError, TypeError) as error:
            raise PickleRefusedError(f"it is damaged, or no pickle at all ({error})") from error


class _Name(Enum):
    """What a pickled array asks for by name."""

    NDARRAY = "numpy.ndarray"
    DTYPE = "numpy.dtype"
    RECONSTRUCT = "numpy.core.multiarray._reconstruct"
    FROM_BUFFER = "numpy.core.numeric._frombuffer"
    ENCODE = "_codecs.encode"
    BYTES = "builtins.bytes"


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_PYTHON_2_STRINGS = frozenset({"STRING", "BINSTRING", "SHORT_BINSTRING"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_NUMBERS = re.compile(r"[<>=|]?(f[248]|[iu][1248])")


class _OldString(str):
    """A string of Python 2, which is bytes, shown as Latin-1."""

    @cached_property
    def content(self) -> bytes:
        return self.encode("latin-1")


class _Dtype:
    def __init__(self, code: str) -> None:
        if not _NUMBERS.fullmatch(code):
            raise PickleRefusedError(f"it holds an array of '{code[:40]}', and features are numbers")
        self.dtype = np.dtype(code)

    def build(self, state: Any) -> None:
        match state:
            case (_, "<" | ">" | "=" | "|" as order, None, None, None, *_):
                self.dtype = self.dtype.newbyteorder(order)
            case _:
                raise PickleRefusedError("it describes an array of something else than numbers")


class _Array:
    numbers: NDArray[Any] | None = None

    def build(self, state: Any) -> None:
        match state:
            case (_, tuple() as shape, _Dtype() as dtype, fortran, bytes() | bytearray() as content):
                self.fill(shape, dtype, "F" if fortran else "C", content)
            case (_, tuple() as shape, _Dtype() as dtype, fortran, _OldString() as text):
                self.fill(shape, dtype, "F" if fortran else "C", text.content)
            case _:
                raise PickleRefusedError("it describes an array of something else than numbers")

    def fill(self, shape: tuple[Any, ...], dtype: _Dtype, order: str, content: bytes | bytearray) -> None:
        plausible = len(shape) <= _MOST_DIMENSIONS and all(
            isinstance(length, int) and 0 <= length <= len(content) for length in shape
        )
        if not plausible or prod(shape) * dtype.dtype.itemsize != len(content):
            raise PickleRefusedError(f"an array claims another shape than its {len(content)} bytes can have")
        flat = np.frombuffer(content, dtype.dtype)
        self.numbers = flat.reshape(shape, order="F" if order == "F" else "C")


class _Machine:
    """Follows the opcodes of a pickle; see the reference of ``pickletools`` for what each one does."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(
        self, opcodes: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]
    ) -> dict[str, NDArray[Any]]:
        for opcode, argument, _ in opcodes:
            self.step(opcode.name, argument)
        result = self.stack.pop()
        if not isinstance(result, dict):
            raise PickleRefusedError("it is not a dict of arrays")
        return {key: self.finished(key, array) for key, array in result.items()}

    def finished(self, key: str, array: _Array) -> NDArray[Any]:
        if array.numbers is None:
            raise PickleRefusedError(f"the array under {key[:80]!r} has no content")
        self.spend(array.numbers.nbytes)
        return array.numbers

    def step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in _LITERALS:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode in ("MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[len(self.memo) if argument is None else argument] = stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif opcode in _TUPLES:
            stack.append(tuple(stack.pop() for _ in range(_TUPLES[opcode]))[::-1])
        elif opcode == "MARK":
            self.marks.append(len(stack))
        elif opcode == "TUPLE":
            stack.append(tuple(self.since_mark()))
        elif opcode in _PYTHON_2_STRINGS:
            stack.append(_OldString(argument))
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            self.compose(opcode, argument)

    def compose(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode == "REDUCE":
            arguments = stack.pop()
            stack.append(self.call(stack.pop(), arguments))
        elif opcode == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], (_Array, _Dtype)):
                raise PickleRefusedError("it sets the state of something that is no array")
            stack[-1].build(state)
        elif opcode in ("GLOBAL", "STACK_GLOBAL"):
            name = stack.pop() if argument is None else argument.partition(" ")[2]
            stack.append(_named(stack.pop() if argument is None else argument.partition(" ")[0], name))
        elif opcode in ("EMPTY_DICT", "DICT"):
            items = self.since_mark() if opcode == "DICT" else []
            stack.append({})
            self.set_items(items)
        elif opcode in ("SETITEM", "SETITEMS"):
            self.set_items([stack.pop(), stack.pop()][::-1] if opcode == "SETITEM" else self.since_mark())
        else:
            raise PickleRefusedError(f"it uses the opcode {opcode}, which a dict of arrays does not need")

    def since_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def set_items(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, dict) or len(items) % 2:
            raise PickleRefusedError("it is not a dict of arrays")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str):
                raise PickleRefusedError(
                    f"it holds a key that is no string but {type(key).__name__.strip('_').lower()}"
                )
            if not isinstance(value, _Array):
                kind = type(value).__name__.strip("_").lower()
                raise PickleRefusedError(f"under {key[:80]!r} it holds no array but {kind}")
            target[key.content.decode() if isinstance(key, _OldString) else key] = value

    def call(self, function: Any, arguments: Any) -> Any:
        match function, arguments:
            case _Name.RECONSTRUCT, (_Name.NDARRAY, *_):
                return _Array()
            case _Name.DTYPE, (str() as code, *_):
                return _Dtype(code)
            case (
                _Name.FROM_BUFFER,
                (bytes() | bytearray() as content, _Dtype() as dtype, tuple() as shape, "C" | "F" as order),
            ):
                array = _Array()
                array.fill(shape, dtype, order, content)
                return array
            case _Name.ENCODE, (str() as text, "latin1"):
                self.spend(len(text))
                return text.encode("latin-1")
            case _Name.BYTES, ():
                return b""
        raise PickleRefusedError("it calls something in a way that a dict of arrays does not need")

    def spend(self, size: int) -> None:
        """Refuse what would unpack to more than the file holds, by naming one thing many times."""
        self.budget -= size
        if self.budget < 0:
            raise PickleRefusedError("it would unpack to more than the file holds")


def _named(module: Any, name: Any) -> _Name:
    if not isinstance(module, str) or not isinstance(name, str):
        raise PickleRefusedError("it asks for something whose name is no string")
    # NumPy 2 renamed numpy.core; Python 2 called builtins __builtin__.
    asked = f"{module}.{name}".replace("numpy._core.", "numpy.core.").replace("__builtin__.", "builtins.")
    with suppress(ValueError):
        return _Name(asked)
    raise PickleRefusedError(f"it asks for '{module[:80]}.{name[:80]}', which a dict of arrays does not need")
