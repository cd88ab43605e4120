"""Feed readers with damaged and invented files; anything but a CapframeError stops the run.

Not part of the tests: it runs as long as it is told to. Hypothesis invents the inputs: honest files that are
cut, spliced and overwritten, files of nothing but noise, and configurations with any JSON in any place.

    python tests/fuzz/fuzz.py --minutes 10
    python tests/fuzz/fuzz.py --minutes 1 --target pickle --seed 7
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from targets import TARGETS, Target

from capframe.errors import CapframeError

BATCH = 200
KEPT = Path("fuzz-crashes")


@st.composite
def damaged(draw: st.DrawFn, target: Target) -> bytes:
    """Return an honest file of the target, changed in one to six places; sometimes none of it is left."""
    if draw(st.integers(0, 19)) == 0:
        return draw(st.binary(max_size=300))
    content = draw(st.sampled_from(target.corpus))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.sampled_from([0, 0, 1, 1, 2, 4, 8, 64, 10**9])))
        piece = draw(
            st.one_of(
                st.sampled_from(target.words),
                st.binary(max_size=9),
                st.sampled_from([other[start : start + 50] for other in target.corpus]),
            )
        )
        content = content[:start] + piece + content[end:]
    return content


def fuzz(target: Target, minutes: float, first_seed: int) -> Counter[str]:
    """Feed one target for so many minutes; return how many inputs ended in which way."""
    ends: Counter[str] = Counter()
    deadline = time.monotonic() + 60 * minutes
    number = first_seed
    while time.monotonic() < deadline:

        @seed(number)
        @settings(
            max_examples=BATCH,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(content=damaged(target), other=target.invented)
        def feed(content: bytes, other: object) -> None:
            if time.monotonic() < deadline:
                ends[_end(target, content, other)] += 1

        feed()
        number += 1
    return ends


def _end(target: Target, content: bytes, other: object) -> str:
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=SCRATCH))
    try:
        target.feed(folder, content, other)
    except CapframeError as error:
        if not str(error):
            raise AssertionError("an error without a message") from error
        return type(error).__name__
    except BaseException:
        KEPT.mkdir(exist_ok=True)
        kept = KEPT / f"{target.name}-{random.getrandbits(32):08x}"
        shutil.copytree(folder, kept)
        print(f"Crash; its input is in {kept}")
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return "read"


def main() -> None:
    """Run the targets that the command line names, each for its share of the time."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10.0, help="for all targets together")
    parser.add_argument("--target", choices=sorted(TARGETS), action="append", help="may be repeated")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if hasattr(os, "nice"):
        os.nice(10)
    warnings.simplefilter("ignore")
    names = arguments.target or list(TARGETS)
    total = 0
    for name in names:
        make: Callable[[], Target] = TARGETS[name]
        try:
            ends = fuzz(make(), arguments.minutes / len(names), arguments.seed)
        except BaseException:
            traceback.print_exc()
            sys.exit(1)
        total += sum(ends.values())
        print(
            f"{name}: {sum(ends.values())} inputs, "
            + ", ".join(f"{n} {end}" for end, n in ends.most_common())
        )
    print(f"{total} inputs, no crash.")


SCRATCH = tempfile.mkdtemp(prefix="capframe-fuzz-")

if __name__ == "__main__":
    try:
        main()
    finally:
        shutil.rmtree(SCRATCH, ignore_errors=True)
