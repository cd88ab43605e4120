from __future__ import annotations

import re
import sys
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from capframe import PluginManager, Registry
from capframe.errors import OptionError, PluginError, UnknownComponentError
from capframe.registry import KINDS

Offering = Callable[..., SimpleNamespace]
InstallPackage = Callable[..., None]


class Shout:
    def __init__(self, mark: str = "!", times: int = 1) -> None:
        self.ending = mark * times

    def __call__(self, caption: str) -> str:
        return caption.upper() + self.ending


def registry_of(*plugins: SimpleNamespace) -> Registry:
    manager = PluginManager(installed=False)
    for number, plugin in enumerate(plugins):
        manager.register(plugin, f"plugin-{number}")
    return Registry(manager)


def test_the_names_on_offer_are_sorted_and_of_their_kind(registry: Registry) -> None:
    assert {kind: registry.names(kind) for kind in KINDS} == {
        "feature_extractor": [
            "efficientnet-lite-mirrored",
            "efficientnet-lite-stacked",
            "efficientnet-lite0",
            "efficientnet-lite2",
            "imported",
            "quarter-colours",
            "vgg16",
        ],
        "text_cleaner": ["regex"],
        "decoder": ["add-merge", "show-attend-tell", "transformer"],
        "callback": ["checkpoint", "early-stopping", "reduce-lr"],
        "dataset_reader": [
            "captions-txt",
            "coco-captions",
            "flickr-token",
            "imagefolder",
            "karpathy-json",
            "parquet",
        ],
        "metric": [],
    }


def test_a_component_is_built_with_its_options_and_knows_where_it_is_from(offering: Offering) -> None:
    registry = registry_of(offering(register_text_cleaners={"shout": Shout}))
    component = registry.create("text_cleaner", "shout", {"times": "3"})
    assert (component.kind, component.name) == ("text_cleaner", "shout")
    assert component.options == {"mark": "!", "times": 3}
    assert component.plugin is not None
    assert component.plugin.name == "plugin-0"
    assert component.value("a dog") == "A DOG!!!"


def test_a_component_is_built_on_first_use_and_once(offering: Offering) -> None:
    built = []

    def factory() -> Callable[[str], str]:
        built.append(str.lower)
        return str.lower

    registry = registry_of(offering(register_text_cleaners={"lower": factory}))
    component = registry.create("text_cleaner", "lower")
    assert built == []
    assert component.value is component.value
    assert len(built) == 1
    component.build()
    assert len(built) == 2


def test_a_target_written_as_a_string_is_imported_when_it_is_used(
    install_package: InstallPackage, offering: Offering
) -> None:
    install_package("acme", {"acme_heavy": "print('heavy')\nclass Lower:\n    __call__ = str.lower\n"}, {})
    registry = registry_of(offering(register_text_cleaners={"lower": "acme_heavy:Lower"}))
    assert registry.names("text_cleaner") == ["lower"]
    assert "acme_heavy" not in sys.modules
    factory = registry.factory("text_cleaner", "lower")
    assert factory is sys.modules["acme_heavy"].Lower


def test_what_is_printed_by_a_late_import_stays_out_of_the_output(
    install_package: InstallPackage, offering: Offering, capsys: pytest.CaptureFixture[str]
) -> None:
    install_package("acme", {"acme_heavy": "print('heavy')\nclass Lower: ...\n"}, {})
    registry_of(offering(register_text_cleaners={"lower": "acme_heavy:Lower"})).factory(
        "text_cleaner", "lower"
    )
    assert capsys.readouterr() == ("", "heavy\n")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "AttributeError"),
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named"),
        ("raise SystemExit(2)", "SystemExit: 2"),
        ("Lower = 5", "it is no class or function, but 5"),
    ],
)
def test_a_target_that_cannot_be_imported_names_plugin_and_target(
    install_package: InstallPackage, offering: Offering, source: str, reason: str
) -> None:
    install_package("acme", {"acme_heavy": source}, {})
    registry = registry_of(offering(register_text_cleaners={"lower": "acme_heavy:Lower"}))
    with pytest.raises(PluginError, match="The text cleaner 'lower' of the plugin 'plugin-0'") as caught:
        registry.create("text_cleaner", "lower")
    assert "'acme_heavy:Lower'" in str(caught.value)
    assert reason in str(caught.value)


def test_an_unknown_name_says_what_is_on_offer_and_what_is_close(registry: Registry) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        registry.create("decoder", "add_merge")
    assert str(caught.value) == (
        "No decoder is named 'add_merge'. Did you mean 'add-merge'? "
        "On offer: add-merge, show-attend-tell, transformer."
    )
    with pytest.raises(UnknownComponentError, match=r"^No text cleaner is named 'zzz'. On offer: none.$"):
        registry_of().create("text_cleaner", "zzz")


def test_a_name_of_another_kind_is_unknown(registry: Registry) -> None:
    with pytest.raises(UnknownComponentError, match="No callback is named 'regex'"):
        registry.create("callback", "regex")


def test_a_name_offered_twice_is_an_error_only_when_it_is_asked_for(install_package: InstallPackage) -> None:
    hook = "def register_decoders(): return {'NAME': dict, 'drum': dict}"
    source = f"from capframe import hookimpl\n@hookimpl\n{hook}"
    install_package("acme", {"acme_decoders": source.replace("NAME", "one")}, version="1.2")
    install_package("zebra-captions", {"zebra_decoders": source.replace("NAME", "two")}, version="3.4")
    registry = Registry(PluginManager(strict=True))
    assert registry.names("decoder") == ["add-merge", "drum", "one", "show-attend-tell", "transformer", "two"]
    assert registry.factory("decoder", "one") is dict
    with pytest.raises(UnknownComponentError) as caught:
        registry.factory("decoder", "drum")
    message = str(caught.value)
    assert (
        "The decoder 'drum' is offered twice, by the plugin 'acme_decoders' (package 'acme' 1.2) and"
        in message
    )
    assert "the plugin 'zebra_decoders' (package 'zebra-captions' 3.4)" in message
    assert "disable 'acme' or 'zebra-captions' in CAPFRAME_DISABLED_PLUGINS" in message
    one = Registry(PluginManager(strict=True, disabled={"acme"}))
    assert one.plugin("decoder", "drum").distribution == "zebra-captions"


def test_a_default_is_not_replaced_in_silence(plugins: PluginManager, offering: Offering) -> None:
    plugins.register(offering(register_decoders={"add-merge": dict}), "acme")
    with pytest.raises(UnknownComponentError, match="offered twice, by the plugin 'decoders'") as caught:
        Registry(plugins).create("decoder", "add-merge")
    assert "disable 'acme'" in str(caught.value)
    assert "'capframe' in" not in str(caught.value)


def test_wrong_options_are_refused_before_anything_is_built(registry: Registry) -> None:
    with pytest.raises(
        OptionError, match=r"The decoder 'add-merge' has no option 'unit'. Did you mean 'units'"
    ):
        registry.create("decoder", "add-merge", {"unit": 8})
    with pytest.raises(OptionError, match="The decoder 'add-merge' cannot take merge='multiply'"):
        registry.create("decoder", "add-merge", {"merge": "multiply"})


def test_a_factory_that_fails_is_named(offering: Offering) -> None:
    def factory() -> Callable[[str], str]:
        raise ZeroDivisionError("by zero")

    component = registry_of(offering(register_text_cleaners={"lower": factory})).create(
        "text_cleaner", "lower"
    )
    with pytest.raises(PluginError, match=r"text cleaner 'lower' of the plugin 'plugin-0' .*Error: by zero"):
        _ = component.value


def test_an_error_that_capframe_words_itself_comes_through_as_it_is(registry: Registry) -> None:
    component = registry.create("text_cleaner", "regex", {"pattern": "("})
    with pytest.raises(OptionError, match="is not a regular expression"):
        _ = component.value


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        ("feature_extractor", "image_size, feature_shape, __call__"),
        ("text_cleaner", "__call__"),
        ("decoder", "build, start, step"),
        ("callback", "set_model, on_epoch_end"),
    ],
)
def test_a_factory_that_builds_something_else_is_named(offering: Offering, kind: str, lacking: str) -> None:
    registry = registry_of(offering(**{f"register_{kind}s": {"nothing": lambda: None}}))
    component = registry.create(kind, "nothing")  # type: ignore[arg-type]
    with pytest.raises(PluginError, match=re.escape(f"is None, which lacks {lacking}.")):
        _ = component.value
