"""Dates and times as text: the format masks of queries, the date formats a user may choose, local time.

The vendor keeps stamps in the session's local time and compares them there: after a clock went back, later
changes carry earlier stamps. That is kept here on purpose.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

LOCAL = "%Y-%m-%d %H:%M:%S"
"""How local stamps are stored: sortable text."""
USER_FORMATS = {
    "M/D/YYYY": "{m}/{d}/{y}", "D/M/YYYY": "{d}/{m}/{y}", "MM/DD/YYYY": "{m:02}/{d:02}/{y}",
    "DD/MM/YYYY": "{d:02}/{m:02}/{y}", "YYYY-MM-DD": "{y}-{m:02}-{d:02}", "DD.MM.YYYY": "{d:02}.{m:02}.{y}",
    "YYYY/M/D": "{y}/{m}/{d}", "D-MON-YYYY": "{d}-{mon}-{y}", "DD-MON-YYYY": "{d:02}-{mon}-{y}",
}  # fmt: skip
"""Date formats of the user's preferences, as the vendor names them."""
_USER_PATTERNS = {
    style: form.replace(".", r"\.")
    .replace("{y}", r"(?P<y>\d{4})")
    .replace("{mon}", "(?P<mon>[A-Za-z]{3})")
    .replace("{m}", r"(?P<m>\d{1,2})")
    .replace("{m:02}", r"(?P<m>\d{2})")
    .replace("{d}", r"(?P<d>\d{1,2})")
    .replace("{d:02}", r"(?P<d>\d{2})")
    for style, form in USER_FORMATS.items()
}
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MASK_PART = re.compile(r"YYYY|MON|HH24|MI|MM|DD|SS|[^A-Za-z0-9]|T|Z")
_STRFTIME = {
    "YYYY": "%Y",
    "MON": "%b",
    "HH24": "%H",
    "MI": "%M",
    "MM": "%m",
    "DD": "%d",
    "SS": "%S",
}


class FormatError(ValueError):
    """A mask that is not supported, or text that does not fit it."""


@lru_cache(maxsize=64)
def strftime_of(mask: str) -> str:
    """A query's mask (``YYYY-MM-DD HH24:MI:SS``) as a ``strftime`` pattern. Raises: ``FormatError``."""
    parts = _MASK_PART.findall(mask)
    if "".join(parts) != mask or not parts:
        raise FormatError(f"Invalid date format: {mask!r}")
    return "".join(_STRFTIME.get(part, part.replace("%", "%%")) for part in parts)


def to_char(stored: str | None, mask: str) -> str | None:
    """A stored date or local stamp by a mask."""
    if stored is None:
        return None
    if mask == "YYYY-MM-DD HH24:MI:SS":
        return stored if len(stored) == 19 else f"{stored} 00:00:00"
    if mask == "YYYY-MM-DD":
        return stored[:10]
    return datetime.fromisoformat(stored).strftime(strftime_of(mask))


@lru_cache(maxsize=4096)
def from_text(text: str | None, mask: str) -> str | None:
    """A local stamp read by a mask. Raises: ``FormatError``."""
    if text is None:
        return None
    try:
        return datetime.strptime(text, strftime_of(mask)).strftime(LOCAL)
    except ValueError as error:
        raise FormatError(f"Invalid date {text!r} for the format {mask!r}") from error


def user_date(stored: str | None, style: str) -> str | None:
    """A stored date or stamp as the user sees it: the day only."""
    if stored is None:
        return None
    year, month, day = int(stored[:4]), int(stored[5:7]), int(stored[8:10])
    return USER_FORMATS[style].format(y=year, m=month, d=day, mon=_MONTHS[month - 1])


def from_user_date(text: str, style: str) -> str:
    """A stored date from text in the user's format. Raises: ``FormatError`` for any other format."""
    found = re.fullmatch(_USER_PATTERNS[style], text.strip())
    if found is None:
        raise FormatError(f"Invalid date {text!r}: expected {style}")
    parts = found.groupdict()
    try:
        month = int(parts["m"]) if "m" in parts else _MONTHS.index(parts["mon"].capitalize()) + 1
        return datetime(int(parts["y"]), month, int(parts["d"])).strftime("%Y-%m-%d")
    except ValueError as error:
        raise FormatError(f"Invalid date {text!r}: expected {style}") from error


def local_text(moment: datetime, zone: ZoneInfo) -> str:
    """An instant as a stored local stamp."""
    return moment.astimezone(zone).strftime(LOCAL)


def rest_text(moment: str) -> str:
    """A stored UTC stamp as the record API gives it: minutes only."""
    return datetime.fromisoformat(moment).replace(second=0, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
