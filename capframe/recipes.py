"""Recipes: sets of parts and options that go well together, by name."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from .errors import UsageError, did_you_mean

RECIPES: dict[str, dict[str, Any]] = {
    "seed": {},
    "best": {
        "feature_extractor": {"name": "efficientnet-lite-stacked", "regions": True},
        "decoder": {"name": "transformer", "region_dropout": 0.3},
        "callbacks": ["checkpoint"],
        "training": {
            "epochs": 12,
            "learning_rate": 7e-4,
            "weight_decay": 0.01,
            "label_smoothing": 0.1,
            "views": 5,
            "word_dropout": 0.1,
            "weight_averaging": 0.999,
        },
    },
    "self-critical": {
        "callbacks": ["checkpoint"],
        "training": {
            "objective": "self-critical",
            "epochs": 8,
            "schedule": "cosine",
            "warm_up": 0.5,
            "learning_rate": 1e-4,
            "views": 5,
            "weight_averaging": 0.99,
        },
    },
}
"""Each has the form of a configuration file.

``seed`` is the defaults, ``best`` gives the best captions of one stage, and ``self-critical`` is a second
stage, which starts from a run of ``best``.
"""


def recipe_table(name: str) -> dict[str, Any]:
    """Return a recipe, in the form of a configuration file.

    Raises:
        UsageError: there is no such recipe.
    """
    if name not in RECIPES:
        raise UsageError(
            f"There is no recipe '{name}'.{did_you_mean(name, RECIPES)} The recipes: {', '.join(RECIPES)}."
        )
    return deepcopy(RECIPES[name])


def recipe(name: str, **given: Any) -> dict[str, Any]:
    """Return the arguments of a recipe's `Captioner`, as in ``Captioner(**recipe("best"))``.

    Arguments that are ``given`` win: a part as a whole, ``vocabulary`` and ``training`` option by option.

    Raises:
        UsageError: there is no such recipe.
    """
    arguments = dict(given)
    for key, value in recipe_table(name).items():
        if key in ("vocabulary", "training"):
            arguments[key] = {**value, **(given.get(key) or {})}
        elif key not in given:
            arguments[key] = [_spec(part) for part in value] if isinstance(value, list) else _spec(value)
    return arguments


def _spec(part: Any) -> Any:
    if isinstance(part, str):
        return part
    options = dict(part)
    return options.pop("name"), options
