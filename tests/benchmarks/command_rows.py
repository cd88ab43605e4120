"""Commands: how long they take to start, and how much memory a training takes as the data grow."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from drawn import drawn_captions, drawn_photographs
from harness import Row, ratio_row, take_turns

QUIET = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}


def starting(quick: bool, repeats: int) -> list[Row]:
    """Measure commands that compute nothing."""
    bare = [sys.executable, "-m", "capframe"]
    seconds = take_turns(
        {name: lambda words=words: _run([*bare, *words]) for name, words in _LIGHT.items()}, max(repeats, 5)
    )
    return [ratio_row(name, "at most", 0.25, "s", some) for name, some in seconds.items()]


_LIGHT = {"`capframe --help`": ["--help"], "`capframe plugins`": ["plugins"]}


def cold_caption(quick: bool, repeats: int) -> list[Row]:
    """Measure ``capframe caption photo.jpg`` from nothing to the caption, beyond ``import tensorflow``."""
    from capframe import Captioner, Dataset

    with tempfile.TemporaryDirectory() as folder:
        photographs = drawn_photographs(Path(folder) / "images", 16)
        texts = [tuple(own) for own in drawn_captions(16, words=60)]
        dataset = Dataset(
            dict(zip(photographs, texts, strict=True)),
            image_paths=photographs,
            splits={"train": tuple(photographs)},
        )
        run = Path(folder) / "run"
        captioner = Captioner("efficientnet-lite0", vocabulary={"min_count": 1}, callbacks=())
        captioner.fit(dataset, epochs=1, out=run)
        path = str(next(iter(photographs.values())))
        seconds = take_turns(
            {
                "caption": lambda: _run(
                    [sys.executable, "-m", "capframe", "caption", path, "--run", str(run)]
                ),
                "tensorflow": lambda: _run([sys.executable, "-c", "import tensorflow"]),
            },
            repeats,
        )
    beyond = [one - other for one, other in zip(seconds["caption"], seconds["tensorflow"], strict=True)]
    detail = f"{np.median(seconds['caption']):.2f} against {np.median(seconds['tensorflow']):.2f} s"
    return [
        ratio_row(
            "`capframe caption photo.jpg`, cold, beyond `import tensorflow`",
            "at most",
            1.5,
            "s",
            beyond,
            detail=detail,
        )
    ]


def memory(quick: bool, repeats: int) -> list[Row]:
    """Measure what a training holds in memory, mapped files not counted, in a hundred times the data."""
    few, many = (200, 2_000) if quick else (10_000, 1_000_000)
    held = {pictures: [_resident(pictures) for _ in range(1)] for pictures in (few, many)}
    ratio = [large / small for small, large in zip(held[few], held[many], strict=True)]
    return [
        ratio_row(
            f"memory of a training, {many} pictures against {few}, mapped pages not counted",
            "at most",
            1.1,
            "times",
            ratio,
            detail=f"{held[few][0] / 1e6:.0f} and {held[many][0] / 1e6:.0f} MB, 5 captions a picture",
        )
    ]


def _resident(pictures: int) -> float:
    """Return the peak of the memory, in bytes, that training on so many pictures takes for itself."""
    script = str(Path(__file__).with_name("training_memory.py"))
    done = subprocess.run(
        [sys.executable, script, str(pictures)], env=QUIET, check=True, capture_output=True, text=True
    )
    return float(done.stdout.split()[-1])


def _run(command: list[str]) -> None:
    subprocess.run(command, env=QUIET, check=True, capture_output=True)
