"""Property values: what a property takes, and the text under which the portal keeps it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.hubspot.simulator.answers import PropertyError
from connectors.hubspot.simulator.schema import PropertySpec

LONGEST_TEXT = 65_536
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


def kept(spec: PropertySpec, value: Any) -> str:
    """The text that is stored; empty when the property is cleared. Raises: :class:`PropertyError`."""
    if spec.read_only:
        raise PropertyError("READ_ONLY_VALUE", spec.name, f"Property {spec.name} is a read only property")
    text = _text(value)
    if text == "":
        return ""
    return _TYPES.get(spec.type, _string)(spec, text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _string(spec: PropertySpec, text: str) -> str:
    if len(text) > LONGEST_TEXT:
        message = f"{spec.name} was too long"
        raise PropertyError("INVALID_LENGTH", spec.name, message)
    if spec.email and not _EMAIL.fullmatch(text):
        raise PropertyError("INVALID_EMAIL", spec.name, "Email address is invalid")
    return text.lower() if spec.email else text


def _number(spec: PropertySpec, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise PropertyError("INVALID_LONG", spec.name, "value was not a valid number")
    return format(number, "f")


def _bool(spec: PropertySpec, text: str) -> str:
    if text.lower() not in ("true", "false"):
        raise PropertyError("INVALID_BOOLEAN", spec.name, "value was not a valid boolean")
    return text.lower()


def _options(spec: PropertySpec, text: str) -> str:
    chosen = [part for part in text.split(";") if part] if spec.several else [text]
    if spec.owner:
        return text
    wrong = [one for one in chosen if one not in spec.options]
    if wrong:
        raise PropertyError("INVALID_OPTION", spec.name, "value was not one of the allowed options")
    return ";".join(dict.fromkeys(chosen))


def _date(spec: PropertySpec, text: str) -> str:
    try:
        if text.lstrip("-").isdigit():
            return datetime.fromtimestamp(int(text) / 1000, UTC).date().isoformat()
        return date.fromisoformat(text[:10]).isoformat()
    except (ValueError, OverflowError):
        raise PropertyError("INVALID_DATE", spec.name, "value was not a valid date") from None


def _datetime(spec: PropertySpec, text: str) -> str:
    try:
        moment = datetime.fromtimestamp(int(text) / 1000, UTC) if text.isdigit() else datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise PropertyError("INVALID_DATE", spec.name, "value was not a valid date") from None
    return stamp_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


_TYPES = {"number": _number, "bool": _bool, "enumeration": _options, "date": _date, "datetime": _datetime}


def stamp_of(moment: datetime) -> str:
    """An instant as the vendor writes it: UTC, milliseconds, Z."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def milliseconds(text: str) -> Decimal:
    """A stored date or instant as milliseconds since 1970, as filters compare it."""
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return Decimal(int(moment.timestamp() * 1000))
