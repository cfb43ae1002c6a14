"""Checks a mapping against what a connection can see: before the first record is read, with every problem at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from connectors.base import Describer, Description, Field, Problem
from sync.mapping import Mapping, ObjectMap
from sync.raw_rows import Use
from sync.related import Seen, described, leads_on
from sync.write_maps import WriteField, WriteMap
from sync.yaml_nodes import Node, did_you_mean

UNFIT: dict[str, frozenset[str]] = {
    "date": frozenset({"boolean", "money", "decimal", "reference", "picklist", "json", "id"}),
    "instant": frozenset({"boolean", "money", "decimal", "reference", "picklist", "json", "id"}),
    "money": frozenset({"boolean", "date", "datetime", "reference", "picklist", "json", "id"}),
    "decimal": frozenset({"boolean", "date", "datetime", "reference", "picklist", "json", "id"}),
    "integer": frozenset({"boolean", "date", "datetime", "money", "reference", "json", "id"}),
    "boolean": frozenset({"date", "datetime", "money", "decimal", "reference", "json", "id"}),
    "choice": frozenset({"date", "datetime", "money", "json", "id"}),
    "currency": frozenset({"boolean", "date", "datetime", "money", "decimal", "integer", "json", "id"}),
    "text": frozenset({"boolean", "json"}),
    "list": frozenset({"boolean", "date", "datetime", "money", "decimal", "integer", "id"}),
    "object": frozenset({"boolean", "date", "datetime", "money", "decimal", "integer", "id", "reference"}),
}
"""Types of the system that cannot become a kind of record field without a transform or a table of values."""

_ROW_KINDS = {
    **dict.fromkeys(
        ("basis", "rate", "amount", "opening", "total", "withheld", "payable", "carried_forward"), "number"
    ),
    **dict.fromkeys(
        ("earned_on", "released_on", "due_on", "pay_by", "period_from", "period_to", "won_on", "since", "until"), "date"
    ),
    **dict.fromkeys(("because", "reason", "clauses", "failed"), "long text"),
}
_FITS = {
    "number": frozenset({"money", "decimal", "string"}),
    "date": frozenset({"date", "datetime", "string"}),
    "long text": frozenset({"string", "json"}),
}
_SHORTEST_KEY = 80


def check(mapping: Mapping, describer: Describer) -> list[Problem]:
    """Everything wrong with the mapping for this connection, in the order of the file; empty when it can run.

    Costs one describe call for each object, or fewer where the system takes several in one. Raises: ``ConnectorError`` kinds when the system cannot be asked.
    """
    kinds: list[str] | None = None
    found: list[Problem] = []
    parts: tuple[ObjectMap | WriteMap, ...] = (*mapping.objects, *mapping.writes)
    paths: dict[str, list[str]] = {_object_of(part): [] for part in parts}
    for read in mapping.objects:
        paths[read.kind] += [use.path for use in read.uses]
        for lookup in read.lookups:
            if lookup.object in paths:
                paths[lookup.object].append(lookup.get)
    known = described(describer, paths)
    for part in parts:
        kind = _object_of(part)
        description = known[kind]
        if description is None:
            kinds = describer.kinds() if kinds is None else kinds
            allowed = "an object that this connection can see"
            found.append(_problem(part.place, f"object {kind!r}", allowed, did_you_mean(kind, kinds)))
        elif isinstance(part, ObjectMap):
            found += _reads(part, description, known)
        else:
            found += _writes(part, description, known)
    for read in mapping.objects:
        for lookup in read.lookups:
            seen = known.get(lookup.object)
            if seen is not None:
                found += _exists(lookup.place, lookup.get, seen, known)[1]
    return list(dict.fromkeys(found))


def _object_of(part: ObjectMap | WriteMap) -> str:
    return part.kind if isinstance(part, ObjectMap) else part.object


def _problem(place: Node, found: str, allowed: str, hint: str = "", *, warning: bool = False) -> Problem:
    where = f"{place.file}:{place.line}: {place.key}"
    return Problem(where, found, allowed, hint, "warning" if warning else "error")


def _exists(place: Node, path: str, seen: Description, known: Seen) -> tuple[Field | None, list[Problem]]:
    """The described field, or what is wrong. A dotted name may reach into a list, which is not described."""
    field = seen.fields.get(path)
    if field is not None:
        if field.readable:
            return field, []
        return field, [_problem(place, f"{seen.kind}.{path}", "a field that this connection may read")]
    head = path.split(".")[0]
    if "." in path and leads_on(known, seen.kind, path):
        allowed = "a field of the related object that this connection can see (it or its object may be hidden)"
        return None, [_problem(place, f"unknown field {path!r}", allowed)]
    if "." in path and head in seen.fields:
        return None, []
    if "." in path:
        return None, [
            _problem(place, f"{seen.kind}.{path}", "a field of the object's own, to be checked", warning=True,
                     hint="It reaches into a related object or list; the first read will tell")
        ]  # fmt: skip
    allowed = f"a field of {seen.kind} that this connection can see (it may exist but be hidden from this user)"
    return None, [_problem(place, f"unknown field {path!r}", allowed, did_you_mean(path, seen.fields))]


def _reads(part: ObjectMap, seen: Description, known: Seen) -> Iterator[Problem]:
    for use in part.uses:
        field, problems = _exists(use.place, use.path, seen, known)
        yield from problems
        if field is not None and field.calculated:
            yield _problem(
                use.place, f"the calculated field {field.name}", "a field whose changes move the record's stamp",
                "A formula's new value is seen only when something else of the record changes", warning=True,
            )  # fmt: skip
        if field is not None and use.target:
            yield from _fits(use, field)


def unfit(use: Use, field: Field) -> bool:
    """Whether a field of this type cannot become what the mapping makes of it."""
    return any(problem.level == "error" for problem in _fits(use, field))


def _fits(use: Use, field: Field) -> Iterator[Problem]:
    if use.values:
        yield from _words(use, field)
    elif use.transforms:
        return
    elif field.type in UNFIT.get(use.shape.kind, ()):
        yield _problem(
            use.place, f"{field.name} of type {field.type} for {use.target}", f"a field that holds {use.shape.kind}",
            "Or a transform, or a table of values, that makes one of it",
        )  # fmt: skip
    elif use.shape.kind == "choice" and field.values:
        other = [value for value in field.values if value not in map(str, use.shape.values)]
        if other:
            allowed = ", ".join(map(str, use.shape.values))
            yield _problem(
                use.place, f"{field.name} with {_some(other)}", allowed, "Translate them with `values`", warning=True
            )


def _words(use: Use, field: Field) -> Iterator[Problem]:
    if not field.values:
        return
    for word in use.values:
        if word not in field.values:
            yield _problem(
                use.place, f"{word!r}, which is no active value of {field.name}", _some(field.values),
                did_you_mean(word, field.values), warning=True,
            )  # fmt: skip
    missing = [value for value in field.values if value not in use.values]
    if missing and use.strict:
        yield _problem(
            use.place, f"no translation for {_some(missing)} of {field.name}", "every active value in `values`",
            "Records with another value are rejected; say `otherwise: keep` or `null` if that is not meant", warning=True,
        )  # fmt: skip


def _writes(part: WriteMap, seen: Description, known: Seen) -> Iterator[Problem]:
    if not seen.updatable or (part.key_field and not seen.creatable):
        yield _problem(part.place, f"object {part.object!r}", "an object that this connection may create and update")
    if part.key_field:
        yield from _key(part, part.key_field, seen)
    for target in part.fields:
        yield from _target(part, target, seen)
    if part.frozen is not None:
        yield from _exists(part.place, part.frozen.field, seen, known)[1]
    if part.changed_by is not None:  # without it conflicts name nobody
        yield from (replace(one, level="warning") for one in _exists(part.place, part.changed_by, seen, known)[1])
    if part.key_field:
        given = {target.name for target in part.fields} | {part.key_field}
        for name, field in seen.fields.items():
            if field.required and field.creatable and name not in given:
                yield _problem(part.place, f"no source for {name!r}", f"every field that {part.object} requires")


def _key(part: WriteMap, name: str, seen: Description) -> Iterator[Problem]:
    field, problems = _exists(part.place, name, seen, {})
    yield from problems
    if field is None:
        return
    if not (field.external_id and field.unique):
        yield _problem(
            part.place, f"{name!r}, which is not both external id and unique", "a unique external-id field as key",
            "Without one a repeated write makes a second record",
        )  # fmt: skip
    if field.length is not None and field.length < _SHORTEST_KEY:
        yield _problem(
            part.place, f"{name!r} of {field.length} characters", f"at least {_SHORTEST_KEY} characters for keys"
        )


def _target(part: WriteMap, target: WriteField, seen: Description) -> Iterator[Problem]:
    field = seen.fields.get(target.name)
    if field is None:
        if "." not in target.name:
            allowed = f"a field of {part.object} that this connection can see"
            hint = did_you_mean(target.name, seen.fields)
            yield _problem(target.place, f"unknown field {target.name!r}", allowed, hint)
        return
    if not field.updatable or (part.key_field and not field.creatable):
        yield _problem(target.place, f"{part.object}.{target.name}", "a field that this connection may write")
    given = target.values if target.constant is None else (target.constant,)
    for value in given:
        if field.values and str(value) not in field.values:
            hint = did_you_mean(str(value), field.values)
            yield _problem(target.place, f"{value!r} for {target.name}", _some(field.values), hint)
    for use in target.uses:
        yield from _carries(use, field)


def _carries(use: Use, field: Field) -> Iterator[Problem]:
    kind = _ROW_KINDS.get(use.path)
    if kind is None or use.values or (use.transforms and kind != "number"):
        return
    if field.type not in _FITS[kind]:
        yield _problem(use.place, f"{field.name} of type {field.type} for {use.path}", f"a field that holds a {kind}")
    elif kind == "long text" and field.length is not None:
        hint = f"Add `transform: {{truncate: {field.length}}}`, or the system may refuse a long one"
        yield _problem(use.place, f"{field.name} of {field.length} characters for {use.path}", "room for any length",
                       hint, warning=True)  # fmt: skip


def _some(values: Iterable[str]) -> str:
    listed = list(values)
    return ", ".join(map(repr, listed[:8])) + (f" and {len(listed) - 8} more" if len(listed) > 8 else "")
