"""What we wrote ourselves comes back and starts nothing; what a person changed is shown before it is written over."""

from __future__ import annotations

from pathlib import Path

import pytest

from sync.conflicts import listed
from tests.jobs.sync_world import office


def test_our_own_writes_come_back_and_start_nothing(tmp_path: Path) -> None:
    """E50."""
    with office(tmp_path) as place:
        place.morning(24)
        first = place.sync()
        assert first.failed == []
        written, before = place.journals(), place.dump()
        assert written
        for _ in range(2):
            place.later(minutes=30)
            again = place.sync()
            assert again.failed == []
            assert all(plan.empty for plan in again.plans.values())
            assert [(one.new_entries, one.statements_cut) for one in again.settled] == [(0, ())]
            assert sum(pulled.records.facts for pulled in again.pulled.values()) == 0
        assert place.journals() == written
        after = place.dump()
        assert {name: after[name] for name in ("facts", "journal", "outbox", "outcome")} == {
            name: before[name] for name in ("facts", "journal", "outbox", "outcome")
        }


def test_a_person_who_edits_our_field_is_shown_in_the_plan_and_written_over_once(tmp_path: Path) -> None:
    with office(tmp_path) as place:
        place.morning(5)
        assert place.sync().failed == []
        place.later(minutes=30)
        crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
        ours = crm.get("Lead", lead)["Referral_Status__c"]
        crm.update("Lead", lead, {"Referral_Status__c": "withdrawn"})
        place.later(minutes=30)
        planned = place.sync(write=False)
        item = next(item for item in planned.plans["crm"].items if item.writes)
        assert item.ref.key == lead
        (change,) = item.changes
        assert (change.name, change.before, change.after) == ("Referral_Status__c", "withdrawn", ours)
        assert change.overwrites
        assert crm.get("Lead", lead)["Referral_Status__c"] == "withdrawn"
        count = len(crm.journal.writes())
        assert place.sync().failed == []
        assert crm.get("Lead", lead)["Referral_Status__c"] == ours
        place.later(minutes=30)
        assert place.sync().failed == []
        assert [dict(write.fields) for write in crm.journal.writes()[count:]] == [{"Referral_Status__c": ours}]


@pytest.mark.parametrize(("policy", "stands", "state"), [("ours", "won", "past"), ("ask", "withdrawn", "open")])
def test_what_a_person_changes_while_our_write_waits_is_not_written_over_unseen(
    policy: str, stands: str, state: str, tmp_path: Path
) -> None:
    with office(tmp_path) as place:
        place.morning(5)
        place.change_mapping("Referral_Status__c: state", f"Referral_Status__c: {{row: state, conflict: {policy}}}")
        assert place.sync().failed == []
        crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
        place.morning(24)
        crm.rules.locked[lead] = 1
        assert place.sync().failed == [] and place.waiting() == 1
        crm.update("Lead", lead, {"Referral_Status__c": "withdrawn"})
        place.later(hours=2)
        assert place.sync().failed == [] and place.waiting() == 0
        assert crm.get("Lead", lead)["Referral_Status__c"] == stands
        with place.here.store.reading() as db:
            (kept,) = [one for one in listed(db, "crm", None) if one.field == "Referral_Status__c"]
        assert (kept.theirs, kept.ours, kept.state) == ("withdrawn", "won", state)
