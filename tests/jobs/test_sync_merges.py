"""People merge leads and accounts in the CRM: no claim loses its rank, and money follows the surviving account."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.ledger import verify
from tests.jobs.sync_world import Killable, Office, office, outcome, write_settings


def test_merging_the_first_lead_away_keeps_its_claim_and_rank(place: Office) -> None:
    """E41."""
    ids = place.world.ids
    first, second = ids["lead Harbour by Northline"], ids["lead Harbour by Brightfield"]
    place.world.crm.merge(second, first)
    place.later(hours=1)
    assert not place.sync().failed
    claims = {claim["referral"]: claim for claim in outcome(place)["claims"]}
    assert (claims[first]["rank"], claims[first]["state"]) == (1, "active")
    assert (claims[second]["rank"], claims[second]["state"]) == (2, "conflict")


def test_a_first_lead_that_was_merged_away_before_anybody_read_it_keeps_its_rank(place: Office) -> None:
    """E41, G-7: registered, and merged into a later lead of another partner, between two polls."""
    world = place.world
    world.refer("first", "Northline", "Quarry Lifts", "https://quarrylifts.com.au")
    place.later(minutes=5)
    world.refer("second", "Brightfield", "Quarry Lifts Pty Ltd", "https://quarrylifts.com.au")
    place.later(minutes=5)
    first, second = world.ids["first"], world.ids["second"]
    world.crm.merge(second, first)
    place.later(hours=1)
    assert not place.sync().failed
    claims = {claim["referral"]: claim for claim in outcome(place)["claims"]}
    assert (claims[first]["partner"], claims[first]["rank"], claims[first]["state"]) == (
        world.ids["Northline"], 1, "active",
    )  # fmt: skip
    assert (claims[second]["rank"], claims[second]["state"]) == (2, "conflict")
    account, *_ = world.crm.convert_lead(second)
    place.later(hours=1)
    assert not place.sync().failed
    assert {claim["account"] for claim in outcome(place)["claims"] if claim["referral"] in (first, second)} == {account}


def test_a_lead_that_was_deleted_before_anybody_read_it_is_a_withdrawn_claim_until_it_is_restored(
    place: Office,
) -> None:
    """E45, G-7."""
    world = place.world
    world.refer("first", "Northline", "Quarry Lifts", "https://quarrylifts.com.au")
    place.later(minutes=5)
    world.refer("second", "Brightfield", "Quarry Lifts Pty Ltd", "https://quarrylifts.com.au")
    first, second = world.ids["first"], world.ids["second"]
    world.crm.delete("Lead", first)
    for restored in (False, True):
        place.later(hours=1)
        if restored:
            world.crm.undelete("Lead", first)
        place.later(hours=1)
        assert not place.sync().failed
        claims = {claim["referral"]: claim for claim in outcome(place)["claims"]}
        seen = [(claims[lead]["state"], claims[lead]["rank"]) for lead in (first, second)]
        assert seen == ([("active", 1), ("conflict", 2)] if restored else [("withdrawn", None), ("active", 1)])
    versions = [
        fact.get("deleted", False) for fact in place.here.store.facts(types=["referral"]) if fact["id"] == first
    ]
    assert versions == [False, True, False]


def test_what_was_deleted_before_the_first_read_is_no_claim_and_what_was_merged_is(tmp_path: Path) -> None:
    """E41, E45: a new connection takes over what partners are owed, not what people threw away before it."""
    with office(tmp_path / "office") as place:
        world = place.world
        world.partner("Northline", "Northline Advisory", "0.10")
        for name in ("deleted", "merged", "left"):
            world.refer(name, "Northline", f"Company {name}", f"https://{name}.example")
            place.later(days=1)
        world.crm.delete("Lead", world.ids["deleted"])
        world.crm.merge(world.ids["left"], world.ids["merged"])
        place.later(hours=1)
        assert not place.sync().failed
        assert {claim["referral"] for claim in outcome(place)["claims"]} == {world.ids["merged"], world.ids["left"]}


def test_an_invoice_that_knows_the_customer_by_a_merged_account_still_pays_the_partner(place: Office) -> None:
    """E41."""
    world = place.world
    old = world.ids["Harbour"]
    twin = world.crm.insert("Account", {"Name": "Harbour Lift Services Pty Ltd", "CurrencyIsoCode": "AUD"})
    place.morning(9)
    world.crm.merge(twin, old)
    place.morning(20)
    place.later(hours=1)
    assert not place.sync().failed
    place.later(days=1)
    assert not place.sync().failed
    found = outcome(place)
    claim = next(c for c in found["claims"] if c["referral"] == world.ids["lead Harbour by Northline"])
    assert (claim["state"], claim["account"]) == ("won", twin)
    paid = [e["amount"] for e in found["entries"] if e["referral"] == claim["referral"]]
    assert paid == ["250.00"]


def earned(place: Office) -> list[tuple[str, str]]:
    return [(entry["key"], entry["amount"]) for entry in outcome(place)["entries"]]


def test_what_was_earned_goes_along_when_its_company_is_merged_away_and_comes_back(place: Office) -> None:
    """E41. The same entries stand: they are neither posted twice nor reversed."""
    place.morning(24)
    assert place.sync().failed == []
    crm, harbour, before = place.world.crm, place.world.ids["Harbour"], earned(place)
    assert len(before) == 2
    other = crm.insert("Account", {"Name": "Harbour Holding"})
    lead = place.world.ids["lead Harbour by Northline"]
    for step, left in ((lambda: crm.merge(other, harbour), other), (lambda: crm.undelete("Account", harbour), harbour)):
        step()
        place.later(hours=1)
        assert place.sync().failed == []
        assert earned(place) == before
        assert [claim["account"] for claim in outcome(place)["claims"] if claim["referral"] == lead] == [left]
        assert verify(place.here.store)["ok"]
    place.world.pay("invoice Harbour 1", "3410.00")
    place.later(hours=1)
    assert place.sync().failed == []
    assert [amount for _, amount in earned(place)] == ["250.00", "250.00", "240.00"], "and the rest is earned there"


def test_what_was_earned_goes_along_when_its_lead_is_converted_late(place: Office) -> None:
    """E40. Somebody signed without converting it, and converts it afterwards into a company of its own."""
    place.morning(24)
    assert place.sync().failed == []
    before = earned(place)
    account, *_ = place.world.crm.convert_lead(place.world.ids["lead Harbour by Northline"])
    for _ in range(2):
        place.later(hours=1)
        assert place.sync().failed == []
        assert earned(place) == before
    (claim,) = [one for one in outcome(place)["claims"] if one["account"] == account]
    assert claim["state"] == "won"
    assert verify(place.here.store)["ok"]


@pytest.mark.parametrize("command", [["run", "--once"], ["sync", "--connection", "crm"]])
def test_a_merge_that_is_taken_back_moves_back_the_invoices_also_when_each_system_is_synced_by_itself(
    place: Office, child: Killable, command: list[str]
) -> None:
    write_settings(place, {}, every="15m")
    place.morning(24)
    assert place.sync().failed == []

    def named() -> set[str]:
        newest = {fact["id"]: fact["account"] for fact in place.here.store.facts(types=["invoice"])}
        return set(newest.values())

    crm, before = place.world.crm, named()
    harbour = place.world.ids["Harbour"]
    assert harbour in before
    other = crm.insert("Account", {"Name": "Harbour Holding"})
    crm.merge(other, harbour)
    place.later(hours=1)
    assert child.referee(place, *command).code == 0
    assert named() == before - {harbour} | {other}
    crm.undelete("Account", harbour)
    place.later(hours=1)
    assert child.referee(place, *command).code == 0
    assert named() == before
