"""Fields that a mapping reaches through a reference (``Owner.Email``), as the objects behind it describe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from connectors.base import Describer, Description, Field, descriptions

Seen = Mapping[str, Description | None]


def described(describer: Describer, paths: Mapping[str, Iterable[str]]) -> dict[str, Description | None]:
    """These objects as the system describes them; dotted names among their ``paths`` are fields of theirs too.

    An object that a reference leads to is asked for once, and not at all when it is one of these; several together where the
    system takes that. Of a reference that may lead to several objects, a field is there when one of them has it. A
    path that no described reference leads along is left out. The objects on the way are in the answer too. Raises:
    ``ConnectorError`` kinds.
    """
    seen = descriptions(describer, paths)
    dotted = {kind: [path for path in some if "." in path] for kind, some in paths.items()}
    depth = max((path.count(".") for some in dotted.values() for path in some), default=0)
    for _ in range(depth):
        more = {other for kind, some in dotted.items() for path in some for other in _next(seen, kind, path)}
        if more:
            seen = {**seen, **descriptions(describer, sorted(more))}
    return {**seen, **{kind: _with(seen, kind, dotted[kind]) for kind in paths}}


def _next(seen: Seen, kind: str, path: str) -> Iterable[str]:
    """The objects on the way of a path that are not described yet."""
    head, _, rest = path.partition(".")
    for other in _targets(seen.get(kind), path, head):
        if other not in seen:
            yield other
        elif "." in rest:
            yield from _next(seen, other, rest)


def _with(seen: Seen, kind: str, paths: Iterable[str]) -> Description | None:
    """The object with the fields that it reaches under their dotted names."""
    own = seen[kind]
    if own is None:
        return None
    reached = {path: replace(found, name=path, calculated=False) for path in paths if (found := _at(seen, kind, path))}
    return replace(own, fields={**own.fields, **reached}) if reached else own


def _at(seen: Seen, kind: str, path: str) -> Field | None:
    description = seen.get(kind)
    if description is None:
        return None
    if path in description.fields or "." not in path:
        return description.fields.get(path)
    head, _, rest = path.partition(".")
    found = [_at(seen, other, rest) for other in _targets(description, path, head)]
    return next((field for field in found if field is not None and field.readable), None)


def _targets(description: Description | None, path: str, head: str) -> tuple[str, ...]:
    """Where the first step of a path leads: to nothing where the object has a field of the whole path's name."""
    if description is None or path in description.fields:
        return ()
    found = (field.references for field in description.fields.values() if head in (field.relationship, field.name))
    return next((references for references in found if references), ())


def came_with(fields: Mapping[str, Any], path: str) -> bool:
    """Whether a record came with this field, in each element of a list; a related object that is not there has all of its
    fields."""
    head, _, rest = path.partition(".")
    if path in fields or not rest:
        return path in fields
    if head not in fields:
        return False
    inner = fields[head] if isinstance(fields[head], list) else [fields[head]]
    return all(came_with(one, rest) for one in inner if isinstance(one, Mapping))


def leads_on(seen: Seen, kind: str, path: str) -> bool:
    """Whether the first step of a dotted name is a reference to objects, of which one at least is described."""
    return any(seen.get(other) is not None for other in _targets(seen.get(kind), path, path.partition(".")[0]))
