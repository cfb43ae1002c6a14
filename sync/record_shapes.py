"""What each record field takes, read from the record models: so that a mapping is checked and converted without being told."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from rules import records
from sync.moments import Parser, Zone, date_reader, instant_reader, iso
from sync.refusal import Refused
from sync.transforms import Convert, amount, boolean, currency, decimal, integer, plain, text

Kind = Literal[
    "text", "date", "instant", "money", "decimal", "currency", "integer", "boolean", "choice", "list", "object", "any"
]


@dataclass(frozen=True, slots=True)
class Shape:
    """One field of a record. ``values`` of a choice; ``members`` of an object (empty: any names); ``item`` of a list."""

    kind: Kind
    required: bool = False
    values: tuple[Any, ...] = ()
    members: tuple[tuple[str, Shape], ...] = ()
    item: Shape | None = None
    longest: int | None = None
    """Most characters of a text."""
    assured: bool = False
    """Whether the field takes every value that its :func:`converter` gives. Amounts have digits still to be checked."""

    @property
    def names(self) -> dict[str, Shape]:
        """The members of an object by name."""
        return dict(self.members)

    @property
    def inexact_refused(self) -> bool:
        """Whether the value is money or multiplied with money, so that no expression may make it."""
        return self.kind in ("money", "decimal")


ANY = Shape("any", assured=True)
_OURS = {"type", "id", "known_at", "deleted"}
_NAMED: tuple[tuple[Any, Kind], ...] = (
    (records.Amount, "money"), (records.Positive, "money"), (records.NotNegative, "money"),
    (records.Rate, "decimal"), (records.FxRate, "decimal"),
    (records.Day, "date"), (records.Instant, "instant"), (records.Currency, "currency"),
)  # fmt: skip
_PLAIN: dict[Any, Kind] = {str: "text", bool: "boolean", int: "integer", Any: "any"}
_ASSURED = {"date", "instant", "currency"}


@cache
def shapes_of(record: str) -> dict[str, Shape]:
    """The fields of a record type that a mapping may fill, by name (all but type, id, known_at, deleted)."""
    return {name: shape for name, shape in _members(records.RECORDS[record]) if name not in _OURS}


def record_types() -> list[str]:
    """Names of all record types."""
    return list(records.RECORDS)


def _members(model: Any) -> list[tuple[str, Shape]]:
    hints = get_type_hints(model, include_extras=True)
    found = []
    for field in fields(model):
        shape = _shape(hints[field.name], field.default is MISSING and field.default_factory is MISSING)
        found.append((_written(field, hints[field.name]), shape))
    return found


def _written(field: Field[Any], hint: Any) -> str:
    """The name in JSON: an alias when the model has one (``from`` is a Python keyword)."""
    for extra in getattr(hint, "__metadata__", ()):
        if getattr(extra, "alias", None):
            return str(extra.alias)
    return field.name


def _shape(hint: Any, required: bool) -> Shape:
    for named, kind in _NAMED:
        if hint == named:
            return Shape(kind, required, assured=kind in _ASSURED)
    origin = get_origin(hint)
    if origin is Annotated:
        limits = [limit for extra in get_args(hint)[1:] for limit in getattr(extra, "metadata", ())]
        return _limited(_shape(get_args(hint)[0], required), limits)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return _shape(options[0], required) if len(options) == 1 else Shape("any", required)
    if origin is Literal:
        return Shape("choice", required, values=get_args(hint), assured=True)
    if origin is list:
        return Shape("list", required, item=_shape(get_args(hint)[0], True))
    if origin is dict:
        value = get_args(hint)[1]
        return Shape("object", required, item=ANY if value is Any else _shape(value, True))
    if is_dataclass(hint):
        return Shape("object", required, members=tuple(_members(hint)))
    return Shape(_PLAIN.get(hint, "any"), required, assured=hint in _PLAIN)


def _limited(shape: Shape, limits: Sequence[Any]) -> Shape:
    """The shape under the limits of its hint: those of a text are known here, others are left to the record model."""
    if not limits:
        return shape
    longest = next((limit.max_length for limit in limits if hasattr(limit, "max_length")), None)
    others = [limit for limit in limits if not hasattr(limit, "max_length") and getattr(limit, "min_length", 0) != 1]
    return replace(shape, longest=longest, assured=shape.assured and shape.kind == "text" and not others)


LONGEST_ID = _shape(records.Id, True).longest or 0
"""Most characters of a record's id."""


def converter(shape: Shape, zone: Zone = None, parse: Parser = iso) -> Convert:
    """The function that brings a raw value to a field's type. Raises (when called): ``Refused``."""
    simple: dict[str, Convert] = {
        "text": text, "money": amount, "decimal": decimal, "currency": currency, "integer": integer,
        "boolean": boolean, "object": plain, "any": _loose,
    }  # fmt: skip
    if shape.kind == "date":
        return date_reader(zone, parse)
    if shape.kind == "instant":
        return instant_reader(zone, parse)
    if shape.kind == "choice":
        return _choice(shape.values)
    if shape.kind == "list":
        return _list(converter(shape.item or ANY, zone, parse))
    if shape.longest is not None:
        return _short(shape.longest)
    return simple[shape.kind]


def _short(longest: int) -> Convert:
    def convert(raw: Any) -> str | None:
        found = text(raw)
        if found is not None and len(found) > longest:
            raise Refused(raw, f"at most {longest} characters", "record")
        return found

    return convert


def _loose(raw: Any) -> Any:
    return raw.strip() or None if type(raw) is str else text(raw) if isinstance(raw, str) else plain(raw)


def _choice(values: tuple[Any, ...]) -> Callable[[Any], Any]:
    read: Convert = integer if all(isinstance(value, int) for value in values) else text
    allowed = ", ".join(map(str, values))
    members = frozenset(values)

    def convert(raw: Any) -> Any:
        found = read(raw)
        if found is not None and found not in members:
            raise Refused(raw, f"{allowed} (map the system's words with `values`)", "picklist")
        return found

    return convert


def _list(item: Convert) -> Convert:
    def convert(raw: Any) -> list[Any] | None:
        if not isinstance(raw, (list, tuple)):
            raise Refused(raw, "a list; split text with the transform `list`")
        found = [item(part) for part in raw if part is not None]
        return [part for part in found if part is not None] or None

    return convert
