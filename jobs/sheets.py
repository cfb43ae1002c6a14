"""CSV that a spreadsheet opens and does not execute, and that reads back to the same values (RFC 4180)."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "'", "＝", "＋", "－", "＠")
"""First characters that a spreadsheet takes for a formula, and the apostrophe that keeps it from doing so."""


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as CSV with a heading; nothing is an empty cell, a list or object is JSON, lines end with CR LF."""
    made = io.StringIO()
    writer = csv.writer(made)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(row[name]) for name in columns])
    return made.getvalue()


def cell(value: Any) -> str:
    """A value as a cell: text that a spreadsheet would run as a formula has an apostrophe before it; numbers have none."""
    if value is None:
        return ""
    shown = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{shown}" if shown.lstrip().startswith(_STARTS_A_FORMULA) and not _NUMBER.fullmatch(shown) else shown


def read_cell(text: str) -> str:
    """The text that a cell stands for."""
    return text[1:] if text.startswith("'") else text
