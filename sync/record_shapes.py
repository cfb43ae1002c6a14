"""What each record field takes, read from the record models: so that a mapping is checked and converted without being told."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
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

    @property
    def names(self) -> dict[str, Shape]:
        """The members of an object by name."""
        return dict(self.members)

    @property
    def inexact_refused(self) -> bool:
        """Whether the value is money or multiplied with money, so that no expression may make it."""
        return self.kind in ("money", "decimal")


ANY = Shape("any")
_OURS = {"type", "id", "known_at", "deleted"}
_NAMED: tuple[tuple[Any, Kind], ...] = (
    (records.Amount, "money"), (records.Positive, "money"), (records.NotNegative, "money"),
    (records.Rate, "decimal"), (records.FxRate, "decimal"),
    (records.Day, "date"), (records.Instant, "instant"), (records.Currency, "currency"),
)  # fmt: skip
_PLAIN: dict[Any, Kind] = {str: "text", bool: "boolean", int: "integer"}


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
            return Shape(kind, required)
    origin = get_origin(hint)
    if origin is Annotated:
        return _shape(get_args(hint)[0], required)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(hint) if option is not type(None)]
        return _shape(options[0], required) if len(options) == 1 else Shape("any", required)
    if origin is Literal:
        return Shape("choice", required, values=get_args(hint))
    if origin is list:
        return Shape("list", required, item=_shape(get_args(hint)[0], True))
    if origin is dict:
        value = get_args(hint)[1]
        return Shape("object", required, item=ANY if value is Any else _shape(value, True))
    if is_dataclass(hint):
        return Shape("object", required, members=tuple(_members(hint)))
    return Shape(_PLAIN.get(hint, "any"), required)


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
    return simple[shape.kind]


def _loose(raw: Any) -> Any:
    return text(raw) if isinstance(raw, str) else plain(raw)


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
