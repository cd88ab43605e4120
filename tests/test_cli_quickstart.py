from __future__ import annotations

import importlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from capframe import Captioner, PluginManager, Registry
from capframe.cli import main
from capframe.drawings import is_true_of, read_truth


def quickstart(*arguments: object) -> Result:
    registry = Registry(PluginManager(strict=True, disabled={"*"}))
    return CliRunner().invoke(main, ["quickstart", *map(str, arguments)], obj=registry)


def test_a_folder_in_the_way_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")

    refused = quickstart("--out", tmp_path)
    still_refused = quickstart("--out", tmp_path, "--overwrite")

    assert (refused.exit_code, still_refused.exit_code) == (1, 1)
    assert f"{tmp_path} exists already" in refused.stderr
    assert f"{tmp_path} is no folder of an earlier quickstart" in still_refused.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.slow
def test_the_whole_way_in_small_and_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("capframe.cli.quickstart")
    monkeypatch.setattr(module, "PICTURES", 27)
    monkeypatch.setattr(module, "EPOCHS", 1)
    out = tmp_path / "made"

    first = quickstart("--out", out)
    again = quickstart("--out", out, "--seed", 1, "--overwrite")

    assert (first.exit_code, again.exit_code) == (0, 0), again.output
    unseen = (out / "splits" / "test.txt").read_text().split()
    assert len(unseen) == 3
    assert all(f"  {name}  " in again.stdout for name in unseen)
    assert "of 3 captions are true of their drawing." in again.stdout
    assert "BLEU-4" in again.stdout
    assert json.loads((out / "run" / "metrics.json").read_text())["pictures"] == 3
    assert json.loads((out / "run" / "config.json").read_text())["training"]["seed"] == 1
    assert (out / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert f"capframe caption {out / 'Images'} --run {out / 'run'}" in again.stderr


@pytest.mark.slow
def test_at_least_95_of_100_captions_of_unseen_drawings_are_true(tmp_path: Path) -> None:
    result = quickstart("--out", tmp_path / "made")

    assert result.exit_code == 0, result.output
    scenes = read_truth(tmp_path / "made" / "truth.json")
    names = (tmp_path / "made" / "splits" / "test.txt").read_text().split()
    captioner = Captioner.load(tmp_path / "made" / "run")
    captions = captioner.caption([tmp_path / "made" / "Images" / name for name in names])
    true = sum(is_true_of(caption, scenes[name]) for name, caption in zip(names, captions, strict=True))
    told = re.search(r"(\d+) of 100 captions are true", result.stdout)
    assert len(names) == 100
    assert true >= 95
    assert told is not None
    assert int(told[1]) == true
