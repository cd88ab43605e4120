"""Losses, learning rate and sample captions in TensorBoard."""

from __future__ import annotations

import capframe


@capframe.hookimpl
def register_callbacks() -> dict[str, str]:
    """Offer ``tensorboard``."""
    return {"tensorboard": "capframe_tensorboard.callback:TensorBoard"}
