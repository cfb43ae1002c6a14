"""Answers within hours or business days: tickets, applications, changed terms (CN-77, CN-95, CN-122, ON-26, OP-13, TC-34)."""

from datetime import date
from importlib.resources import files
from typing import Any

import pytest

from rules.clocks import application_tasks, notice_tasks, ticket_tasks
from rules.errors import ProgramError
from rules.program import Program, load_program, parse_program
from rules.tasks import Task
from rules.tiers import Step
from tests.rules.seen import enrollment, partner, seen

ON = load_program("one-network")
CN = load_program("code-ninety")
OP = load_program("optimetriks")


def tickets(
    program: Program, fields: dict[str, Any], as_of: str, tier: str | None = None, role: str = "agency"
) -> list[Task]:
    ticket = {
        "type": "ticket",
        "id": "t1",
        "partner": "p1",
        "subject": "Login",
        "opened_at": "2026-03-01T22:00:00+05:00",
    }
    views = seen(program, [partner("p1"), enrollment(program, "p1", role=role), ticket | fields], as_of)
    return ticket_tasks(program, views["ticket"], views["enrollment"], lambda _at: [Step(date(2026, 1, 1), tier)])


@pytest.mark.parametrize(
    ("tier", "due_on", "until"),
    [
        (None, "2026-03-02", "2026-03-02T22:00:00+05:00"), ("bronze", "2026-03-02", "2026-03-02T22:00:00+05:00"),
        ("silver", "2026-03-02", "2026-03-02T22:00:00+05:00"), ("gold", "2026-03-02", "2026-03-02T02:00:00+05:00"),
        ("platinum", "2026-03-01", "2026-03-01T23:00:00+05:00"),
    ],
)  # fmt: skip
def test_cn_95_a_ticket_is_answered_within_the_hours_of_the_tier(tier: str | None, due_on: str, until: str) -> None:
    [task] = tickets(CN, {}, "2026-03-01", tier)
    assert (task.kind, task.subject, task.due_on) == ("ticket_response", "t1", date.fromisoformat(due_on))
    assert until in task.because
    assert task.row(date(2026, 3, 1))["state"] == "open"
    assert task.row(date(2026, 3, 3))["state"] == "late"


def test_cn_77_the_first_response_answers_a_ticket_and_a_late_one_is_told() -> None:
    in_time = {"first_response_at": "2026-03-02T09:00:00+05:00"}
    [task] = tickets(CN, in_time, "2026-03-05", "silver")
    assert (task.done_on, "answered after" in task.because) == (date(2026, 3, 2), False)
    [task] = tickets(CN, in_time, "2026-03-05", "gold")
    assert (task.done_on, "answered after" in task.because) == (date(2026, 3, 2), True)
    [task] = tickets(CN, {"closed_at": "2026-03-03T09:00:00+05:00"}, "2026-03-02", "silver")
    assert task.done_on is None


def test_op_13_tickets_are_for_affiliates_and_have_no_hours() -> None:
    [task] = tickets(OP, {}, "2026-03-05", role="affiliate")
    assert (task.due_on, task.clauses) == (None, ("OP-13",))
    assert tickets(OP, {}, "2026-03-05", role="referral") == []
    assert tickets(ON, {}, "2026-03-05") == []


def applications(program: Program, as_of: str, **fields: Any) -> list[Task]:
    record = {
        "type": "application",
        "id": "a1",
        "program": program.id,
        "applied_on": "2026-03-05",
        "name": "Quince Labs",
    }
    return application_tasks(program, seen(program, [record | fields], as_of)["application"])


def test_cn_122_an_application_is_reviewed_within_five_business_days() -> None:
    [task] = applications(CN, "2026-03-06")
    assert (task.kind, task.opened_on, task.due_on) == ("application_review", date(2026, 3, 5), date(2026, 3, 12))
    assert "CN-122" in task.clauses
    assert "estimated_referrals" in task.because
    assert task.row(date(2026, 3, 13))["state"] == "late"


def test_cn_123_who_is_accepted_is_welcomed_and_who_is_not_is_not() -> None:
    review, welcome = applications(CN, "2026-03-10", decided_on="2026-03-10", outcome="approved")
    assert (review.done_on, welcome.kind, welcome.subject) == (date(2026, 3, 10), "welcome", "a1")
    assert (welcome.opened_on, welcome.done_on) == (date(2026, 3, 10), None)
    [review] = applications(CN, "2026-03-10", decided_on="2026-03-10", outcome="rejected")
    assert review.done_on == date(2026, 3, 10)


@pytest.mark.parametrize(("program", "clause"), [(ON, "ON-26"), (OP, "OP-24")])
def test_on_26_and_op_24_a_request_to_join_is_looked_at(program: Program, clause: str) -> None:
    [task] = applications(program, "2026-03-10")
    assert (task.clauses, task.due_on) == ((clause,), None)


def test_an_application_to_another_program_is_none_of_ours() -> None:
    record = {"type": "application", "id": "a1", "program": "one-network", "applied_on": "2026-03-05", "name": "Quince"}
    assert application_tasks(CN, seen(CN, [record], "2026-03-10")["application"]) == []


TEXT = (files("rules") / "programs" / "technology-consultant.yaml").read_text("utf-8")


def changed_terms(announced_on: str | None) -> Program:
    head, mark, version = TEXT.partition("  - effective_from: 2024-01-01\n")
    told = f"    announced_on: {announced_on}\n" if announced_on else ""
    again = version.replace("&rate", "&rate_again").replace("*rate", "*rate_again")
    return parse_program(f"{head}{mark}{version}  - effective_from: 2026-07-01\n{told}{again}", "two.yaml")


def test_tc_34_terms_that_were_announced_too_late_are_refused_and_in_time_are_not() -> None:
    assert changed_terms("2026-06-01").label_on(date(2026, 7, 1)) == "technology-consultant@2026-07-01"
    with pytest.raises(
        ProgramError, match=r"two.yaml:\d+: .*announced_on: found 2026-06-02; allowed: .*2026-06-01.*TC-34"
    ):
        changed_terms("2026-06-02")


def test_tc_27_without_an_announcement_each_partner_is_to_be_told() -> None:
    program = changed_terms(None)
    views = seen(program, [partner("p1"), enrollment(program, "p1")], "2026-06-15")["enrollment"]
    assert notice_tasks(program, "p1", views, date(2026, 5, 1)) == []
    [task] = notice_tasks(program, "p1", views, date(2026, 5, 2))
    assert (task.subject, task.opened_on, task.due_on) == ("p1", date(2026, 5, 2), date(2026, 6, 1))
    assert set(task.clauses) == {"TC-27", "TC-34"}
    assert task.row(date(2026, 6, 2))["state"] == "late"
    announced = changed_terms("2026-05-20")
    assert notice_tasks(announced, "p1", views, date(2026, 6, 15)) == []
