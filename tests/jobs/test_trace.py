"""The life of one record, and what another mapping would make of what was read: told in order, with both ids, writing nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.simulation import Faults
from jobs.problems import UserError
from jobs.remap import differences
from jobs.trace import show_trace, trace_record
from sync.mapping_versions import versions
from tests.jobs.sync_world import Office, office, writes


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        made.morning(24)
        yield made


def lead_of(place: Office) -> str:
    return str(place.world.ids["lead Harbour by Northline"])


def whats(found: dict[str, Any], **like: Any) -> list[str]:
    return [one["what"] for one in found["events"] if all(one.get(name) == value for name, value in like.items())]


def test_everything_that_happened_to_a_record_is_told_in_order_with_both_ids(place: Office) -> None:
    lead = lead_of(place)
    place.world.crm.faults.add(Faults.lose_answer(6, writes))
    place.sync()
    place.later(minutes=30)
    place.world.crm.update("Lead", lead, {"Company": "Harbour Lift Services Pty Ltd"})
    place.later(minutes=30)
    place.sync()

    requests = place.requests
    found = trace_record(place.here, f"salesforce:Lead:{lead}")
    assert place.requests == requests, "tracing asked a system"
    assert found["key"] == f"crm:Lead:{lead}"
    assert found["facts"] == [{"type": "referral", "id": lead}]
    stamps = [event["at"] for event in found["events"]]
    assert stamps == sorted(stamps)

    first, *later = [event for event in found["events"] if event["what"] == "seen"]
    assert {"field": "Company", "before": None, "after": "Harbour Lift Services"} in first["changes"]
    assert {"field": "Company", "before": "Harbour Lift Services", "after": "Harbour Lift Services Pty Ltd"} in [
        change for event in later for change in event["changes"]
    ]
    mapped = [event for event in found["events"] if event["what"] == "mapped"]
    assert mapped[-1]["changes"] == [
        {"field": "company", "before": "Harbour Lift Services", "after": "Harbour Lift Services Pty Ltd"}
    ]
    runs = {run["run"]: run for run in found["runs"]}
    assert runs[first["run"]]["job"] == "pull" and runs[first["run"]]["calls"] > 0
    with place.here.store.reading() as db:
        assert {first["mapping"], mapped[-1]["mapping"]} == {one.hash for one in versions(db, "crm")}

    (claim,) = [row for row in found["decided"] if row["list"] == "claims"]
    assert (claim["state"], claim["referral"]) == ("won", lead)
    (entry,) = [row for row in found["decided"] if row["list"] == "entries"]
    ids = {(one["connection"], one["object"]): one for one in found["elsewhere"]}
    commission = ids["crm", "Commission__c"]
    assert commission["key"] == entry["key"]
    assert place.world.crm.get("Commission__c", commission["id"])["Sync_Key__c"] == entry["key"]
    assert ids["erp", "customrecord_partner_commission"]["id"]

    lost = whats(found, connection="crm", object="Commission__c")
    assert (
        lost[0] == "planned" and lost[1] == "sent" and set(lost[2:]) <= {"unanswered", "read_back", "answered", "sent"}
    )
    assert "read_back" in whats(found, connection="crm")
    planned = next(one for one in found["events"] if one["what"] == "planned" and one["object"] == "Lead")
    assert {"field": "Referral_Status__c", "before": None, "after": "won"} in planned["changes"]
    answered = [one for one in found["events"] if one["what"] in ("answered", "read_back")]
    assert {runs[one["run"]]["job"] for one in answered} == {"write"}


def test_every_read_and_write_of_a_record_names_the_api_call_that_carried_it(
    place: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    place.world.crm.faults.add(Faults.lose_answer(6, writes))
    place.sync()
    found = trace_record(place.here, f"crm:Lead:{lead_of(place)}")
    (seen,) = [one for one in found["events"] if one["what"] == "seen"]
    (read,) = seen["calls"]
    assert read["number"] > 1, "other objects were read before"
    assert (read["method"], read["path"].rpartition("/")[2], read["status"]) == ("GET", "queryAll", 200)
    unanswered = [one["calls"][-1] for one in found["events"] if one["what"] == "unanswered"]
    assert unanswered and {(call["method"], call["status"]) for call in unanswered} == {("PATCH", None)}
    read_back = [one["calls"] for one in found["events"] if one["what"] == "read_back"]
    assert read_back and all(call["method"] == "GET" for calls in read_back for call in calls)
    paid = [one for one in found["events"] if one["what"] == "answered" and one["connection"] == "erp"]
    own = [call["path"] for one in paid for call in one["calls"]]
    assert len(own) == len(set(own)) == len(paid) > 1, "each record's own call"
    show_trace(found)
    shown = " ".join(capsys.readouterr().out.split())
    assert f"call {read['number']}: GET {read['path']} (HTTP 200" in shown and "(no answer)" in shown


def test_a_rejected_write_and_its_second_try_are_told(place: Office) -> None:
    crm, lead = place.world.crm, lead_of(place)
    rule = ("Lead", lambda row: "Ask the owner first" if row["Id"] == lead else None)
    crm.rules.validations.append(rule)
    place.sync()
    found = trace_record(place.here, f"crm:Lead:{lead}")
    (answer,) = [one for one in found["events"] if one["what"] == "answered" and one["object"] == "Lead"]
    assert (answer["state"], answer["code"]) == ("dead", "FIELD_CUSTOM_VALIDATION_EXCEPTION")


def test_a_refused_record_is_told_with_its_reason_and_when_it_was_taken(
    place: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    lead = lead_of(place)
    place.world.crm.rows.table("Lead")[lead]["Referral_Submitted_At__c"] = "yesterday"
    place.sync()
    found = trace_record(place.here, f"crm:Lead:{lead}")
    (refused,) = [event for event in found["events"] if event["what"] == "refused"]
    assert (refused["field"], refused["state"]) == ("submitted_at", "open") and "yesterday" in refused["found"]
    assert whats(found) == ["seen", "refused"]
    place.later(hours=1)
    place.world.crm.update("Lead", lead, {"Referral_Submitted_At__c": "2026-01-05T23:00:00.000+0000"})
    place.later(hours=1)
    place.sync(write=False)
    found = trace_record(place.here, f"crm:Lead:{lead}")
    own = [what for what in whats(found) if what not in ("planned", "sent", "answered")]
    assert own == ["seen", "refused", "seen", "mapped", "taken"]
    show_trace(found)
    told = " ".join(capsys.readouterr().out.split())
    assert "submitted_at: found" in told and "no longer refused" in told


def test_deletions_merges_and_writes_that_were_replaced_are_told(
    place: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    crm, lead = place.world.crm, lead_of(place)
    account, other, gone = (
        crm.insert("Account", {"Name": name}) for name in ("Harbour North", "Harbour South", "Delta")
    )
    crm.faults.add(Faults.status(503, times=None, match=writes))  # what is planned now waits
    place.later(hours=1)
    place.sync()
    crm.faults.clear()
    crm.merge(account, other)
    crm.delete("Account", gone)
    place.morning(48)  # statements were cut and paid meanwhile: what waits is not what is wanted any more
    place.sync()
    assert "superseded" in whats(trace_record(place.here, f"crm:Lead:{lead}"))

    merged, deleted = (trace_record(place.here, f"crm:Account:{one}") for one in (other, gone))
    for found, into in ((merged, account), (deleted, None)):
        last_seen, last_mapped = (
            [one for one in found["events"] if one["what"] == what][-1] for what in ("seen", "mapped")
        )
        assert (last_seen["deleted"], last_seen["merged_into"]) == (True, into)
        assert last_mapped["withdrawn"] and last_mapped["changes"] == []
        show_trace(found)
    told = " ".join(capsys.readouterr().out.split())
    assert f"merged into {account}" in told and ": deleted" in told and "withdrawn" in told


def test_a_record_that_we_wrote_can_be_traced_by_its_own_id(place: Office) -> None:
    place.sync()
    (commission, *_) = trace_record(place.here, f"crm:Lead:{lead_of(place)}")["elsewhere"]
    found = trace_record(place.here, f"crm:{commission['object']}:{commission['id']}")
    assert whats(found) == ["planned", "sent", "answered"]


@pytest.mark.parametrize("text", ["crm", "crm:Lead", "nobody:Lead:1", ":::"])
def test_another_form_is_refused_with_what_is_allowed(place: Office, text: str) -> None:
    with pytest.raises(UserError, match="CONNECTION:OBJECT:ID with one of crm, erp"):
        trace_record(place.here, text)


def test_an_id_alone_is_refused_with_the_records_that_have_it(place: Office) -> None:
    place.sync()
    with pytest.raises(UserError, match=f", such as crm:Lead:{lead_of(place)}$"):
        trace_record(place.here, lead_of(place))


def by_object(found: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (one,) = [found["objects"][kind] for found in found if kind in found["objects"]]
    return dict(one)


def test_what_a_changed_mapping_would_change_is_shown_field_by_field_and_nothing_is_written(place: Office) -> None:
    place.sync()
    before, requests, lead = place.dump(), place.requests, lead_of(place)
    assert all(
        one["counts"] == {} for found in differences(place.here, None, None, None) for one in found["objects"].values()
    )

    place.change_mapping("company: Company", "company: {field: Company, transform: upper}")
    found = by_object(differences(place.here, ["crm"], None, None), "Lead")
    assert found["counts"] == {"changed": len(found["differences"])} and found["unread"] == []
    (mine,) = [one for one in found["differences"] if one["id"] == lead]
    assert mine["fields"] == [{"name": "company", "before": "Harbour Lift Services", "after": "HARBOUR LIFT SERVICES"}]

    place.change_mapping("company: Company", "company: {field: Company, values: {Nobody: nobody}}")
    found = by_object(differences(place.here, ["crm"], None, None), "Lead")
    assert set(found["counts"]) == {"refused"}
    assert found["differences"][0]["reject"]["field"] == "company"

    place.change_mapping("company: Company", "company: {first: [Company, Nowhere__c]}")
    assert by_object(differences(place.here, ["crm"], None, None), "Lead")["unread"] == ["Nowhere__c"]
    assert (place.dump(), place.requests) == (before, requests)


def test_a_run_is_replayed_by_the_mapping_of_another_time(place: Office) -> None:
    place.sync()
    lead = lead_of(place)
    place.change_mapping("company: Company", "company: {field: Company, transform: upper}")
    place.later(minutes=30)
    place.world.crm.update("Lead", lead, {"Phone": "1", "Company": "Harbour Lift"})
    place.later(minutes=30)
    place.sync()
    with place.here.store.reading() as db:
        new, old = versions(db, "crm")
    first = place.here.store.runs("pull", "crm")[-1]
    last = place.here.store.runs("pull", "crm", limit=1)[0]

    assert by_object(differences(place.here, ["crm"], old.hash, first.id), "Lead")["counts"] == {}
    then = by_object(differences(place.here, ["crm"], None, first.id), "Lead")
    (mine,) = [one for one in then["differences"] if one["id"] == lead]
    assert mine["fields"] == [{"name": "company", "before": "Harbour Lift Services", "after": "HARBOUR LIFT SERVICES"}]
    now = by_object(differences(place.here, ["crm"], old.hash[:8], last.id), "Lead")
    assert [(one["id"], one["fields"]) for one in now["differences"]] == [
        (lead, [{"name": "company", "before": "HARBOUR LIFT", "after": "Harbour Lift"}])
    ]
    assert new.hash != old.hash


def test_a_run_that_read_nothing_and_a_mapping_for_several_are_refused(place: Office) -> None:
    place.sync()
    with pytest.raises(UserError, match="--run: found 99"):
        differences(place.here, None, None, 99)
    with pytest.raises(UserError, match="--mapping: found several connections"):
        differences(place.here, None, "file", None)
