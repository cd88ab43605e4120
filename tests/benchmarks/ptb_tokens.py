"""Print the share of captions to which the ``ptb`` rules give the very tokens of the Java tokenizer.

Usage: python tests/benchmarks/ptb_tokens.py CAPTIONS.txt [--show 10]

Needs Java, and pycocoevalcap, which brings the tokenizer. The captions are those of a caption file.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import unicodedata
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from capframe.dataset import read_captions
from capframe.tokens import tokenize

JAR = "stanford-corenlp-3.4.1.jar"
REMOVED = {"''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"}


def java_tokens(captions: Sequence[str]) -> list[list[str]]:
    """Return the tokens that the COCO toolkit counts, a list for each caption."""
    package = find_spec("pycocoevalcap.tokenizer")
    if package is None or package.submodule_search_locations is None:
        raise SystemExit("pycocoevalcap is not installed; it brings the Java tokenizer.")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder, "captions.txt")
        lines.write_text("".join(f"{_one_line(caption)}\n" for caption in captions), encoding="utf-8")
        command = [
            "java",
            "-Dfile.encoding=UTF-8",
            "-cp",
            str(Path(package.submodule_search_locations[0], JAR)),
        ]
        command += ["edu.stanford.nlp.process.PTBTokenizer", "-preserveLines", "-lowerCase", str(lines)]
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode()
    kept = ([token for token in line.split(" ") if token not in REMOVED] for line in output.split("\n")[:-1])
    # Where the tokenizer joins two words by a no-break space, the toolkit's metrics part them again.
    return [" ".join(tokens).split() for tokens in kept]


def _one_line(caption: str) -> str:
    return "".join(" " if unicodedata.category(one) in {"Cc", "Zl", "Zp"} else one for one in caption)


def main() -> None:
    """Compare all captions of a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("captions", type=Path)
    parser.add_argument("--show", type=int, default=10, help="how many differences to print")
    arguments = parser.parse_args()
    captions = [text for texts in read_captions(arguments.captions).values() for text in texts]
    compared = list(zip(captions, java_tokens(captions), strict=True))
    different = [(text, java, tokenize(text)) for text, java in compared if java != tokenize(text)]
    equal = len(compared) - len(different)
    print(f"{equal} of {len(compared)} captions have equal tokens: {100 * equal / len(compared):.4f} %")
    for text, java, ours in different[: arguments.show]:
        print(f"caption   {text}\n  java    {java}\n  capframe {ours}")


if __name__ == "__main__":
    main()
