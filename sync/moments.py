"""Dates and instants as vendors write them, turned into the two forms that facts use.

A date is ``YYYY-MM-DD``; an instant is RFC 3339 in UTC (``2026-03-01T10:00:00Z``). Local times need a zone: nothing is
guessed, neither a zone nor the order of day and month.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from rules.records import FIRST_YEAR
from sync.refusal import Refused

Zone = ZoneInfo | None
Parser = Callable[[str], tuple[datetime, bool]]
"""Reads one form of text: the moment (aware, or local) and whether it holds a time of day."""

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?",
    re.IGNORECASE,
)
_UTC_SECONDS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.0{1,9})?(?:Z|\+00:?00)")
"""The usual form of a stamp: whole seconds in UTC, which need no arithmetic."""
_ISO_FORMS = "2026-03-01, 2026-03-01 10:00:00, 2026-03-01T10:00:00.000+0000"
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TOKENS = {
    "YYYY": ("year", r"[0-9]{4}"),
    "MM": ("month", r"[0-9]{2}"),
    "MON": ("name", r"[A-Za-z]{3}"),
    "M": ("month", r"[0-9]{1,2}"),
    "DD": ("day", r"[0-9]{2}"),
    "D": ("day", r"[0-9]{1,2}"),
    "HH24": ("hour", r"[0-9]{1,2}"),
    "HH12": ("half", r"[0-9]{1,2}"),
    "MI": ("minute", r"[0-9]{2}"),
    "SS": ("second", r"[0-9]{2}"),
    "AM": ("noon", r"[AaPp]\.?[Mm]\.?"),
}
FORMAT_WORDS = ", ".join(_TOKENS)
EPOCHS = {"epoch_s": 1, "epoch_ms": 1000}


def iso(written: str) -> tuple[datetime, bool]:
    """Read ISO 8601 as the vendors write it. Raises: ``Refused``."""
    if not _ISO.fullmatch(written):
        raise Refused(written, f"a date or time such as {_ISO_FORMS}; other forms need `format`")
    try:
        return datetime.fromisoformat(written), len(written) > 10
    except ValueError:
        raise Refused(written, "a date that exists") from None


def parser_of(form: str) -> Parser:
    """Compile a ``format`` such as ``D/M/YYYY HH24:MI``. Raises: ``ValueError`` saying what is wrong with it."""
    if form in EPOCHS:
        return _epoch(EPOCHS[form])
    pattern, seen = "", set()
    at = 0
    while at < len(form):
        for token in sorted(_TOKENS, key=len, reverse=True):
            if form.startswith(token, at):
                name, part = _TOKENS[token]
                if name in seen:
                    raise ValueError(f"{token} twice")
                seen.add(name)
                pattern += f"(?P<{name}>{part})"
                at += len(token)
                break
        else:
            if form[at].isalnum():
                raise ValueError(f"{form[at:]!r}")
            pattern += re.escape(form[at])
            at += 1
    if not {"year", "day"} <= seen or not seen & {"month", "name"}:
        raise ValueError("no year, month or day")
    if ("half" in seen) != ("noon" in seen):
        raise ValueError("HH12 without AM, or AM without HH12")
    return _formatted(re.compile(pattern), form, bool(seen & {"hour", "half"}))


def _formatted(pattern: re.Pattern[str], form: str, timed: bool) -> Parser:
    def read(written: str) -> tuple[datetime, bool]:
        match = pattern.fullmatch(written)
        if match is None:
            raise Refused(written, f"a date or time written {form}")
        part = match.groupdict()
        month = part.get("month")
        if month is None:
            name = part["name"].lower()
            if name not in _MONTHS:
                raise Refused(written, f"a date or time written {form}")
            month = str(_MONTHS.index(name) + 1)
        hour = int(part.get("hour") or 0)
        if part.get("half"):
            hour = int(part["half"])
            if not 1 <= hour <= 12:
                raise Refused(written, "an hour from 1 to 12")
            hour = hour % 12 + (12 if part["noon"][0] in "Pp" else 0)
        try:
            minute, second = int(part.get("minute") or 0), int(part.get("second") or 0)
            return datetime(int(part["year"]), int(month), int(part["day"]), hour, minute, second), timed
        except ValueError:
            raise Refused(written, "a date that exists") from None

    return read


def _epoch(divisor: int) -> Parser:
    def read(written: str) -> tuple[datetime, bool]:
        if not re.fullmatch(r"-?[0-9]{1,14}", written):
            raise Refused(written, "a whole number of seconds or milliseconds since 1970")
        try:
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=int(written)) / divisor, True
        except OverflowError:
            raise Refused(written, "a date that exists") from None

    return read


def _moment(raw: object, parse: Parser) -> tuple[datetime, bool]:
    if isinstance(raw, datetime):
        return raw, True
    if isinstance(raw, date):
        return datetime(raw.year, raw.month, raw.day), False
    if isinstance(raw, int) and not isinstance(raw, bool) and parse is not iso:
        return parse(str(raw))
    if not isinstance(raw, str):
        raise Refused(raw, "a date or time as text")
    return parse(raw.strip())


def date_reader(zone: Zone = None, parse: Parser = iso) -> Callable[[object], str]:
    """A function from a vendor's date or time to ``YYYY-MM-DD``; a time with an offset needs the zone. Raises: ``Refused``."""
    plain = parse is iso

    def read(raw: object) -> str:
        if plain and type(raw) is str and len(raw) == 10 and raw[4] == raw[7] == "-":
            try:
                return _usable(date.fromisoformat(raw).isoformat(), raw)
            except ValueError:
                raise Refused(raw, "a date that exists, YYYY-MM-DD") from None
        moment, _ = _moment(raw, parse)
        if moment.tzinfo is not None:
            if zone is None:
                raise Refused(raw, "a date; a time with an offset has one only in a `zone`")
            moment = _in_zone(moment, zone, raw)
        return _usable(moment.date().isoformat(), raw)

    return read


def instant_reader(zone: Zone = None, parse: Parser = iso) -> Callable[[object], str]:
    """A function from a vendor's time to an RFC 3339 instant in UTC; a local time needs the zone. Raises: ``Refused``.

    A local time that a clock change repeats is its first occurrence; one that a clock change skips is refused (it
    shows that the zone is not the system's). A date alone is its first instant in the zone.
    """

    plain = parse is iso

    def read(raw: object) -> str:
        if plain and type(raw) is str and _UTC_SECONDS.fullmatch(raw):
            try:
                datetime.fromisoformat(raw)
            except ValueError:
                raise Refused(raw, "a date that exists") from None
            return _usable(raw[:19] + "Z", raw)
        moment, timed = _moment(raw, parse)
        if moment.tzinfo is None:
            if zone is None:
                raise Refused(raw, "a time with an offset, or a `zone` in the mapping")
            moment = moment.replace(tzinfo=zone, fold=0)
            if timed and _skipped(moment, zone):
                raise Refused(raw, f"a time that exists in {zone.key}; check the `zone`")
        shown = _in_zone(moment, UTC, raw).replace(tzinfo=None).isoformat()
        return _usable((shown.rstrip("0") if len(shown) > 19 else shown) + "Z", raw)

    return read


def _usable(shown: str, raw: object) -> str:
    """A date or instant as it is written, from the first year on that records may have (``rules.records``)."""
    if shown < FIRST_YEAR:
        raise Refused(raw, f"a date from {FIRST_YEAR} on")
    return shown


def _skipped(moment: datetime, zone: ZoneInfo) -> bool:
    try:
        return moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != moment.replace(tzinfo=None)
    except OverflowError:
        return False


def _in_zone(moment: datetime, zone: tzinfo, raw: object) -> datetime:
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):
        raise Refused(raw, "a date between the years 1 and 9999") from None
