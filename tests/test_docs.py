"""The documentation tells the truth: every hook is described, and its examples are plugins that load."""

import importlib
import re
import sys
import types
from pathlib import Path

import pytest

from capframe import hookspecs
from capframe.plugins import PluginManager
from capframe.registry import KINDS
from capframe.testing import check

CHECKOUT = Path(__file__).parents[1]
HOOKS_PAGE = (CHECKOUT / "docs" / "hooks.md").read_text()
README = (CHECKOUT / "README.md").read_text()


def signatures() -> set[str]:
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("register_")}
    return {f"{name}() -> {hook.__annotations__['return']}" for name, hook in hooks.items()}


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)


def test_the_page_has_a_heading_for_each_hook_and_for_nothing_else():
    assert set(re.findall(r"^## `(.*)`$", HOOKS_PAGE, flags=re.MULTILINE)) == signatures()


@pytest.mark.parametrize("block", [*python_blocks(HOOKS_PAGE)[:-1], python_blocks(README)[-1]])
def test_each_example_of_a_hook_is_a_plugin_that_loads(block):
    example = types.ModuleType("example")
    example.__file__ = "example.py"
    exec(block, example.__dict__)

    plugin = PluginManager(installed=False).register(example, "example")

    hook = re.search(r"def (register_\w+)", block).group(1)
    assert set(plugin.offers) == {hook}


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "callback"])  # its example is Keras' own
def test_each_example_of_a_component_keeps_the_laws_of_its_kind(kind, tmp_path, monkeypatch):
    (block,) = [block for block in python_blocks(HOOKS_PAGE) if f"def register_{kind}s" in block]
    # Worker processes import it by its name.
    (tmp_path / "example_of_the_page.py").write_text(block)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    try:
        example = importlib.import_module("example_of_the_page")
        (offer,) = PluginManager(installed=False).register(example, "example").offers.values()
        (factory,) = offer.values()

        check(kind, factory)
    finally:
        sys.modules.pop("example_of_the_page", None)


def test_the_example_of_the_conformance_kit_is_a_test_that_catches_a_fault():
    example = types.ModuleType("example")
    exec(python_blocks(HOOKS_PAGE)[-1], example.__dict__)

    # A class of no importable module cannot be sent to a worker process, and that is the one law it breaks.
    with pytest.raises(AssertionError, match="a-worker-process-builds-the-same"):
        example.test_without_articles_keeps_the_laws()


def test_the_first_example_of_the_readme_compiles_and_names_public_things():
    namespace = {}
    first_lines = python_blocks(README)[0].split("captioner.fit")[0]
    exec(compile(first_lines, "README.md", "exec"), namespace)

    assert namespace["captioner"].composition.decoder.options["units"] == 256
