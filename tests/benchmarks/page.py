"""Writes docs/performance.md and its chart."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from harness import Row, shown, table

HERE = Path(__file__).parent


def write_page(docs: Path, rows: list[Row], machine: str, repeats: int) -> None:
    """Write the page and the chart."""
    text = (HERE / "page.md").read_text().format(repeats=repeats, machine=machine, table=table(rows))
    text += (HERE / "misses.md").read_text()
    (docs / "performance.md").write_text(text)
    (docs / "images" / "performance.svg").write_text(chart(rows))


def chart(rows: list[Row], height: int = 30, bar: int = 560, left: int = 20) -> str:
    """Draw how often each figure holds its goal, on a logarithmic scale from 1/4 to 16."""
    from math import log2

    def place(ratio: float) -> float:
        return left + bar * (log2(min(max(ratio, 0.25), 16)) + 2) / 6

    total = height * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + bar + 30} {total}" '
        'font-family="sans-serif" font-size="11" role="img" aria-label="Figures against their goals">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for ratio, name in ((0.25, "1/4 of the goal"), (1, "goal"), (4, "4 times"), (16, "16 times")):
        x = place(ratio)
        line = "#333" if ratio == 1 else "#ccc"
        anchor = "start" if ratio < 1 else "end" if ratio == 16 else "middle"
        parts.append(f'<line x1="{x:.0f}" x2="{x:.0f}" y1="20" y2="{total - 8}" stroke="{line}"/>')
        parts.append(f'<text x="{x:.0f}" y="14" fill="#333" text-anchor="{anchor}">{name}</text>')
    for number, row in enumerate(rows):
        y = 26 + number * height
        ratio = row.figure / row.goal if row.bound == "at least" else row.goal / row.figure
        start, end = sorted((place(1), place(ratio)))
        colour = "#2a7f62" if row.reached else "#c2502e"
        what = escape(row.what.replace("`", ""))
        parts.append(
            f'<text x="{left}" y="{y + 9}" fill="#111" stroke="white" stroke-width="3" paint-order="stroke">'
            f"{what}: {escape(shown(row.figure, row.unit))}</text>"
            f'<rect x="{start:.1f}" y="{y + 13}" width="{max(end - start, 1.5):.1f}" height="9" '
            f'fill="{colour}"/>'
        )
    return "\n".join([*parts, "</svg>"]) + "\n"
