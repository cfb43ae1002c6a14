"""What the tests of shipped mappings share: an outcome of a CRM to write back, and the way there and back."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from typing import Any

from connectors.base import Change, Connector
from connectors.registry import Plugin
from sync.mapping import Mapping, load_mapping

OUTCOME: dict[str, Any] = {
    "claims": [
        {"referral": "REFERRAL", "program": "next-technik", "partner": "PARTNER", "account": "ACCOUNT", "state": "active",
         "rank": 1, "protected_from": None, "protected_until": None, "won_on": None, "failed": [],
         "because": "first complete submission"},
    ],
    "entries": [
        {"key": "next-technik:41:commission:payment:P1:1", "program": "next-technik", "partner": "PARTNER",
         "referral": "REFERRAL", "contract": "C1", "kind": "commission", "source": {"type": "payment", "id": "P1"},
         "basis": "10000.00", "rate": "0.1", "amount": "1000.00", "currency": "AUD", "earned_on": "2026-03-01",
         "released_on": None, "due_on": "2026-04-30", "state": "accrued", "corrects": None, "clauses": ["NT-16"],
         "because": "10 % of AUD 10,000.00"},
    ],
    "statements": [],
    "support": [
        {"account": "ACCOUNT", "partner": "PARTNER", "name": "Sam Support", "email": "sam@partner.example",
         "phone": None, "since": "2026-03-01", "until": None, "reason": "contract signed"},
    ],
}  # fmt: skip
"""Ids in capitals stand for records that a test makes in its simulator."""


class NoLookups:
    """Lookups where nothing was pulled before."""

    def get(self, kind: str, external_id: str) -> Fields[str, Any] | None:
        return None


def shipped(plugin: Plugin) -> Mapping:
    """The mapping that comes with a connector."""
    assert plugin.mapping is not None
    return load_mapping(plugin.mapping)


def facts_by_type(mapping: Mapping, connector: Connector) -> dict[str, int]:
    """How many facts of each type a whole read gives; no record may be rejected."""
    facts: dict[str, int] = {}
    for part in mapping.objects:
        for page in connector.changes(part.query, since=None):
            for mapped in part.facts(page.records, NoLookups()):
                assert mapped.reject is None
                for fact in mapped.facts:
                    facts[fact["type"]] = facts.get(fact["type"], 0) + 1
    return facts


def changes_of(mapping: Mapping, ids: Fields[str, str]) -> list[Change]:
    """What the mapping writes of the outcome, with the ids that its capitals stand for."""
    return [
        Change(wanted.object, wanted.key_field, ids.get(wanted.key, wanted.key),
               {name: ids.get(value, value) if isinstance(value, str) else value
                for name, value in wanted.fields.items()}, wanted.parent)
        for write in mapping.writes for wanted in write.desired(OUTCOME)
    ]  # fmt: skip
