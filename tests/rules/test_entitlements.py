"""Entitlements and duties by role and tier, one task each (NT-11, ON-18..ON-25, CN-12, CN-83..CN-129, TC-16..TC-31, OP-2..OP-26)."""

from datetime import date
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.enrolled import Span, both, enrolled, joined, tier_on
from rules.entitlements import PartnerFacts, entitlements_of, period_start
from rules.errors import ProgramError
from rules.program import Program, load_program, parse_program
from rules.tasks import Task
from rules.tiers import Step
from tests.rules.seen import enrollment, partner, seen

ON = load_program("one-network")
CN = load_program("code-ninety")
TC = load_program("technology-consultant")
OP = load_program("optimetriks")
ALWAYS = [(date.min, "bronze")]


def tasks(program: Program, records: list[dict[str, Any]], as_of: str, steps: Any = ALWAYS) -> list[Task]:
    views = seen(program, [partner("p1"), *records], as_of)
    facts = PartnerFacts(views["enrollment"], views["certification"], [Step(*step) for step in steps])
    return entitlements_of(program, "p1", facts, date.fromisoformat(as_of))


def of_kind(found: list[Task], kind: str) -> list[tuple[str, str | None, str | None]]:
    """Opened, due and done of the tasks of one kind."""
    return [
        (t.opened_on.isoformat(), t.due_on and t.due_on.isoformat(), t.done_on and t.done_on.isoformat())
        for t in found
        if t.kind == kind
    ]


def of_clause(found: list[Task], clause: str) -> set[str]:
    return {task.kind for task in found if clause in task.clauses}


@pytest.mark.parametrize(
    ("program", "role", "clauses"),
    [
        (ON, "referral", ["ON-18", "ON-19", "ON-20", "ON-23", "ON-24", "ON-25"]),
        (CN, "agency", ["CN-34", "CN-45", "CN-83", "CN-85", "CN-86", "CN-87", "CN-88", "CN-90", "CN-91", "CN-92", "CN-93", "CN-94", "CN-101",
                        "CN-102", "CN-103", "CN-116", "CN-117", "CN-118", "CN-119", "CN-124", "CN-129", "CN-A19", "CN-A31"]),
        (TC, "independent_consultant", ["TC-16", "TC-17", "TC-18", "TC-29", "TC-31"]),
        (OP, "affiliate", ["OP-6", "OP-7", "OP-11", "OP-12", "OP-14", "OP-22", "OP-23", "OP-25", "OP-26", "OP-A12"]),
        (OP, "referral", ["OP-2", "OP-11", "OP-14", "OP-A6"]),
    ],
)  # fmt: skip
def test_a_partner_at_the_top_has_a_task_for_every_clause(program: Program, role: str, clauses: list[str]) -> None:
    top = "gold" if program is TC else "platinum"
    found = tasks(program, [enrollment(program, "p1", role=role)], "2026-01-01", [(date(2026, 1, 1), top)])
    assert [clause for clause in clauses if not of_clause(found, clause)] == []
    assert all(task.subject == "p1" and task.because for task in found)
    assert len({task.key for task in found}) == len(found)


def test_on_24_sales_training_comes_every_quarter_and_on_19_the_registry_every_month() -> None:
    found = tasks(ON, [enrollment(ON, "p1", "2026-02-10")], "2026-07-01")
    assert of_kind(found, "sales_training") == [
        ("2026-02-10", "2026-03-31", None),
        ("2026-04-01", "2026-06-30", None),
        ("2026-07-01", "2026-09-30", None),
    ]
    assert [due for _, due, _ in of_kind(found, "registry_update")] == [
        "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30", "2026-07-31",
    ]  # fmt: skip


def test_op_23_monthly_meetings_are_for_affiliates_while_they_are_in_the_program() -> None:
    assert of_kind(tasks(OP, [enrollment(OP, "p1", role="referral")], "2026-03-01"), "monthly_meeting") == []
    found = tasks(OP, [enrollment(OP, "p1", role="affiliate", ends_on="2026-02-15")], "2026-04-01")
    assert of_kind(found, "monthly_meeting") == [
        ("2026-01-01", "2026-01-31", "2026-02-16"),
        ("2026-02-01", "2026-02-28", "2026-02-16"),
    ]
    assert "no longer owed from 2026-02-16 on" in found[-1].because


@pytest.mark.parametrize(
    ("program", "role", "kind"), [(ON, "referral", "alliance_manager"), (OP, "affiliate", "partner_manager")]
)
def test_on_18_and_op_22_a_manager_is_to_be_assigned_until_the_enrollment_names_one(
    program: Program, role: str, kind: str
) -> None:
    first = enrollment(program, "p1", role=role)
    named = {**first, "manager": "Ines", "known_at": "2026-02-03T12:00:00Z"}
    assert of_kind(tasks(program, [first, named], "2026-01-31"), kind) == [("2026-01-01", None, None)]
    assert of_kind(tasks(program, [first, named], "2026-02-28"), kind) == [("2026-01-01", None, "2026-02-03")]
    at_once = {**first, "manager": "Ines"}
    assert of_kind(tasks(program, [at_once], "2026-02-28"), kind) == [("2026-01-01", None, "2026-01-01")]


@pytest.mark.parametrize(("staff", "enough", "reserve"), [(None, False, False), (1, True, False), (2, True, True)])
def test_op_26_one_trained_person_is_enough_and_op_a12_a_second_one_is_asked_for(
    staff: int | None, enough: bool, reserve: bool
) -> None:
    found = tasks(OP, [enrollment(OP, "p1", role="affiliate", trained_staff=staff)], "2026-01-05")
    assert [done for *_, done in of_kind(found, "trained_staff")] == ["2026-01-01" if enough else None]
    assert [done for *_, done in of_kind(found, "second_trained_person")] == ["2026-01-01" if reserve else None]


def test_op_25_the_contract_is_signed_on_its_own_day() -> None:
    signed = enrollment(OP, "p1", role="affiliate", agreement_signed_on="2026-01-20")
    assert of_kind(tasks(OP, [signed], "2026-01-19"), "partner_contract") == [("2026-01-01", None, None)]
    assert of_kind(tasks(OP, [signed], "2026-01-20"), "partner_contract") == [("2026-01-01", None, "2026-01-20")]


def test_cn_12_a_higher_tier_keeps_what_the_lower_ones_give() -> None:
    steps = [(date(2026, 1, 1), "bronze"), (date(2026, 5, 20), "gold")]
    found = tasks(CN, [enrollment(CN, "p1", role="agency")], "2026-05-20", steps)
    opened = {task.kind: task.opened_on for task in found if task.kind.endswith("_benefits")}
    assert opened == {
        "bronze_benefits": date(2026, 1, 1),
        "silver_benefits": date(2026, 5, 20),
        "gold_benefits": date(2026, 5, 20),
    }
    assert of_kind(found, "executive_review") == [("2026-05-20", "2026-06-30", None)]
    assert of_kind(found, "strategy_session") == []


def test_a_benefit_of_a_tier_ends_with_it_and_opens_anew_when_it_is_reached_again() -> None:
    steps = [(date(2026, 1, 1), "silver"), (date(2026, 3, 1), "bronze"), (date(2026, 9, 1), "silver")]
    found = tasks(CN, [enrollment(CN, "p1", role="agency")], "2026-10-01", steps)
    assert of_kind(found, "silver_benefits") == [("2026-01-01", None, "2026-03-01"), ("2026-09-01", None, None)]


@pytest.mark.parametrize(("lowest", "has_it"), [("silver", True), ("gold", False)])
def test_cn_a31_a_setting_says_from_which_tier_there_is_an_account_manager(lowest: str, has_it: bool) -> None:
    program = load_program("code-ninety", {"account_manager_min_tier": lowest})
    found = tasks(program, [enrollment(CN, "p1", role="agency")], "2026-02-01", [(date(2026, 1, 1), "silver")])
    assert bool(of_kind(found, "account_manager")) is has_it


@pytest.mark.parametrize(("lowest", "has_it"), [("platinum", False), ("gold", True)])
def test_cn_a19_a_setting_says_from_which_tier_the_phone_is_answered(lowest: str, has_it: bool) -> None:
    program = load_program("code-ninety", {"phone_min_tier": lowest})
    found = tasks(program, [enrollment(CN, "p1", role="agency")], "2026-02-01", [(date(2026, 1, 1), "gold")])
    assert bool(of_kind(found, "phone_support")) is has_it


def test_tc_a5_gold_keeps_the_support_of_silver_unless_tiers_are_not_cumulative() -> None:
    gold = [(date(2026, 2, 1), "gold")]
    records = [enrollment(TC, "p1", role="independent_consultant")]
    assert of_kind(tasks(TC, records, "2026-03-01", gold), "sales_support") == [("2026-02-01", None, None)]
    apart = load_program("technology-consultant", {"tiers_cumulative": "false"})
    assert of_kind(tasks(apart, records, "2026-03-01", gold), "sales_support") == []


def test_cn_117_a_certification_answers_the_certification_program() -> None:
    record = {"type": "certification", "id": "c1", "partner": "p1", "completed_on": "2026-04-02", "name": "Silver"}
    found = tasks(CN, [enrollment(CN, "p1", role="agency"), record], "2026-04-02", [(date(2026, 1, 1), "silver")])
    assert of_kind(found, "certification_program") == [("2026-01-01", None, "2026-04-02")]


def test_an_enrollment_learned_of_late_opens_nothing_in_the_past() -> None:
    late = enrollment(ON, "p1", "2025-01-01", known_at="2026-03-15T12:00:00Z")
    assert of_kind(tasks(ON, [late], "2026-03-31"), "sales_training") == [("2026-03-15", "2026-03-31", None)]
    assert tasks(ON, [late], "2026-03-14") == []


def test_a_terminated_partner_owes_nothing_any_more() -> None:
    first = enrollment(ON, "p1")
    ended = {**first, "standing": "terminated", "known_at": "2026-02-10T12:00:00Z"}
    found = tasks(ON, [first, ended], "2026-06-01")
    assert {task.done_on for task in found} == {date(2026, 2, 10)}
    assert max(task.opened_on for task in found) == date(2026, 2, 1)


def test_enrollments_that_follow_one_another_are_one_span() -> None:
    year = enrollment(ON, "p1", "2025-01-01", ends_on="2025-12-31")
    next_year = {**enrollment(ON, "p1", "2026-01-01"), "id": "e2"}
    views = seen(ON, [partner("p1"), year, next_year], "2026-06-01")
    assert enrolled(views["enrollment"], ON.calendar) == [Span(date(2025, 1, 1), date.max)]


DAYS = st.dates(date(2020, 1, 1), date(2022, 12, 31))
SPANS = st.lists(st.tuples(DAYS, DAYS).map(lambda pair: Span(*pair)), max_size=6)


@settings(derandomize=True, database=None)
@given(SPANS, SPANS, DAYS)
def test_spans_hold_exactly_the_days_they_are_made_of(some: list[Span], others: list[Span], day: date) -> None:
    def within(spans: list[Span]) -> bool:
        return any(day in span for span in spans)

    assert within(joined(some)) == within(some)
    assert within(both(some, joined(others))) == (within(some) and within(others))
    apart = joined(some)
    assert all(a.until < b.since for a, b in zip(apart, apart[1:], strict=False))


@settings(derandomize=True, database=None, max_examples=30)
@given(DAYS, st.integers(0, 800))
def test_duties_that_come_again_cover_every_day_once(starts: date, days: int) -> None:
    as_of = date.fromordinal(starts.toordinal() + days)
    found = tasks(ON, [enrollment(ON, "p1", starts.isoformat())], as_of.isoformat())
    for every, kind in (("month", "registry_update"), ("quarter", "sales_training")):
        one = [task for task in found if task.kind == kind]
        assert [period_start(task.opened_on, every) for task in one] == sorted(
            {period_start(date.fromordinal(n), every) for n in range(starts.toordinal(), as_of.toordinal() + 1)}
        )
        assert all(task.due_on is not None and task.opened_on <= task.due_on for task in one)


def test_the_tier_of_a_day_is_that_of_the_last_step() -> None:
    steps = [Step(date(2026, 1, 1), None), Step(date(2026, 5, 20), "silver")]
    assert [tier_on(steps, date(2026, 5, day)) for day in (19, 20)] == [None, "silver"]
    assert tier_on(steps, date(2025, 12, 31)) is None


@pytest.mark.parametrize(
    ("found", "instead", "told"),
    [
        ("from_tier: silver, every: quarter", "from_tier: silver, from_tier_setting: phone_min_tier, every: quarter", "not both"),
        ("every: quarter, label: partner webinar", "every: quarter, answered_by: manager, label: partner webinar", "comes again"),
        ("from_tier_setting: phone_min_tier", "from_tier_setting: stale_days", "found 'stale_days'; allowed: .*phone_min_tier"),
    ],
)  # fmt: skip
def test_an_entitlement_that_cannot_be_is_refused_with_its_place(found: str, instead: str, told: str) -> None:
    text = (files("rules") / "programs" / "code-ninety.yaml").read_text("utf-8")
    assert found in text
    with pytest.raises(ProgramError, match=told):
        parse_program(text.replace(found, instead), "x.yaml")
