"""Values as HubSpot takes them: everything is text, and an empty text clears a property."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any


def text_of(value: Any) -> str:
    """The text of a value. Raises: ``TypeError`` for one that has none (a float would not be exact)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return ";".join(text_of(item) for item in value)
    raise TypeError(f"a {type(value).__name__} has no text form")
