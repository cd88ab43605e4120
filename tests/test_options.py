from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capframe.errors import OptionError, PluginError
from capframe.options import REQUIRED, Option, check_options, options_of

if TYPE_CHECKING:
    from collections.abc import Never  # type: ignore[attr-defined]


class Drum:
    def __init__(
        self,
        size: int,
        *,
        pitch: float = 440.0,
        kind: Literal["snare", "bass"] = "snare",
        muted: bool = False,
        label: str = "",
        skins: tuple[int, ...] = (1, 2),
        stand: int | None = None,
        free: Any = None,
    ) -> None: ...


DEFAULTS = {
    "pitch": 440.0,
    "kind": "snare",
    "muted": False,
    "label": "",
    "skins": (1, 2),
    "stand": None,
    "free": None,
}


def checked(name: str, value: object) -> Any:
    return check_options("decoder 'drum'", Drum, {"size": 3, name: value})[name]


def test_options_are_the_typed_arguments_of_the_constructor_in_their_order() -> None:
    options = options_of(Drum)
    assert list(options) == ["size", *DEFAULTS]
    assert options["size"] == Option("size", int, REQUIRED)
    assert options["pitch"] == Option("pitch", float, 440.0)
    assert options["kind"].type == Literal["snare", "bass"]
    assert options["stand"].type == int | None


@pytest.mark.parametrize(
    ("option", "shown"),
    [("size", "size: int"), ("pitch", "pitch: float = 440.0"), ("stand", "stand: int | None = None")],
)
def test_an_option_is_shown_with_type_and_default(option: str, shown: str) -> None:
    assert str(options_of(Drum)[option]) == shown


def test_defaults_are_filled_in() -> None:
    assert check_options("decoder 'drum'", Drum, {"size": 3}) == {"size": 3, **DEFAULTS}


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("size", "256", 256),
        ("size", 256.0, 256),
        ("pitch", 7, 7.0),
        ("pitch", "1e-3", 0.001),
        ("pitch", "-inf", -math.inf),
        ("kind", "bass", "bass"),
        ("muted", "true", True),
        ("muted", "False", False),
        ("muted", "0", False),
        ("label", "256", "256"),
        ("label", "null", "null"),
        ("skins", "[3, 4, 5]", (3, 4, 5)),
        ("skins", [3, 4], (3, 4)),
        ("stand", "5", 5),
        ("stand", "none", None),
        ("stand", "null", None),
        ("stand", None, None),
        ("free", "[1, {}]", [1, {}]),
        ("free", "just text", "just text"),
        ("free", 3j, 3j),
    ],
)
def test_values_and_text_are_read_as_the_type_of_the_option(name: str, given: object, taken: object) -> None:
    value = checked(name, given)
    assert value == taken
    assert type(value) is type(taken)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("size", "many"),
        ("size", 1.5),
        ("size", None),
        ("size", True),
        ("pitch", "high"),
        ("pitch", False),
        ("kind", "tom"),
        ("muted", "perhaps"),
        ("muted", 2),
        ("label", 5),
        ("skins", "3"),
        ("skins", ["thick"]),
        ("stand", "tall"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_what_the_option_is(name: str, wrong: object) -> None:
    with pytest.raises(OptionError) as caught:
        checked(name, wrong)
    message = str(caught.value)
    assert message.startswith(f"The decoder 'drum' cannot take {name}={wrong!r}: ")
    assert f"It is {options_of(Drum)[name]}." in message


def test_an_unknown_option_is_refused_with_those_that_exist() -> None:
    with pytest.raises(OptionError) as caught:
        checked("picth", 1.0)
    message = str(caught.value)
    assert message.startswith("The decoder 'drum' has no option 'picth'. Did you mean 'pitch'? Its options: ")
    assert "size: int, pitch: float = 440.0, kind: " in message


def test_a_factory_without_options_says_so() -> None:
    with pytest.raises(OptionError, match=r"The decoder 'plain' has no option 'size'. Its options: none."):
        check_options("decoder 'plain'", lambda: None, {"size": 1})


def test_an_option_without_default_must_be_given() -> None:
    with pytest.raises(
        OptionError, match=r"The decoder 'drum' needs the option 'size'. Its options: size: int"
    ):
        check_options("decoder 'drum'", Drum, {"pitch": 1.0})


def test_a_factory_with_free_keywords_takes_any_option() -> None:
    def factory(size: int = 1, **others: object) -> None: ...

    assert check_options("decoder 'open'", factory, {"colour": "red", "depth": "3"}) == {
        "size": 1,
        "colour": "red",
        "depth": 3,
    }
    with pytest.raises(OptionError, match="cannot take size='x'"):
        check_options("decoder 'open'", factory, {"size": "x"})


def test_types_are_guessed_from_defaults_where_annotations_cannot_be_read() -> None:
    def factory(*, size=1, share=0.5, loud=False, word="a", other=None, hint: Never = 2): ...  # type: ignore[no-untyped-def]

    types = {name: option.type for name, option in options_of(factory).items()}
    assert types == {"size": int, "share": float, "loud": bool, "word": str, "other": Any, "hint": int}
    with pytest.raises(OptionError, match="size: int = 1"):
        check_options("decoder 'old'", factory, {"size": "x"})


def test_dataclasses_partials_and_paths_are_understood() -> None:
    @dataclass
    class Where:
        folder: Path = Path("/somewhere")
        depth: int = 1

    assert check_options("where", Where, {"folder": "/there", "depth": "2"}) == {
        "folder": Path("/there"),
        "depth": 2,
    }
    half = partial(Drum, size=2)
    assert check_options("half", half, {"pitch": 1})["size"] == 2
    with pytest.raises(OptionError, match=r"has no option 'sise'. Did you mean 'size'"):
        check_options("half", half, {"sise": 1})


def test_a_type_that_can_not_be_checked_takes_the_value_as_it_is() -> None:
    class Ticket: ...

    def factory(ticket: Ticket | None = None) -> None: ...

    factory.__annotations__["ticket"] = Ticket
    ticket = Ticket()
    assert check_options("fair", factory, {"ticket": ticket}) == {"ticket": ticket}
    with pytest.raises(OptionError, match="cannot take ticket=5"):
        check_options("fair", factory, {"ticket": 5})


def test_a_factory_whose_options_cannot_be_read_is_a_mistake_of_its_plugin() -> None:
    with pytest.raises(PluginError, match="<class 'dict'> cannot be read: offer a class or function"):
        check_options("text cleaner 'dict'", dict, {})


@given(st.integers(), st.floats(allow_nan=False), st.booleans(), st.lists(st.integers(), max_size=3))
def test_text_and_value_mean_the_same(size: int, pitch: float, muted: bool, skins: list[int]) -> None:
    values = {"size": size, "pitch": pitch, "muted": muted, "skins": skins}
    texts = {name: str(value) for name, value in values.items()}
    assert check_options("drum", Drum, texts) == check_options("drum", Drum, values)
