"""``capframe plugins new``: a plugin package to begin with, whose own tests pass as it is."""

from __future__ import annotations

import keyword
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import click

from ..errors import UsageError
from .group import remark


class _Part(NamedTuple):
    """What a package offers of one kind.

    Attributes:
        hook: the function that offers it.
        name: of what is offered, after that of the package; empty for the package's own.
        target: class, command or folder in the kind's module.
        returns: type of what the hook returns the names of.
        summary: what it is, for the README.
        use: how it is used.
    """

    hook: str
    name: str
    target: str
    returns: str
    summary: str
    use: str


_PARTS = {
    "feature-extractor": _Part(
        "register_feature_extractors", "mean-colours", "MeanColours", "str",
        "mean colours of a grid laid over the picture", "capframe train ... --feature-extractor {name}",
    ),
    "text-cleaner": _Part(
        "register_text_cleaners", "digits-as-words", "DigitsAsWords", "str",
        "digits, spelt out", "capframe train ... --text-cleaner regex --text-cleaner {name}",
    ),
    "decoder": _Part(
        "register_decoders", "gru", "GRU", "str",
        "a gated recurrent unit, which the picture sets off", "capframe train ... --decoder {name}",
    ),
    "callback": _Part(
        "register_callbacks", "json-lines", "JSONLines", "str",
        "the logs of each epoch, as JSON lines", "capframe train ... --callback checkpoint --callback {name}",
    ),
    "metric": _Part(
        "register_metrics", "word-recall", "WordRecall", "str",
        "the share of a reference's words that a caption mentions", "capframe evaluate ... --metric {name}",
    ),
    "dataset-reader": _Part(
        "register_dataset_readers", "caption-lines", "CaptionLines", "str",
        "caption files of JSON lines", "capframe train --captions FILE ... (chosen by the file's content)",
    ),
    "command": _Part(
        "register_commands", "words", "words", "click.Command",
        "a command that prints the most frequent words of a caption file", "capframe {name} CAPTIONS",
    ),
    "captioner": _Part(
        "register_captioners", "", "RUN", "Path",
        "a trained captioner, once `python -m {module}.captioner CAPTIONS PICTURES` has trained it",
        "capframe caption PICTURE --run {name}",
    ),
}  # fmt: skip
_COMMON = {
    "pyproject.toml": "pyproject.toml.txt",
    "README.md": "README.md.txt",
    "tox.ini": "tox.ini.txt",
    ".gitignore": "gitignore.txt",
    ".github/workflows/tests.yml": "tests.yml.txt",
    "tests/test_package.py": "test_package.py.txt",
}
_KIT = (
    "`pytest --capframe-package {name}` also holds what the package offers to the laws of its kind, once\n"
    "the package is installed. "
)
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_LONGEST_NAME = 40
_WORDS = {"feature-extractor": ("numpy>=1.26",), "metric": ("numpy>=1.26",), "command": ("click>=8.2",)}


@click.command("new", short_help="Make a plugin package to begin with.")
@click.argument("name")
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(list(_PARTS)),
    multiple=True,
    help="What it shall offer; may be repeated.  [default: feature-extractor]",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to make.  [default: NAME, in the working folder]",
)
@click.option("--author", help="Whose package it is.  [default: what git says]")
def new(name: str, kinds: Sequence[str], out: Path | None, author: str | None) -> None:
    """Make a plugin package called NAME (for instance capframe-shapes), ready to change and to publish.

    It holds a small but real component of each kind, with tests that pass as they are.
    """
    out = out or Path(name)
    write_package(name, list(dict.fromkeys(kinds)) or ["feature-extractor"], out, author or _git_author())
    remark(f"Made {out}. Next:")
    for command in (
        f"cd {out}",
        "python -m pip install --editable . --group test",
        "pytest",
        "capframe plugins",
    ):
        remark(f"  {command}")


def write_package(name: str, kinds: Sequence[str], out: Path, author: str) -> None:
    """Write a plugin package into a new folder, whole or not at all.

    Args:
        name: of the distribution.
        kinds: what it shall offer, as the command line names it.
        out: the folder.
        author: whose it is.

    Raises:
        UsageError: the name cannot be that of a package, or ``out`` exists.
    """
    module = re.sub(r"[-.]+", "_", name).lower()
    if not _NAME.fullmatch(name) or not module.isidentifier() or keyword.iskeyword(module):
        raise UsageError(
            f"'{name}' cannot be the name of a package: use letters, digits, hyphens, as in capframe-shapes."
        )
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"'{name}' is longer than {_LONGEST_NAME} letters. Choose a shorter name.")
    if module == "capframe":
        raise UsageError("That is capframe itself. Call the package for instance capframe-shapes.")
    if out.exists():
        raise UsageError(f"{out} exists already. Choose another name, or another folder (--out).")
    out.parent.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        for path, text in _files(name, module, kinds, author):
            (working / path).parent.mkdir(parents=True, exist_ok=True)
            (working / path).write_text(text, encoding="utf-8", newline="\n")
        working.chmod(0o755)
        working.rename(out)
    finally:
        shutil.rmtree(working, ignore_errors=True)


def _files(name: str, module: str, kinds: Sequence[str], author: str) -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file of the package."""
    stem = re.sub(r"^capframe[-_.]", "", name.lower()).replace("_", "-").replace(".", "-")
    offered = {kind: "-".join(filter(None, (stem, _PARTS[kind].name))) for kind in kinds}
    summaries = [_PARTS[kind].summary.format(module=module) for kind in kinds]
    dependencies = dict.fromkeys(["capframe", *(word for kind in kinds for word in _WORDS.get(kind, ()))])
    lawful = any(kind not in ("command", "captioner") for kind in kinds)
    uses = [_PARTS[kind].use.format(name=offered[kind]) for kind in kinds]
    values = {
        "DISTRIBUTION": name,
        "MODULE": module,
        "STEM": stem,
        "AUTHOR": " ".join(author.replace("\\", "").replace('"', "'").split()),
        "SUMMARY": ", ".join(kind.replace("-", " ") for kind in kinds),
        "DEPENDENCIES": ", ".join(f'"{dependency}"' for dependency in dependencies),
        "OFFERS": "\n".join(
            f"- the {kind.replace('-', ' ')} `{offered[kind]}`: {summary};"
            for kind, summary in zip(kinds, summaries, strict=True)
        ).removesuffix(";")
        + ".",
        "AND_LAWS": ", and the laws of capframe's conformance kit" if lawful else "",
        "LAWS": f":--capframe-package {name}" if lawful else "",
        "KIT": _KIT.format(name=name) if lawful else "",
        "USE": "To use what it offers:\n\n" + "\n".join(f"    {use}" for use in uses),
    }
    for path, template in _COMMON.items():
        yield path, _filled(template, values)
    for kind in kinds:
        part = kind.replace("-", "_")
        yield f"{module}/{part}.py", _filled(f"kinds/{part}.py.txt", values)
        yield f"tests/test_{part}.py", _filled(f"kinds/test_{part}.py.txt", values)
    yield f"{module}/__init__.py", _hooks(module, offered)
    yield f"{module}/py.typed", ""
    yield "LICENSE", _licence()


def _hooks(module: str, offered: dict[str, str]) -> str:
    """Return the module that capframe loads: one hook for each kind."""
    text = f'"""{module}: a plugin for capframe. What is offered is imported when it is first used."""\n\n'
    text += "from __future__ import annotations\n\n"
    typing = {"captioner": "    from pathlib import Path\n", "command": "    import click\n"}
    needed = [line for kind, line in typing.items() if kind in offered]
    if needed:
        text += "from typing import TYPE_CHECKING\n\nimport capframe\n\nif TYPE_CHECKING:\n"
        text += "\n".join(needed)
    else:
        text += "import capframe\n"
    for kind, name in offered.items():
        part, room = _PARTS[kind], kind.replace("-", "_")
        text += f"\n\n@capframe.hookimpl\ndef {part.hook}() -> dict[str, {part.returns}]:\n"
        text += f'    """Offer ``{name}``."""\n'
        if kind == "command":
            text += f'    from .{room} import {part.target}\n\n    return {{"{name}": {part.target}}}\n'
        elif kind == "captioner":
            text += f"    from .{room} import {part.target}\n\n"
            text += f'    return {{"{name}": {part.target}}} if {part.target}.is_dir() else {{}}\n'
        else:
            text += f'    return {{"{name}": f"{{__name__}}.{room}:{part.target}"}}\n'
    return text


def _filled(template: str, values: dict[str, str]) -> str:
    text = (files("capframe") / "templates" / "plugin" / template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"__{name}__", value)
    return text


def _licence() -> str:
    """Return the text of the Apache licence, under which capframe is, too."""
    try:
        text: str | None = distribution("capframe").read_text("licenses/LICENSE")
    except PackageNotFoundError:
        text = None
    if text is None:
        raise UsageError("The licence of capframe is not installed: python -m pip install capframe.")
    return text


def _git_author() -> str:
    try:
        said = subprocess.run(["git", "config", "user.name"], capture_output=True, check=False)
    except OSError:
        return "Your Name"
    return said.stdout.decode(errors="replace").strip() or "Your Name"
