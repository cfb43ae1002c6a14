"""The shipped mapping fits the shipped package: it loads, the org has every field, and rows become sound records."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from typing import Any

from connectors.base import Change
from connectors.salesforce import PLUGIN
from connectors.salesforce.simulator.objects import standard_objects
from sync.mapping import Mapping, load_mapping
from sync.mapping_check import check
from tests.connectors.salesforce_org import running

OUTCOME: dict[str, Any] = {
    "claims": [
        {"referral": "LEAD", "program": "next-technik", "partner": "PARTNER", "account": "ACCOUNT", "state": "active",
         "rank": 1, "protected_from": None, "protected_until": None, "won_on": None, "failed": [],
         "because": "first complete submission"},
    ],
    "entries": [
        {"key": "next-technik:LEAD:commission:payment:P1:1", "program": "next-technik", "partner": "PARTNER",
         "referral": "LEAD", "contract": "C1", "kind": "commission", "source": {"type": "payment", "id": "P1"},
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


def shipped() -> Mapping:
    assert PLUGIN.mapping is not None
    return load_mapping(PLUGIN.mapping)


class NoLookups:
    def get(self, kind: str, external_id: str) -> Fields[str, Any] | None:
        return None


def test_the_packaged_org_has_everything_the_mapping_names() -> None:
    with running() as org:
        problems = check(shipped(), org.connect())
        assert [problem for problem in problems if problem.level == "error"] == []
        org.hide("Lead", "Referral_Program__c")
        hidden = check(shipped(), org.connect())
        assert any("Referral_Program__c" in problem.found for problem in hidden if problem.level == "error")


def test_a_seeded_org_becomes_records_without_a_single_reject() -> None:
    with running() as org:
        org.seed(3, 60)
        org.wait(3600)
        connector = org.connect()
        facts: dict[str, int] = {}
        for part in shipped().objects:
            for page in connector.changes(part.query, since=None):
                for mapped in part.facts(page.records, NoLookups()):
                    assert mapped.reject is None
                    for fact in mapped.facts:
                        facts[fact["type"]] = facts.get(fact["type"], 0) + 1
        assert facts["partner"] == 3
        assert facts["referral"] == len(org.all_rows("Lead"))
        assert {"account", "contact", "enrollment", "opportunity", "contract", "case"} <= facts.keys()


def test_an_outcome_is_written_back_and_billing_is_left_alone() -> None:
    with running() as org:
        partner = org.insert("Account", {"Name": "Partner", "IsPartner": True})
        account = org.insert("Account", {"Name": "Customer", "Billing_Contact_Email__c": "pay@customer.example"})
        lead = org.insert("Lead", {"LastName": "L", "Company": "Customer", "Referral_Program__c": "next-technik"})
        ids = {"PARTNER": partner, "ACCOUNT": account, "LEAD": lead}
        changes = [
            Change(wanted.object, wanted.key_field, ids.get(wanted.key, wanted.key),
                   {name: ids.get(value, value) if isinstance(value, str) else value
                    for name, value in wanted.fields.items()}, wanted.parent)
            for write in shipped().writes for wanted in write.desired(OUTCOME)
        ]  # fmt: skip
        results = org.connect().write(changes)
        assert [result.message for result in results if result.state != "done"] == []
        customer, commission = org.get("Account", account), org.all_rows("Commission__c")[0]
        assert customer is not None
        assert customer["Support_Contact_Name__c"] == "Sam Support"
        assert customer["Referral_Partner__c"] == customer["Support_Partner__c"] == partner
        assert customer["Billing_Contact_Email__c"] == "pay@customer.example"
        assert str(commission["Amount__c"]) == "1000.00"
        assert (commission["Partner__c"], commission["Referral__c"]) == (partner, lead)
        written = {name for write in org.journal.writes() for name in write.fields}
        assert not [name for name in written if "billing" in name.lower()]


def test_the_readme_lists_every_field_that_an_administrator_installs() -> None:
    assert PLUGIN.mapping is not None
    listed = PLUGIN.mapping.with_name("README.md").read_text()
    for spec in standard_objects().values():
        for field in spec.fields.values():
            assert not field.custom or f"`{field.name}`" in listed
