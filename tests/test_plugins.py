from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from capframe import PluginManager, Registry, hookimpl
from capframe.errors import PluginError, UnknownComponentError
from capframe.plugins import DISABLED_VARIABLE, Plugin, PluginWarning

InstallPackage = Callable[..., None]
Offering = Callable[..., SimpleNamespace]

GOOD = """
from capframe import hookimpl

@hookimpl
def register_text_cleaners():
    return {"shout": lambda: str.upper}
"""

BROKEN = {
    "import error": ("import a_module_that_is_not_there", "No module named 'a_module_that_is_not_there'"),
    "syntax error": ("def", "SyntaxError"),
    "exit on import": ("raise SystemExit(3)", "SystemExit: 3"),
    "misspelt hook": (
        GOOD.replace("register_text_cleaners", "register_text_cleaner"),
        "unknown hook 'register_text_cleaner'. Did you mean 'register_text_cleaners'?",
    ),
    "unmarked hook": (
        GOOD.replace("@hookimpl", ""),
        "'register_text_cleaners' is not marked with @capframe.hookimpl",
    ),
    "unmarked beside a marked one": (
        GOOD + "def register_decoders(): return {}",
        "'register_decoders' is not marked",
    ),
    "no hooks": ("nothing = 1", "it has no hooks"),
    "raising hook": (
        GOOD.replace("return", "raise RuntimeError('no weights')\n    return"),
        "the hook 'register_text_cleaners' raised RuntimeError: no weights",
    ),
    "hook that exits": (GOOD.replace("return", "raise SystemExit(1)\n    return"), "SystemExit: 1"),
    "list returned": (
        GOOD.replace('{"shout": lambda: str.upper}', "[str.upper]"),
        "the hook 'register_text_cleaners' must return {name: factory}, not list",
    ),
    "nothing returned": (GOOD.replace("return", "_ ="), "must return {name: factory}, not NoneType"),
    "iterator returned": (
        GOOD.replace('{"shout": lambda: str.upper}', "iter(())"),
        "must return {name: factory}, not tuple_iterator",
    ),
    "name that is no string": (GOOD.replace('"shout"', "7"), "offers the name 7; names are non-empty"),
    "empty name": (GOOD.replace('"shout"', '""'), "offers the name ''; names are non-empty"),
    "target that is no factory": (GOOD.replace("lambda: str.upper", "42"), "offers 42 as 'shout'"),
    "string without colon": (
        GOOD.replace("lambda: str.upper", "'package.Class'"),
        'string of the form "package.module:Class"',
    ),
    "hook with arguments": (GOOD.replace("cleaners()", "cleaners(language)"), "{'language'}"),
    "wrapper": (
        GOOD.replace("@hookimpl", "@hookimpl(wrapper=True)").replace("return", "yield\n    return"),
        "the hook 'register_text_cleaners' is a wrapper",
    ),
    "old-style wrapper": (
        GOOD.replace("@hookimpl", "@hookimpl(hookwrapper=True)").replace("return", "yield\n    _ ="),
        "the hook 'register_text_cleaners' is a wrapper",
    ),
    "one name twice": (
        GOOD + GOOD.replace("@hookimpl", "@hookimpl(specname='register_text_cleaners')").replace(
            "def register_text_cleaners", "def again"
        ),
        "offers 'shout' twice",
    ),
}  # fmt: skip
KINDS_OF_BREAKAGE = pytest.mark.parametrize(("source", "reason"), BROKEN.values(), ids=BROKEN)


def found(manager: PluginManager, name: str) -> Plugin:
    (plugin,) = (plugin for plugin in manager.plugins if plugin.name == name)
    return plugin


def test_an_installed_plugin_is_loaded_with_its_package_and_what_it_offers(
    install_package: InstallPackage,
) -> None:
    install_package("acme-captions", {"acme": GOOD}, version="2.5")
    plugin = found(PluginManager(strict=True), "acme")
    assert (plugin.distribution, plugin.version, plugin.status) == ("acme-captions", "2.5", "loaded")
    assert plugin.external
    assert list(plugin.offers) == ["register_text_cleaners"]
    assert plugin.offers["register_text_cleaners"]["shout"]()("a dog") == "A DOG"


def test_the_defaults_come_first_and_are_not_external(install_package: InstallPackage) -> None:
    install_package("aaa", {"acme": GOOD})
    names = [(plugin.name, plugin.external) for plugin in PluginManager(strict=True).plugins]
    defaults = [
        (name, False)
        for name in ("callbacks", "dataset-readers", "decoders", "feature-extractors", "text-cleaners")
    ]
    assert names == [*defaults, ("acme", True)]


@KINDS_OF_BREAKAGE
def test_a_broken_plugin_is_left_out_with_one_warning_that_says_why(
    install_package: InstallPackage, source: str, reason: str
) -> None:
    install_package("acme-captions", {"acme": source})
    install_package("zebra", {"zebra": GOOD})
    with pytest.warns(PluginWarning) as caught:
        manager = PluginManager()
    (message,) = (str(warning.message) for warning in caught)
    broken = found(manager, "acme")
    assert broken.status == "broken"
    assert reason in broken.reason
    assert broken.reason in message
    assert "plugin 'acme' (package 'acme-captions' 1.0)" in message
    assert f"{DISABLED_VARIABLE}=acme" in message
    assert not broken.offers
    # The one that comes after it, and the defaults, are as they would be without it.
    assert Registry(manager).names("text_cleaner") == ["regex", "shout"]


@KINDS_OF_BREAKAGE
def test_strict_mode_raises(install_package: InstallPackage, source: str, reason: str) -> None:
    install_package("acme-captions", {"acme": source})
    with pytest.raises(PluginError, match=r"plugin 'acme' \(package 'acme-captions' 1.0\)") as caught:
        PluginManager(strict=True)
    assert reason in str(caught.value)


@KINDS_OF_BREAKAGE
def test_a_broken_default_plugin_raises_although_not_strict(
    install_package: InstallPackage, source: str, reason: str
) -> None:
    install_package("capframe", {"acme": source})  # found before the real one
    with pytest.raises(PluginError, match=r"plugin 'acme' \(package 'capframe' 1.0\) is broken") as caught:
        PluginManager(disabled={"*"})
    assert reason in str(caught.value)


def test_control_c_while_a_plugin_is_imported_is_not_swallowed(install_package: InstallPackage) -> None:
    install_package("acme-captions", {"acme": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        PluginManager()


def test_a_plugin_that_is_rejected_leaves_nothing_behind(offering: Offering) -> None:
    manager = PluginManager(installed=False)
    with pytest.raises(PluginError, match=r"The plugin 'acme' is broken: .*'language'"):
        manager.register(SimpleNamespace(register_decoders=hookimpl(lambda language: {})), "acme")
    assert manager.plugins == ()
    # The name is free again, and so is the hook that was misused.
    manager.register(offering(register_decoders={"drum": dict}), "acme")
    assert found(manager, "acme").offers == {"register_decoders": {"drum": dict}}


def test_what_a_plugin_prints_on_import_stays_out_of_the_output(
    install_package: InstallPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    install_package("acme-captions", {"acme": "print('Welcome to acme!')" + GOOD})
    assert found(PluginManager(strict=True), "acme").status == "loaded"
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "Welcome to acme!\n"


@pytest.mark.parametrize("disabled", ["acme", "acme-captions", "Acme_Captions", "*", " other , acme,"])
def test_a_disabled_plugin_is_not_even_imported(
    install_package: InstallPackage, monkeypatch: pytest.MonkeyPatch, disabled: str
) -> None:
    install_package("acme-captions", {"acme": "raise SystemExit"})
    monkeypatch.setenv(DISABLED_VARIABLE, disabled)
    manager = PluginManager(strict=True)
    assert "acme" not in sys.modules
    assert found(manager, "acme").status == "disabled"
    assert DISABLED_VARIABLE in found(manager, "acme").reason
    assert Registry(manager).names("text_cleaner") == ["regex"]


def test_only_the_plugins_named_are_disabled(install_package: InstallPackage) -> None:
    install_package("acme-captions", {"acme": GOOD})
    install_package("zebra", {"stripes": GOOD})
    manager = PluginManager(strict=True, disabled={"zebra"})
    assert [found(manager, name).status for name in ("acme", "stripes")] == ["loaded", "disabled"]


def test_default_plugins_cannot_be_disabled() -> None:
    manager = PluginManager(strict=True, disabled={"*", "decoders", "capframe"})
    assert found(manager, "decoders").status == "loaded"


@pytest.mark.parametrize("disabled", [set(), {"acme"}])
def test_a_look_up_that_fails_names_the_plugins_that_are_out(
    install_package: InstallPackage, disabled: set[str]
) -> None:
    install_package("acme-captions", {"acme": "import a_module_that_is_not_there"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        registry = Registry(PluginManager(disabled=disabled))
    why = "disabled plugins" if disabled else "No module named 'a_module_that_is_not_there'"
    with pytest.raises(UnknownComponentError, match=why) as caught:
        registry.plugin("decoder", "acme-decoder")
    assert "plugin 'acme' (package 'acme-captions' 1.0)" in str(caught.value)


def test_entry_points_of_two_packages_may_share_a_name(install_package: InstallPackage) -> None:
    # "decoders" is what capframe calls its own, and a name that others will think of, too.
    offer = "from capframe import hookimpl\n@hookimpl\ndef register_decoders(): return {'NAME': dict}"
    install_package("acme", {"acme": offer.replace("NAME", "one")}, {"decoders": "acme"})
    install_package("zebra", {"zebra": offer.replace("NAME", "two")}, {"decoders": "zebra"})
    names = Registry(PluginManager(strict=True)).names("decoder")
    assert names == ["add-merge", "one", "show-attend-tell", "transformer", "two"]


def test_one_module_cannot_be_two_plugins(install_package: InstallPackage) -> None:
    install_package("acme", {"acme": GOOD}, {"one": "acme", "two": "acme"})
    with pytest.warns(PluginWarning, match="registered already, under another name"):
        manager = PluginManager()
    assert [found(manager, name).status for name in ("one", "two")] == ["loaded", "broken"]
    assert Registry(manager).factory("text_cleaner", "shout")()("a dog") == "A DOG"


def test_a_package_without_metadata_takes_nothing_down(
    install_package: InstallPackage, tmp_path: Path
) -> None:
    install_package("acme", {"acme": GOOD})
    (tmp_path / "site-packages" / "acme-1.0.dist-info" / "METADATA").write_text("")
    plugin = found(PluginManager(strict=True), "acme")
    assert (plugin.distribution, plugin.version, plugin.status) == ("", "", "loaded")


def test_a_name_is_registered_from_python_once(offering: Offering) -> None:
    manager = PluginManager(installed=False)
    manager.register(offering(register_decoders={"one": dict}), "acme")
    with pytest.raises(PluginError, match="A plugin named 'acme' is registered already"):
        manager.register(offering(register_decoders={"two": dict}), "acme")
    assert Registry(manager).names("decoder") == ["one"]


def test_a_plugin_may_be_an_object_with_methods() -> None:
    class Acme:
        @hookimpl
        def register_decoders(self) -> dict[str, type]:
            return {"drum": dict}

    manager = PluginManager(installed=False)
    plugin = manager.register(Acme(), "acme")
    assert manager.plugins == (plugin,)
    assert plugin.offers == {"register_decoders": {"drum": dict}}


def test_two_managers_never_meet(offering: Offering) -> None:
    first, second = PluginManager(installed=False), PluginManager(installed=False)
    first.register(offering(register_decoders={"drum": dict}), "acme")
    assert Registry(first).names("decoder") == ["drum"]
    assert second.plugins == ()
    assert Registry(second).names("decoder") == []
    second.register(offering(register_decoders={"flute": dict}), "acme")
    assert Registry(first).names("decoder") == ["drum"]


def test_finding_plugins_and_listing_names_does_not_import_tensorflow() -> None:
    program = (
        "import sys, capframe\n"
        "registry = capframe.Registry()\n"
        "kinds = ('feature_extractor', 'text_cleaner', 'decoder', 'callback')\n"
        "print(sum(len(registry.names(kind)) for kind in kinds))\n"
        "print(sorted({'tensorflow', 'keras', 'sklearn', 'pyarrow'} & set(sys.modules)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", DISABLED_VARIABLE: "*"},
    )
    assert ran.stdout == "13\n[]\n"
