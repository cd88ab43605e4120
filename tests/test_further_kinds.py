"""Metrics, commands and trained captioners of plugins: offered by hooks like every other part."""

import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from capframe import PluginManager, Registry
from capframe.cli import main
from capframe.cli.arguments import run_folder_of, run_folders_of
from capframe.errors import PluginError, ScoringError, UnknownComponentError, UsageError
from capframe.scoring import score


class WordsFound:
    """Share of the words of the first reference that the caption has.

    Args:
        weight: factor of the score.
    """

    def __init__(self, weight: float = 1.0) -> None:
        self.weight = weight

    def __call__(self, hypotheses, references):
        rows = np.array(
            [
                self.weight * len({*words} & {*texts[0]}) / len({*texts[0]})
                for words, texts in zip(hypotheses, references, strict=True)
            ]
        )
        return float(rows.mean()), rows


@click.command(short_help="Greet.")
@click.option("--name", default="you")
def greet(name: str) -> None:
    click.echo(f"Hello {name}")


def broken_command(*arguments: object) -> None:
    raise AssertionError("never called")


@pytest.fixture
def offer(offering):
    """Return a function that makes a registry in which one plugin offers what is given."""

    def make(**hooks) -> Registry:
        manager = PluginManager(strict=True, disabled={"*"})
        manager.register(offering(**hooks), "further")
        return Registry(manager)

    return make


def run(registry: Registry, *arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)), obj=registry)


@pytest.fixture
def captions(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "references.csv").write_text("1.png,a red star\n1.png,one star\n2.png,two blue dots here\n")
    (tmp_path / "hypotheses.csv").write_text("2.png,two dots\n1.png,a red star\n")
    return "--references", f"{tmp_path}/references.csv", "--hypotheses", f"{tmp_path}/hypotheses.csv"


def test_a_metric_gets_words_and_its_scores_stand_in_the_report(offer, captions, tmp_path):
    registry = offer(register_metrics={"words-found": WordsFound})

    rows = tmp_path / "rows.csv"
    result = run(
        registry, "score", *captions, "--metric", "words-found", "--format", "json", "--per-picture", rows
    )

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["words-found"] == pytest.approx((1 + 2 / 4) / 2)
    assert rows.read_text().splitlines()[0].endswith(",words-found")
    assert [line.rsplit(",", 1)[1] for line in rows.read_text().splitlines()[1:]] == ["1.0", "0.5"]


def test_an_unknown_metric_is_an_error_that_lists_those_on_offer(offer, captions):
    result = run(
        offer(register_metrics={"words-found": WordsFound}), "score", *captions, "--metric", "word-found"
    )

    assert result.exit_code == 1
    assert "No metric is named 'word-found'. Did you mean 'words-found'?" in result.stderr


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (lambda hypotheses, references: (1.0, np.ones(3)), "gave scores [3] for 2 pictures"),
        (lambda hypotheses, references: 1.0, "TypeError"),
        (lambda hypotheses, references: 1 / 0, "ZeroDivisionError: division by zero"),
    ],
)
def test_a_metric_that_fails_is_named_with_the_reason(metric, reason):
    with pytest.raises(ScoringError, match="The metric 'odd'") as caught:
        score({"1": "a", "2": "b"}, {"1": ["a"], "2": ["b"]}, metrics={"odd": metric})
    assert reason in str(caught.value)


@pytest.mark.parametrize("target", [greet, "greeting:greet"])
def test_a_command_of_a_plugin_is_listed_and_runs(offer, target, tmp_path, monkeypatch):
    (tmp_path / "greeting.py").write_text(
        "import click\n@click.command(short_help='Greet.')\n@click.option('--name', default='you')\n"
        "def greet(name):\n    click.echo(f'Hello {name}')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry = offer(register_commands={"greet": target})

    assert "greet       Greet." in run(registry, "--help").stdout
    assert run(registry, "greet", "--name", "star").stdout == "Hello star\n"
    assert "Did you mean 'greet'?" in run(registry, "great").stderr


@pytest.mark.parametrize(
    ("target", "reason"),
    [(broken_command, "not a click command"), ("no_such_module:greet", "No module named 'no_such_module'")],
)
def test_a_command_that_cannot_be_loaded_breaks_nothing_but_itself(offer, target, reason):
    registry = offer(register_commands={"greet": target})

    listed, used = run(registry, "--help"), run(registry, "greet", "--name", "star")

    assert listed.exit_code == 0
    assert "greet       (broken: run it to see why)" in listed.stdout
    assert used.exit_code == 1
    assert reason in used.stderr
    assert "plugin 'further'" in used.stderr


def test_a_command_of_capframe_cannot_be_replaced(offer):
    registry = offer(register_commands={"score": greet})

    assert "References" not in run(registry, "score", "--help").stdout
    assert "--hypotheses" in run(registry, "score", "--help").stdout
    assert run(registry, "--help").stdout.count("  score ") == 1


def test_a_run_is_a_folder_or_the_name_of_an_installed_captioner(offer, tmp_path):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    registry = offer(register_captioners={"stars": shipped})

    assert run_folder_of(None, registry) == shipped
    assert run_folder_of("stars", registry) == shipped
    assert run_folder_of(str(own), registry) == own
    with pytest.raises(UsageError, match=r"no run folder 'star'\. Did you mean 'stars'"):
        run_folder_of("star", registry)


def test_several_runs_may_be_folders_and_installed_captioners(offer, tmp_path):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    shipped.mkdir()
    own.mkdir()
    registry = offer(register_captioners={"stars": shipped})

    assert run_folders_of([str(own), "stars"], registry) == [own, shipped]
    assert run_folders_of([], registry) == [shipped]
    with pytest.raises(UsageError, match=r"no run folder 'star'"):
        run_folders_of([str(own), "star"], registry)


def test_without_a_run_the_choice_must_be_clear(offer, tmp_path):
    two = offer(register_captioners={"one": tmp_path, "two": tmp_path})
    with pytest.raises(UsageError, match="Several captioners are installed: one, two"):
        run_folder_of(None, two)
    with pytest.raises(UsageError, match="offers a trained one: python -m pip install capframe-flickr8k"):
        run_folder_of(None, offer(register_metrics={"words-found": WordsFound}))


def test_a_captioner_whose_folder_is_gone_names_its_plugin(offer, tmp_path):
    registry = offer(register_captioners={"stars": tmp_path / "gone"})
    with pytest.raises(PluginError, match=r"captioner 'stars' of the plugin 'further' .* no such folder"):
        registry.captioner("stars")
    with pytest.raises(UnknownComponentError, match="No captioner is named 'moons'"):
        registry.captioner("moons")


def test_a_captioner_is_offered_as_a_path(offer):
    with pytest.raises(PluginError, match=r"offers 'folder' as 'stars'; it must be a pathlib\.Path"):
        offer(register_captioners={"stars": "folder"})
