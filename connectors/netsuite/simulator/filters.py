"""The ``q`` filter of record lists: ``lastModifiedDate ON_OR_AFTER "3/21/2025" AND companyName CONTAIN "a"``."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from connectors.netsuite.simulator.answers import Refused
from connectors.netsuite.simulator.database import Row
from connectors.netsuite.simulator.formats import FormatError, from_user_date, local_text
from connectors.netsuite.simulator.schema import TableSpec

_TERM = re.compile(r'\s*(\w+)\s+([A-Z_]+)(?:\s+(?:"([^"]*)"|([\w.-]+)))?\s*(?:(AND)\s+|$)')
_OPERATORS = (
    "IS",
    "IS_NOT",
    "CONTAIN",
    "START_WITH",
    "EQUAL",
    "ON",
    "AFTER",
    "BEFORE",
    "ON_OR_AFTER",
    "ON_OR_BEFORE",
)


def matching(rows: list[Row], table: TableSpec, text: str, date_format: str, zone: ZoneInfo) -> list[Row]:
    """The rows that fulfil every term; days are the account's. Raises: ``Refused`` for what cannot be read."""
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None or found[2] not in _OPERATORS:
            raise Refused(400, "INVALID_PARAMETER", "Invalid query filter.", parameter="q")
        name, operator, value = (
            found[1].lower(),
            found[2],
            found[3] if found[3] is not None else found[4] or "",
        )
        column = table.columns.get(name)
        if column is None:
            raise Refused(
                400,
                "INVALID_PARAMETER",
                f"Invalid query filter: unknown field '{found[1]}'.",
                parameter="q",
            )
        if column.type in ("date", "datetime"):
            try:
                value = from_user_date(value, date_format)
            except FormatError:
                # Clients know by these words that they should try another date format.
                detail = (
                    f'Invalid search query. Search error occurred: Parse of date/time "{value}" failed with date format '
                    f'"{date_format}".'
                )
                raise Refused(400, "INVALID_PARAMETER", detail, parameter="q") from None
        stamp = column.type == "datetime"
        rows = [row for row in rows if _fits(_held(row.get(name), stamp, zone), operator, value, stamp)]
        at = found.end()
    return rows


def _held(value: Any, stamp: bool, zone: ZoneInfo) -> str:
    if value is None:
        return ""
    return local_text(datetime.fromisoformat(value).replace(tzinfo=UTC), zone) if stamp else str(value)


def _fits(held: str, operator: str, value: str, stamp: bool) -> bool:
    day = held[:10] if stamp else held
    if stamp and operator == "AFTER":
        # A bare date is midnight of the account, so AFTER a day begins with that day.
        return held > f"{value} 00:00:00"
    match operator:
        case "IS" | "EQUAL" | "ON":
            return day == value
        case "IS_NOT":
            return held != value
        case "CONTAIN":
            return value.lower() in held.lower()
        case "START_WITH":
            return held.lower().startswith(value.lower())
        case "AFTER":
            return day > value
        case "BEFORE":
            return day < value
        case "ON_OR_AFTER":
            return day >= value
        case _:
            return day <= value
