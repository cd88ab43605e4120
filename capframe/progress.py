"""Progress of long work on stderr: a live bar on a terminal, a few plain lines in a file or pipe."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS_BETWEEN_LINES = 5.0


class Tracker:
    """Counts work that is done and shows nothing: what library code gets unless progress is asked for.

    Attributes:
        total: units of work in all.
        description: what is being done, as a user would say it.
        done: units done so far.
        text: a remark beside the count, such as the loss.
    """

    def __init__(self, total: int, description: str) -> None:
        self.total = total
        self.description = description
        self.done = 0
        self.text = ""

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""
        self.reach(self.done + n)

    def reach(self, done: int, total: int | None = None) -> None:
        """Count ``done`` units as done in all, of ``total`` where that has changed.

        Fits work that reports to a ``progress(done, total)`` callback.
        """
        self.done = done
        self.total = self.total if total is None else total
        self._show()

    def update(self, text: str) -> None:
        """Show ``text`` beside the count from now on."""
        self.text = text
        self._show()

    def _show(self) -> None:
        pass

    def close(self, finished: bool) -> None:
        """Show the end of the work, ``finished`` or broken off."""


class _Lines(Tracker):
    """A line at the start and the end; between them one a tenth of the work and every 5 s at most."""

    def __init__(self, total: int, description: str, stream: TextIO, clock: Callable[[], float]) -> None:
        super().__init__(total, description)
        self._stream, self._clock = stream, clock
        self._start = self._last = clock()
        self._tenths = 0
        self._print(f"0 of {total}")

    def _print(self, line: str) -> None:
        remark = f" | {self.text}" if self.text else ""
        print(f"{self.description}: {line}{remark}", file=self._stream, flush=True)

    def _show(self) -> None:
        tenths = 10 * self.done // self.total if self.total > 0 else 0
        now = self._clock()
        if self._tenths < tenths < 10 and now - self._last >= SECONDS_BETWEEN_LINES:
            self._tenths, self._last = tenths, now
            left = (now - self._start) * (self.total - self.done) / self.done
            rate = _rate(self.done, now - self._start)
            self._print(f"{self.done} of {self.total}, {rate}, {_duration(left)} left")

    def close(self, finished: bool) -> None:
        seconds = self._clock() - self._start
        end = "in" if finished else "stopped after"
        rate = _rate(self.done, seconds)
        self._print(f"{self.done} of {self.total} {end} {_duration(seconds)}{', ' if rate else ''}{rate}")


class _Bar(Tracker):
    """A live bar with count, rate and time left."""

    def __init__(self, total: int, description: str, stream: TextIO, clock: Callable[[], float]) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        super().__init__(total, description)
        self._clock, self._start = clock, clock()
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", style="progress.data.speed", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[text]}", markup=False),
            console=Console(file=stream),
        )
        self._task = self._progress.add_task(description, total=total, rate="", text="")
        self._progress.start()

    def _show(self) -> None:
        rate = _rate(self.done, self._clock() - self._start)
        self._progress.update(self._task, completed=self.done, total=self.total, rate=rate, text=self.text)

    def close(self, finished: bool) -> None:
        self._progress.stop()


def _rate(done: int, seconds: float) -> str:
    """Return ``"45/s"``, ``"20 s each"`` for slow units, or nothing where it can't be known yet."""
    if done <= 0 or seconds <= 0:
        return ""
    if done < seconds:
        return f"{_duration(seconds / done)} each"
    return f"{done / seconds:.0f}/s" if done / seconds >= 10 else f"{done / seconds:.1f}/s"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


@contextlib.contextmanager
def track(
    total: int,
    description: str,
    *,
    enabled: bool = False,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Tracker]:
    """Show the progress of the work inside the ``with`` block.

    Args:
        total: units of work in all.
        description: what is being done, such as ``"Reading pictures"``.
        enabled: show it; otherwise the tracker is silent.
        stream: where to show it, stderr by default. A live bar on a terminal, else plain lines.
        clock: returns the time in seconds.

    Yields:
        The tracker: ``advance(n)`` counts, ``update(text)`` sets a remark.
    """
    stream = sys.stderr if stream is None else stream
    if not enabled:
        tracker = Tracker(total, description)
    elif stream.isatty() and os.environ.get("TERM") != "dumb":
        tracker = _Bar(total, description, stream, clock)
    else:
        tracker = _Lines(total, description, stream, clock)
    finished = False
    try:
        yield tracker
        finished = True
    finally:
        tracker.close(finished)
