"""The search endpoint: filters over the index, its limits, sorting, and paging that ends at 10,000 results.

Source: "Search the CRM". Only what is documented is answered; anything else is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from connectors.hubspot.simulator.answers import Refusal, bad_request
from connectors.hubspot.simulator.schema import ObjectSpec
from connectors.hubspot.simulator.values import milliseconds

LONGEST_BODY = 3000
MOST_GROUPS, MOST_FILTERS, MOST_IN_ALL = 5, 6, 18
LARGEST_PAGE = 200
_KEYS = {"filterGroups", "sorts", "properties", "limit", "after", "query"}
_ORDERED = {"LT", "LTE", "GT", "GTE", "BETWEEN"}
Properties = Mapping[str, str]


def found_ids(
    spec: ObjectSpec, index: Mapping[str, Properties], body: Mapping[str, Any], length: int, most_results: int
) -> tuple[list[str], int, str | None]:
    """Ids of one page, how many there are in all, and ``after`` of the next page. Raises: :class:`Refusal`."""
    if length > LONGEST_BODY:
        raise bad_request(f"The request body is too long: at most {LONGEST_BODY} characters")
    unknown = body.keys() - _KEYS
    if unknown:
        raise bad_request(f"Invalid input JSON: unknown field {sorted(unknown)[0]}")
    groups = _groups(spec, body.get("filterGroups") or [])
    limit, start = _number(body.get("limit", 10), "limit"), _number(body.get("after") or 0, "after")
    if not 1 <= limit <= LARGEST_PAGE:
        raise bad_request(f"limit must be between 1 and {LARGEST_PAGE}")
    if start + limit > most_results:
        raise Refusal(400, "VALIDATION_ERROR", f"Paging is limited to {most_results} total results (10,000)")
    hits = [key for key, row in index.items() if not groups or any(_all(spec, group, row) for group in groups)]
    name, reverse = _sort(spec, body.get("sorts") or [])
    hits.sort(key=lambda key: (_comparable(spec, name, index[key].get(name)), int(key)), reverse=reverse)
    page, end = hits[start : start + limit], start + limit
    return page, len(hits), str(end) if end < len(hits) else None


def _groups(spec: ObjectSpec, groups: list[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    if len(groups) > MOST_GROUPS:
        raise bad_request(f"at most {MOST_GROUPS} filterGroups are allowed")
    all_filters = [list(group.get("filters") or ()) for group in groups]
    if any(len(filters) > MOST_FILTERS for filters in all_filters):
        raise bad_request(f"at most {MOST_FILTERS} filters are allowed in a group")
    if sum(map(len, all_filters)) > MOST_IN_ALL:
        raise bad_request(f"at most {MOST_IN_ALL} filters are allowed")
    for one in (one for filters in all_filters for one in filters):
        if one.get("propertyName") not in spec.properties:
            raise bad_request(f"There was a problem with the request: unknown property {one.get('propertyName')}")
        if one.get("operator") not in _OPERATORS:
            raise bad_request(f"operator {one.get('operator')} is not valid")
    return all_filters


def _all(spec: ObjectSpec, filters: list[Mapping[str, Any]], row: Properties) -> bool:
    return all(_meets(spec, one, row.get(one["propertyName"])) for one in filters)


def _meets(spec: ObjectSpec, one: Mapping[str, Any], text: str | None) -> bool:
    name, operator = one["propertyName"], one["operator"]
    if operator == "HAS_PROPERTY":
        return text is not None
    if operator == "NOT_HAS_PROPERTY":
        return text is None
    if operator in ("IN", "NOT_IN"):
        chosen = {str(value).lower() for value in one.get("values") or ()}
        return text is not None and (text.lower() in chosen) is (operator == "IN")
    if text is None:
        return bool(operator == "NEQ")
    if operator in ("EQ", "NEQ"):
        same = _comparable(spec, name, text) == _comparable(spec, name, str(one.get("value")))
        return same is (operator == "EQ")
    if operator in ("CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"):
        token = str(one.get("value")).strip("*").lower()
        return (token in text.lower()) is (operator == "CONTAINS_TOKEN")
    have, bound = _comparable(spec, name, text), _comparable(spec, name, str(one.get("value")))
    if operator == "BETWEEN":
        return bound <= have <= _comparable(spec, name, str(one.get("highValue")))
    return {"LT": have < bound, "LTE": have <= bound, "GT": have > bound, "GTE": have >= bound}[operator]


_OPERATORS = _ORDERED | {
    "EQ", "NEQ", "IN", "NOT_IN", "HAS_PROPERTY", "NOT_HAS_PROPERTY", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"
}  # fmt: skip


def _comparable(spec: ObjectSpec, name: str, text: str | None) -> tuple[int, Decimal, str]:
    """A value in the order of its type: numbers and milliseconds by size, texts without regard to case."""
    if text is None:
        return (0, Decimal(0), "")
    kind = spec.properties[name].type
    try:
        if kind == "number":
            return (1, Decimal(text), "")
        if kind in ("date", "datetime"):
            return (1, Decimal(text) if text.isdigit() else milliseconds(text), "")
    except (InvalidOperation, ValueError):
        raise bad_request(f"the value for {name} is not valid") from None
    return (1, Decimal(0), text.lower())


def _sort(spec: ObjectSpec, sorts: list[Any]) -> tuple[str, bool]:
    if not sorts:
        return spec.created, False
    if len(sorts) > 1:
        raise bad_request("only one sort is allowed")
    first = sorts[0] if isinstance(sorts[0], dict) else {"propertyName": str(sorts[0])}
    if first.get("propertyName") not in spec.properties:
        raise bad_request(f"unknown property {first.get('propertyName')} to sort by")
    return str(first["propertyName"]), first.get("direction") == "DESCENDING"


def _number(value: Any, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise bad_request(f"{name} must be a number") from None
