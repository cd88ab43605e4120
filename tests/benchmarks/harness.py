"""Measuring contestants side by side: they take turns, so that a slow minute hits all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Literal

Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: what was measured.
        goal: the bound of ``figure``, and whether it is the least or the most that will do.
        figure: the median over the repeats.
        spread: the least and the greatest of them.
        unit: of all these: ``times``, ``share``, ``s``, ...
        detail: the measured quantities behind the figure.
    """

    what: str
    goal: float
    bound: Literal["at least", "at most"]
    figure: float
    spread: tuple[float, float]
    unit: str
    detail: str = ""

    @property
    def reached(self) -> bool:
        """Whether the figure keeps to the goal."""
        return self.figure >= self.goal if self.bound == "at least" else self.figure <= self.goal


def take_turns(contestants: Mapping[str, Callable[[], object]], repeats: int) -> Seconds:
    """Run each contestant once unmeasured, then ``repeats`` times in turn; return the seconds of each run."""
    for contestant in contestants.values():
        contestant()
    seconds: Seconds = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, contestant in contestants.items():
            started = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio_row(
    what: str,
    bound: Literal["at least", "at most"],
    goal: float,
    unit: str,
    figures: list[float],
    *,
    detail: str = "",
) -> Row:
    """Make a row of the figures of each repeat."""
    return Row(what, goal, bound, median(figures), (min(figures), max(figures)), unit, detail)


def ratios(seconds: Seconds, above: str, below: str, scale: float = 1.0) -> list[float]:
    """Return ``scale * above / below`` for each repeat."""
    return [scale * one / other for one, other in zip(seconds[above], seconds[below], strict=True)]


def shown(value: float, unit: str) -> str:
    """Write a figure with its unit, in as many digits as it deserves."""
    if unit == "share":
        return f"{100 * value:.1f} %"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


def table(rows: list[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        "| what | goal | figure | least to greatest | reached | behind it |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        low, high = (shown(value, row.unit) for value in row.spread)
        reached = "yes" if row.reached else "**no**"
        lines.append(
            f"| {row.what} | {row.bound} {shown(row.goal, row.unit)} | {shown(row.figure, row.unit)} "
            f"| {low} to {high} | {reached} | {row.detail} |"
        )
    return "\n".join(lines) + "\n"
