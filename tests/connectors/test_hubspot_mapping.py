"""The shipped mapping fits the described portal: it loads, the portal has every field, and rows become sound records."""

from __future__ import annotations

from connectors.base import Change
from connectors.hubspot import PLUGIN
from connectors.hubspot.simulator.standard import CUSTOM, OURS
from sync.mapping_check import check
from tests.connectors.hubspot_portal import running
from tests.connectors.shipped_mappings import NoLookups, changes_of, facts_by_type, shipped


def test_the_described_portal_has_everything_the_mapping_names() -> None:
    with running() as portal:
        problems = check(shipped(PLUGIN), portal.connect())
        assert [problem for problem in problems if problem.level == "error"] == []
        portal.remove_property("referral", "industry")
        missing = check(shipped(PLUGIN), portal.connect())
        assert any("industry" in problem.found for problem in missing if problem.level == "error")


def test_a_seeded_portal_becomes_records_without_a_single_reject() -> None:
    with running() as portal:
        portal.seed(3, 60)
        portal.wait(3600)
        facts = facts_by_type(shipped(PLUGIN), portal.connect())
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
        [part] = [one for one in shipped(PLUGIN).objects if one.kind == "deals"]
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
        results = portal.connect().write(changes_of(shipped(PLUGIN), ids))
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
