"""Job: `referee report NAME`, from a file of records to a report. As deterministic as `settle`: no clock, no network."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from jobs.problems import UserError
from jobs.report.catalogue import REPORTS, Report
from jobs.report.picture import OF_ONE_PROGRAM, Picture
from jobs.report.tables import Asked, Table, Where
from jobs.settle import as_bytes
from jobs.settle_file import date_option, load_programs, read_records, settled_programs, shown_name
from jobs.sheets import csv_text
from rules.facts import Facts
from rules.program import SHIPPED

WIDEST = 10
"""More columns than these are shown row by row, not as a table."""
FORMATS = ("json", "csv", "pdf", "table")


def report_file(
    name: str,
    programs: Sequence[str],
    records: str,
    as_of: str,
    sets: Sequence[str],
    asked: Asked,
    *,
    skip_bad: bool = False,
    format: str | None = None,
    list_name: str | None = None,
    columns: Sequence[str] = (),
    fonts: Path | None = None,
) -> None:
    """Read, settle, report, print. Raises: ``UserError`` for what cannot be; then nothing is printed."""
    if name not in REPORTS:
        raise UserError(f"report: found {name!r}; allowed: {', '.join(REPORTS)}")
    format = format_option(format, FORMATS)
    tables = REPORTS[name].tables
    listed = tables[0] if list_name is None else next((each for each in tables if each.name == list_name), None)
    if listed is None:
        raise UserError(f"--list: found {list_name!r}; allowed for {name}: {', '.join(each.name for each in tables)}")
    known = {column for table in tables for column in table.columns}
    for condition in asked.where:
        if condition.column not in known:
            raise UserError(f"--where: found {condition.column!r}; allowed for {name}: {', '.join(sorted(known))}")
    for column in columns:
        if column not in listed.columns:
            raise UserError(f"--columns: found {column!r}; allowed for {listed.name}: {', '.join(listed.columns)}")
    pictures = pictures_of(programs, records, as_of, sets, partner=asked.partner, skip_bad=skip_bad)
    document = report_document(name, pictures, date_option("--as-of", as_of), asked)
    if format == "json":
        sys.stdout.buffer.write(as_bytes(document))
    elif format == "csv":
        sys.stdout.buffer.write(csv_text(columns or listed.columns, document[listed.name]).encode())
    elif format == "pdf":
        from jobs.report.paper import report_pdf

        sys.stdout.buffer.write(report_pdf(document, listed, columns, fonts=fonts))
    else:
        _show(REPORTS[name], document, None if list_name is None else listed)
    sys.stdout.buffer.flush()


def report_document(name: str, pictures: Sequence[Picture], as_of: date, asked: Asked) -> dict[str, Any]:
    """A report of some programs as one document; each list is sorted, so nothing depends on the order of records."""
    report = REPORTS[name]
    lists = [report.rows_of(picture, asked) for picture in pictures]
    return {
        "report": name,
        "as_of": as_of.isoformat(),
        "programs": sorted(picture.program.label_on(as_of) for picture in pictures),
        **{
            table.name: table.arranged((row for rows in lists for row in rows[table.name]), asked.where)
            for table in report.tables
        },
    }


def pictures_of(
    programs: Sequence[str],
    records: str,
    as_of: str,
    sets: Sequence[str],
    *,
    partner: str | None = None,
    skip_bad: bool = False,
) -> list[Picture]:
    """Settle programs (of none: all shipped ones that the records mention). Raises: ``UserError``, ``ProgramError``."""
    day = date_option("--as-of", as_of)
    named = load_programs(programs, sets) if programs else None
    facts, _ = read_records(records, skip_bad)
    loaded = load_programs(mentioned(facts), sets) if named is None else named
    if partner is not None and partner not in facts.of("partner"):
        raise UserError(f"--partner: found {partner!r}; allowed: the id of a partner record of {shown_name(records)}")
    settled, _ = settled_programs(loaded, facts, day, file=records, skip_bad=skip_bad)
    return [Picture.of(each, facts) for each in settled]


def mentioned(facts: Facts) -> list[str]:
    """The shipped programs that any record names."""
    found = {
        version.fact.program
        for kind in OF_ONE_PROGRAM
        for versions in facts.of(kind).values()
        for version in versions
        if version.fact is not None
    }
    return [name for name in SHIPPED if name in found]


def where_option(texts: Sequence[str]) -> tuple[Where, ...]:
    """Read conditions on columns. Raises: ``UserError``."""
    found = []
    for text in texts:
        condition = Where.parse(text)
        if condition is None:
            raise UserError(
                f"--where: found {text!r}; allowed: COLUMN=VALUE, COLUMN>=VALUE, COLUMN<=VALUE or COLUMN~=WORD"
            )
        found.append(condition)
    return tuple(found)


def format_option(format: str | None, allowed: Sequence[str]) -> str:
    """The format asked for; without one, a table in a terminal and else JSON. Raises: ``UserError``."""
    if format is None:
        return "table" if sys.stdout.isatty() else "json"
    if format not in allowed:
        raise UserError(f"--format: found {format!r}; allowed: {', '.join(allowed)}")
    return format


def _show(report: Report, document: Mapping[str, Any], only: Table | None) -> None:
    from jobs.show import cards, console, table

    out = console()
    out.print(
        f"[bold]{document['report']}[/] of {', '.join(document['programs']) or 'no program'} as of {document['as_of']}"
    )
    for each in report.tables:
        rows = document[each.name]
        if rows and only in (None, each):
            numbers = [name for name in each.columns if isinstance(rows[0][name], int)]
            values = [[_words(row[name]) for name in each.columns] for row in rows]
            out.print()
            title = f"{each.name} ({len(rows)})"
            wide = len(each.columns) > WIDEST
            out.print(cards(title, each.columns, values) if wide else table(title, each.columns, values, right=numbers))


def _words(value: Any) -> str:
    """A value for a reader: lists with commas, people with what is said of them."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "; ".join(map(_words, value)) if value and isinstance(value[0], dict) else ", ".join(map(str, value))
    if isinstance(value, dict):
        said = (name.replace("_", " ") if told is True else str(told) for name, told in value.items() if told)
        return ", ".join(said)
    return str(value)
