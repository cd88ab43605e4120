"""Recipes: what they say can be composed, and what is given wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from capframe import Captioner, Registry
from capframe.cli.settings import Part, Settings
from capframe.errors import UsageError
from capframe.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_composed_from_python_and_as_settings(name: str, registry: Registry) -> None:
    captioner = Captioner(**recipe(name), registry=registry)
    settings = Settings.of_recipe(name)
    composition = captioner.composition
    assert composition.decoder.name == settings.decoder.name
    assert [part.name for part in composition.callbacks] == [part.name for part in settings.callbacks]
    for option, value in settings.training.items():
        assert getattr(composition.training_options, option) == value


def test_the_seed_recipe_is_the_defaults() -> None:
    assert recipe("seed") == {}
    assert Settings.of_recipe("seed") == Settings()


def test_arguments_that_are_given_win_over_the_recipe() -> None:
    arguments = recipe("best", decoder="add-merge", training={"epochs": 2}, vocabulary={"min_count": 3})
    assert arguments["decoder"] == "add-merge"
    assert arguments["feature_extractor"] == ("efficientnet-lite-stacked", {"regions": True})
    assert arguments["training"] == {**RECIPES["best"]["training"], "epochs": 2}
    assert arguments["vocabulary"]["min_count"] == 3
    assert RECIPES["best"]["training"]["epochs"] != 2


def test_a_file_and_the_command_line_win_over_the_recipe(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("epochs = 3\n[decoder]\nlayers = 1\n[training]\nwarm_up = 0.5\n")
    settings = Settings.read(path, Settings.of_recipe("best"))
    settings.choose("vgg16")
    settings.assign("training.weight_decay=0.5")
    assert settings.decoder == Part("transformer", {"region_dropout": 0.3, "layers": 1})
    assert settings.feature_extractor == Part("vgg16")
    assert settings.training == {
        **RECIPES["best"]["training"],
        "epochs": 3,
        "warm_up": 0.5,
        "weight_decay": "0.5",
    }


def test_an_unknown_recipe_is_named_with_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no recipe 'bets'. Did you mean 'best'.*The recipes: seed, best"):
        recipe("bets")
