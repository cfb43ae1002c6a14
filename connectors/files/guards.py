"""Cells that no spreadsheet takes for a formula: what we write may be opened in one (OWASP: CSV injection)."""

from __future__ import annotations

import re

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "'")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")


def guarded(text: str) -> str:
    """The text with an apostrophe before it when a spreadsheet could compute it; numbers stay numbers."""
    return "'" + text if text.startswith(_DANGEROUS) and not _NUMBER.fullmatch(text) else text


def unguarded(text: str) -> str:
    """The text that :func:`guarded` was given."""
    return text[1:] if text.startswith("'") else text
