"""The options of a component: the typed keyword arguments of its constructor."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import OptionError, PluginError, did_you_mean

REQUIRED = inspect.Parameter.empty


@dataclass(frozen=True)
class Option:
    """One option: its name, its type and its default (``REQUIRED`` where there is none)."""

    name: str
    type: Any
    default: Any

    def __str__(self) -> str:
        plain = isinstance(self.type, type)
        shown = self.type.__name__ if plain else str(self.type).replace("typing.", "")
        return f"{self.name}: {shown}" + ("" if self.default is REQUIRED else f" = {self.default!r}")


def options_of(factory: Callable[..., Any]) -> dict[str, Option]:
    """Return the options of a factory, by name, in the order in which its constructor lists them.

    An argument without annotation takes the type of its default, as far as that tells one.
    """
    hints = _type_hints(factory)
    options = {}
    for parameter in _parameters(factory):
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        known = isinstance(parameter.default, (bool, int, float, str))
        guess = type(parameter.default) if known else Any
        options[parameter.name] = Option(parameter.name, hints.get(parameter.name, guess), parameter.default)
    return options


def check_options(owner: str, factory: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Check ``given`` against the options of ``factory``; return every option, defaults filled in.

    Text, as the command line gives it, is read as the type that the option has (``"256"`` for an int,
    ``"true"`` for a bool, ``"[1, 2]"`` for a tuple).

    Args:
        owner: what errors call the component, for instance ``decoder 'add-merge'``.
        factory: the class or function that will be called with the options.
        given: option name -> value.

    Raises:
        OptionError: an option does not exist, has a value of the wrong type, or is missing.
        PluginError: the factory does not say which options it has.
    """
    known = options_of(factory)
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in _parameters(factory))
    listing = ", ".join(str(option) for option in known.values()) or "none"
    values = {name: option.default for name, option in known.items() if option.default is not REQUIRED}
    for name, value in given.items():
        if name not in known and not open_ended:
            raise OptionError(
                f"The {owner} has no option '{name}'.{did_you_mean(name, known)} Its options: {listing}."
            )
        option = known.get(name, Option(name, Any, REQUIRED))
        values[name] = _checked_value(owner, option, value)
    missing = [name for name in known if name not in values]
    if missing:
        raise OptionError(f"The {owner} needs the option '{missing[0]}'. Its options: {listing}.")
    return values


def _parameters(factory: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(factory).parameters.values())
    except (ValueError, TypeError):
        raise PluginError(
            f"The options of {factory!r} cannot be read: offer a class or function that is written in Python."
        ) from None


def _checked_value(owner: str, option: Option, value: Any) -> Any:
    from pydantic import (
        ConfigDict,
        PydanticSchemaGenerationError,
        PydanticUserError,
        TypeAdapter,
        ValidationError,
    )

    try:
        adapter = TypeAdapter(option.type, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a dataclass or model brings its own configuration
        adapter = TypeAdapter(option.type)
    except PydanticSchemaGenerationError:
        return value
    if isinstance(value, bool) and option.type in (int, float):  # pydantic would take it for 0 or 1
        raise OptionError(
            f"The {owner} cannot take {option.name}={value!r}: a number is due. It is {option}."
        )
    try:
        if option.type is Any and isinstance(value, str):
            return _from_json(value)
        return adapter.validate_python(value)
    except ValidationError as error:
        if isinstance(value, str):
            try:
                return adapter.validate_python(_from_json(value))
            except ValidationError:
                pass
        reason = error.errors()[0]["msg"]
        raise OptionError(
            f"The {owner} cannot take {option.name}={value!r}: {reason}. It is {option}."
        ) from None


def _from_json(text: str) -> Any:
    try:
        return json.loads("null" if text.lower() == "none" else text)
    except ValueError:
        return text


def _type_hints(factory: Callable[..., Any]) -> dict[str, Any]:
    subject = factory.__init__ if isinstance(factory, type) else factory  # type: ignore[misc]
    try:
        # Not typing.get_type_hints: in Python 3.10 it makes Optional of every option that is None by default.
        return inspect.get_annotations(subject, eval_str=True)
    except (NameError, TypeError, AttributeError):  # annotations that exist for type checkers alone
        return {}
