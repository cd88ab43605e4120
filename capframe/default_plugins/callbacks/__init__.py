"""The callbacks that ship with capframe: checkpoint, early stopping, learning rate on a plateau.

All three watch the validation loss, or the training loss where there is no dev split.
"""

from __future__ import annotations

from capframe import hookimpl


@hookimpl
def register_callbacks() -> dict[str, str]:
    """Offer ``checkpoint``, ``early-stopping`` and ``reduce-lr``."""
    home = "capframe.default_plugins.callbacks.validation"
    return {
        "checkpoint": f"{home}:Checkpoint",
        "early-stopping": f"{home}:EarlyStopping",
        "reduce-lr": f"{home}:ReduceLR",
    }
