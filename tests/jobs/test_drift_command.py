"""A field hidden from the integration user: the sync goes on without it, says so, and misses nothing in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.jobs.sync_world import Killable, Office, office


def referral(place: Office, lead: str) -> dict[str, Any]:
    return [fact for fact in place.here.store.facts(types=["referral"]) if fact["id"] == lead][-1]


def test_a_hidden_field_of_a_related_object_pauses_only_what_uses_it(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path) as place:
        place.morning(24)
        assert place.sync().failed == []
        checked = child.referee(place, "check", "--connection", "crm", "--json").json
        assert not [one for one in checked[0]["problems"] if "related" in one["hint"] or "." in one["found"]]
        crm, known = place.world.crm, accounts(place)
        owned = [one for one in known.values() if "owner" in one]
        assert len(owned) > 5
        crm.hide("User", "Name")
        account = owned[0]["id"]
        crm.update("Account", account, {"Website": "moved.example"})
        place.later(hours=2)
        ran = child.referee(place, "sync")
        assert ran.code == 0, ran.out
        assert "Account.Owner.Name: vanished" in " ".join(ran.out.split())
        now = accounts(place)
        assert now[account]["website"] == "https://moved.example"
        assert [one.get("owner") for one in now.values()] == [one.get("owner") for one in known.values()]

        crm.reveal("User", "Name")
        place.later(hours=2)
        assert child.referee(place, "sync").code == 0
        place.later(hours=2)
        assert place.sync().failed == []
        assert child.referee(place, "status", "--json").json["connections"][0]["drift"] == []
        assert accounts(place) == now, "what came back is what was kept: nothing new is stated"


def accounts(place: Office) -> dict[str, dict[str, Any]]:
    found = {fact["id"]: fact for fact in place.here.store.facts(types=["account"])}
    return {name: one for name, one in found.items() if not one.get("deleted")}


def test_a_hidden_field_pauses_only_itself_and_status_says_so(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path) as place:
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

        reconciled = {
            one["object"]: one for one in child.referee(place, "reconcile", "--connection", "crm", "--json").json
        }
        assert reconciled["Lead"]["state"] == "equal", reconciled["Lead"]

        crm.reveal("Lead", "Website")
        place.later(hours=2)
        assert child.referee(place, "sync").code == 0
        assert "harbour-lift-new" in referral(place, lead)["website"]
        place.later(hours=2)
        assert place.sync().failed == []
        assert child.referee(place, "status", "--json").json["connections"][0]["drift"] == []


def test_a_hidden_custom_field_of_lines_pauses_only_what_uses_it(tmp_path: Path, child: Killable) -> None:
    """What a line is of decides what it earns: changed invoices keep it by line, and new ones wait."""
    with office(tmp_path) as place:
        place.morning(24)
        assert place.sync().failed == []
        world, erp = place.world, place.world.erp
        checked = child.referee(place, "check", "--connection", "erp", "--json").json
        assert checked[0]["problems"] == []
        before = invoices(place)
        changed = min(before)
        erp.hide("transactionline", "custcol_kind")
        erp.update("invoice", changed, {"memo": "looked at"})
        world.invoice("new", "Harbour", "contract Harbour", [("saas", "50.00")], "5.00")
        place.later(hours=2)
        ran = child.referee(place, "sync")
        assert "invoice.lines.custcol_kind: vanished" in " ".join(ran.out.split())
        assert invoices(place) == before
        held = {one.external_id for one in place.here.store.quarantine("erp", "invoice")}
        assert held == {world.ids["new"]}

        erp.reveal("transactionline", "custcol_kind")
        place.later(hours=2)
        assert child.referee(place, "sync").code == 0
        now = invoices(place)
        assert now[changed] == before[changed] and len(now) == len(before) + 1
        assert place.here.store.quarantine("erp", "invoice") == []


def invoices(place: Office) -> dict[str, dict[str, Any]]:
    return {fact["id"]: fact for fact in place.here.store.facts(types=["invoice"])}
