from __future__ import annotations

from pathlib import Path

import pytest

from capframe import CapframeError, Registry
from capframe.cli.compose import compose
from capframe.cli.settings import Part, Settings
from capframe.errors import UsageError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "my.toml"
    path.write_text(
        """
        feature_extractor = "quarter-colours"
        text_cleaners = ["regex", {name = "other", strong = true}]
        callbacks = [{name = "early-stopping", patience = 3}]
        epochs = 7

        [decoder]
        units = 512

        [vocabulary]
        min_count = 2

        [training]
        learning_rate = 0.01
        """
    )
    return path


def test_a_file_holds_names_tables_and_options(config: Path) -> None:
    settings = Settings.read(config)

    assert settings.feature_extractor == Part("quarter-colours")
    assert settings.text_cleaners == [Part("regex"), Part("other", {"strong": True})]
    assert settings.decoder == Part("add-merge", {"units": 512})
    assert settings.callbacks == [Part("early-stopping", {"patience": 3})]
    assert settings.vocabulary == {"min_count": 2}
    assert settings.training == {"epochs": 7, "learning_rate": 0.01}


def test_an_empty_file_leaves_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")

    assert Settings.read(tmp_path / "empty.toml") == Settings()


def test_the_command_line_wins_over_the_file(config: Path) -> None:
    settings = Settings.read(config)

    settings.choose("vgg16", ["other"], None, ["early-stopping", "checkpoint"])
    settings.assign("decoder.units=64")

    assert settings.feature_extractor == Part("vgg16")
    assert settings.text_cleaners == [Part("other", {"strong": True})]
    assert settings.callbacks == [Part("early-stopping", {"patience": 3}), Part("checkpoint")]
    assert settings.decoder == Part("add-merge", {"units": "64"})


def test_another_part_does_not_inherit_the_options_of_the_one_it_replaces(config: Path) -> None:
    settings = Settings.read(config)

    settings.choose(decoder="attention")

    assert settings.decoder == Part("attention")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("decodr = 'x'", r"unknown key 'decodr'. Did you mean 'decoder'\? The keys: feature_extractor, "),
        ("text_cleaners = 'regex'", "text_cleaners is a list of names or tables, not 'regex'"),
        ("callbacks = [{patience = 3}]", "callbacks needs a name, or a table with the key 'name'"),
        ("decoder = 5", "decoder needs a name, or a table with the key 'name'; not 5"),
        ("vocabulary = 5", r"\[vocabulary\] is a table of options, not 5"),
        ("seed = 1\n[training]\nseed = 2", "seed is given twice"),
        ("seed = ", "cannot be read as TOML"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)

    with pytest.raises(UsageError, match=f"wrong.toml.*{message}"):
        Settings.read(path)


@pytest.mark.parametrize(
    ("assignment", "part"),
    [
        ("decoder.units=64", "decoder"),
        ("feature_extractor.units=64", "feature_extractor"),
    ],
)
def test_set_reaches_a_part_by_its_kind(assignment: str, part: str) -> None:
    settings = Settings()

    settings.assign(assignment)

    assert getattr(settings, part).options == {"units": "64"}


def test_set_reaches_vocabulary_and_training() -> None:
    settings = Settings()

    settings.assign("vocabulary.min_count=1")
    settings.assign("training.learning_rate=1e-2")

    assert (settings.vocabulary, settings.training) == ({"min_count": "1"}, {"learning_rate": "1e-2"})


def test_set_reaches_callbacks_and_cleaners_by_name() -> None:
    settings = Settings()

    settings.assign("early-stopping.patience=3")
    settings.assign("regex.lowercase=false")

    assert settings.callbacks[1] == Part("early-stopping", {"patience": "3"})
    assert settings.text_cleaners == [Part("regex", {"lowercase": "false"})]


def test_text_cleaner_means_the_only_one_and_values_may_hold_equals_signs() -> None:
    settings = Settings()

    settings.assign("text_cleaner.pattern=[.=]")

    assert settings.text_cleaners == [Part("regex", {"pattern": "[.=]"})]


def test_text_cleaner_is_refused_where_there_are_several() -> None:
    settings = Settings(text_cleaners=[Part("regex"), Part("other")])

    with pytest.raises(UsageError, match="does not say which of these is meant: regex, other"):
        settings.assign("text_cleaner.pattern=x")


@pytest.mark.parametrize("assignment", ["units=5", "decoder.units", "decoder.=5", ".units=5", "decoder=5"])
def test_set_in_another_form_is_refused_with_the_right_one(assignment: str) -> None:
    with pytest.raises(UsageError, match=r"not of the form KIND.OPTION=VALUE, .* --set decoder.units=512"):
        Settings().assign(assignment)


def test_set_of_an_unknown_kind_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"has no 'earlystopping'. Did you mean 'early-stopping'\?"):
        Settings().assign("earlystopping.patience=3")


def test_settings_become_a_captioner(registry: Registry) -> None:
    settings = Settings()
    settings.choose("quarter-colours", callbacks=["checkpoint"])
    for assignment in ("feature_extractor.regions=true", "decoder.units=8", "training.epochs=3"):
        settings.assign(assignment)

    composition = compose(settings, registry).composition

    assert composition.feature_extractor.options == {"regions": True, "scale": 1.0}
    assert composition.decoder.options["units"] == 8
    assert composition.training_options.epochs == 3
    assert [callback.name for callback in composition.callbacks] == ["checkpoint"]


def test_a_wrong_option_in_a_file_names_the_file(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[decoder]\nunitts = 5")

    with pytest.raises(CapframeError, match=r"my.toml: The decoder 'add-merge' has no option 'unitts'"):
        compose(Settings.read(path), registry, path)


def test_a_wrong_option_of_the_command_line_is_not_blamed_on_the_file(
    tmp_path: Path, registry: Registry
) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[decoder]\nunits = 5")
    settings = Settings.read(path)
    settings.assign("decoder.unitts=6")

    with pytest.raises(CapframeError, match=r"^The decoder 'add-merge' has no option 'unitts'"):
        compose(settings, registry, path)


def test_two_different_mistakes_are_told_apart(tmp_path: Path, registry: Registry) -> None:
    path = tmp_path / "my.toml"
    path.write_text('decoder = "nothing"')
    settings = Settings.read(path)
    settings.choose(decoder="nobody")

    with pytest.raises(CapframeError, match=r"^No decoder is named 'nobody'"):
        compose(settings, registry, path)
