"""The shipped mapping fits the described portal: it loads, the portal has every field, and rows become sound records."""

from __future__ import annotations

from collections.abc import Mapping as Fields
from typing import Any

from connectors.base import Change
from connectors.hubspot import PLUGIN
from connectors.hubspot.simulator.standard import CUSTOM, OURS
from sync.mapping import Mapping, load_mapping
from sync.mapping_check import check
from tests.connectors.hubspot_portal import running

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


def shipped() -> Mapping:
    assert PLUGIN.mapping is not None
    return load_mapping(PLUGIN.mapping)


class NoLookups:
    def get(self, kind: str, external_id: str) -> Fields[str, Any] | None:
        return None


def test_the_described_portal_has_everything_the_mapping_names() -> None:
    with running() as portal:
        problems = check(shipped(), portal.connect())
        assert [problem for problem in problems if problem.level == "error"] == []
        portal.remove_property("referral", "industry")
        missing = check(shipped(), portal.connect())
        assert any("industry" in problem.found for problem in missing if problem.level == "error")


def test_a_seeded_portal_becomes_records_without_a_single_reject() -> None:
    with running() as portal:
        portal.seed(3, 60)
        portal.wait(3600)
        connector = portal.connect()
        facts: dict[str, int] = {}
        for part in shipped().objects:
            for page in connector.changes(part.query, since=None):
                for mapped in part.facts(page.records, NoLookups()):
                    assert mapped.reject is None
                    for fact in mapped.facts:
                        facts[fact["type"]] = facts.get(fact["type"], 0) + 1
        assert facts["partner"] == 3
        assert facts["referral"] == len(portal.all_rows("referral"))
        assert facts["contact"] == len(portal.all_rows("contacts"))
        assert facts["opportunity"] == facts["contract"] == facts["case"] > 3
        assert {"account", "enrollment"} <= facts.keys()


def test_a_deal_of_two_companies_without_a_primary_waits_for_a_person() -> None:
    with running() as portal:
        companies = [portal.insert("companies", {"name": f"Company {number}"}) for number in range(3)]
        deal = portal.insert("deals", {"dealname": "whose?", "dealstage": "contractsent"})
        for company in companies:
            portal.associate("deals", deal, "companies", company)
        portal.separate("deals", deal, "companies", companies[0])  # the first one was the primary
        [part] = [one for one in shipped().objects if one.kind == "deals"]
        [page, *_] = portal.connect().changes(part.query, since=None)
        [mapped] = part.facts(page.records, NoLookups())
        assert mapped.reject is not None and mapped.reject.field == "account"


def test_an_outcome_is_written_back_and_nobody_elses_fields_are_touched() -> None:
    with running() as portal:
        ids = {
            "PARTNER": portal.insert("companies", {"name": "Partner", "is_partner": True}),
            "ACCOUNT": portal.insert("companies", {"name": "Customer", "domain": "customer.example"}),
            "REFERRAL": portal.insert("referral", {"company": "Customer", "program": "next-technik"}),
        }
        changes = [
            Change(wanted.object, wanted.key_field, ids.get(wanted.key, wanted.key),
                   {name: ids.get(value, value) if isinstance(value, str) else value
                    for name, value in wanted.fields.items()}, wanted.parent)
            for write in shipped().writes for wanted in write.desired(OUTCOME)
        ]  # fmt: skip
        results = portal.connect().write(changes)
        assert [result.message for result in results if result.state != "done"] == []
        customer, referral = portal.get("companies", ids["ACCOUNT"]), portal.get("referral", ids["REFERRAL"])
        commission = portal.all_rows("commission")[0]
        assert customer is not None and referral is not None
        assert customer["support_contact_name"] == "Sam Support"
        assert customer["referral_partner"] == customer["support_partner"] == ids["PARTNER"]
        assert (referral["referral_status"], referral["referral_rank"]) == ("active", "1")
        assert commission["amount"] == "1000.00"
        assert portal.rows.links.of("commission", commission["hs_object_id"], "companies") == [ids["PARTNER"]]
        touched = {name for write in portal.journal.writes("companies") for name in write.fields}
        assert touched.isdisjoint({"name", "domain", "website", "hubspot_owner_id"})


def test_a_second_plan_finds_what_the_first_one_wrote() -> None:
    with running() as portal:
        partner = portal.insert("companies", {"name": "Partner"})
        change = Change("p_commission", "sync_key", "k1", {"associations.companies": partner, "amount": "12.30"})
        connector = portal.connect()
        [written] = connector.write([change])
        [there] = connector.fetch("p_commission", ("associations.companies", "amount"), ["k1"], key_field="sync_key")
        assert there.external_id == written.external_id
        assert (there.fields["associations.companies"], there.fields["amount"]) == (partner, "12.30")


def test_the_readme_lists_every_property_that_an_administrator_creates() -> None:
    assert PLUGIN.mapping is not None
    listed = PLUGIN.mapping.with_name("README.md").read_text()
    for spec in CUSTOM:
        assert f"`p_{spec.name}`" in listed
    ours = [name for spec in CUSTOM for name in spec.properties if not name.startswith(("hs_", "hubspot_"))]
    for name in [*ours, *(one.name for listed_here in OURS.values() for one in listed_here)]:
        assert f"`{name}`" in listed, name
