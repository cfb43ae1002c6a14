"""The commands of `referee` as a person runs them, each a process of its own, over two simulated systems."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from jobs.connections import budget_of
from jobs.show import show_plan
from tests.jobs.sync_world import Killable, Office, Ran, office

LOGINS = 5
"""One of each command; Salesforce does not count them."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        made.morning(24)
        yield made


def test_check_passes_a_system_that_fits_and_names_a_field_that_does_not(place: Office, child: Killable) -> None:
    ran = child.referee(place, "check")
    assert (ran.code, ran.err) == (0, "")
    assert "sync --plan-only" in ran.out
    place.world.crm.hide("Lead", "Referral_Channel__c")
    ran = child.referee(place, "check", "--json")
    assert ran.code == 1
    (problem,) = [one for found in ran.json for one in found["problems"] if one["level"] == "error"]
    assert "Referral_Channel__c" in problem["found"] + problem["where"]
    assert "did you mean" in (problem["hint"] + problem["allowed"]).lower()
    assert place.journals() == []


def test_a_plan_is_made_looked_at_and_carried_out(place: Office, child: Killable) -> None:
    ran = child.referee(place, "sync", "--plan-only", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["plans"].keys() == {"crm", "erp"}
    assert ran.json["written"] == {}
    assert place.journals() == []

    ran = child.referee(place, "plan", "--json")
    assert ran.code == 0
    planned = {
        (item["object"], item["key"])
        for plan in ran.json
        for item in plan["items"]
        if item["action"] in ("create", "update")
    }
    assert planned and place.journals() == []

    ran = child.referee(place, "apply", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert {name: (done["dead"], done["waiting"]) for name, done in ran.json["written"].items()} == {
        "crm": (0, 0),
        "erp": (0, 0),
    }
    assert {(row[1], row[2]) for row in place.journals()} == planned
    assert place.doubled() == 0
    written = place.journals()
    place.later(minutes=30)
    ran = child.referee(place, "sync")
    assert (ran.code, place.journals()) == (0, written)
    ran = child.referee(place, "plan")
    assert "nothing to write" in ran.out
    spending = budget_of(
        place.here.settings.connections["crm"], "crm", place.here.store, place.world.now, print
    ).spending()
    assert spending.used == place.world.crm.requests_used
    assert 0 <= spending.spent - place.world.crm.requests_used <= LOGINS, "calls that no command used are given back"


def test_a_plan_that_was_approved_is_carried_out_and_no_other(place: Office, child: Killable) -> None:
    crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
    assert child.referee(place, "sync").code == 0
    crm.update("Lead", lead, {"Referral_Status__c": "withdrawn"})
    place.later(minutes=30)
    shown = " ".join(child.referee(place, "plan").out.split())
    command = shown.split("next: `referee ")[1].split("`")[0].split()
    (old,) = [plan["hash"] for plan in child.referee(place, "plan", "--json").json if plan["share"]]
    assert command == ["apply", "--plan", old[:12]]
    crm.update("Lead", lead, {"Referral_Rank__c": 9})
    refused = child.referee(place, *command, "--allow", "Mara Lind")
    (new,) = [plan["hash"] for plan in child.referee(place, "plan", "--json").json if plan["share"]]
    told = " ".join(refused.out.split())
    assert refused.code == 3 and new[:12] in told and old[:12] in told and "look at it again" in told
    assert crm.get("Lead", lead)["Referral_Status__c"] == "withdrawn"
    assert child.referee(place, "apply", "--plan", "banana").code == 2
    assert child.referee(place, "apply", "--plan", old, "--plan", new[:12]).code == 0
    assert (crm.get("Lead", lead)["Referral_Status__c"], crm.get("Lead", lead)["Referral_Rank__c"]) == ("won", 1)


def test_a_system_that_nothing_is_written_to_gets_a_line_and_no_table() -> None:
    shown = io.StringIO()
    show_plan({"connection": "erp", "objects": {}, "refused": []}, (), Console(file=shown))
    assert shown.getvalue() == "plan for erp: nothing to write\n"


def test_what_came_of_it_can_be_asked_down_to_the_records(place: Office, child: Killable) -> None:
    assert place.sync().failed == []
    requests = place.requests
    lead = place.world.ids["lead Harbour by Northline"]

    status = child.referee(place, "status", "--json").json
    assert [one["last_run"]["state"] for one in status["connections"]] == ["ok", "ok"]
    (program,) = status["programs"]
    assert [(row["state"], row["currency"], row["amount"]) for row in program["entries"]] == [
        ("accrued", "AUD", "490.00")
    ]

    about = child.referee(place, "explain", lead, "--json").json
    (claim,) = [row for row in about["rows"] if row["list"] == "claims"]
    assert (claim["state"], claim["partner"]) == ("won", place.world.ids["Northline"])
    (entry,) = [row for row in about["rows"] if row["list"] == "entries"]
    why = child.referee(place, "explain", entry["key"])
    assert why.code == 0
    assert "10% of 2500.00 AUD" in why.out and "payment" in why.out and "NT-14" in why.out

    other = child.referee(place, "what-if", "--set", "hold_on_conflict=true", "--set", "channels=email", "--json")
    assert other.code == 0, other.err
    (gone,) = [row for row in other.json["claims"] if row["referral"] == lead]
    assert (gone["before"]["state"], gone["after"]["state"]) == ("won", "inadmissible")
    assert {row["after"] for row in other.json["entries"]} == {None}

    record = f"crm:Lead:{lead}"
    for command in ("explain", "trace"):
        found = child.referee(place, command, record, "--json").json
        assert found["key"] == record and "Harbour Lift Services" in str(found["events"])
    unknown = child.referee(place, "trace", "crm:Lead:00Q")
    assert (unknown.code, unknown.out) == (2, "")
    assert "was never seen" in unknown.err

    ran = child.referee(place, "ledger", "verify", "--json")
    assert (ran.code, ran.json["ok"], ran.json["broken"]) == (0, True, [])
    balances = child.referee(place, "ledger", "balance", "--json").json
    assert sum(float(row["balance"]) for row in balances) == 0
    assert {abs(float(row["balance"])) for row in balances} >= {250.0, 240.0}
    assert place.requests == requests


def test_a_changed_mapping_is_carried_out_over_what_is_stored_without_asking_anybody(
    place: Office, child: Killable
) -> None:
    assert place.sync().failed == []
    requests, lead = place.requests, place.world.ids["lead Harbour by Northline"]
    place.change_mapping("company: Company", "company: {field: Company, transform: upper}")
    place.later(minutes=30)
    ran = child.referee(place, "remap", "--json")
    assert (ran.code, ran.err) == (0, "")
    counts = next(one["objects"] for one in ran.json if one["connection"] == "crm")
    assert counts["Lead"]["facts"] >= 30
    assert [fact["company"] for fact in place.here.store.facts(types=["referral"]) if fact["id"] == lead] == [
        "Harbour Lift Services", "HARBOUR LIFT SERVICES",
    ]  # fmt: skip
    assert place.requests == requests
    assert "nothing to do" in child.referee(place, "remap").out
    assert child.referee(place, "ledger", "verify").code == 0


def test_a_rejected_write_waits_for_a_person_and_goes_through_once_the_rule_is_lifted(
    place: Office, child: Killable
) -> None:
    crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
    rule = ("Lead", lambda row: "Ask the owner first" if row["Id"] == lead else None)
    crm.rules.validations.append(rule)
    ran = child.referee(place, "sync")
    assert ran.code == 0
    assert "referee dead-letters list" in ran.out
    (letter,) = child.referee(place, "dead-letters", "list", "--json").json
    assert (letter["object"], letter["key"], letter["kind"]) == ("Lead", lead, "data")
    assert letter["code"] == "FIELD_CUSTOM_VALIDATION_EXCEPTION" and letter["hint"]
    assert crm.get("Lead", lead).get("Referral_Status__c") is None

    crm.rules.validations.remove(rule)
    place.later(minutes=30)
    assert child.referee(place, "sync").code == 0
    assert crm.get("Lead", lead).get("Referral_Status__c") is None
    assert "1 of 1" in child.referee(place, "dead-letters", "retry", str(letter["number"])).out
    assert child.referee(place, "apply").code == 0
    assert crm.get("Lead", lead)["Referral_Status__c"] == "won"
    assert child.referee(place, "dead-letters", "list", "--json").json == []
    assert place.doubled() == 0


def test_a_field_that_became_read_only_is_named_and_written_with_the_next_sync_once_the_right_is_back(
    place: Office, child: Killable
) -> None:
    """Nothing is sent that is known to be refused, so there is no dead letter to release."""
    crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
    crm.make_read_only("Lead", "Referral_Reason__c")
    ran = child.referee(place, "sync", "--json")
    assert (ran.code, ran.json["written"]["crm"]["dead"]) == (0, 0)
    assert {row[1] for row in place.journals() if row[0] == "crm"} == {
        "Account",
        "Commission__c",
        "Partner_Statement__c",
    }
    plan = next(one for one in child.referee(place, "plan", "--json").json if one["connection"] == "crm")
    blocked = {item["reason"] for item in plan["items"] if item["object"] == "Lead"}
    assert blocked == {"the field Lead.Referral_Reason__c is read-only for the connection; give it access or unmap it"}
    checked = child.referee(place, "check", "--connection", "crm", "--json")
    assert checked.code == 1
    assert [one["found"] for one in checked.json[0]["problems"]] == ["Lead.Referral_Reason__c"]
    assert child.referee(place, "dead-letters", "list", "--json").json == []

    crm.make_writable("Lead", "Referral_Reason__c")
    place.later(minutes=30)
    assert child.referee(place, "sync").code == 0
    assert crm.get("Lead", lead)["Referral_Reason__c"].startswith("won: contract")
    assert place.doubled() == 0


def test_a_rejected_write_is_edited_by_a_named_person_and_goes_through(place: Office, child: Killable) -> None:
    crm, lead = place.world.crm, place.world.ids["lead Harbour by Northline"]
    crm.rules.validations.append(
        ("Lead", lambda row: "Too early" if row["Id"] == lead and row.get("Referral_Status__c") == "won" else None)
    )
    place.later(minutes=30)
    child.referee(place, "sync")
    (letter,) = child.referee(place, "dead-letters", "list", "--json").json
    assert letter["fields"]["Referral_Status__c"] == "won"

    def edit(*arguments: str) -> Ran:
        return child.referee(place, "dead-letters", "edit", *arguments)

    wrong = edit("nothing-like-it", "--set", "Referral_Status__c=active", "--by", "Mara Lind")
    assert wrong.code == 2 and f"allowed: {letter['number']} ({lead})" in wrong.err
    wrong = edit(lead, "--set", "Referral_Statu__c=active", "--by", "Mara Lind")
    assert wrong.code == 2 and "one of" in wrong.err and "Referral_Status__c" in wrong.err
    assert edit(lead, "--set", "Referral_Status__c=active", "--by", " ").code == 2
    edited = edit(lead, "--set", "Referral_Status__c=active", "--by", "Mara Lind", "--json").json
    assert edited["fields"]["Referral_Status__c"] == "active" and edited["edited_by"] == "Mara Lind"
    child.referee(place, "apply")
    assert crm.get("Lead", lead)["Referral_Status__c"] == "active"
    assert child.referee(place, "dead-letters", "list", "--json").json == []
    child.referee(place, "apply")  # the mapping still wants the other value
    assert [one["key"] for one in child.referee(place, "dead-letters", "list", "--json").json] == [lead]
    assert child.referee(place, "dead-letters", "release", "--kind", "date").code == 2
    assert child.referee(place, "dead-letters", "release", "--kind", "data", "--json").json == {"revived": 1}


def test_a_login_that_is_refused_is_said_with_what_to_do_and_ends_in_1(place: Office, child: Killable) -> None:
    place.world.crm.forget_sessions = True
    ran = child.referee(place, "sync")
    assert ran.code == 1
    assert "the login was refused" in ran.out and "check the credentials" in " ".join(ran.out.split())
    assert "secret" not in ran.out + ran.err
    place.world.crm.forget_sessions = False
    assert child.referee(place, "sync").code == 0
