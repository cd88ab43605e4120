"""The command line: a thin layer over `capframe.Captioner`, one file a command.

A command's file imports nothing heavy before the command runs, so that ``capframe --help`` answers at
once. Results go to stdout; progress, remarks and errors go to stderr.
"""

from __future__ import annotations

import os
import platform

import click

from .. import __version__
from .group import CommandGroup
from .quiet import LOG_LEVEL, SILENT

__all__ = ["main"]

ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


@click.group(
    cls=CommandGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with 'capframe quickstart': it needs no pictures of yours and no download.",
)
@click.version_option(__version__, "-V", "--version", prog_name="capframe")
@click.option("--debug", is_flag=True, help="Show where in the code an error was raised.")
def main(debug: bool) -> None:
    """Train, compare and use image captioners; every part is a plugin."""
    # TensorFlow reads these when it is imported.
    os.environ.setdefault(LOG_LEVEL, SILENT)
    if platform.machine() in ("x86_64", "AMD64"):  # where it would use oneDNN on newer processors only
        os.environ.setdefault(ONEDNN, "1")
