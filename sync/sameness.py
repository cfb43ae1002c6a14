"""When two values of a field are the same although they are written differently.

Systems hand back ``10.0`` for ``"10.00"``, ``""`` for nothing and ``+0000`` for ``Z``. Every value is brought to one
plain form, by the field's described type where the system tells it; two values are the same when their forms are.
Also here: values as JSON text that gives back exactly what went in, for payloads that wait in the database.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any

import orjson

from connectors.base import Description, FieldType
from sync.moments import iso
from sync.refusal import Refused

Types = Mapping[str, FieldType]
"""Types of the fields of one object, by name; a field that is not in it is compared by its form alone."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")
# Without a described type, text is a number only when nothing but a number looks like it: "007" stays text.
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?")
_TRUE, _FALSE = {"true", "t", "yes", "y", "1"}, {"false", "f", "no", "n", "0"}
_LONGEST_NUMBER = 100


def types_of(description: Description | None) -> Types:
    """The types of an object's fields as its system describes them; empty when it does not."""
    return {} if description is None else {name: field.type for name, field in description.fields.items()}


def same(one: object, other: object, kind: FieldType | None = None) -> bool:
    """Whether two values of a field say the same. See :func:`plain`."""
    return plain(one, kind) == plain(other, kind)


def plain(value: object, kind: FieldType | None = None) -> str | None:
    """The one form of a value, or ``None`` when it says nothing (null, empty text, spaces).

    Numbers lose trailing zeros; instants are UTC to the whole second (what the systems keep); text loses outer spaces
    and carriage returns; several picks have no order; a reference given as an object is its ``id``. In a boolean
    field, nothing is false: a checkbox has no third state. A value that does not fit its type is compared as text.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return "false" if kind == "boolean" else None
    if isinstance(value, Mapping) and kind != "json" and "id" in value:
        return plain(value["id"], kind)
    return _FORMS.get(kind or "", _untyped)(value)


def is_text(value: str) -> bool:
    """Whether a database can hold it: no NUL, no half of a character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def says_nothing(value: object) -> bool:
    """Whether a value of a field of unknown type says nothing: ``plain(value) is None``, without making its form."""
    if value is None or isinstance(value, str):
        return value is None or not value.strip()
    return isinstance(value, Mapping) and "id" in value and says_nothing(value["id"])


def _untyped(value: object) -> str | None:
    if isinstance(value, str):
        text = value.strip()
        if _PLAIN_NUMBER.fullmatch(text):
            return _number(text)
        if len(text) > 10 and text[4:5] == "-" and text[:4].isdigit():
            return _instant(text)
        return _text(text)
    if isinstance(value, datetime):
        return _instant(value)
    if isinstance(value, (int, float, Decimal)) and not isinstance(value, bool):
        return _number(value)
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value.strip().replace("\r\n", "\n")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return json.dumps([plain(item) for item in value], ensure_ascii=False)
    if isinstance(value, Mapping):
        return json.dumps({str(name): plain(item) for name, item in value.items()}, sort_keys=True, ensure_ascii=False)
    return value.isoformat() if isinstance(value, date) else str(value)


def _number(value: object) -> str:
    text = _text(repr(value) if isinstance(value, float) else value)
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return text
    number = Decimal(text)
    if abs(number.adjusted()) > _LONGEST_NUMBER:
        return text
    # Not Decimal.normalize(): that rounds to the context's 28 digits.
    digits = format(number, "f")
    digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
    return "0" if digits == "-0" else digits


def _boolean(value: object) -> str:
    text = _text(value).lower()
    return "true" if text in _TRUE else "false" if text in _FALSE else text


def _moment(value: object) -> datetime | None:
    if isinstance(value, datetime):
        return value
    try:
        return iso(value.strip())[0] if isinstance(value, str) else None
    except Refused:
        return None


def _instant(value: object) -> str:
    moment = _moment(value)
    if moment is None:
        return _text(value)
    try:
        moment = moment if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:
        return _text(value)
    return moment.replace(microsecond=0).isoformat()


def _date(value: object) -> str:
    moment = _moment(value)
    return _text(value) if moment is None else moment.date().isoformat()


def _picks(value: object) -> str:
    picks = value.split(";") if isinstance(value, str) else value
    if not isinstance(picks, (list, tuple)):
        return _text(value)
    return ";".join(sorted(_text(pick) for pick in picks))


def _json(value: object) -> str:
    try:
        found = json.loads(value, parse_float=Decimal) if isinstance(value, str) else value
        return json.dumps(found, sort_keys=True, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):
        return _text(value)


_FORMS: Mapping[str, Callable[[object], str | None]] = {
    "id": _text,
    "string": _text,
    "reference": _text,
    "picklist": _picks,
    "integer": _number,
    "decimal": _number,
    "money": _number,
    "boolean": _boolean,
    "date": _date,
    "datetime": _instant,
    "json": _json,
}


def written_as(fields: object) -> str:
    """Field values as JSON text in a fixed order, from which :func:`read_as` gives back exactly these values.

    Raises: ``TypeError`` for a value that is neither JSON nor a ``Decimal``, date or instant.
    """
    if _is_simple(fields):
        with suppress(orjson.JSONEncodeError):  # half a character, a number beyond 64 bits
            return orjson.dumps(fields, _tagged, orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME).decode()
    return json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_tagged)


_SIMPLE = frozenset({str, int, bool, type(None), Decimal, date, datetime})
_LISTS, _NESTED = frozenset({list}), frozenset({list, dict})
_TEXT = frozenset({str})


def _is_simple(value: object) -> bool:
    """Whether orjson writes the value as ``json`` does, in a tenth of the time: it has a form of its own for floats, and
    takes types that have no JSON form."""
    inner: Any = value
    if type(value) is dict:
        if not _TEXT.issuperset(map(type, value)):
            return False
        inner = value.values()
    elif type(value) is not list:
        return type(value) in _SIMPLE
    kinds = set(map(type, inner)) - _SIMPLE
    if kinds == _LISTS:
        kinds = set(map(type, chain.from_iterable(one for one in inner if type(one) is list))) - _SIMPLE
        return not kinds or (kinds <= _NESTED and all(map(_is_simple, inner)))
    return not kinds or (kinds <= _NESTED and all(map(_is_simple, inner)))


def _tagged(value: object) -> dict[str, str]:
    if isinstance(value, Decimal):
        return {"$decimal": str(value)}
    if isinstance(value, datetime):
        return {"$instant": value.isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    raise TypeError(f"a {type(value).__name__} cannot be kept; allowed: JSON values, Decimal, date, datetime")


_TAGS: Mapping[str, Callable[[str], Any]] = {
    "$decimal": Decimal,
    "$instant": datetime.fromisoformat,
    "$date": date.fromisoformat,
}


def read_as(text: str) -> dict[str, Any]:
    """The values that :func:`written_as` wrote."""

    def untagged(found: dict[str, Any]) -> Any:
        if len(found) == 1:
            ((name, value),) = found.items()
            if name in _TAGS and isinstance(value, str):
                return _TAGS[name](value)
        return found

    loaded: dict[str, Any] = json.loads(text, object_hook=untagged) if '{"$' in text else json.loads(text)
    return loaded


def hash_of(fields: Mapping[str, Any]) -> str:
    """A stable name of these values (SHA-256, hex)."""
    return hash_of_text(written_as(fields))


def hash_of_text(text: str) -> str:
    """:func:`hash_of` values that :func:`written_as` wrote already."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
