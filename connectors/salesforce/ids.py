"""Record ids: 15 case-sensitive characters, and 3 more that carry their case.

Source: "Record IDs" (18-character ids: each group of five gives one character of A-Z0-5).
"""

from __future__ import annotations

import re

_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")


def suffix_of(short: str) -> str:
    """The three letters that complete a 15-character id."""
    return "".join(
        _SUFFIX[sum(1 << place for place in range(5) if "A" <= short[start + place] <= "Z")] for start in (0, 5, 10)
    )


def full_id(text: str) -> str | None:
    """The 18-character form of a 15- or 18-character id; ``None`` when it is no id (or its suffix is wrong)."""
    if not _ID.fullmatch(text):
        return None
    if len(text) == 15:
        return text + suffix_of(text)
    return text if suffix_of(text[:15]) == text[15:] else None
