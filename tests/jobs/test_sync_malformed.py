"""One record in a hundred is nonsense: the rest lands, each bad one is kept with its reason, and lands once it is mended."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from connectors.universe import companies
from tests.jobs.sync_world import Office, office

LEADS = 2000
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"Referral_Partner__c": None}, "partner"),
    ({"Company": None}, "company"),
    ({"Company": ["a", "list"]}, "company"),
    ({"Company": orjson.Fragment(b'"half a character: \\ud800"')}, "record"),
    ({"Website": {"an": "object"}}, "website"),
    ({"Field_Technicians__c": "a dozen"}, "details.field_technicians"),
    ({"Field_Technicians__c": Decimal("12.5")}, "details.field_technicians"),
    ({"Field_Technicians__c": orjson.Fragment(b"1e400")}, "details.field_technicians"),
    ({"Referral_Submitted_At__c": "yesterday"}, "submitted_at"),
    ({"Referral_Channel__c": "x" * 10_000}, "channel"),
    ({"Company": ""}, "company"),
    ({"Company": " \t\u2003"}, "company"),
    ({"Field_Technicians__c": "1,200"}, "details.field_technicians"),
    ({"Field_Technicians__c": orjson.Fragment(b"1e21")}, "details.field_technicians"),
    ({"Field_Technicians__c": "\u0663"}, "details.field_technicians"),
    ({"Referral_Submitted_At__c": "2026-02-30T10:00:00.000+0000"}, "submitted_at"),
    ({"Referral_Submitted_At__c": "2026-01-20T24:00:00.000+0000"}, "submitted_at"),
    ({"Referral_Submitted_At__c": "2026-01-20T10:00:00.000+2500"}, "submitted_at"),
    ({"Referral_Submitted_At__c": 1_768_903_200_000}, "submitted_at"),
    ({"Referral_Channel__c": "None"}, "channel"),
]
ODD: list[dict[str, Any]] = [
    {"Company": "x" * 10_000},
    {"Company": orjson.Fragment(b'"a\\u0000b\\u202ec"')},
    {"Referral_Submitted_At__c": "9999-12-31T23:59:59.000+0000"},
    {"Referral_Submitted_At__c": "1900-01-01T00:00:00.000+0000"},
    {"Field_Technicians__c": Decimal(-5)},
    {"Website": "http://[::1"},
    {"Website": "javascript:alert(1)"},
    {"Company": "None"},
    {"Company": "\U0001f600 \u682a\u5f0f\u4f1a\u793e \u05e9\u05dc\u05d5\u05dd"},
    {"Company": '=HYPERLINK("http://bad.example","x")'},
    {"Referral_Submitted_At__c": "2026-01-20T10:00:00.000+1400"},
]


def refer(place: Office) -> list[str]:
    """Leads about companies of their own; returns their ids."""
    leads = []
    for company in companies(11, LEADS):
        partner = ("Northline", "Brightfield", "Cobalt")[company.index % 3]
        place.world.refer(company.domain, partner, company.name, company.website)
        leads.append(place.world.ids[company.domain])
    return leads


def spoil(place: Office, lead: str, fields: dict[str, Any]) -> None:
    """Give a lead values that its own system would refuse: as after an import, a trigger, or a bug of theirs."""
    row = place.world.crm.rows.table("Lead")[lead]
    row |= {name: value for name, value in fields.items() if value is not None}
    for name in [name for name, value in fields.items() if value is None]:
        del row[name]


def test_one_bad_record_in_a_hundred_stops_nothing_and_lands_once_it_is_mended(tmp_path: Path) -> None:
    with office(tmp_path) as place:
        place.morning(0)
        before = len(place.world.crm.all_rows("Lead"))
        leads = refer(place)
        bad = dict(zip(leads[::100], REFUSED, strict=True))
        whole = {lead: place.world.crm.get("Lead", lead) for lead in bad}
        for lead, (fields, _) in bad.items():
            spoil(place, lead, fields)
        for lead, fields in zip(leads[50::100], ODD, strict=False):
            spoil(place, lead, fields)
        place.later(minutes=30)

        first = place.sync(write=False)
        assert first.failed == []
        held = {one.external_id: one for one in place.here.store.quarantine()}
        assert {lead: one.field for lead, one in held.items()} == {lead: field for lead, (_, field) in bad.items()}
        assert all(one.found and one.allowed and len(one.found) < 100 for one in held.values())
        assert len(referrals(place)) == before + LEADS - len(bad)

        place.later(minutes=30)
        assert place.sync(write=False).pulled["crm"].records.facts == 0
        for lead, (fields, _) in bad.items():
            kept = whole[lead]
            assert kept is not None
            place.world.crm.update(
                "Lead", lead, {name: kept[name] for name in fields if name in kept} | {"Title": "mended"}
            )
            for name in fields.keys() - kept.keys():
                place.world.crm.update("Lead", lead, {name: None})
        place.later(minutes=30)
        assert place.sync(write=False).failed == []
        assert place.here.store.quarantine() == []
        assert len(referrals(place)) == before + LEADS
        print(
            f"{LEADS - len(bad)} of {LEADS} landed at once, {len(bad)} held with their reason, all landed after mending"
        )


def referrals(place: Office) -> set[str]:
    return {fact["id"] for fact in place.here.store.facts(types=["referral"])}


def test_absurd_money_is_held_back_with_its_reason_and_the_rest_of_the_ledger_goes_on(tmp_path: Path) -> None:
    with office(tmp_path) as place:
        place.morning(13)
        world = place.world
        world.invoice("absurd", "Harbour", "contract Harbour", [("saas", "1e30")], "0")
        world.crm.rows.table("Contract")[world.ids["contract Tasman"]]["Contract_Value__c"] = Decimal("1e300")
        place.later(minutes=30)
        assert place.sync().failed == []
        assert {(one.kind, one.external_id) for one in place.here.store.quarantine()} == {
            ("invoice", world.ids["absurd"]), ("Contract", world.ids["contract Tasman"]),
        }  # fmt: skip
        place.morning(24)
        assert place.sync().failed == []
        earned = {row["Partner__c"] for row in world.crm.all_rows("Commission__c")}
        assert world.ids["Northline"] in earned
