"""The decoders that ship with capframe."""

from __future__ import annotations

from capframe import hookimpl


@hookimpl
def register_decoders() -> dict[str, str]:
    """Offer ``add-merge``."""
    return {"add-merge": "capframe.default_plugins.decoders.add_merge:AddMerge"}
