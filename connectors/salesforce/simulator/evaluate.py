"""Answers a parsed query over the rows: resolves names, checks literal types, filters, sorts, projects."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from connectors.salesforce.ids import full_id
from connectors.salesforce.simulator.rows import Rows
from connectors.salesforce.simulator.schema import NUMBERS, FieldSpec, ObjectSpec
from connectors.salesforce.simulator.soql import Comparison, Condition, Not, Select, SoqlError, Value
from connectors.salesforce.simulator.values import Row, instant_text, wire

Getter = Callable[[Row], Any]
Test = Callable[[Row], bool]
Visible = Callable[[str, str], bool]
"""(object, field) → whether this user's profile shows the field."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What to print of one row: plain fields, and relationships with their own shape."""

    object: str
    fields: dict[str, bool] = field(default_factory=dict)
    """Field → whether it is a number (and needs the vendor's notation)."""
    related: dict[str, tuple[str, Shape]] = field(default_factory=dict)
    """Relationship → (reference field, shape of the parent)."""


class Evaluator:
    """Runs queries for one user."""

    def __init__(self, rows: Rows, visible: Visible) -> None:
        self._rows = rows
        self._visible = visible

    def run(self, query: Select, *, deleted: bool) -> tuple[list[Row], Shape]:
        """Matching rows in order, and the shape to print them in. Raises: :class:`SoqlError`."""
        spec = self.object_named(query.object)
        shape = Shape(spec.name)
        for path in query.fields:
            self._shape(shape, spec, path)
        test = self._condition(spec, query.where) if query.where else None
        found = self._rows.in_stamp_order(spec.name)
        if not deleted:
            found = [row for row in found if not row["IsDeleted"]]
        if test is not None:
            found = [row for row in found if test(row)]
        found = self._ordered(spec, query, found)
        end = None if query.limit is None else query.offset + query.limit
        return found[query.offset : end], shape

    def object_named(self, name: str) -> ObjectSpec:
        """The object, whatever the case of its name. Raises: :class:`SoqlError` INVALID_TYPE."""
        for known in self._rows.objects.values():
            if known.name.lower() == name.lower():
                return known
        raise SoqlError("INVALID_TYPE", f"sObject type '{name}' is not supported.")

    def printed(self, rows: list[Row], shape: Shape, version: str) -> list[Row]:
        """Rows as the API shows them."""
        return [self._print(row, shape, version) for row in rows]

    def _print(self, row: Row, shape: Shape, version: str) -> Row:
        printed: Row = {
            "attributes": {"type": shape.object, "url": f"/services/data/{version}/sobjects/{shape.object}/{row['Id']}"}
        }
        for name, numeric in shape.fields.items():
            value = row.get(name)
            printed[name] = wire(value) if numeric and value is not None else value
        for relationship, (reference, inner) in shape.related.items():
            parent = self._rows.table(inner.object).get(row.get(reference, ""))
            printed[relationship] = None if parent is None else self._print(parent, inner, version)
        return printed

    def _shape(self, shape: Shape, spec: ObjectSpec, path: str) -> None:
        *relationships, last = path.split(".")
        for step in relationships:
            link = self._relationship(spec, step)
            spec = self._rows.objects[link.references[0]]
            shape = shape.related.setdefault(link.relationship or "", (link.name, Shape(spec.name)))[1]
        found = self.field_named(spec, last)
        shape.fields[found.name] = found.type in NUMBERS

    def sees(self, spec: ObjectSpec, name: str) -> bool:
        """Whether this user sees the field."""
        return self._visible(spec.name, name)

    def field_named(self, spec: ObjectSpec, name: str) -> FieldSpec:
        """The field, whatever the case of its name. Raises: :class:`SoqlError` INVALID_FIELD when hidden or absent."""
        found = spec.fields.get(spec.folded.get(name.lower(), ""))
        if found is None or not self._visible(spec.name, found.name):
            raise SoqlError(
                "INVALID_FIELD",
                f"No such column '{name}' on entity '{spec.name}'. If you are attempting to use a custom field, be "
                "sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call "
                "for the appropriate names.",
            )
        return found

    def _relationship(self, spec: ObjectSpec, name: str) -> FieldSpec:
        found = spec.relationships.get(spec.folded.get(name.lower(), ""))
        if found is None or not self._visible(spec.name, found.name):
            raise SoqlError(
                "INVALID_FIELD",
                f"Didn't understand relationship '{name}' in field path. If you are attempting to use a custom "
                "relationship, be sure to append the '__r' after the custom relationship name.",
            )
        return found

    def path(self, spec: ObjectSpec, path: str) -> tuple[FieldSpec, Getter]:
        """The field at the end of a path, and how to get its value of a row. Raises: :class:`SoqlError` INVALID_FIELD."""
        *relationships, last = path.split(".")
        if not relationships:
            found = self.field_named(spec, last)
            name = found.name
            return found, lambda row: row.get(name)
        link = self._relationship(spec, relationships[0])
        parent = self._rows.objects[link.references[0]]
        found, inner = self.path(parent, ".".join((*relationships[1:], last)))
        table = self._rows.table(parent.name)

        def followed(row: Row) -> Any:
            target = table.get(row.get(link.name, ""))
            return None if target is None else inner(target)

        return found, followed

    def _ordered(self, spec: ObjectSpec, query: Select, found: list[Row]) -> list[Row]:
        if [(o.field.lower(), o.descending) for o in query.order] == [("systemmodstamp", False), ("id", False)]:
            return found
        if not query.order:
            return sorted(found, key=lambda row: row["Id"])  # the vendor promises no order; ours is another than asked
        found = sorted(found, key=lambda row: row["Id"], reverse=True)  # ties: nor does it promise one of these
        for item in reversed(query.order):
            target, get = self.path(spec, item.field)
            if target.long:
                raise SoqlError("INVALID_FIELD", f"field '{item.field}' can not be sorted in a query call")
            valued = [row for row in found if get(row) is not None]
            empty = [row for row in found if get(row) is None]
            valued.sort(key=get, reverse=item.descending)
            found = empty + valued if item.nulls_first else valued + empty
        return found

    # -- conditions

    def _condition(self, spec: ObjectSpec, condition: Condition) -> Test:
        if isinstance(condition, Comparison):
            return self._comparison(spec, condition)
        if isinstance(condition, Not):
            inner = self._condition(spec, condition.inner)
            return lambda row: not inner(row)
        tests = [self._condition(spec, part) for part in condition.parts]
        return _all(tests) if condition.operator == "AND" else _any(tests)

    def _comparison(self, spec: ObjectSpec, item: Comparison) -> Test:
        target, get = self.path(spec, item.field)
        if target.long:
            raise SoqlError("INVALID_FIELD", f"field '{item.field}' can not be filtered in a query call")
        wanted = [_literal(target, item, value) for value in item.values]
        folds = target.type not in ("id", "reference", "date", "datetime") and not target.case_sensitive
        if folds:
            get = _folded(get)
            wanted = [value.lower() if isinstance(value, str) else value for value in wanted]
        if item.operator == "LIKE":
            pattern = _like(str(wanted[0]))
            return lambda row: (value := get(row)) is not None and pattern.fullmatch(value) is not None
        if item.operator in ("IN", "NOT IN"):
            among, negated = frozenset(wanted), item.operator == "NOT IN"
            return lambda row: (get(row) in among) is not negated
        return _compared(item.operator, get, wanted[0])


def _all(tests: list[Test]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda row: first(row) and second(row)
    return lambda row: all(test(row) for test in tests)


def _any(tests: list[Test]) -> Test:
    return lambda row: any(test(row) for test in tests)


def _compared(operator: str, get: Getter, wanted: Any) -> Test:
    if operator == "=":
        return lambda row: get(row) == wanted
    if operator == "!=":
        return lambda row: get(row) != wanted
    if wanted is None:
        return lambda row: False
    tests: Mapping[str, Test] = {
        "<": lambda row: (value := get(row)) is not None and value < wanted,
        "<=": lambda row: (value := get(row)) is not None and value <= wanted,
        ">": lambda row: (value := get(row)) is not None and value > wanted,
        ">=": lambda row: (value := get(row)) is not None and value >= wanted,
    }
    return tests[operator]


def _folded(get: Getter) -> Getter:
    def folded(row: Row) -> Any:
        value = get(row)
        return value.lower() if isinstance(value, str) else value

    return folded


def _like(pattern: str) -> re.Pattern[str]:
    parts = re.findall(r"\\[_%]|.", pattern, re.DOTALL)
    plain = {"%": ".*", "_": "."}
    return re.compile(
        "".join(plain.get(part) or re.escape(part[1:] if part in ("\\_", "\\%") else part) for part in parts), re.DOTALL
    )


def _literal(target: FieldSpec, item: Comparison, value: Value) -> Any:
    """The literal as this field keeps values. Raises: :class:`SoqlError` for another type (as the vendor does)."""
    if value.kind == "null":
        return None
    expected = (
        "double" if target.type in NUMBERS else target.type if target.type in ("date", "datetime", "boolean", "int")
        else "string"
    )  # fmt: skip
    kinds = {"double": "number", "int": "number"}.get(expected, expected)
    if value.kind != kinds or (item.operator == "LIKE" and expected != "string"):
        quotes = " and should not be enclosed in quotes" if value.kind == "string" else ""
        raise SoqlError(
            "INVALID_FIELD", f"value of filter criterion for field '{item.field}' must be of type {expected}{quotes}"
        )
    if target.type == "datetime":
        return instant_text(str(value.value))
    if target.type in ("id", "reference") and item.operator != "LIKE":
        complete = full_id(str(value.value))
        if complete is None:
            raise SoqlError("INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {value.value}")
        return complete
    if isinstance(value.value, Decimal) and target.type == "int":
        return int(value.value)
    return value.value
