"""CSV of Bulk API 2.0: results as the rows that REST would give, and changes as an upload.

Source: Bulk API 2.0 and Bulk API Developer Guide ("Prepare CSV Files"): empty is null in results and *unchanged* in an
upload, where ``#N/A`` clears; values are not trimmed; fields may hold line breaks and quotes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from connectors.base import Record
from connectors.errors import ConnectorError
from connectors.salesforce import soql
from connectors.salesforce.rows import RowReader, Rows

NULL = "#N/A"
LONGEST_FIELD = 64 * 1024 * 1024
"""Characters of one value: the parser's own limit is less than a long text area holds."""
MOST_IN_FIELD, MOST_IN_RECORD = 32_000, 400_000
"""Characters that an upload may hold ("Bulk API 2.0 Limits", ingest jobs); a field may be longer than that."""
_OTHER_LENGTH = 100
"""No value but text is longer."""


class NotCsv(ConnectorError):
    """Results that are not the CSV they should be."""


def table(content: bytes) -> Iterator[list[str]]:
    """The lines of a CSV text. Raises: :class:`NotCsv`."""
    # Decoded as it is read: the whole text at once would take four bytes a sign.
    return _parsed(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""))


def _parsed(lines: Iterable[str]) -> Iterator[list[str]]:
    csv.field_size_limit(max(csv.field_size_limit(), LONGEST_FIELD))
    try:
        yield from csv.reader(lines, strict=True)
    except (csv.Error, UnicodeDecodeError) as error:
        raise NotCsv(f"salesforce: the results of a job are not CSV ({type(error).__name__})") from error


class Results:
    """The results of one query job, as lines that are known to be readable, and how they are read.

    A line is told from the next, its values are counted and those that are no text looked at, by one expression: so what is
    wrong with a part is known while it can still be read another way, and the lines can be read later and elsewhere.
    """

    def __init__(self, types: Mapping[str, str], reader: RowReader) -> None:
        """``types``: the vendor's type of each column, in the order in which they were asked for."""
        self._types = {name.lower(): kind for name, kind in types.items()}
        self._names, self._reader = tuple(types), reader

    def part(self, content: bytes) -> tuple[ResultRows, Iterator[bytes]]:
        """How the lines of one part are read, and the lines; only the first part need name its columns.

        Raises: :class:`NotCsv`, by the first line that cannot be read.
        """
        head = content[: content.find(b"\n") + 1] or content
        names = tuple(head.decode(errors="replace").replace('"', "").strip().split(","))
        if {name.lower() for name in names} == self._types.keys():
            start = len(head)
        else:  # no header: the columns come as they were asked for
            names, start = self._names, 0
        kinds = tuple(self._types[name.lower()] for name in names)
        return ResultRows(self._reader, names, kinds), _lines(content, start, kinds)


def _lines(content: bytes, at: int, kinds: tuple[str, ...]) -> Iterator[bytes]:
    matched, is_ascii = _shape(kinds).match, content.isascii()
    while at < len(content):
        found = matched(content, at)
        if found is None:
            raise NotCsv(
                "salesforce: a line of a job's results is no CSV, or has a value that does not fit the type of its field; "
                f"allowed: {len(kinds)} values of their types"
            )
        line, at = found.group(1), found.end()
        if not is_ascii:
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise NotCsv("salesforce: the results of a job are not UTF-8") from error
        yield line


@lru_cache(maxsize=16)
def _shape(kinds: tuple[str, ...]) -> re.Pattern[bytes]:
    """A line of values of these types. Nothing in it is tried twice, so that a broken line is found out as fast as others are read."""
    values = [_VALUES[kind].shape if kind in _VALUES else _TEXT_SHAPE for kind in kinds]
    return re.compile(b"(" + b",".join(values) + rb")(?:\r?\n|\Z)")


@dataclass(frozen=True, slots=True)
class ResultRows:
    """Makes records of lines of a query job's results, shaped and typed as those of REST. Values are converted a column at a time."""

    reader: RowReader
    names: tuple[str, ...]
    kinds: tuple[str, ...]

    def __call__(self, lines: Sequence[bytes]) -> tuple[Record, ...]:
        """The records of these lines, in their order. Raises: :class:`NotCsv`; ``ConnectorError`` when a field is missing."""
        if not lines:
            return ()
        try:
            plain: dict[str, Sequence[Any]] = {}
            related: list[tuple[Sequence[str], Sequence[Any]]] = []
            for name, kind, texts in zip(self.names, self.kinds, _columns(lines, len(self.names)), strict=True):
                values: Sequence[Any] = (
                    _VALUES[kind].all(texts) if kind in _VALUES else [text or None for text in texts]
                )
                if "." in name:
                    related.append((name.split("."), values))
                else:
                    plain[name] = values
        except (ValueError, ArithmeticError, KeyError) as error:
            raise NotCsv("salesforce: a line of a job's results does not have the values of its columns") from error
        rows: Rows = [dict(zip(plain, values, strict=True)) for values in zip(*plain.values(), strict=True)]
        for (*parents, last), found in related:
            for row, value in zip(rows, found, strict=True):
                for parent in parents:
                    row = row.setdefault(parent, {})
                row[last] = value
        return self.reader.records(rows)


def _columns(lines: Sequence[bytes], count: int) -> Iterable[Sequence[str]]:
    """The values of lines that are known to be CSV, column by column."""
    whole = b",".join(lines).decode()
    values = whole[1:-1].split('","')
    # Where all quotes belong to such ends, or to both ends of the whole, each value is quoted and none has a quote in it.
    if len(values) == len(lines) * count == whole.count('"') / 2 and whole[0] == '"' == whole[-1]:
        return [values[place::count] for place in range(count)]
    return zip(*_parsed(map(bytes.decode, lines)), strict=True)


class _Values(NamedTuple):
    """Values of a type that is no text: how they are written, and what they are."""

    shape: bytes
    all: Callable[[Iterable[str]], list[Any]]


def _shaped(value: bytes) -> bytes:
    """A value written so, or none, quoted or not."""
    return rb'(?>"(?:%b)?+"|(?:%b)?+)' % (value, value)


def _booleans(texts: Iterable[str]) -> list[Any]:
    return [_BOOLEAN[text] for text in texts]


def _whole_numbers(texts: Iterable[str]) -> list[Any]:
    return [int(text) if text else None for text in texts]


def _exact_numbers(texts: Iterable[str]) -> list[Any]:
    """Numbers of a type with decimals; REST always shows a point."""
    return [(Decimal(text if "." in text or "E" in text.upper() else f"{text}.0") if text else None) for text in texts]


def _instants(texts: Iterable[str]) -> list[Any]:
    """Instants as REST writes them: ``+0000`` where results have ``Z``."""
    return [f"{text[:-1]}+0000" if text.endswith("Z") else text or None for text in texts]


_BOOLEAN = {"true": True, "false": False, "": None}
_TEXT_SHAPE = rb'(?>"[^"]*+(?:""[^"]*+)*+"|[^",\r\n]*+)'
_WHOLE = _Values(_shaped(rb"-?[0-9]{1,19}"), _whole_numbers)
_EXACT = _Values(
    _shaped(rb"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,4})?"), _exact_numbers
)
_VALUES = {
    "boolean": _Values(_shaped(rb"true|false"), _booleans), "int": _WHOLE, "long": _WHOLE,
    "double": _EXACT, "currency": _EXACT, "percent": _EXACT, "datetime": _Values(_TEXT_SHAPE, _instants),
}  # fmt: skip
"""By the vendor's type; all others are text."""


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
