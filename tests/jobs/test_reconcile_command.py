"""`referee reconcile` over two simulated systems: equal after a sync, names what was lost, and takes it over when told."""

from __future__ import annotations

from pathlib import Path

from tests.jobs.sync_world import Killable, office, write_settings


def test_what_left_no_trace_is_found_told_and_taken_over(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path) as place:
        place.morning(24)
        assert place.sync().failed == []
        place.later(hours=3)
        assert place.sync().failed == []
        place.later(hours=3)

        for _ in range(101):
            run = place.here.store.start_run("pull", "crm", at=place.world.moment)
            place.here.store.finish_run(run, "failed", {}, at=place.world.moment)
        ran = child.referee(place, "reconcile", "--json")
        assert (ran.code, {one["state"] for one in ran.json}) == (0, {"equal"}), (
            "also after a day on which no pull came through"
        )
        invoices = next(one for one in ran.json if one["object"] == "invoice")
        assert invoices["records"]["theirs"] == invoices["records"]["ours"] > 0
        assert any(sums["theirs"] == sums["ours"] != "0" for sums in invoices["sums"].values())
        assert "every record that the systems list is here" in " ".join(child.referee(place, "reconcile").out.split())

        lead = place.world.ids["lead Harbour by Northline"]
        place.world.crm.rows.purge("Lead", lead)
        place.later(hours=3)
        assert place.sync().failed == []
        assert [fact["id"] for fact in place.here.store.facts(types=["referral"]) if fact.get("deleted")] == []

        ran = child.referee(place, "reconcile", "--json")
        assert ran.code == 1
        (found,) = [one for one in ran.json if one["state"] == "different"]
        assert (found["object"], [(one["id"], one["what"]) for one in found["differences"]]) == (
            "Lead", [(lead, "vanished")],
        )  # fmt: skip
        assert lead in child.referee(place, "reconcile", "--connection", "crm").out

        ran = child.referee(place, "reconcile", "--repair", "--json")
        assert ran.code == 0 and {one["state"] for one in ran.json} == {"equal", "repaired"}
        assert [fact["id"] for fact in place.here.store.facts(types=["referral"]) if fact.get("deleted")] == [lead]
        assert child.referee(place, "reconcile").code == 0


def test_a_repair_that_would_empty_a_field_everywhere_waits_for_a_person(tmp_path: Path, child: Killable) -> None:
    """The brake of a pull, with what let it through; the polls did not see the change, for it left no stamp."""
    with office(tmp_path) as place:
        write_settings(place, {}, brakes={"Lead": {"emptied_from": 2}})
        place.morning(3)
        assert place.sync().failed == []
        place.later(hours=3)
        assert place.sync().failed == []
        for row in place.world.crm.rows.table("Lead").values():
            row["Website"] = None
        ran = child.referee(place, "reconcile", "--repair", "--json")
        (lead,) = [one for one in ran.json if one["object"] == "Lead"]
        assert (ran.code, lead["state"]) == (3, "refused")
        assert "Lead: referral.website became empty in" in lead["why"] and "reconcile --repair --allow" in lead["why"]
        assert all("website" in fact for fact in place.here.store.facts(types=["referral"]))
        ran = child.referee(place, "reconcile", "--repair", "--allow", "Mara Lind", "--json")
        (lead,) = [one for one in ran.json if one["object"] == "Lead"]
        assert (ran.code, lead["state"], lead["allowed_by"]) == (0, "repaired", "Mara Lind")
        newest = {fact["id"]: fact for fact in place.here.store.facts(types=["referral"])}
        assert newest and not any("website" in fact for fact in newest.values())


def test_what_was_read_before_the_first_pull_died_can_be_compared(tmp_path: Path, child: Killable) -> None:
    with office(tmp_path) as place:
        place.morning(3)
        assert child.run(place, "after_stream")
        place.later(hours=3)
        ran = child.referee(place, "reconcile", "--connection", "crm", "--json")
        states = [one["state"] for one in ran.json]
        assert (ran.code, states.count("equal"), set(states)) == (1, 1, {"equal", "unread"}), ran.err
