"""Sales works in its own CRM: leads are converted, owners change, partners are merged, and no claim or money moves by it."""

from __future__ import annotations

from typing import Any

from tests.jobs.sync_world import Office, outcome


def lived_on(place: Office) -> dict[str, Any]:
    """The outcome after the contract was signed, invoiced and paid."""
    place.morning(20)
    for time in ({"hours": 1}, {"days": 1}):
        place.later(**time)
        assert not place.sync().failed
    return outcome(place)


def test_a_claim_follows_its_converted_lead_to_an_account_that_was_there(place: Office) -> None:
    """E40: the lead stays as a row; its claim is tied to the account by the conversion, and to the opportunity made later."""
    crm, ids = place.world.crm, place.world.ids
    lead = ids["lead Harbour by Northline"]
    account = crm.insert("Account", {"Name": "HLS Holding", "CurrencyIsoCode": "AUD"})
    assert crm.convert_lead(lead, account)[2] is None
    place.later(hours=1)
    assert not place.sync().failed
    claim = next(c for c in outcome(place)["claims"] if c["referral"] == lead)
    assert (claim["account"], claim["rank"], claim["state"]) == (account, 1, "active")
    values = {"Name": "HLS", "AccountId": account, "StageName": "Prospecting", "CloseDate": "2026-06-01"}
    opportunity = crm.insert("Opportunity", {**values, "CurrencyIsoCode": "AUD"})
    place.later(hours=1)
    assert not place.sync().failed
    after = next(c for c in outcome(place)["claims"] if c["referral"] == lead)
    assert after == claim, f"the claim moved with {opportunity}"


def test_an_owner_that_a_workflow_changed_moves_no_commission(place: Office) -> None:
    """E49: partners are mapped by the id of their account, not by who owns a row."""
    crm, ids = place.world.crm, place.world.ids
    lead = ids["lead Harbour by Northline"]
    partner = next(c["partner"] for c in outcome(place)["claims"] if c["referral"] == lead)
    for name, record in (("Lead", lead), ("Account", ids["Harbour"])):
        crm.update(
            name,
            record,
            {"OwnerId": crm.insert("User", {"Username": f"{name}@b.example", "LastName": "B", "Email": "b@b.example"})},
        )
    place.later(hours=1)
    assert not place.sync().failed
    found = lived_on(place)
    claim = next(c for c in found["claims"] if c["referral"] == lead)
    assert (claim["partner"], claim["state"]) == (partner, "won")
    assert [(e["partner"], e["amount"]) for e in found["entries"] if e["referral"] == lead] == [(partner, "250.00")]


def test_partners_that_are_merged_in_the_crm_keep_their_claims_until_a_person_decides(place: Office) -> None:
    """E43: both claim the same lead; nothing of the one that is gone moves by itself, and a person is told of each claim."""
    ids, before = place.world.ids, {c["referral"]: c for c in outcome(place)["claims"]}
    stays, goes = ids["Northline"], ids["Brightfield"]
    place.world.crm.merge(stays, goes)
    place.later(hours=1)
    assert not place.sync().failed
    found = outcome(place)
    assert {c["referral"]: c for c in found["claims"]} == before
    told = {t["subject"] for t in found["tasks"] if t["kind"] == "partner_changed"}
    assert told == {name for name, claim in before.items() if claim["partner"] == goes}
    assert told
