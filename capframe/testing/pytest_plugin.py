"""``pytest --capframe-package NAME``: one test for each component of a package and law of its kind.

pytest loads this module in every session on a machine where capframe is installed, so it imports
nothing heavy before the option is given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .laws import Law, Subject

_FOUND = pytest.StashKey["dict[str, list[Subject]]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("capframe")
    group.addoption(
        "--capframe-package",
        action="append",
        default=[],
        metavar="NAME",
        help="Check everything that this installed package offers to capframe; may be repeated.",
    )
    group.addoption(
        "--capframe-option",
        action="append",
        default=[],
        metavar="COMPONENT.OPTION=VALUE",
        help="Make a component (or all of a kind) with this option when it is checked; may be repeated.",
    )
    parser.addini(
        "capframe_options", "Likewise: a COMPONENT.OPTION=VALUE a line.", type="linelist", default=[]
    )


def pytest_collection(session: pytest.Session) -> None:
    """Find the packages before anything runs: a wrong one is a mistake on the command line."""
    config = session.config
    packages = dict.fromkeys(config.getoption("--capframe-package"))
    if not packages:
        return
    found = {package: _subjects(package) for package in packages}
    subjects = [subject for package in packages for subject in found[package]]
    options = _options(config.getini("capframe_options"), "capframe_options =")
    for component, given in _options(config.getoption("--capframe-option"), "--capframe-option").items():
        names = {name for subject in subjects for name in (subject.name, subject.kind)}
        if component not in names:
            raise pytest.UsageError(
                f"--capframe-option {component}.{next(iter(given))}: no component and no kind is called "
                f"'{component}'. There are: {', '.join(sorted(names))}."
            )
        options.setdefault(component, {}).update(given)
    for subject in subjects:
        subject.options = {**options.get(subject.kind, {}), **options.get(subject.name, {})}
    config.stash[_FOUND] = found


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add the tests, before -k and other plugins choose among them."""
    for package, subjects in config.stash.get(_FOUND, {}).items():
        items.extend(session.genitems(Package.of(session, package, subjects)))


class Package(pytest.Collector):
    """The components that one package offers."""

    def __init__(self, *, subjects: list[Subject], **rest: Any) -> None:
        super().__init__(**rest)
        self.subjects = subjects

    @classmethod
    def of(cls, session: pytest.Session, name: str, subjects: list[Subject]) -> Package:
        """Return the collector; its name alone stands before ``::`` in the names of its tests."""
        package: Package = cls.from_parent(session, name=name, nodeid=name, subjects=subjects)
        return package

    def collect(self) -> Iterator[Held]:
        """Yield a test for each component and law."""
        from .laws import laws_of

        for subject in self.subjects:
            for law in laws_of(subject.kind):
                yield Held.from_parent(self, name=f"{subject.name}::{law.name}", subject=subject, law=law)


class Held(pytest.Item):
    """One law, held against one component."""

    def __init__(self, *, subject: Subject, law: Law, **rest: Any) -> None:
        super().__init__(**rest)
        self.subject, self.law = subject, law

    def runtest(self) -> None:
        """Check the law; skip it where it has nothing to say."""
        from .laws import NotApplicable

        try:
            self.law.check(self.subject)
        except NotApplicable as reason:
            pytest.skip(str(reason))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what the law says, and where the component raised; not the code of the kit."""
        from .laws import ConformanceError

        if not isinstance(excinfo.value, ConformanceError):
            return super().repr_failure(excinfo, style)
        return str(excinfo.value)

    def reportinfo(self) -> tuple[str, None, str]:
        """Return what stands above a failure."""
        return self.parent.name if self.parent else "", None, self.name


def _subjects(package: str) -> list[Subject]:
    """Return all components that a package offers."""
    import warnings
    from importlib.metadata import entry_points

    from ..hookspecs import ENTRY_POINT_GROUP
    from ..plugins import PluginManager, PluginWarning
    from ..registry import KINDS
    from .laws import Subject

    announced: dict[str, dict[str, str]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        announced.setdefault(_canonical(entry.dist.name if entry.dist else ""), {})[entry.name] = entry.value
    own = announced.pop(_canonical(package), {})
    if not own:
        raise pytest.UsageError(
            f"--capframe-package {package}: no such package is installed, or it announces no plugin by an "
            f"entry point of the group '{ENTRY_POINT_GROUP}'. Packages that do: "
            f"{', '.join(sorted(announced))}."
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PluginWarning)
        # Packages that nobody asked for are not even imported.
        plugins = PluginManager(disabled=set(announced)).plugins
    found: list[Subject] = []
    for plugin in plugins:
        if _canonical(plugin.distribution) != _canonical(package):
            continue
        if plugin.status != "loaded":
            raise pytest.UsageError(f"--capframe-package {package}: the {plugin} is broken: {plugin.reason}.")
        for kind in KINDS:
            for name, target in plugin.offers.get(f"register_{kind}s", {}).items():
                found.append(Subject(kind, target, {}, name, own[plugin.name]))
    if not found:
        raise pytest.UsageError(
            f"--capframe-package {package}: it offers nothing that has laws. Kinds that have: "
            f"{', '.join(kind.replace('_', ' ') for kind in KINDS)}."
        )
    return found


def _options(lines: list[str], source: str) -> dict[str, dict[str, str]]:
    """Return component or kind -> option -> value."""
    options: dict[str, dict[str, str]] = {}
    for line in lines:
        target, equals, value = line.partition("=")
        component, dot, option = target.strip().rpartition(".")
        if not (component and dot and option and equals):
            raise pytest.UsageError(f"{source} {line}: write COMPONENT.OPTION=VALUE.")
        options.setdefault(component, {})[option.strip()] = value.strip()
    return options


def _canonical(distribution: str) -> str:
    """Return the name as package indexes compare it: ``My_Plugin`` is ``my-plugin``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
