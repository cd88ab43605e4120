"""The pages of the documentation: their code blocks, and a workspace in which a page is run.

What a block is for shows in its fence:

- ``title="name"``: the block is the file of that name, which is written;
- ``python``: executed, all blocks of a page in one namespace;
- ``bash``: commands of capframe, run in this process, and of pytest, run in another;
- ``text``: lines that the block before it printed, in this order; ``...`` stands for anything, and any space
  for any other.

In the line above a fence, ``<!-- not run: REASON -->`` leaves a block out, and ``<!-- fails -->`` says that
it ends with a `CapframeError`, or with an exit status other than 0.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from capframe import CapframeError
from capframe.cli import main
from capframe.drawings import draw_dataset

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parents[2]
FENCE = re.compile(r'^(?P<indent> *)```(?P<language>\w+)(?: +title="(?P<title>[^"]+)")?(?P<rest>[^`]*)$')


@dataclass(frozen=True)
class Block:
    """A fenced block of a page.

    Attributes:
        page: file name of the page.
        line: number of the line with the fence.
        language: what follows the fence.
        title: name of the file that the block is; else empty.
        text: what it holds.
        remark: what the HTML comment above it says; else empty.
    """

    page: str
    line: int
    language: str
    title: str
    text: str
    remark: str

    @property
    def reason(self) -> str:
        """Why it is not run; empty if it is."""
        return self.remark.removeprefix("not run:").strip() if self.remark.startswith("not run:") else ""

    def __str__(self) -> str:
        return f"{self.page}, line {self.line}"


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    blocks: list[Block] = []
    number = 0
    while number < len(lines):
        fence = FENCE.match(lines[number])
        if fence is None:
            assert "```" not in lines[number], f"{page.name}, line {number + 1}: a fence without a language"
            number += 1
            continue
        assert not fence["rest"].strip(), f"{page.name}, line {number + 1}: {fence['rest']!r}"
        end = lines.index(f"{fence['indent']}```", number)
        above = re.fullmatch(r" *<!-- (.*) -->", lines[number - 1]) if number else None
        text = textwrap.dedent("\n".join(lines[number + 1 : end])) + "\n"
        remark = above[1] if above else ""
        blocks.append(Block(page.name, number + 1, fence["language"], fence["title"] or "", text, remark))
        number = end + 1
    return blocks


def commands_of(block: Block) -> list[list[str]]:
    """Return the commands of a shell block, each as a list of arguments."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [parts for line in lines if (parts := shlex.split(line, comments=True))]


class Workspace:
    """A folder with ten drawn pictures and their captions, as the pages presume it.

    ``Images/``, ``captions.txt``, ``train.txt``, ``dev.txt``, ``test.txt`` and ``photo.jpg``.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace: dict[str, Any] = {"__name__": "page"}
        self.output = ""
        drawn = draw_dataset(folder, 10)
        for split in (drawn.train_split, drawn.dev_split, drawn.test_split):
            shutil.copy(split, folder)
        shutil.copy(drawn.images / "drawing-0001.png", folder / "photo.jpg")

    def run(self, block: Block) -> None:
        """Do with a block what its fence says; the current folder must be that of the workspace."""
        if block.title:
            self._write(block)
        elif block.language == "python":
            self._execute(block)
        elif block.language == "bash":
            self.output = "".join(self._call(block, command) for command in commands_of(block))
        elif block.language == "text":
            self._compare(block)
        else:
            raise AssertionError(f"{block}: a block of {block.language} needs a title, or a reason")

    def _write(self, block: Block) -> None:
        path = self.folder / block.title
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")
        if path.name == "pyproject.toml":
            self._install(path)

    def _install(self, project: Path) -> None:
        """Announce a package as pip does, so that its plugin is found."""
        described = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
        metadata = self.folder / f"{described['name'].replace('-', '_')}-{described['version']}.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {described['name']}\nVersion: {described['version']}\n"
        )
        announced = described["entry-points"]["capframe"]
        lines = [f"{name} = {target}\n" for name, target in announced.items()]
        (metadata / "entry_points.txt").write_text("[capframe]\n" + "".join(lines))
        importlib.invalidate_caches()

    def _execute(self, block: Block) -> None:
        printed = io.StringIO()
        code = compile("\n" * block.line + block.text, block.page, "exec")
        with contextlib.redirect_stdout(printed):
            if block.remark == "fails":
                try:
                    exec(code, self.namespace)
                except CapframeError as error:
                    print(error)
                else:
                    raise AssertionError(f"{block}: this did not fail")
            else:
                exec(code, self.namespace)
        self.output = printed.getvalue()

    def _call(self, block: Block, command: list[str]) -> str:
        program, *arguments = command
        if program == "capframe":
            done = CliRunner().invoke(main, arguments)
            status, output = done.exit_code, done.output
        else:
            assert program == "pytest", f"{block}: {program} is not run; give a reason"
            ran = subprocess.run(
                [sys.executable, "-m", "pytest", *arguments],
                check=False,
                capture_output=True,
                text=True,
                env={**os.environ, "PYTHONPATH": str(self.folder)},
            )
            status, output = ran.returncode, ran.stdout + ran.stderr
        assert (status != 0) == (block.remark == "fails"), f"{block}: {shlex.join(command)}\n{output}"
        return output

    def _compare(self, block: Block) -> None:
        printed = iter(" ".join(line.split()) for line in self.output.splitlines())
        for line in block.text.splitlines():
            pattern = re.compile(re.escape(" ".join(line.split())).replace(r"\.\.\.", ".*"))
            found = any(pattern.fullmatch(own) for own in printed)
            assert found, f"{block}: {line!r} is not, or not there, in\n{self.output}"
