"""Writing HubSpot: every write once in effect, every record with its own result, whatever goes wrong around it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.base import Change
from connectors.errors import NeedsOperator, QuotaSpent
from connectors.http import RetryPolicy
from connectors.simulation import Faults, SimRequest
from tests.connectors.hubspot_portal import running

SHORT = RetryPolicy(attempts=2, total_seconds=30)


def commission(key: str, **fields: Any) -> Change:
    return Change("p_commission", "sync_key", key, {"amount": Decimal("12.30"), **fields})


def is_batch(request: SimRequest) -> bool:
    return "/batch/" in request.path


def test_an_upsert_creates_once_and_then_updates() -> None:
    with running() as portal:
        connector = portal.connect()
        (first,) = connector.write([commission("a/b.c", state="accrued", due_on="2026-04-30")])
        (second,) = connector.write([commission("a/b.c", state="paid", due_on=None)])
        assert (first.state, first.created) == ("done", True)
        assert (second.state, second.created, second.external_id) == ("done", False, first.external_id)
        (row,) = portal.all_rows("commission")
        assert (row["sync_key"], row["state"], row["amount"]) == ("a/b.c", "paid", "12.30")
        assert "due_on" not in row


@settings(max_examples=25)
@given(
    keys=st.lists(st.integers(0, 15), min_size=1, max_size=40),
    size=st.integers(1, 7),
    lost=st.integers(0, 3),
    raced=st.sets(st.integers(0, 15), max_size=3),
    named=st.booleans(),
)
def test_lost_answers_races_and_repeats_write_each_key_once(
    keys: list[int], size: int, lost: int, raced: set[int], named: bool
) -> None:
    """Whatever is lost on the way, writing again until nothing is open leaves one record a key, with the last value."""
    with running() as portal:
        portal.batches.names_inputs = named
        connector = portal.connect(write_size=size)
        changes = [commission(f"k{key}", basis=Decimal(place)) for place, key in enumerate(keys)]
        portal.batches.races.update({f"k{key}": 1 for key in raced})
        portal.faults.add(Faults.lose_answer(max(lost, 1), is_batch, after=0 if lost else 99))
        results = connector.write(changes)
        assert [result.key for result in results] == [change.key for change in changes]
        again = connector.write([changes[n] for n, result in enumerate(results) if result.state != "done"])
        assert all(result.state == "done" for result in again)
        assert set(portal.journal.count_by_key().values()) <= {1}
        last = {f"k{key}": str(place) for place, key in enumerate(keys)}
        assert {row["sync_key"]: row["basis"] for row in portal.all_rows("commission")} == last


def test_when_every_answer_is_lost_the_outcome_is_unknown_and_reading_back_tells() -> None:
    with running() as portal:
        connector = portal.connect(SHORT)
        portal.faults.add(Faults.lose_answer(None, is_batch))
        (result,) = connector.write([commission("k1")])
        assert result.state == "unknown"
        portal.faults.clear()
        (found,) = connector.fetch("p_commission", ("amount",), ["k1"], key_field="sync_key")
        assert found.fields["amount"] == "12.30"
        assert portal.journal.count_by_key() == {("commission", "k1"): 1}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"kind": "gift"}, "INVALID_OPTION"),
        ({"clauses": "x" * 65_537}, "INVALID_LENGTH"),
        ({"hs_createdate": "2026-03-02"}, "READ_ONLY_VALUE"),
        ({"no_such_property": "no"}, "PROPERTY_DOESNT_EXIST"),
        ({"amount": "much"}, "INVALID_LONG"),
        ({"earned_on": "soon"}, "INVALID_DATE"),
        ({"amount": 0.1}, "INVALID_TEXT"),
        ({"because": "half a \ud800"}, "INVALID_TEXT"),
        ({"because": "forbidden"}, "VALIDATION_RULE"),
        ({"associations.companies": "999"}, "OBJECT_NOT_FOUND"),
        ({"associations.companies": None}, "ASSOCIATION_KEPT"),
    ],
)
def test_a_record_that_fails_never_fails_its_neighbours(fields: dict[str, Any], code: str) -> None:
    """Also when the vendor refuses the whole batch for it."""
    with running() as portal:
        portal.batches.rules.append(("commission", lambda row: "no" if row.get("because") == "forbidden" else None))
        changes = [commission(f"k{n}") for n in range(7)]
        changes[3] = commission("k3", **fields)
        results = portal.connect().write(changes)
        assert [result.state for result in results] == ["done"] * 3 + ["rejected"] + ["done"] * 3
        assert results[3].code == code and results[3].message
        neighbours = {row["sync_key"] for row in portal.all_rows("commission")} - {"k3"}
        assert neighbours == {"k0", "k1", "k2", "k4", "k5", "k6"}


def test_records_with_an_unknown_property_are_all_found_in_one_answer() -> None:
    with running() as portal:
        changes = [commission(f"k{n}", **({"nope": "x"} if n % 2 else {})) for n in range(20)]
        results = portal.connect().write(changes)
        assert [result.state for result in results] == ["done", "rejected"] * 10
        assert portal.total_requests == 2


def test_messages_name_properties_and_hold_no_values() -> None:
    with running() as portal:
        contact = portal.insert("contacts", {"firstname": "Ann"})
        (result,) = portal.connect().write([Change("contacts", None, contact, {"email": "ann@"})])
        assert (result.state, result.code) == ("rejected", "INVALID_EMAIL")
        assert result.message is not None and "email" in result.message
        assert "ann@" not in result.message


def test_a_value_that_another_record_has_is_a_conflict() -> None:
    with running() as portal:
        portal.insert("contacts", {"email": "ann@harbour.example"})
        other = portal.insert("contacts", {"firstname": "Bob"})
        changes = [Change("contacts", None, other, {"email": "ann@harbour.example"})]
        (result,) = portal.connect().write(changes)
        assert (result.state, result.code) == ("rejected", "CONFLICT")


def test_a_key_that_comes_twice_is_written_in_the_order_given() -> None:
    with running() as portal:
        results = portal.connect().write([commission("k1", state="accrued"), commission("k1", state="paid")])
        assert [result.created for result in results] == [True, False]
        assert portal.all_rows("commission")[0]["state"] == "paid"


def test_a_later_change_waits_for_an_earlier_one_whose_outcome_is_unknown() -> None:
    with running() as portal:
        portal.faults.add(Faults.lose_answer(2, is_batch))
        results = portal.connect(SHORT).write([commission("k1", state="accrued"), commission("k1", state="paid")])
        assert [(result.state, result.code) for result in results][1] == ("retry", "WAITS")
        assert results[0].state == "unknown"


def test_an_update_by_id_names_each_record_that_is_not_there() -> None:
    with running() as portal:
        there, gone = (portal.insert("companies", {"name": name}) for name in ("There", "Gone"))
        portal.archive("companies", gone)
        keys = [there, gone, "12", "not a number", ""]
        results = portal.connect().write([Change("companies", None, key, {"referral_partner": "1"}) for key in keys])
        assert [result.code for result in results] == [
            None,
            "OBJECT_NOT_FOUND",
            "OBJECT_NOT_FOUND",
            "INVALID_ID",
            "INVALID_ID",
        ]
        assert len(portal.journal.writes()) == 1


def test_associations_are_set_once_and_may_be_repeated() -> None:
    with running() as portal:
        partner = portal.insert("companies", {"name": "Partner"})
        changes = [commission(f"k{n}", **{"associations.companies": partner}) for n in range(3)]
        connector = portal.connect()
        foretold, before = connector.write_calls(changes), portal.total_requests
        first = connector.write(changes)
        assert portal.total_requests - before == foretold == 2
        second = connector.write(changes)
        assert [result.state for result in [*first, *second]] == ["done"] * 6
        for result in first:
            assert result.external_id is not None
            assert portal.rows.links.of("commission", result.external_id, "companies") == [partner]


def test_a_lost_answer_about_associations_is_not_called_done() -> None:
    with running() as portal:
        partner = portal.insert("companies", {"name": "Partner"})
        portal.faults.add(Faults.lose_answer(2, lambda request: "/associate/" in request.path))
        (result,) = portal.connect(SHORT).write([commission("k1", **{"associations.companies": partner})])
        assert result.state == "unknown"


def test_every_value_is_sent_as_the_text_that_hubspot_keeps() -> None:
    with running() as portal:
        at = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
        fields = {
            "amount": Decimal("1E+3"), "rate": Decimal("0.125"), "earned_on": date(2026, 3, 1), "clauses": ["NT-16", "NT-17"],
        }  # fmt: skip
        enrollment = portal.insert("program_enrollment", {})
        connector = portal.connect()
        connector.write([commission("k1", **fields)])
        connector.write([Change("p_program_enrollment", None, enrollment, {"certified": True, "trained_staff": 3})])
        row = portal.all_rows("commission")[0]
        assert (row["amount"], row["rate"], row["earned_on"]) == ("1000", "0.125", "2026-03-01")
        assert row["clauses"] == "NT-16;NT-17"
        assert portal.get("program_enrollment", enrollment)["certified"] == "true"  # type: ignore[index]
        referral = portal.insert("referral", {})
        connector.write([Change("p_referral", None, referral, {"submitted_at": at})])
        assert portal.get("referral", referral)["submitted_at"] == "2026-03-02T20:00:00.000Z"  # type: ignore[index]


@pytest.mark.parametrize("named", [True, False])
def test_a_race_that_was_lost_ends_as_an_update_within_the_same_write(named: bool) -> None:
    with running() as portal:
        portal.batches.names_inputs, portal.batches.races["k1"] = named, 1
        results = portal.connect().write([commission("k0"), commission("k1")])
        assert [result.state for result in results] == ["done", "done"]


def test_a_race_that_does_not_end_is_rejected() -> None:
    with running() as portal:
        portal.batches.races["k1"] = 5
        results = portal.connect().write([commission("k0"), commission("k1")])
        assert [(result.state, result.code) for result in results] == [("done", None), ("rejected", "CONFLICT")]


def test_what_was_written_before_the_quota_ended_is_not_lost() -> None:
    with running() as portal:
        connector = portal.connect(write_size=2)
        portal.limits.daily = portal.limits.used + 1
        results = connector.write([commission(f"k{n}") for n in range(6)])
        assert [result.state for result in results] == ["done"] * 2 + ["retry"] * 4
        with pytest.raises(QuotaSpent):
            connector.write([commission("k9")])


def test_a_record_whose_association_was_not_made_any_more_is_not_called_done() -> None:
    with running() as portal:
        partner = portal.insert("companies", {"name": "Partner"})
        changes = [commission(f"k{n}", **{"associations.companies": partner}) for n in range(4)]
        portal.limits.daily = portal.limits.used + 3
        results = portal.connect(write_size=2, quota_share=1.0).write(changes)
        assert [result.state for result in results] == ["done"] * 2 + ["retry"] * 2
        portal.limits.daily = 1000
        again = portal.connect().write(changes[2:])
        assert [result.state for result in again] == ["done"] * 2
        for result in again:
            assert portal.rows.links.of("commission", str(result.external_id), "companies") == [partner]


def test_an_outage_between_the_halves_of_a_refused_batch_leaves_no_record_without_its_association() -> None:
    with running() as portal:
        partner = portal.insert("companies", {"name": "Partner"})
        wanted = {"associations.companies": partner}
        changes = [commission("k0", **wanted), commission("k1", kind="gift", **wanted)]
        # The second batch is refused and sent by halves: the first half is written, the second meets an outage.
        portal.faults.add(Faults.status(503, times=None, match=is_batch, after=3))
        results = portal.connect(SHORT, write_size=2).write([commission("k8"), commission("k9"), *changes])
        assert [result.state for result in results] == ["done", "done", "retry", "retry"]
        assert {row["sync_key"] for row in portal.all_rows("commission")} == {"k8", "k9", "k0"}
        portal.faults.clear()
        first, second = portal.connect().write(changes)
        assert (first.state, second.state) == ("done", "rejected")
        assert portal.rows.links.of("commission", str(first.external_id), "companies") == [partner]


def test_a_missing_scope_stops_the_connection() -> None:
    with running() as portal:
        portal.logins.missing_scopes.add("crm.objects.custom.write")
        with pytest.raises(NeedsOperator, match=r"crm\.objects\.custom\.write"):
            portal.connect().write([commission("k1")])


def test_an_answer_that_names_nothing_is_unknown() -> None:
    with running() as portal:
        body = {
            "status": "COMPLETE",
            "results": [],
            "startedAt": "2026-03-02T09:00:00Z",
            "completedAt": "2026-03-02T09:00:00Z",
        }
        portal.faults.add(Faults.status(200, body=body, match=is_batch))
        (result,) = portal.connect().write([commission("k1")])
        assert (result.state, result.code) == ("unknown", "NO_RESULT")
