"""The write part of a mapping: outcome rows in, desired records of the system out.

Pure: nothing is read or written here. Rows come out in the order of the outcome, each with the key that makes the
write safe to repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from sync.conditions import Condition
from sync.decisions import DIRECTIONS, IF_DELETED, POLICIES, FieldPolicy, IfDeleted, ObjectPolicy
from sync.field_sources import condition_at, source_of, template_of
from sync.moments import iso
from sync.raw_rows import Get, Row, Scope, Use, absent, reader_of
from sync.record_shapes import Shape
from sync.refusal import Refused
from sync.transforms import key80, text
from sync.yaml_nodes import MappingError, Node, did_you_mean

Nulls = Literal["clear", "keep", "skip"]
NULLS: tuple[Nulls, ...] = get_args(Nulls)

ROWS: dict[str, tuple[str, tuple[str, ...]]] = {
    "claims": (
        "referral",
        ("referral", "program", "partner", "account", "state", "rank", "protected_from", "protected_until", "won_on",
         "failed", "because"),
    ),
    "entries": (
        "key",
        ("key", "program", "partner", "referral", "contract", "kind", "source", "source.type", "source.id", "basis", "rate",
         "amount", "currency", "earned_on", "released_on", "due_on", "state", "corrects", "clauses", "because"),
    ),
    "statements": (
        "id",
        ("id", "program", "partner", "period_from", "period_to", "due_on", "pay_by", "currency", "entries", "opening",
         "total", "withheld", "payable", "carried_forward", "state"),
    ),
    "support": (
        "account",
        ("account", "partner", "name", "email", "phone", "since", "until", "reason"),
    ),
    "leads": (
        "referral",
        ("referral", "program", "partner", "company", "account", "status", "stage", "state", "submitted_on", "qualified_on",
         "won_on", "commenced_on", "first_earned_on", "protected_until", "value", "currency", "services", "industry",
         "contract_kinds", "tier", "contact.name", "contact.title", "contact.email", "contact.phone", "because"),
    ),
}  # fmt: skip
"""Rows of the outcome that can be written: the row's own key, and its names. ``leads`` are what a partner sees of its
referrals (docs/reports.md, *dashboard*), for its own CRM (CN-78)."""
_MONEY = {"basis", "rate", "amount", "opening", "total", "withheld", "payable", "carried_forward", "value"}
_LOOSE = Shape("any")


@dataclass(frozen=True, slots=True)
class Desired:
    """One record as it should be in the system.

    ``key_field`` is the external-id field and ``key`` its value; with ``key_field=None`` the ``key`` is the system's
    own id, and the write never creates. A field that is ``None`` is to be cleared; one that is not named is left alone.
    """

    object: str
    key_field: str | None
    key: str
    fields: Mapping[str, Any]
    parent: str | None
    because: str
    at: datetime | None = None
    """Since when these values hold, where the mapping says so (``changed_at``): for the policy ``newest``."""


@dataclass(frozen=True, slots=True)
class WriteReject:
    """A row that cannot be written: which one, the target field, what was found and what is allowed."""

    object: str
    key: str
    field: str
    found: str
    allowed: str


@dataclass(frozen=True, slots=True)
class WriteField:
    """One field of the target: where its value comes from, and what an absent value means."""

    name: str
    get: Get
    nulls: Nulls
    uses: tuple[Use, ...]
    place: Node
    constant: Any = None
    values: tuple[Any, ...] = ()
    """What a ``values`` table may give: for checks against the target's picklist."""
    policy: FieldPolicy = FieldPolicy()


class _NoLookups:
    def get(self, kind: str, external_id: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class Frozen:
    """Records that the system lets nobody change: those whose ``field`` is ``value`` (a converted lead, say)."""

    field: str
    value: Any
    reason: str


@dataclass(frozen=True, slots=True)
class WriteMap:
    """How one kind of outcome rows becomes records of one object. ``key_field=None``: updates by the system's own id."""

    object: str
    key_field: str | None
    rows: str
    fields: tuple[WriteField, ...]
    key: Get
    when: Condition | None
    parent: Get | None
    place: Node
    frozen: Frozen | None = None
    changed_at: Get | None = None
    changed_by: str | None = None
    if_deleted: IfDeleted = "recreate"

    @property
    def policy(self) -> ObjectPolicy:
        """Who may change which field, and what becomes of conflicts."""
        return ObjectPolicy({field.name: field.policy for field in self.fields}, self.changed_by, self.if_deleted)

    def desired(self, outcome: Mapping[str, Any], rejects: list[WriteReject] | None = None) -> list[Desired]:
        """The records as they should be, in the order of the rows.

        Rows that cannot be written are added to ``rejects``; without that list they raise. Two rows that want
        different things of one record are both rejected.
        Raises: ``MappingError`` for such a row when ``rejects`` is ``None``.
        """
        found: dict[str, Desired | None] = {}
        for one in self.each(outcome.get(self.rows) or (), rejects):
            if found.setdefault(one.key, one) != one:
                found[one.key] = None
                self._refuse(self.two_rows(one.key), rejects)
        return [one for one in found.values() if one is not None]

    def each(self, rows: Iterable[Mapping[str, Any]], rejects: list[WriteReject] | None) -> Iterator[Desired]:
        """What each row wants, one after the other; several may want the same record. See :meth:`desired`."""
        for row in rows:
            context = Row(None, row, _NoLookups())
            key = ""
            try:
                if self.when is not None and not self.when(context):
                    continue
                key = self._key(context)
                one = self._one(context, key)
            except Refused as error:
                self._refuse(WriteReject(self.object, key, error.field, error.found, error.allowed), rejects)
                continue
            if one is not None:
                yield one

    def two_rows(self, key: str) -> WriteReject:
        """Why rows that want different things of one record are not written."""
        allowed = "one row for a record; narrow `when`, or use a key of the row's own"
        return WriteReject(self.object, key, self.key_field or "id", "two rows for one record", allowed)

    def _key(self, row: Row) -> str:
        try:
            raw = self.key(row)
            key = None if absent(raw) else text(raw)
            if key is None:
                raise Refused(None, "a key for every row that is written", "missing")
        except Refused as error:
            raise error.inside(self.key_field or "id") from None
        return key

    def _one(self, row: Row, key: str) -> Desired | None:
        fields: dict[str, Any] = {}
        for field in self.fields:
            try:
                value = field.get(row)
            except Refused as error:
                raise error.inside(field.name) from None
            if value is None:
                if field.nulls == "skip":
                    return None
                if field.nulls == "keep":
                    continue
            fields[field.name] = value
        because = row.fields.get("because") or row.fields.get("reason") or ""
        parent = self.parent(row) if self.parent else None
        return Desired(
            self.object, self.key_field, key, fields, None if absent(parent) else text(parent), str(because),
            self._at(row),
        )  # fmt: skip

    def _at(self, row: Row) -> datetime | None:
        """Since when the row's values hold. A day is its first instant in UTC."""
        raw = None if self.changed_at is None else self.changed_at(row)
        if absent(raw):
            return None
        try:
            found, _ = iso(text(raw) or "")
        except Refused as error:
            raise error.inside("changed_at") from None
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)

    def _refuse(self, reject: WriteReject, rejects: list[WriteReject] | None) -> None:
        if rejects is not None:
            rejects.append(reject)
            return
        where = f"{self.rows} row {reject.key}".strip()
        raise MappingError(self.place.file, self.place.line, reject.field, f"{reject.found} in {where}", reject.allowed)


def write_map_of(node: Node, protected: Sequence[str], scope: Scope) -> WriteMap:
    """Compile one item of ``write``. Raises: ``MappingError``."""
    known = (
        "object",
        "rows",
        "key",
        "id",
        "when",
        "parent",
        "frozen",
        "changed_at",
        "changed_by",
        "if_deleted",
        "fields",
    )
    keys = node.keys(known, ("object", "rows", "fields"))
    rows = keys["rows"].one_of(ROWS)
    target = keys["object"].text("an object's name")
    scope = Scope(zone=scope.zone, rows=True)
    if ("key" in keys) == ("id" in keys):
        node.fail("either `key` (upsert on an external-id field) or `id` (update by the system's own id)")
    if "key" in keys:
        key_field, key = _key(keys["key"], rows, scope)
    else:
        key_field, key = None, _named(keys["id"], rows, scope)
    nulls: Nulls = "clear" if key_field else "keep"
    when: Condition | None = None
    if "when" in keys:
        when, uses = condition_at(keys["when"], scope)
        _check_names(uses, rows)
    fields = tuple(
        found
        for name, place in keys["fields"].mapping().items()
        if (found := _field(name, place, rows, scope, nulls)) is not None
    )
    if not fields:
        keys["fields"].fail("at least one field")
    for name, place in [(key_field or "", keys.get("key", node))] + [(field.name, field.place) for field in fields]:
        _guard(target, name, rows, place, protected)
    parent = _named(keys["parent"], rows, scope) if "parent" in keys else None
    frozen = _frozen(keys["frozen"]) if "frozen" in keys else None
    changed_at = _named(keys["changed_at"], rows, scope) if "changed_at" in keys else None
    changed_by = keys["changed_by"].text("a field's name") if "changed_by" in keys else None
    if_deleted = keys["if_deleted"].one_of(IF_DELETED) if "if_deleted" in keys else "recreate"
    for field in fields:
        if field.policy.conflict == "newest" and changed_at is None:
            field.place.fail(
                "`newest` beside `changed_at`, the row's date from which its values hold", found="newest alone"
            )
    return WriteMap(
        target, key_field, rows, fields, key, when, parent, node, frozen, changed_at, changed_by, if_deleted  # type: ignore[arg-type]
    )  # fmt: skip


def policies_of(maps: Sequence[WriteMap]) -> dict[str, ObjectPolicy]:
    """The policies of all write parts, by object: parts of the same object are put together."""
    found: dict[str, ObjectPolicy] = {}
    for part in maps:
        mine, other = part.policy, found.get(part.object, ObjectPolicy())
        found[part.object] = ObjectPolicy(
            {**other.fields, **mine.fields},
            mine.changed_by or other.changed_by,
            "leave" if "leave" in (mine.if_deleted, other.if_deleted) else "recreate",
        )
    return found


def _frozen(node: Node) -> Frozen:
    keys = node.keys(("field", "is", "reason"), ("field", "is", "reason"))
    return Frozen(keys["field"].text("a field's name"), keys["is"].plain, keys["reason"].text("why, in words"))


def _guard(target: str, name: str, rows: str, place: Node, protected: Sequence[str]) -> None:
    """Billing contacts are the customer's own (NT-21), and what the admin protects stays as it is."""
    if rows == "support" and "bill" in name.lower():
        place.fail(
            "any field but billing ones", found=f"{target}.{name} in a write of support rows",
            hint="Billing communication always goes straight to the customer (NT-21)",
        )  # fmt: skip
    for pattern in protected:
        if name and fnmatchcase(f"{target}.{name}".lower(), pattern.lower()):
            place.fail("fields that `protected` does not cover", found=f"{target}.{name}, protected by {pattern!r}")


def _key(node: Node, rows: str, scope: Scope) -> tuple[str, Get]:
    """The external-id field and its value: the row's own key, at most 80 characters, unless said otherwise."""
    if not isinstance(node.value, dict):
        name, own = node.text("an external-id field"), ROWS[rows][0]
        return name, lambda row: _short_key(row.fields.get(own))
    keys = node.keys(("field", "row", "template", "transform"), ("field",))
    spec = {name: inner for name, inner in keys.items() if name != "field"}
    if "row" not in spec and "template" not in spec:
        spec["row"] = Node(ROWS[rows][0], node.file, node.line, node.key)
    if "transform" not in spec:
        spec["transform"] = Node("key80", node.file, node.line, node.key)
    source = source_of(Node(spec, node.file, node.line, node.key), _LOOSE, scope, "key")
    assert source is not None
    _check_names(source.uses, rows)
    return keys["field"].text("an external-id field"), source.get


def _short_key(raw: Any) -> str | None:
    return None if absent(raw) else key80(raw)


def _named(node: Node, rows: str, scope: Scope) -> Get:
    written = node.text(f"a name of a {rows} row, or a template")
    if "{" in written:
        source = template_of(node, written, scope, "id", _LOOSE)
        _check_names(source.uses, rows)
        return source.get
    get, path = reader_of(node, written, scope)
    _check_name(node, path or "", rows)
    return get


def _field(name: str, node: Node, rows: str, scope: Scope, nulls: Nulls) -> WriteField | None:
    spec, policy = node, FieldPolicy()
    if isinstance(node.value, dict):
        keys = node.mapping()
        if "null" in keys:
            # YAML has no other word for it; `null:` as a key is text to us.
            nulls = keys["null"].one_of(NULLS)  # type: ignore[assignment]
        if "direction" in keys and (direction := keys["direction"].one_of((*DIRECTIONS, "off"))) != "push":
            if direction == "off":
                return None
            policy = replace(policy, direction="both")
        if "conflict" in keys:
            policy = replace(policy, conflict=keys["conflict"].one_of(POLICIES))  # type: ignore[arg-type]
        ours = ("null", "direction", "conflict")
        spec = replace(node, value={key: inner for key, inner in keys.items() if key not in ours})
        known = ("row", "first", "value", "template", "cel", "transform", "values", "otherwise", "default", "required",
                 "zone", "format", "direction", "conflict", "null")  # fmt: skip
        node.keys(known)
    source = source_of(spec, _LOOSE, scope, name)
    if source is None:
        return None
    _check_names(source.uses, rows)
    plain = node.plain if isinstance(node.plain, dict) else {}
    if "cel" in plain:
        for use in source.uses:
            if use.path.split(".")[0] in _MONEY:
                use.place.fail("`row` for money and rates", found=f"a cel expression that reads {use.path!r}")
    table = plain.get("values") or {}
    given = tuple(value for value in [*table.values(), plain.get("default")] if value is not None)
    return WriteField(name, source.get, nulls, source.uses, node, plain.get("value"), given, policy)


def _check_names(uses: Sequence[Use], rows: str) -> None:
    for use in uses:
        _check_name(use.place, use.path, rows)


def _check_name(node: Node, path: str, rows: str) -> None:
    names = ROWS[rows][1]
    if path not in names:
        node.fail(", ".join(names), found=f"unknown name {path!r} of a {rows} row", hint=did_you_mean(path, names))
