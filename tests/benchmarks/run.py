"""Measure capframe beside what people would otherwise run, print the table, and write docs/performance.md.

python tests/benchmarks/run.py                      # everything; about 15 minutes on 2 cores
python tests/benchmarks/run.py --only training      # one group
python tests/benchmarks/run.py --write              # and write the page
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import datetime
import importlib
import json
import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from harness import Row, table

GROUPS = {
    "training": "training_rows:training",
    "reading": "training_rows:reading",
    "growth": "training_rows:growth",
    "captioning": "captioning_rows:captioning",
    "one-picture": "captioning_rows:one_picture",
    "efficientnet": "extraction_rows:efficientnet",
    "vgg16": "extraction_rows:vgg16",
    "starting": "command_rows:starting",
    "cold-caption": "command_rows:cold_caption",
    "memory": "command_rows:memory",
}
DOCS = Path(__file__).parents[2] / "docs"


def measure(group: str, quick: bool, repeats: int) -> list[Row]:
    """Return the rows of one group."""
    module, function = GROUPS[group].split(":")
    rows: list[Row] = getattr(importlib.import_module(module), function)(quick, repeats)
    return rows


def machine() -> str:
    """Describe the machine and the versions in a line each."""
    packages = ("capframe", "tensorflow", "keras", "numpy", "pillow", "onnxruntime")
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
    return (
        f"- Machine: {cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}\n"
        f"- Versions: {', '.join(f'{name} {version(name)}' for name in packages)}\n"
        f"- Day: {datetime.date.today().isoformat()}\n"
    )


def main() -> None:
    """Run the groups that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: to see that it runs, not to measure"
    )
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    parser.add_argument("--json", type=Path, help="also write the rows there")
    options = parser.parse_args()
    rows: list[Row] = []
    for group in options.only:
        print(f"measuring {group} ...", file=sys.stderr, flush=True)
        found = measure(group, options.quick, options.repeats)
        print(table(found), file=sys.stderr, flush=True)
        rows += found
    print(table(rows), end="")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    if options.write:
        from page import write_page

        write_page(DOCS, rows, machine(), options.repeats)


if __name__ == "__main__":
    main()
