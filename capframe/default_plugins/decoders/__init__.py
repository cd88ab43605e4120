"""The decoders that ship with capframe."""

from __future__ import annotations

from capframe import hookimpl


@hookimpl
def register_decoders() -> dict[str, str]:
    """Offer ``add-merge`` and ``transformer``."""
    home = "capframe.default_plugins.decoders"
    return {"add-merge": f"{home}.add_merge:AddMerge", "transformer": f"{home}.transformer:Transformer"}
