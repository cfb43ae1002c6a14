"""Objects of HubSpot: what standard ones are called, and under which property each keeps its last change.

Source: "Understanding the CRM" (object type ids), "Search the CRM" (default properties of each object).
"""

from __future__ import annotations

STANDARD = {
    "companies": "0-2", "contacts": "0-1", "deals": "0-3", "tickets": "0-5", "products": "0-7", "line_items": "0-8",
    "quotes": "0-14", "leads": "0-136", "calls": "0-48", "emails": "0-49", "meetings": "0-47", "notes": "0-46",
    "tasks": "0-27",
}  # fmt: skip
"""Names of standard objects in addresses → object type id."""

ASSOCIATED = ("companies", "contacts", "deals", "tickets")
"""Objects whose associations every object shows as fields, besides those that a mapping names."""

ASSOCIATION = "associations."
"""``associations.companies`` is the company that a record belongs to."""

MERGED_IDS = "hs_merged_object_ids"
"""Ids that became this record by merging, separated by ``;``; every object has it."""

_CONTACTS = frozenset({"contacts", "contact", "0-1"})


def modified_property(kind: str) -> str:
    """Where the last change stands: contacts have a name of their own, and the other one matches nothing there."""
    return "lastmodifieddate" if kind.lower() in _CONTACTS else "hs_lastmodifieddate"


def associated_kind(field: str) -> str | None:
    """The object at the other end of an association field, or ``None`` for a property."""
    return field.removeprefix(ASSOCIATION) if field.startswith(ASSOCIATION) else None
