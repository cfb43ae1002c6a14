"""Raw records as the sources of a mapping see them: dotted names, list elements, and what is in scope."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from connectors.base import Record
from sync.moments import Zone
from sync.record_shapes import Shape
from sync.refusal import Refused
from sync.transforms import Convert
from sync.yaml_nodes import Node

Get = Callable[["Row"], Any]


class Lookups(Protocol):
    """Raw fields of records already pulled over the same connection."""

    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        """The record's last known raw fields, or ``None`` when it has not been pulled (yet)."""
        ...


class Row:
    """One raw record under the reader's eyes; ``elements`` are the list elements in scope, by their ``as`` name."""

    __slots__ = ("elements", "fields", "lookups", "record")

    def __init__(self, record: Record | None, fields: Mapping[str, Any], lookups: Lookups) -> None:
        self.record = record
        self.fields = fields
        self.lookups = lookups
        self.elements: dict[str, tuple[Any, int]] = {}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a source may name where it stands: list elements by ``as``, each with the list's field; and defaults."""

    zone: Zone = None
    elements: Mapping[str, str] = field(default_factory=dict)
    rows: bool = False
    """True for outcome rows (write): sources say ``row``, not ``field``."""

    def inside(self, name: str, list_path: str) -> Scope:
        """The scope of the elements of a list."""
        return replace(self, elements={**self.elements, name: list_path})

    @property
    def word(self) -> str:
        """The key that names a field here."""
        return "row" if self.rows else "field"


@dataclass(frozen=True, slots=True)
class Use:
    """One field of an object that a mapping reads or writes: for checks against the system's description."""

    path: str
    target: str
    shape: Shape
    place: Node
    transforms: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    """The system's words that the mapping translates."""
    strict: bool = False
    """Whether a word that is not among ``values`` rejects the record."""


@dataclass(frozen=True, slots=True)
class LookupUse:
    """A look-up of another object's field."""

    object: str
    get: str
    place: Node


class Plain(NamedTuple):
    """A value that is one field of the record: read without a detour, since most fields of most mappings are such."""

    target: str
    path: str
    convert: Convert
    default: Any
    required: bool
    longest: int
    """Text of at most so many characters is taken as it is but for spaces around it; -1: ``convert`` sees all text."""


@dataclass(frozen=True, slots=True)
class Source:
    """A compiled source. ``path`` is the record's field that it reads, when it reads one as it is."""

    get: Get
    uses: tuple[Use, ...] = ()
    lookups: tuple[LookupUse, ...] = ()
    path: str | None = None
    plain: Plain | None = None
    assured: bool = False
    """Whether every value it gives is one that the record takes: then nothing needs to be validated again."""


def told_apart(sources: Sequence[tuple[str, Source]]) -> tuple[tuple[Plain, ...], tuple[tuple[str, Get], ...]]:
    """The plain fields among these targets (for :func:`fill`), and how to read the others."""
    plain = tuple(source.plain._replace(target=name) for name, source in sources if source.plain is not None)
    return plain, tuple((name, source.get) for name, source in sources if source.plain is None)


_META: dict[str, Callable[[Record], Any]] = {
    "$id": lambda record: record.external_id,
    "$created_at": lambda record: record.created_at,
    "$modified_at": lambda record: record.modified_at,
}


def absent(raw: Any) -> bool:
    """Whether a raw value counts as no value: nothing, empty or blank text, an empty list."""
    if isinstance(raw, str):
        return not raw or raw.isspace()
    return raw is None or (isinstance(raw, list) and not raw)


def fill(made: dict[str, Any], fields: Mapping[str, Any], plan: Sequence[Plain]) -> None:
    """Put the clean values of plain fields into an object, under their targets. Raises: ``Refused`` (with the target)."""
    get = fields.get
    for target, path, convert, default, required, longest in plan:
        raw = get(path)
        if raw.__class__ is str and len(raw) <= longest:
            value = raw.strip()
            if value:
                made[target] = value
                continue
        elif raw is not None and raw != "":
            try:
                value = convert(raw)
            except Refused as error:
                # Blank text and empty lists are absent too, but too rare to be looked for each time.
                if not absent(raw):
                    raise error.inside(target) from None
                value = None
            if value is not None:
                made[target] = value
                continue
        if default is not None:
            made[target] = default
        elif required:
            raise missing().inside(target)


def missing() -> Refused:
    """The refusal of a field without a value that the mapping calls required."""
    return Refused(None, "a value (this field is required by the mapping)", "missing")


def zone_of(node: Node) -> ZoneInfo:
    """A time zone by its IANA name. Raises: ``MappingError``."""
    name = node.text("an IANA time zone such as Australia/Sydney")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        node.fail("an IANA time zone such as Australia/Sydney")


def reader_of(node: Node, path: str, scope: Scope) -> tuple[Get, str | None]:
    """A function that reads a dotted name from a row, and the field to ask the system for (``None``: nothing to ask)."""
    if not path or any(not part.strip() for part in path.split(".")) or len(path) > 200:
        node.fail("a field name")
    if path.startswith("$"):
        if path not in _META or scope.rows:
            node.fail("$id, $created_at, $modified_at" if not scope.rows else "a name of the row", found=repr(path))
        meta = _META[path]
        return (lambda row: meta(row.record)), None
    head, _, rest = path.partition(".")
    if head in scope.elements:
        if rest == "n":
            return (lambda row: row.elements[head][1]), None
        if not rest:
            return (lambda row: row.elements[head][0]), scope.elements[head]
        inner = path_getter(rest)
        return (lambda row: inner(row.elements[head][0])), f"{scope.elements[head]}.{rest}"
    if "." not in path:
        return (lambda row: row.fields.get(path)), path
    plain = path_getter(path)
    return (lambda row: plain(row.fields)), path


def path_getter(path: str) -> Callable[[Any], Any]:
    """Read a dotted name from raw fields: the name as it is, or step by step into related objects."""
    if "." not in path:
        return lambda fields: fields.get(path) if isinstance(fields, Mapping) else None
    parts = path.split(".")

    def walk(fields: Any) -> Any:
        if not isinstance(fields, Mapping):
            return None
        if path in fields:
            return fields[path]
        for part in parts:
            fields = fields.get(part) if isinstance(fields, Mapping) else None
        return fields

    return walk


def list_at(list_node: Node, as_node: Node, scope: Scope) -> tuple[str, str, Get]:
    """The ``as`` name of a list, the list's own field, and how to read it."""
    name = as_node.text("a short name for one element, such as line")
    if not name.isidentifier():
        as_node.fail("a short name of letters for one element, such as line")
    if name in scope.elements:
        as_node.fail("a name that is not used by the list around it")
    read, path = reader_of(list_node, list_node.text("the name of a list field"), scope)
    return name, path or "", read


def elements_of(raw: Any) -> list[Any]:
    """The elements of a list field; a list wrapped as ``{"records": […]}`` or ``{"items": […]}`` is unwrapped."""
    if raw is None or raw == "":
        return []
    if isinstance(raw, Mapping):
        raw = raw.get("records", raw.get("items", raw))
    if not isinstance(raw, (list, tuple)):
        raise Refused(raw, "a list")
    return list(raw)
