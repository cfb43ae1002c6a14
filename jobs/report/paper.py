"""A list of a report as PDF (CN-72): the columns asked for, or all that hold anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jobs.report.picture import Row
from jobs.report.tables import Table, is_number
from jobs.typesetting import pages

SIZES = ((8, 9.0), (12, 7.5), (16, 6.5), (99, 5.5))
"""Up to how many columns, which size of letters in points."""


def report_pdf(
    document: Mapping[str, Any], table: Table, columns: Sequence[str], *, fonts: Path | None = None
) -> bytes:
    """One list of a report. Raises: ``UserError`` for a letter that no font has."""
    rows: list[Row] = document[table.name]
    shown = list(columns) or [name for name in table.columns if any(row[name] not in (None, []) for row in rows)]
    shown = shown or list(table.columns)
    empty = [name for name in table.columns if name not in shown] if not columns else []
    title = f"{document['report']}: {table.name}"
    values = {
        "title": f"Report {title}",
        "heading": title.capitalize(),
        "programs": ", ".join(document["programs"]) or "no program",
        "as_of": document["as_of"],
        "size": next(size for most, size in SIZES if len(shown) <= most),
        "columns": [
            {"name": name.replace("_", " "), "number": all(is_number(row[name]) for row in rows)} for name in shown
        ],
        "rows": [[_text(row[name]) for name in shown] for row in rows],
        "note": f"Without columns that hold nothing: {', '.join(empty)}" if empty else "",
    }
    made = pages("report/report.typ", values, date.fromisoformat(document["as_of"]), f"report {title}", fonts=fonts)
    assert isinstance(made, bytes)
    return made


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, dict):
        return " ".join(_text(each) for each in value.values() if each not in (None, True, False))
    return str(value)
