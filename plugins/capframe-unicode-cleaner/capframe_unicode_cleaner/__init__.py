"""A text cleaner for every language, with or without spaces between words."""

from __future__ import annotations

import capframe


@capframe.hookimpl
def register_text_cleaners() -> dict[str, str]:
    """Offer ``unicode``."""
    return {"unicode": "capframe_unicode_cleaner.cleaner:UnicodeCleaner"}
