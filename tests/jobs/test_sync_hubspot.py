"""Whole syncs with a simulated HubSpot portal: what we write comes back as nothing new, and merges lose no claim."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.simulation import Faults
from sync.conflicts import listed
from tests.jobs.hubspot_world import Place, placed


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with placed(tmp_path) as made:
        yield made


def test_our_own_writes_come_back_and_start_nothing(place: Place) -> None:
    first = place.sync()
    assert first.failed == []
    written = place.portal.journal.writes()
    assert {write.object for write in written} >= {"referral", "companies"}
    statuses = {row["referral_status"] for row in place.portal.all_rows("referral")}
    assert statuses == {"active", "won"}
    for _ in range(3):
        place.later(minutes=50)  # the settled lane, too, brings our own writes
        again = place.sync()
        assert again.failed == []
        assert all(plan.empty for plan in again.plans.values())
        assert sum(pulled.records.facts for pulled in again.pulled.values()) == 0
    assert place.portal.journal.writes() == written


def test_a_conflict_names_the_user_who_changed_the_record(place: Place) -> None:
    assert place.sync().failed == []
    referral = next(
        row["hs_object_id"] for row in place.portal.all_rows("referral") if row["referral_status"] == "active"
    )
    place.portal.update("referral", referral, {"referral_status": "expired"})
    place.later(hours=1)
    assert place.sync().failed == []
    with place.here.store.reading() as db:
        (kept,) = listed(db, "crm", None)
    assert (kept.field, kept.theirs, kept.ours) == ("referral_status", "expired", "active")
    assert kept.changed_by == place.portal.user_id and kept.theirs_at is not None


def test_merges_that_make_new_records_lose_no_claim(place: Place) -> None:
    assert place.sync().failed == []
    portal = place.portal
    referral, claim = next((key, claim) for key, claim in place.claims().items() if claim["state"] == "won")
    deal = next(row["hs_object_id"] for row in portal.all_rows("deals") if row["referral_id"] == referral)
    twin = portal.insert("deals", {"dealname": "a copy of the deal"}, company=claim["account"])
    company = portal.insert("companies", {"name": "a copy of the company"})
    left_deal, left_company = portal.merge("deals", deal, twin), portal.merge("companies", claim["account"], company)
    assert left_deal not in (deal, twin) and left_company not in (claim["account"], company)
    for _ in range(2):
        place.later(hours=2)
        assert place.sync().failed == []
    after = place.claims()[referral]
    assert (after["state"], after["rank"], after["account"]) == ("won", claim["rank"], left_company)
    kept = portal.get("companies", left_company)
    assert kept is not None and kept["referral_partner"] == claim["partner"]


def test_referrals_that_were_merged_or_archived_before_anybody_read_them_keep_what_they_were(place: Place) -> None:
    """E41, E45, G-7: what the list of archived records still shows of them."""
    assert place.sync().failed == []
    portal = place.portal
    names = ("partner_company", "program", "channel", "field_technicians", "industry")
    copied = {name: text for name, text in portal.all_rows("referral")[0].items() if name in names}
    first, second, thrown = (
        portal.insert("referral", {**copied, "company": name, "website": f"https://{name.lower()}.example"})
        for name in ("Quarry", "Granite", "Marble")
    )
    place.later(minutes=5)
    portal.merge("referral", second, first)
    portal.archive("referral", thrown)
    for _ in range(2):
        place.later(hours=2)
        assert place.sync().failed == []
    claims = place.claims()
    assert {claims[one]["partner"] for one in (first, second)} == {copied["partner_company"]}
    assert all(claims[one]["state"] not in ("withdrawn", "incomplete") for one in (first, second))
    assert claims[thrown]["state"] == "withdrawn"


def test_a_referral_that_becomes_a_company_and_a_deal_is_followed_there(place: Place) -> None:
    """E40 in HubSpot's form: the company is named later, the deal later still, and only the company leads to it."""
    portal = place.portal
    names = ("partner_company", "program", "channel", "field_technicians", "industry")
    copied = {name: text for name, text in portal.all_rows("referral")[0].items() if name in names}
    referral = portal.insert("referral", {**copied, "company": "Quarry Lifts", "website": "https://quarry.example"})
    assert place.sync().failed == []
    assert (place.claims()[referral]["state"], place.claims()[referral]["account"]) == ("active", None)
    company = portal.insert("companies", {"name": "QL Holdings", "domain": "ql-holdings.example"})
    portal.update("referral", referral, {"account_company": company})
    place.later(hours=2)
    assert place.sync().failed == []
    assert place.claims()[referral]["account"] == company
    deal = portal.insert("deals", {"dealname": "Lifts"}, company=company)
    place.later(days=3)
    signed = {"contract_signed_on": f"{place.moment:%Y-%m-%d}", "contract_kind": "saas", "deal_currency_code": "AUD"}
    portal.update("deals", deal, {**signed, "dealstage": "closedwon"})
    place.later(hours=2)
    assert place.sync().failed == []
    claim = place.claims()[referral]
    assert (claim["state"], claim["account"]) == ("won", company)


def test_lost_answers_and_refusals_end_in_the_same_portal(place: Place) -> None:
    place.portal.faults.add(Faults.lose_answer(3, lambda request: "/batch/update" in request.path))
    place.portal.faults.add(place.portal.limited("TEN_SECONDLY_ROLLING", times=20))
    place.portal.faults.add(Faults.status(502, times=4, match=lambda request: request.method == "GET", after=3))
    for _ in range(4):
        place.sync()
        place.later(hours=1)
    calm = place.sync()
    assert calm.failed == [] and all(plan.empty for plan in calm.plans.values())
    assert {row["referral_status"] for row in place.portal.all_rows("referral")} == {"active", "won"}
