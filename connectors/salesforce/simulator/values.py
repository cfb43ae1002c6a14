"""Values inside the simulated org, and as they go over the wire.

Kept ready to compare and to print: instants and dates as the vendor's own text (it sorts as time does),
numbers as ``Decimal`` (whole ones of type ``int`` as ``int``), the rest as text. A null is an absent key.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson

from connectors.salesforce.ids import full_id
from connectors.salesforce.simulator.schema import NUMBERS, FieldSpec

Row = dict[str, Any]

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SCIENTIFIC_FROM = Decimal(10_000_000)


class FieldError(Exception):
    """A value that a field refuses, with the vendor's status code and the fields concerned."""

    def __init__(self, code: str, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


class BadJson(Exception):
    """A value of the wrong JSON type: the vendor refuses the whole request."""


def stamp_of(instant: datetime) -> str:
    """An instant as the vendor writes it: UTC, whole seconds."""
    if instant.tzinfo is None:
        raise ValueError("instants need a time zone")
    return instant.astimezone(UTC).replace(tzinfo=None, microsecond=0).isoformat(timespec="milliseconds") + "+0000"


def instant_text(text: str) -> str | None:
    """A datetime literal or JSON value in the vendor's own text; ``None`` when it is none."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    if parsed.tzinfo is None or len(text) < 19:
        return None
    return parsed.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "+0000"


def day_text(text: str) -> str | None:
    """A date literal, checked; ``None`` when it is none."""
    try:
        return date.fromisoformat(text).isoformat() if len(text) == 10 else None
    except ValueError:
        return None


def coerced(spec: FieldSpec, value: Any) -> Any:
    """The value as this field keeps it; ``None`` clears.

    Raises: :class:`FieldError` for a value the field refuses, :class:`BadJson` for a wrong JSON type.
    """
    if value is None or value == "":
        return spec.default if spec.type == "boolean" else None
    if spec.type == "boolean":
        return _boolean(spec, value)
    if spec.type == "int" or spec.type in NUMBERS:
        return _number(spec, value)
    if spec.type in ("date", "datetime"):
        return _time(spec, value)
    if isinstance(value, (dict, list)):
        raise BadJson(f"Cannot deserialize instance of string from START_OBJECT value for {spec.name}")
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    if spec.type in ("reference", "id"):
        return _reference(spec, text)
    return _text(spec, text)


def _boolean(spec: FieldSpec, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise BadJson(f"Cannot deserialize instance of boolean from value of {spec.name}")


def _number(spec: FieldSpec, value: Any) -> Decimal | int:
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        exact = Decimal("NaN")
    if isinstance(value, (bool, dict, list)) or not exact.is_finite():
        raise BadJson(f"Cannot deserialize instance of double from value of {spec.name}")
    if spec.type == "int":
        if exact != exact.to_integral_value():
            raise BadJson(f"Cannot deserialize instance of int from value of {spec.name}")
        return int(exact)
    rounded = round(exact, spec.scale)
    if abs(rounded) >= Decimal(10) ** (18 - spec.scale):
        raise FieldError(
            "NUMBER_OUTSIDE_VALID_RANGE", f"{spec.label}: value outside of valid range on numeric field", (spec.name,)
        )
    return rounded


def _time(spec: FieldSpec, value: Any) -> str:
    if isinstance(value, datetime):
        return stamp_of(value)
    if isinstance(value, date):
        return value.isoformat()
    found = None
    if isinstance(value, str):
        found = instant_text(value) if spec.type == "datetime" else day_text(value[:10])
    if found is None:
        raise BadJson(f"Cannot deserialize instance of {spec.type} from value of {spec.name}")
    return found


def _reference(spec: FieldSpec, text: str) -> str:
    complete = full_id(text)
    if complete is None:
        raise FieldError("MALFORMED_ID", f"{spec.label}: id value of incorrect type: {text}", (spec.name,))
    return complete


def _text(spec: FieldSpec, text: str) -> str | None:
    text = text.strip()
    if spec.restricted and text and text not in spec.values:
        raise FieldError(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            f"{spec.label}: bad value for restricted picklist field: {text}",
            (spec.name,),
        )
    if spec.type == "email" and text and not _EMAIL.fullmatch(text):
        raise FieldError("INVALID_EMAIL_ADDRESS", f"{spec.label}: invalid email address: {text}", (spec.name,))
    if spec.length and len(text) > spec.length:
        raise FieldError(
            "STRING_TOO_LONG",
            f"{spec.label}: data value too large: {text} (max length={spec.length})",
            (spec.name,),
        )
    return text or None


def wire(value: Any) -> Any:
    """The value as JSON shows it: a number with a point always, in the vendor's (Java's) notation when large."""
    return orjson.Fragment(number_text(value).encode()) if type(value) is Decimal else value


def number_text(value: Decimal) -> str:
    """A number as the vendor writes it, in JSON and in CSV."""
    if abs(value) >= _SCIENTIFIC_FROM:
        digits = "".join(map(str, value.as_tuple().digits)).rstrip("0") or "0"
        sign = "-" if value < 0 else ""
        return f"{sign}{digits[0]}.{digits[1:] or '0'}E{value.adjusted()}"
    plain = f"{value:f}"
    if "." in plain:
        plain = plain.rstrip("0")
    return f"{plain}0" if plain.endswith(".") else plain if "." in plain else f"{plain}.0"
