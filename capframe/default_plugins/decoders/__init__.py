"""The decoders that ship with capframe."""

from __future__ import annotations

from capframe import hookimpl


@hookimpl
def register_decoders() -> dict[str, str]:
    """Offer ``add-merge``, ``show-attend-tell`` and ``transformer``."""
    home = "capframe.default_plugins.decoders"
    return {
        "add-merge": f"{home}.add_merge:AddMerge",
        "show-attend-tell": f"{home}.show_attend_tell:ShowAttendTell",
        "transformer": f"{home}.transformer:Transformer",
    }
