"""Draw the learning curves of runs: ``learning_curves.py NAME=RUN_FOLDER ... --out curves.svg``.

On the left the loss of training by cross-entropy, on the right the greedy CIDEr-D of self-critical training,
both on the dev split, after each epoch.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from capframe.run_folder import CONFIG, read_history


def draw(runs: dict[str, Path], out: Path) -> None:
    """Draw ``history.csv`` of each run, by its name, into an SVG file."""
    # Text as text, and no date or random number: the same runs give the same file.
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "capframe", "font.size": 9})
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for name, folder in runs.items():
        history = read_history(folder)
        critical = json.loads((folder / CONFIG).read_text())["training"].get("objective") == "self-critical"
        panel, sign = (scores, -1) if critical else (losses, 1)
        epochs = [logs["epoch"] for logs in history]
        panel.plot(epochs, [sign * logs["val_loss"] for logs in history], marker=".", label=name)
    losses.set_ylabel("cross-entropy, nats a word")
    scores.set_ylabel("CIDEr-D of greedy captions, ends counted")
    for panel in (losses, scores):
        panel.set_xlabel("epoch")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.grid(alpha=0.3)
        if panel.lines:
            panel.legend(frameon=False)
    figure.savefig(out, metadata={"Date": None})


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN_FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    named = (run.partition("=") for run in arguments.runs)
    draw({name: Path(folder) for name, _, folder in named}, arguments.out)


if __name__ == "__main__":
    main()
