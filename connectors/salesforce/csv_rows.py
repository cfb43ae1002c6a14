"""CSV of Bulk API 2.0: results as the rows that REST would give, and changes as an upload.

Source: Bulk API 2.0 and Bulk API Developer Guide ("Prepare CSV Files"): empty is null in results and *unchanged* in an
upload, where ``#N/A`` clears; values are not trimmed; fields may hold line breaks and quotes.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from connectors.errors import ConnectorError
from connectors.salesforce import soql

NULL = "#N/A"
LONGEST_FIELD = 64 * 1024 * 1024
"""Characters of one value: the parser's own limit is less than a long text area holds."""
MOST_IN_FIELD, MOST_IN_RECORD = 32_000, 400_000
"""Characters that an upload may hold ("Bulk API 2.0 Limits", ingest jobs); a field may be longer than that."""
_OTHER_LENGTH = 100
"""No value but text is longer."""
Convert = Callable[[str], Any]


class NotCsv(ConnectorError):
    """Results that are not the CSV they should be."""


def table(content: bytes) -> Iterator[list[str]]:
    """The lines of a CSV text. Raises: :class:`NotCsv`."""
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    try:
        # Decoded as it is read: the whole text at once would take four bytes a sign.
        yield from csv.reader(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise NotCsv(f"salesforce: the results of a job are not CSV ({type(error).__name__})") from error


class ResultRows:
    """Turns results of a query job into rows shaped and typed as those of REST, by the vendor's type of each field."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._names = list(types)
        self._convert: dict[str, Convert] = {name.lower(): _CONVERT.get(kind, str) for name, kind in types.items()}

    def rows(self, content: bytes) -> Iterator[dict[str, Any]]:
        """The rows of one part; only the first part need name its columns. Raises: :class:`NotCsv`."""
        lines = table(content)
        first = next(lines, None)
        if first is None:
            return
        if {name.lower() for name in first} == self._convert.keys():
            names = first
        else:  # no header: the columns come as they were asked for
            names = self._names
            yield _filled(self._plan(names), first)
        plan = self._plan(names)
        for line in lines:
            yield _filled(plan, line)

    def _plan(self, names: Sequence[str]) -> list[tuple[tuple[str, ...], str, Convert]]:
        plan = []
        for name in names:
            *parents, last = name.split(".")
            plan.append((tuple(parents), last, self._convert[name.lower()]))
        return plan


def _filled(plan: Sequence[tuple[tuple[str, ...], str, Convert]], line: Sequence[str]) -> dict[str, Any]:
    if len(line) != len(plan):
        raise NotCsv(f"salesforce: a line of a job's results has {len(line)} values; allowed: {len(plan)}")
    row: dict[str, Any] = {}
    try:
        for (parents, name, convert), text in zip(plan, line, strict=True):
            target = row
            for parent in parents:
                target = target.setdefault(parent, {})
            target[name] = convert(text) if text else None
    except (ValueError, ArithmeticError) as error:
        raise NotCsv("salesforce: a value in a job's results does not fit the type of its field") from error
    return row


def _boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("not a boolean")
    return text == "true"


def _exact(text: str) -> Decimal:
    """A number of a type with decimals; REST always shows a point."""
    return Decimal(text if "." in text or "E" in text.upper() else f"{text}.0")


def _instant(text: str) -> str:
    """An instant as REST writes it: ``+0000`` where results have ``Z``."""
    return f"{text[:-1]}+0000" if text.endswith("Z") else text


_CONVERT: dict[str, Convert] = {
    "boolean": _boolean, "int": int, "long": int, "double": _exact, "currency": _exact, "percent": _exact,
    "datetime": _instant,
}  # fmt: skip


def fits(values: Sequence[Any]) -> bool:
    """Whether an upload can say these values: text that reads as "clear" cannot be told from it, lists have no form, and
    a long text may be too long for it."""
    if any(value == NULL or isinstance(value, dict | list) for value in values):
        return False
    lengths = [_length(value) if isinstance(value, str) else _OTHER_LENGTH for value in values]
    return max(lengths, default=0) <= MOST_IN_FIELD and sum(lengths) <= MOST_IN_RECORD


def _length(text: str) -> int:
    """At most so many characters as Salesforce counts them: those outside the first plane are two."""
    return len(text) if text.isascii() else 2 * len(text)


def upload(
    key_name: str, rows: Sequence[tuple[str, Mapping[str, Any]]], most_bytes: int
) -> Iterator[tuple[int, int, bytes]]:
    """CSV files of these records (key, fields), each at most so many bytes: first record, end, content."""
    names = list(dict.fromkeys(soql.name(name) for _, fields in rows for name in fields))
    head = _line([key_name, *names])
    parts, size, start = [head], len(head), 0
    for place, (key, fields) in enumerate(rows):
        line = _line([key, *(_text(fields[name]) if name in fields else "" for name in names)])
        if size + len(line) > most_bytes and place > start:
            yield start, place, b"".join(parts)
            parts, size, start = [head], len(head), place
        parts.append(line)
        size += len(line)
    yield start, len(rows), b"".join(parts)


def _line(values: Sequence[str]) -> bytes:
    made = io.StringIO()
    csv.writer(made, lineterminator="\n", quoting=csv.QUOTE_ALL).writerow(values)
    return made.getvalue().encode()


def _text(value: Any) -> str:
    if value is None or value == "":
        return NULL
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return soql.instant(value)
    return value.isoformat() if isinstance(value, date) else str(value)
