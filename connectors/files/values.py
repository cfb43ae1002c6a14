"""Cells as exact text: numbers without thousands signs, dates in ISO form. Nothing passes through a float."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache

SHOWN = 40
_WORDS = (("YYYY", "%Y"), ("HH24", "%H"), ("MON", "%b"), ("MM", "%m"), ("MI", "%M"), ("DD", "%d"), ("SS", "%S"),
          ("M", "%m"), ("D", "%d"))  # fmt: skip
_TOKEN = re.compile("|".join(word for word, _ in _WORDS) + r"|[A-Za-z%]")
_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " "})
_PLAIN = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
_EXACT_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_EXACT_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class Exact(str):
    """Text of a cell that is exact already: a number or date cell of a workbook."""

    __slots__ = ()


class Unreadable(ValueError):
    """A cell that is not what its column holds: what was found (shortened) and what is allowed."""

    def __init__(self, found: str, allowed: str) -> None:
        super().__init__(f"found {found}; allowed: {allowed}")
        self.found, self.allowed = found, allowed


def shown(text: str) -> str:
    """A value as it may stand in a message."""
    short = repr(text)
    return short if len(short) <= SHOWN else short[: SHOWN - 1] + "…"


def number(text: str, decimal_sign: str, thousands_sign: str) -> str:
    """A number as plain text: ``1.234,50-`` and ``(1.234,50)`` become ``-1234.50``.

    Groups have three digits (or two before the last group, as in India), or there are none. Raises: ``Unreadable``.
    """
    if isinstance(text, Exact):
        if not _EXACT_NUMBER.fullmatch(text):
            raise Unreadable(shown(str(text)), "a number cell")
        return str(text)
    if _PLAIN.fullmatch(text) and decimal_sign == "." and thousands_sign != ".":
        return text
    written = text.translate(_SPACES).strip()
    inner, negative = written, False
    if written.startswith("(") and written.endswith(")"):
        inner, negative = written[1:-1], True
    elif written[:1] in "+-" or written.endswith("-"):
        inner, negative = written.strip("+-"), "-" in written
        if len(inner) + 1 != len(written):
            inner = ""
    match = _pattern(decimal_sign, thousands_sign).fullmatch(inner.strip())
    if match is None:
        example = f"1{thousands_sign}234{decimal_sign}50"
        raise Unreadable(shown(text), f"a number such as {example} (see numbers, decimal_sign, thousands_sign)")
    whole = match["whole"].replace(thousands_sign, "") if thousands_sign else match["whole"]
    return ("-" if negative else "") + (whole.lstrip("0") or "0") + (f".{match['part']}" if match["part"] else "")


@lru_cache(maxsize=64)
def _pattern(decimal_sign: str, thousands_sign: str) -> re.Pattern[str]:
    sign = re.escape(thousands_sign)
    grouped = rf"[0-9]{{1,3}}(?:{sign}[0-9]{{2,3}})*{sign}[0-9]{{3}}|" if thousands_sign else ""
    return re.compile(rf"(?P<whole>{grouped}[0-9]+)(?:{re.escape(decimal_sign)}(?P<part>[0-9]+))?")


def from_excel(value: float) -> str:
    """A number cell as the text that Excel shows at most: 15 significant digits, never an exponent.

    Excel keeps binary doubles and rounds what it shows; 0.1 + 0.2 is 0.3 there, and so it is here.
    """
    return format(Decimal(f"{value:.15g}"), "f")


@lru_cache(maxsize=256)
def date_format(form: str) -> tuple[str, bool]:
    """A format such as ``DD/MM/YYYY HH24:MI`` for ``strptime``, and whether it holds a time of day.

    Raises: ``ValueError`` saying what is wrong with it.
    """
    words = dict(_WORDS)

    def put(match: re.Match[str]) -> str:
        if match[0] not in words:
            raise ValueError(f"a format made of {', '.join(words)} and signs between them, without {match[0]!r}")
        return words[match[0]]

    found = _TOKEN.sub(put, form)
    if not {"%Y", "%d"} <= set(re.findall("%.", found)) or not ("%m" in found or "%b" in found):
        raise ValueError("a format with year, month and day, such as DD/MM/YYYY")
    return found, "%H" in found


def date_text(text: str, form: str) -> str:
    """A date as ``2026-03-01``, or ``2026-03-01T14:30:00`` when the format holds a time. Raises: ``Unreadable``."""
    return str(text) if isinstance(text, Exact) and _EXACT_DATE.match(text) else _date(str(text), form)


@lru_cache(maxsize=4096)
def _date(text: str, form: str) -> str:
    pattern, timed = date_format(form)
    try:
        moment = datetime.strptime(text.strip(), pattern)
    except ValueError:
        raise Unreadable(shown(text), f"a date written {form}") from None
    return moment.isoformat() if timed else moment.date().isoformat()
