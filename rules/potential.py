"""Rule: what a prospect promises less than is hoped for. Nothing is refused for it: its reviewer weighs it (CN-49)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from rules.money import plain
from rules.terms import Potential

_AMOUNT = re.compile(r"[0-9]{1,18}(\.[0-9]{1,6})?")
_LENGTH = re.compile(r"(?:about |ca\.? |~)?(\d{1,3})\+? ?(month|year)s?", re.I)
_PERIOD = re.compile(r"P(\d{1,3})([MY])")


def shortfalls(term: Potential, details: Mapping[str, Any]) -> Iterator[str]:
    """What is below the mark, in words; of what cannot be read as an amount or a length nothing is said.

    Units: ``estimated_value`` in the program's currency; ``estimated_timeline`` as "6 months", "2 years" or P6M.
    Raises: nothing.
    """
    named = ", ".join(term.clauses)
    amount = estimated_value(details)
    if term.value_above is not None and amount is not None and amount <= term.value_above:
        yield f"its estimated value {plain(amount)} is not above {plain(term.value_above)} ({named})"
    months = _months(details.get("estimated_timeline"))
    if term.months_from is not None and months is not None and months < term.months_from:
        yield f"its estimated {months} months are fewer than {term.months_from} ({named})"


def estimated_value(details: Mapping[str, Any]) -> Decimal | None:
    """What a partner thinks its prospect is worth, in the program's currency; ``None``: not given as a number."""
    value = details.get("estimated_value")
    stated = str(value).strip() if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return Decimal(stated) if _AMOUNT.fullmatch(stated) else None


def _months(text: Any) -> int | None:
    """The whole months that a timeline says, or ``None`` when it says none."""
    if not isinstance(text, str):
        return None
    found = _LENGTH.fullmatch(text.strip()) or _PERIOD.fullmatch(text.strip())
    return int(found[1]) * (12 if found[2][0] in "yY" else 1) if found else None
