"""Tryton's JSON: exact numbers, dates and instants are typed objects, and related records nest under ``name.``."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any


def typed(value: Any) -> Any:
    """A value as Tryton takes it in: ``Decimal`` never becomes a JSON number; instants are UTC without a zone."""
    if isinstance(value, Decimal):
        return {"__class__": "Decimal", "decimal": format(value, "f")}
    if isinstance(value, datetime):
        at = value.astimezone(UTC) if value.tzinfo else value
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond")
        return {"__class__": "datetime", **{name: getattr(at, name) for name in names}}
    if isinstance(value, date):
        return {"__class__": "date", "year": value.year, "month": value.month, "day": value.day}
    if isinstance(value, Mapping):
        return {name: typed(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [typed(inner) for inner in value]
    return value


def plain(value: Any) -> Any:
    """A value of an answer as a record holds it: exact numbers and dates as text, instants with ``Z``.

    The record of a related object, which comes under ``name.``, stands under ``name``, in place of its id.
    """
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if "__class__" in value:
        return _untyped(value)
    made = {name: plain(inner) for name, inner in value.items() if not name.endswith(".")}
    return made | {name[:-1]: plain(inner) for name, inner in value.items() if name.endswith(".")}


def _untyped(value: dict[str, Any]) -> Any:
    match value["__class__"]:
        case "Decimal":
            return format(Decimal(value["decimal"]), "f")
        case "datetime":
            return text_of(_moment(value))
        case "date":
            return date(value["year"], value["month"], value["day"]).isoformat()
        case "time":
            return time(value["hour"], value["minute"], value["second"], value["microsecond"]).isoformat()
        case "timedelta":
            return str(timedelta(seconds=value["seconds"]))
        case "bytes":
            return base64.b64encode(base64.b64decode(value["base64"])).decode()
        case _:
            return {name: plain(inner) for name, inner in value.items() if name != "__class__"}


def _moment(value: Mapping[str, Any]) -> datetime:
    return datetime(
        value["year"], value["month"], value["day"], value["hour"], value["minute"], value["second"],
        value["microsecond"], tzinfo=UTC,
    )  # fmt: skip


def text_of(at: datetime) -> str:
    """An instant as text that keeps every microsecond and sorts by time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def instant_of(text: str | None) -> datetime | None:
    """The instant of such a text. Raises: ``ValueError``."""
    return datetime.fromisoformat(text) if text else None
