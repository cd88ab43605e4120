from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from capframe import Registry
from capframe.cli import main
from capframe.cli.group import COMMANDS, keep_when_interrupted
from capframe.errors import CapframeError
from capframe.search import SearchOptions

HEAVY = ("tensorflow", "keras", "pyarrow", "sklearn", "pydantic", "numpy", "PIL", "rich")


def command(name: str) -> click.Command:
    found = main.get_command(click.Context(main), name)
    assert found is not None
    return found


def run(arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], check=False, capture_output=True, text=True, env=environment
    )


def run_python(code: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CAPFRAME_DISABLED_PLUGINS": "*", **variables}
    return run(["-c", code], environment)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plugins"], ["train", "--help"], ["plugins", "--json"], ["--version"]]
)
def test_answers_without_importing_anything_heavy(arguments: list[str]) -> None:
    done = run_python(
        "import json, sys\n"
        "from capframe.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)"
    )

    assert done.returncode == 0
    assert json.loads(done.stderr) == []
    assert done.stdout


def test_help_lists_the_commands_in_the_order_a_newcomer_needs_them() -> None:
    output = CliRunner().invoke(main, ["--help"]).output

    places = [output.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)


def test_runs_as_a_module() -> None:
    done = run(["-m", "capframe", "--version"], dict(os.environ))

    assert (done.returncode, done.stdout) == (0, "capframe, version 0.1.0\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str) -> None:
    found = command(name)
    commands = [found, *(found.commands.values() if isinstance(found, click.Group) else ())]
    options = [option for one in commands for option in one.params if isinstance(option, click.Option)]

    assert all(one.help for one in commands)
    assert options
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", ["caption", "evaluate"])
def test_help_tells_the_defaults_that_the_search_has(name: str) -> None:
    told = {option.name: option.help or "" for option in command(name).params if hasattr(option, "help")}

    for option, default in vars(SearchOptions()).items():
        assert told[option].endswith(f"[default: {default}]")


def test_an_unknown_command_is_refused_with_what_is_close() -> None:
    result = CliRunner().invoke(main, ["evalate"])

    assert result.exit_code == 2
    assert "No such command 'evalate'. Did you mean 'evaluate'?" in result.stderr


def test_an_unknown_option_is_refused_with_what_is_close() -> None:
    result = CliRunner().invoke(main, ["train", "--epoch", "3"])

    assert result.exit_code == 2
    assert "--epochs" in result.stderr


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Return a function that makes the command ``plugins`` raise an error."""

    def fail_with(error: BaseException) -> None:
        def callback(**_: object) -> None:
            keep_when_interrupted("ten epochs. Type it again.")
            raise error

        module = importlib.import_module("capframe.cli.plugins")
        monkeypatch.setattr(module, "plugins", click.Command("plugins", callback=callback))

    return fail_with


@pytest.mark.parametrize(
    "error", [CapframeError("No such star. Look up."), OSError("No such star. Look up.")]
)
def test_a_users_mistake_is_one_message_without_traceback(
    failing: Callable[[BaseException], None], error: Exception
) -> None:
    failing(error)

    result = CliRunner().invoke(main, ["plugins"])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: No such star. Look up.\n"


def test_debug_shows_where_an_error_was_raised(failing: Callable[[BaseException], None]) -> None:
    failing(CapframeError("No such star."))

    result = CliRunner().invoke(main, ["--debug", "plugins"])

    assert isinstance(result.exception, CapframeError)


def test_an_interruption_says_what_is_kept_and_how_to_go_on(
    failing: Callable[[BaseException], None],
) -> None:
    failing(KeyboardInterrupt())

    result = CliRunner().invoke(main, ["plugins"])

    assert result.exit_code == 130
    assert result.stderr == "\nInterrupted; what was finished is kept: ten epochs. Type it again.\n"


def test_a_broken_plugin_is_warned_of_in_one_line(install_package: Callable[..., None]) -> None:
    install_package("capframe-broken", {"capframe_broken": "raise ValueError('no luck')"})

    result = CliRunner().invoke(main, ["plugins"])

    assert result.exit_code == 0
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Warning: The plugin 'capframe_broken'")
    assert ["capframe_broken", "capframe-broken", "1.0", "broken", "ValueError: no luck"] in [
        line.split(maxsplit=4) for line in result.stdout.splitlines()
    ]


CHATTER = "import os\nos.write(2, b'chatter\\n')\n"
IMPORT = (
    "from capframe.cli.quiet import import_tensorflow as load\nload()\nimport os\nos.write(2, b'after\\n')"
)


@pytest.mark.parametrize(
    ("source", "level", "shown"),
    [
        pytest.param(CHATTER, "3", "after\n", id="silenced while it loads, and only then"),
        pytest.param(CHATTER, "0", "chatter\nafter\n", id="left alone when the user asked for messages"),
    ],
)
def test_tensorflow_is_silent_while_it_loads(tmp_path: Path, source: str, level: str, shown: str) -> None:
    (tmp_path / "tensorflow.py").write_text(source)

    done = run_python(IMPORT, PYTHONPATH=str(tmp_path), TF_CPP_MIN_LOG_LEVEL=level)

    assert (done.returncode, done.stderr) == (0, shown)


def test_what_tensorflow_says_is_shown_when_it_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text(CHATTER + "raise ImportError('no luck')")

    done = run_python(IMPORT, PYTHONPATH=str(tmp_path), TF_CPP_MIN_LOG_LEVEL="3")

    assert done.returncode == 1
    assert done.stderr.startswith("chatter\n")
    assert "ImportError: no luck" in done.stderr


SHOW_ONEDNN = (
    "import os\n"
    "from capframe.cli import main\n"
    "main(['plugins', '--json'], standalone_mode=False)\n"
    "print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
)


@pytest.mark.parametrize(
    ("variables", "setting"),
    [
        pytest.param({}, "1", id="on, also for older processors"),
        pytest.param({"TF_ENABLE_ONEDNN_OPTS": "0"}, "0", id="as the user has set it"),
    ],
)
def test_tensorflow_is_told_to_use_onednn(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], setting: str
) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    done = run_python("import platform\nplatform.machine = lambda: 'x86_64'\n" + SHOW_ONEDNN, **variables)

    assert done.stdout.splitlines()[-1] == setting


def test_the_table_of_plugins_names_package_status_and_offers(registry: Registry) -> None:
    result = CliRunner().invoke(main, ["plugins"], obj=registry)

    lines = [line.split(maxsplit=4) for line in result.stdout.splitlines()]
    assert lines[0] == ["plugin", "package", "version", "status", "offers"]
    offered = "decoders: add-merge, show-attend-tell, transformer"
    assert ["decoders", "capframe", "0.1.0", "loaded", offered] in lines
    assert ["drawn", "-", "-", "loaded", "feature extractors: quarter-colours"] in lines


def test_the_same_as_json(registry: Registry) -> None:
    plugins = json.loads(CliRunner().invoke(main, ["plugins", "--json"], obj=registry).stdout)

    assert {
        "plugin": "drawn",
        "package": "",
        "version": "",
        "status": "loaded",
        "reason": "",
        "offers": {"feature_extractors": ["quarter-colours"]},
    } in plugins


def test_the_options_of_a_part_are_listed_with_types_and_defaults(registry: Registry) -> None:
    text = CliRunner().invoke(main, ["plugins", "--options", "quarter-colours"], obj=registry).stdout

    assert text.startswith("feature extractor quarter-colours\n")
    assert "  regions: bool = False\n  scale: float = 1.0\n" in text
    assert "scale: factor of every feature." in text


def test_options_of_a_part_that_nobody_offers(registry: Registry) -> None:
    result = CliRunner().invoke(main, ["plugins", "--options", "quarter-colour"], obj=registry)

    assert result.exit_code == 1
    assert "No part is named 'quarter-colour'. Did you mean 'quarter-colours'?" in result.stderr
