from __future__ import annotations

import io
import subprocess
import sys

import pytest

from capframe.progress import track


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_nothing_is_shown_unless_asked(capsys):
    with track(10, "Reading") as tracker:
        tracker.advance(4)
        tracker.update("text")
    assert tracker.done == 4
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_start_tenths_and_end_with_rate_and_time_left():
    stream, clock = io.StringIO(), Clock()
    with track(40, "Reading", enabled=True, stream=stream, clock=clock) as tracker:
        for _ in range(40):
            clock.now += 2.0
            tracker.advance()
    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "Reading: 0 of 40",
        "Reading: 4 of 40, 2.0 s each, 1 min 12 s left",
        "Reading: 8 of 40, 2.0 s each, 1 min 4 s left",
    ]
    assert lines[-1] == "Reading: 40 of 40 in 1 min 20 s, 2.0 s each"
    assert len(lines) == 11


def test_quick_work_has_two_lines_only():
    stream, clock = io.StringIO(), Clock()
    with track(100, "Drawing", enabled=True, stream=stream, clock=clock) as tracker:
        for _ in range(100):
            clock.now += 0.04
            tracker.advance()
    assert stream.getvalue().splitlines() == ["Drawing: 0 of 100", "Drawing: 100 of 100 in 4.0 s, 25/s"]


def test_a_remark_stands_on_the_next_line():
    stream, clock = io.StringIO(), Clock()
    with track(10, "Training", enabled=True, stream=stream, clock=clock) as tracker:
        clock.now = 7200.0
        tracker.update("loss 2.5")
        tracker.reach(5, 10)
    assert stream.getvalue().splitlines() == [
        "Training: 0 of 10",
        "Training: 5 of 10, 24 min 0 s each, 2 h 0 min left | loss 2.5",
        "Training: 5 of 10 in 2 h 0 min, 24 min 0 s each | loss 2.5",
    ]


def test_broken_off_work_says_where_it_stood_and_the_error_goes_on():
    stream = io.StringIO()

    def work():
        with track(10, "Reading", enabled=True, stream=stream, clock=Clock()) as tracker:
            tracker.advance(3)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert stream.getvalue().splitlines()[-1] == "Reading: 3 of 10 stopped after 0.0 s"


def test_work_of_nothing_has_a_start_and_an_end():
    stream = io.StringIO()
    with track(0, "Reading", enabled=True, stream=stream, clock=Clock()) as tracker:
        tracker.reach(0, 0)
    assert stream.getvalue().splitlines() == ["Reading: 0 of 0", "Reading: 0 of 0 in 0.0 s"]


def test_a_terminal_gets_a_live_bar_with_count_rate_and_remark(monkeypatch):
    for name, value in {"TERM": "xterm", "COLUMNS": "120"}.items():
        monkeypatch.setenv(name, value)
    stream, clock = Terminal(), Clock()
    with track(40, "Reading [all]", enabled=True, stream=stream, clock=clock) as tracker:
        clock.now = 2.0
        tracker.update("loss 2.5")
        tracker.advance(30)
    shown = stream.getvalue()
    assert "\x1b[" in shown
    for part in ("Reading [all]", "30/40", "15/s", "loss 2.5"):
        assert part in shown


def test_a_dumb_terminal_gets_lines_without_control_codes(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with track(4, "Reading", enabled=True, stream=stream, clock=Clock()) as tracker:
        tracker.advance(4)
    assert stream.getvalue().splitlines()[0] == "Reading: 0 of 4"
    assert "\x1b" not in stream.getvalue()


def test_the_stream_is_stderr_and_rich_is_not_loaded_for_a_pipe():
    program = (
        "import sys; from capframe.progress import track\n"
        "with track(2, 'Reading', enabled=True) as t: t.advance(2)\n"
        "print('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
    assert done.stderr.startswith("Reading: 0 of 2\nReading: 2 of 2 in ")
