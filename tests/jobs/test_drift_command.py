"""A field hidden from the integration user: the sync goes on without it, says so, and misses nothing in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.jobs.sync_world import Office, killable, office


def referral(place: Office, lead: str) -> dict[str, Any]:
    return [fact for fact in place.here.store.facts(types=["referral"]) if fact["id"] == lead][-1]


def test_a_hidden_field_pauses_only_itself_and_status_says_so(tmp_path: Path) -> None:
    with office(tmp_path) as place, killable() as child:
        place.morning(24)
        assert place.sync().failed == []
        crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
        crm.hide("Lead", "Website")
        crm.update("Lead", lead, {"Company": "Harbour Lift Pty", "Website": "harbour-lift-new.example"})
        before = referral(place, lead)
        place.later(hours=2)
        ran = child.referee(place, "sync")
        assert ran.code == 0, ran.out
        assert "Lead.Website: vanished" in " ".join(ran.out.split())
        held = referral(place, lead)
        assert (held["company"], held["website"]) == ("Harbour Lift Pty", before["website"])
        crm_status, erp_status = child.referee(place, "status", "--json").json["connections"]
        assert [(one["object"], one["field"], one["kind"]) for one in crm_status["drift"]] == [
            ("Lead", "Website", "vanished")
        ]
        assert erp_status["drift"] == []
        assert "Lead.Website" in " ".join(child.referee(place, "status").out.split())

        crm.reveal("Lead", "Website")
        place.later(hours=2)
        assert child.referee(place, "sync").code == 0
        assert "harbour-lift-new" in referral(place, lead)["website"]
        place.later(hours=2)
        assert place.sync().failed == []
        assert child.referee(place, "status", "--json").json["connections"][0]["drift"] == []
