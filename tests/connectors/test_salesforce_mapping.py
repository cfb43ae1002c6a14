"""The shipped mapping fits the shipped package: it loads, the org has every field, and rows become sound records."""

from __future__ import annotations

from connectors.salesforce import PLUGIN
from connectors.salesforce.simulator.objects import standard_objects
from sync.mapping_check import check
from tests.connectors.salesforce_org import running
from tests.connectors.shipped_mappings import changes_of, facts_by_type, shipped


def test_the_packaged_org_has_everything_the_mapping_names() -> None:
    with running() as org:
        problems = check(shipped(PLUGIN), org.connect())
        assert [problem for problem in problems if problem.level == "error"] == []
        org.hide("Lead", "Referral_Program__c")
        hidden = check(shipped(PLUGIN), org.connect())
        assert any("Referral_Program__c" in problem.found for problem in hidden if problem.level == "error")


def test_a_seeded_org_becomes_records_without_a_single_reject() -> None:
    with running() as org:
        org.seed(3, 60)
        org.wait(3600)
        facts = facts_by_type(shipped(PLUGIN), org.connect())
        assert facts["partner"] == 3
        assert facts["referral"] == len(org.all_rows("Lead"))
        assert {"account", "contact", "enrollment", "opportunity", "contract", "case"} <= facts.keys()


def test_an_outcome_is_written_back_and_billing_is_left_alone() -> None:
    with running() as org:
        partner = org.insert("Account", {"Name": "Partner", "IsPartner": True})
        account = org.insert("Account", {"Name": "Customer", "Billing_Contact_Email__c": "pay@customer.example"})
        lead = org.insert("Lead", {"LastName": "L", "Company": "Customer", "Referral_Program__c": "next-technik"})
        ids = {"PARTNER": partner, "ACCOUNT": account, "REFERRAL": lead}
        results = org.connect().write(changes_of(shipped(PLUGIN), ids))
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
