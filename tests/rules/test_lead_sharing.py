"""The vendor's leads are offered to one partner at a time, each for 24 hours (CN-107..CN-115, CN-A20..CN-A22)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.lead_sharing import LeadSharing, Shared, lead_sharing_of, shared_leads
from rules.program import Program, load_program
from rules.tasks import Task
from rules.tiers import Step
from tests.rules.seen import enrollment, partner, seen

CN = load_program("code-ninety")
PARALLEL = load_program("code-ninety", {"offer_mode": "parallel"})
TIERS = {"ana": "silver", "ben": "gold", "cleo": "bronze", "dov": "platinum"}
OFFERED = "2026-03-02T10:00:00+05:00"


def lead(*offers: str, **fields: Any) -> dict[str, Any]:
    body = {"type": "shared_lead", "id": "l1", "program": "code-ninety", "offered_at": OFFERED, "source": "website"}
    return {**body, "company": "Falak Textiles", "offers": list(offers), **fields}


def shared(records: list[dict[str, Any]], as_of: str, program: Program = CN) -> LeadSharing:
    joined = [
        record for name in TIERS for record in (partner(name, country="PK"), enrollment(program, name, role="agency"))
    ]
    views = seen(program, [*joined, *records], as_of)
    enrollments = {name: {f"e-{name}": views["enrollment"][f"e-{name}"]} for name in TIERS}
    until = program.calendar.end_of(datetime.fromisoformat(as_of).date())
    return lead_sharing_of(
        program,
        views["shared_lead"],
        enrollments,
        views["partner"],
        {name: [Step(date(2025, 1, 1), tier)] for name, tier in TIERS.items()},
        until,
    )


def rows(found: LeadSharing, kind: str) -> list[tuple[str, str | None, str | None]]:
    """Opened, due and done of the tasks of one kind."""
    return [
        (t.opened_on.isoformat(), t.due_on and t.due_on.isoformat(), t.done_on and t.done_on.isoformat())
        for t in found.tasks
        if t.kind == kind
    ]


def only(found: LeadSharing, kind: str) -> Task:
    [task] = [task for task in found.tasks if task.kind == kind]
    return task


def test_cn_112_an_offer_is_answered_within_24_hours_or_passes_to_the_next() -> None:
    record = lead("ana", "ben", "dov")
    assert rows(shared([record], "2026-03-02"), "lead_offer") == [("2026-03-02", "2026-03-03", None)]
    found = shared([record], "2026-03-03")
    assert rows(found, "lead_offer") == [("2026-03-02", "2026-03-03", "2026-03-03"), ("2026-03-03", "2026-03-04", None)]
    assert [(hold.partner, hold.until is None) for hold in found.holds] == [("ana", False), ("ben", True)]
    assert "offered to ana until 2026-03-03T10:00:00+05:00; not answered in time" in found.tasks[0].because
    assert {"CN-109", "CN-111", "CN-112"} <= set(found.tasks[0].clauses)


def test_cn_110_a_lead_that_nobody_answered_goes_back_to_the_vendor() -> None:
    found = shared([lead("ana", "ben")], "2026-03-10")
    assert rows(found, "lead_unanswered") == [("2026-03-04", None, None)]
    more = lead("ana", "ben", "dov", known_at="2026-03-06T12:00:00+05:00")
    found = shared([lead("ana", "ben"), more], "2026-03-06")
    assert rows(found, "lead_unanswered") == [("2026-03-04", None, "2026-03-06")]
    assert rows(found, "lead_offer")[-1] == ("2026-03-06", "2026-03-07", None)


def test_cn_108_a_partner_below_the_tier_is_passed_over_with_the_clause() -> None:
    found = shared([lead("cleo", "ana")], "2026-03-02")
    refused = only(found, "lead_offer_refused")
    assert {"CN-108", "CN-A20"} <= set(refused.clauses)
    assert refused.because == "not offered: cleo has tier bronze; allowed: silver and above"
    assert refused.row(refused.opened_on)["state"] == "done"
    assert [hold.partner for hold in found.holds] == ["ana"]


@pytest.mark.parametrize(
    ("lowest", "holder"), [("silver", "ana"), ("gold", "ben"), ("platinum", "dov"), ("bronze", "cleo")]
)
def test_cn_a20_a_setting_says_from_which_tier_leads_are_shared(lowest: str, holder: str) -> None:
    program = load_program("code-ninety", {"lead_share_min_tier": lowest})
    found = shared([lead("cleo", "ana", "ben", "dov")], "2026-03-02", program)
    assert [hold.partner for hold in found.holds] == [holder]


def test_who_is_not_in_the_program_is_offered_nothing() -> None:
    record = lead("ana", "ben", offered_at="2025-12-01T10:00:00+05:00", known_at="2026-01-05T10:00:00+05:00")
    assert (
        "ana is not in the program; ben is not in the program"
        in only(shared([record], "2026-01-05"), "lead_offer_refused").because
    )


def test_cn_113_and_cn_114_a_lead_taken_in_turn_is_assigned_and_its_outcome_is_asked_for() -> None:
    record = lead("ana", "ben", taken_by="ana", taken_at="2026-03-03T10:00:00+05:00")
    found = shared([record], "2026-03-05")
    assert rows(found, "lead_offer") == [("2026-03-02", "2026-03-03", "2026-03-03")]
    assert rows(found, "lead_assignment") == [("2026-03-03", None, None)]
    assert rows(found, "lead_outcome") == [("2026-03-03", None, None)]
    won = {**record, "outcome": "won", "known_at": "2026-05-01T10:00:00+05:00"}
    assert rows(shared([record, won], "2026-05-01"), "lead_outcome") == [("2026-03-03", None, "2026-05-01")]
    assert rows(shared([record, won], "2026-04-30"), "lead_outcome") == [("2026-03-03", None, None)]


@pytest.mark.parametrize(
    ("taker", "taken_at", "told"),
    [
        ("ben", "2026-03-02T15:00:00+05:00", "it was the turn of ana"),
        ("ana", "2026-03-03T10:00:01+05:00", "it was the turn of ben"),
        ("cleo", "2026-03-02T15:00:00+05:00", "it was the turn of ana"),
        ("ana", "2026-03-09T10:00:00+05:00", "it was nobody's turn"),
    ],
)
def test_cn_110_a_lead_taken_out_of_turn_is_for_a_person_to_decide(taker: str, taken_at: str, told: str) -> None:
    found = shared([lead("ana", "ben", taken_by=taker, taken_at=taken_at)], "2026-03-20")
    task = only(found, "lead_taken_out_of_turn")
    assert told in task.because
    assert {"CN-110", "CN-112"} <= set(task.clauses)
    assert rows(found, "lead_assignment") == []
    assert not any(hold.until is None for hold in found.holds)


def test_what_was_taken_in_time_but_learned_late_is_still_taken_in_turn() -> None:
    later = lead(
        "ana", "ben", taken_by="ana", taken_at="2026-03-03T09:00:00+05:00", known_at="2026-03-06T09:00:00+05:00"
    )
    assert [h.partner for h in shared([lead("ana", "ben"), later], "2026-03-05").holds] == ["ana", "ben"]
    found = shared([lead("ana", "ben"), later], "2026-03-06")
    assert [(hold.partner, hold.until) for hold in found.holds] == [("ana", None)]
    assert [hold.partner for hold in found.offered] == ["ana", "ben"]  # as was told


def test_cn_a21_in_parallel_the_first_to_answer_has_it() -> None:
    record = lead("ana", "cleo", "ben", taken_by="ben", taken_at="2026-03-03T09:00:00+05:00")
    found = shared([record], "2026-03-05", PARALLEL)
    assert "offered to ana, ben until" in only(found, "lead_offer").because
    assert [(hold.partner, hold.until is None) for hold in found.holds] == [("ana", False), ("ben", True)]
    assert rows(shared([lead("ana", "ben")], "2026-03-05", PARALLEL), "lead_unanswered") == [("2026-03-03", None, None)]


def test_a_withdrawn_lead_asks_for_nothing_any_more() -> None:
    gone = {"type": "shared_lead", "id": "l1", "deleted": True, "known_at": "2026-03-02T18:00:00+05:00"}
    found = shared([lead("ana", "ben"), gone], "2026-03-05")
    assert rows(found, "lead_offer") == [("2026-03-02", "2026-03-03", "2026-03-02")]
    assert len(found.tasks) == 1


def test_the_offer_tells_when_partner_and_lead_are_in_different_countries() -> None:
    found = shared([lead("ana", country="AE", services=["retainer"])], "2026-03-02")
    assert "(website; AE; retainer)" in found.tasks[0].because
    assert "ana is in PK" in found.tasks[0].because


def test_a_lead_of_another_program_is_none_of_ours() -> None:
    assert shared([lead("ana", program="optimetriks")], "2026-03-05") == LeadSharing()


def test_cn_a22_the_leads_that_partners_took_are_known_so_that_they_need_not_count() -> None:
    record = lead("ana", taken_by="ana", taken_at="2026-03-02T15:00:00+05:00")
    gone = {"type": "shared_lead", "id": "l1", "deleted": True, "known_at": "2026-03-04T18:00:00+05:00"}
    for as_of, count in (("2026-03-01", 0), ("2026-03-03", 1), ("2026-03-05", 0)):
        views = seen(CN, [partner("ana"), record, gone], as_of)["shared_lead"]
        offered_at = datetime.fromisoformat(OFFERED)
        assert shared_leads(CN, views) == [Shared("l1", "ana", "Falak Textiles", offered_at)] * count


NAMES = st.lists(st.sampled_from(sorted(TIERS)), max_size=6)
HOURS = st.integers(0, 150)


@settings(derandomize=True, database=None, max_examples=150)
@given(NAMES, st.none() | st.tuples(st.sampled_from(sorted(TIERS)), HOURS), st.none() | HOURS, HOURS)
def test_cn_110_a_lead_is_held_by_at_most_one_partner_at_a_time(
    offers: list[str], taken: tuple[str, int] | None, gone: int | None, late: int
) -> None:
    start = datetime.fromisoformat(OFFERED)
    record = lead(*offers)
    if taken:
        record |= {"taken_by": taken[0], "taken_at": (start + timedelta(hours=taken[1])).isoformat()}
    records = [
        record,
        {**record, "offers": [*offers, "dov"], "known_at": (start + timedelta(hours=late, minutes=1)).isoformat()},
    ]
    if gone is not None:
        known_at = (start + timedelta(hours=gone, minutes=2)).isoformat()
        records.append({"type": "shared_lead", "id": "l1", "deleted": True, "known_at": known_at})
    found = shared(records, "2026-03-20")
    end = datetime(2030, 1, 1, tzinfo=UTC)
    holds = sorted((hold.since, hold.until or end) for hold in found.holds)
    assert all(since <= until for since, until in holds)
    assert all(a[1] <= b[0] for a, b in zip(holds, holds[1:], strict=False))
    assert len({task.key for task in found.tasks}) == len(found.tasks)
    assert {hold.partner for hold in found.holds} <= {"ana", "ben", "dov"}
