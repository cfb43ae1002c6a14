"""`referee conflicts` as a person uses it: a field edited in the CRM waits, is looked at, and one value is taken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.jobs.sync_world import Killable, Office, office


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        made.morning(24)
        made.change_mapping("Referral_Status__c: state", "Referral_Status__c: {row: state, conflict: ask}")
        assert made.sync().failed == []
        made.later(hours=2)
        yield made


def test_an_edited_field_waits_until_somebody_says_whose_value_stands(place: Office, child: Killable) -> None:
    crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
    crm.update("Lead", lead, {"Referral_Status__c": "expired"})
    place.later(hours=2)
    ran = child.referee(place, "sync", "--plan-only")
    assert ran.code == 0 and "there expired, here won" in " ".join(ran.out.split())
    assert child.referee(place, "conflicts", "list", "--json").json == [], "a plan that is only shown keeps nothing"
    assert child.referee(place, "apply").code == 0
    assert crm.get("Lead", lead)["Referral_Status__c"] == "expired"

    ran = child.referee(place, "conflicts", "list", "--json")
    (waits,) = ran.json
    assert ran.code == 1
    assert (waits["theirs"], waits["ours"], waits["last"], waits["state"]) == ("expired", "won", "won", "open")
    assert waits["changed_by"] and waits["theirs_at"]
    name = f"crm:Lead:{lead}:Referral_Status__c"
    assert waits["name"] == name
    shown = child.referee(place, "conflicts", "show", name)
    assert shown.code == 0 and "there: expired" in shown.out and "here: won" in shown.out
    status = child.referee(place, "status", "--json").json
    assert [one["conflicts"] for one in status["connections"]] == [1, 0]

    ran = child.referee(place, "conflicts", "resolve", str(waits["id"]), "--take", "ours", "--by", "Mara Lind")
    assert (ran.code, ran.err) == (0, "")
    assert child.referee(place, "apply").code == 0
    assert crm.get("Lead", lead)["Referral_Status__c"] == "won"
    assert child.referee(place, "conflicts", "list").out.strip() == "no conflicts"
    (past,) = child.referee(place, "conflicts", "list", "--all", "--json").json
    assert (past["state"], past["settled_by"]) == ("past", "Mara Lind")

    wrong = child.referee(place, "conflicts", "resolve", name, "--take", "theirs")
    assert wrong.code == 2 and "no open conflict" in wrong.err
