"""Print capframe's scores beside those of the COCO toolkit, Java tokenizer included.

Usage: python tests/benchmarks/coco_scores.py --references CAPTIONS.txt --hypotheses CAPTIONS.csv

Needs Java, and pycocoevalcap. Both files are caption files; every picture with a hypothesis is scored.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ptb_tokens import java_tokens
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge

from capframe.dataset import read_captions
from capframe.scoring import match, score


def main() -> None:
    """Score one file of captions twice."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--references", type=Path, required=True)
    parser.add_argument("--hypotheses", type=Path, required=True)
    arguments = parser.parse_args()
    written = read_captions(arguments.hypotheses)
    references = {
        image: texts for image, texts in read_captions(arguments.references).items() if image in written
    }
    hypotheses = match(written, references)
    report = score(hypotheses, references)
    ours = [*report.bleu, report.rouge_l, report.cider or 0.0]

    everything = [text for image, texts in references.items() for text in (hypotheses[image], *texts)]
    tokens = iter(java_tokens(everything))
    ours_by_java: dict[str, list[str]] = {}
    theirs: dict[str, list[str]] = {}
    for image, texts in references.items():
        ours_by_java[image] = [" ".join(next(tokens))]
        theirs[image] = [" ".join(next(tokens)) for _ in texts]
    toolkit = [
        *Bleu(4).compute_score(theirs, ours_by_java, verbose=0)[0],
        Rouge().compute_score(theirs, ours_by_java)[0],
        Cider().compute_score(theirs, ours_by_java)[0],
    ]
    names = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr-D"]
    print(f"{len(references)} pictures  {'capframe':>12}{'toolkit':>12}{'difference':>14}")
    for name, one, other in zip(names, ours, toolkit, strict=True):
        print(f"{name:<14}{one:>14.6f}{other:>12.6f}{abs(one - other):>14.2e}")


if __name__ == "__main__":
    main()
