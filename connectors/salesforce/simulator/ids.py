"""Record ids as the vendor makes them: 15 case-sensitive characters, and 3 that carry their case.

Source: "Record IDs" (18-character ids: each group of five gives one character of A-Z0-5).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
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


def new_ids(prefix: str, instance: str = "Hs0") -> Iterator[str]:
    """Ids of one object, ascending, without end: prefix, instance, a counter in base 62."""
    width = 15 - len(prefix) - len(instance)
    count = 0
    while True:
        count += 1
        number, digits = count, ""
        while number:
            number, digit = divmod(number, 62)
            digits = _DIGITS[digit] + digits
        short = prefix + instance + digits.rjust(width, "0")
        yield short + suffix_of(short)
