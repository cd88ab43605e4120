"""``python -m capframe`` is ``capframe``."""

from __future__ import annotations

from .cli import main

main(prog_name="capframe")
