"""Who is told what: by clause, with keys that stay, and never about somebody else's business."""

import random
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.notification.notifications import notifications
from jobs.report.picture import Picture
from jobs.scenarios import FOLDER, load_scenario
from jobs.settle import settle_program
from rules.errors import ProgramError
from rules.notices import FIELDS, notices_of, parse_notices
from rules.program import SHIPPED, Program, load_program
from rules.tiers import Step, TierHistory
from tests.jobs.report_world import facts_of, scenarios, settled

Row = dict[str, Any]


def scenario(name: str) -> list[Row]:
    return load_scenario(FOLDER / "next-technik" / f"{name}.yaml").records


def told(picture: Picture, kind: str, **more: Any) -> list[Row]:
    return [row for row in notifications(picture, **more) if row["kind"] == kind]


def sent(picture: Picture, kind: str) -> list[tuple[str, str, str]]:
    return [(row["on"], row["to"], row["about"]) for row in told(picture, kind)]


DETAILS = {"description": "rebuild", "estimated_value": "900000.00", "estimated_timeline": "6 months",
           "services": ["managed service"], "decision_timeline": "Q3"}  # fmt: skip
PERSON = {"name": "Kim Ash", "title": "CTO", "email": "kim@client.example", "phone": "+92 21 5550 001"}


def client(number: int, signed_on: str | None = None, **contract: Any) -> list[Row]:
    """A referral of p1 in January, approved a day later, and its contract."""
    name = f"Client {number} Works"
    rows: list[Row] = [
        {"type": "account", "id": f"a{number}", "name": name},
        {"type": "referral", "id": f"r{number}", "program": "code-ninety", "partner": "p1", "channel": "portal",
         "submitted_at": f"2026-01-0{number}T09:00:00+05:00", "company": name, "account": f"a{number}",
         "contact": PERSON, "details": DETAILS},
        {"type": "review", "id": f"v{number}", "referral": f"r{number}", "at": f"2026-01-1{number}T09:00:00+05:00",
         "outcome": "approved", "by": "Morgan"},
    ]  # fmt: skip
    if signed_on:
        rows.append({"type": "contract", "id": f"c{number}", "account": f"a{number}", "kind": "managed_service",
                     "signed_on": signed_on, "currency": "PKR", **contract})  # fmt: skip
    return rows


CN: list[Row] = [
    {"type": "partner", "id": "p1", "name": "Alder Advisers"},
    {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "role": "agency",
     "starts_on": "2026-01-01", "manager": "Robin Vale"},
    *client(1, "2026-02-02", value="18000000.00", starts_on="2026-03-01", ends_on="2027-08-31", billing="monthly"),
    *(row for number in range(2, 7) for row in client(number, f"2026-02-1{number}", value="1000000.00")),
    *client(7), *client(8),
    {"type": "opportunity", "id": "o7", "account": "a7", "referral": "r7", "stage": "Discovery",
     "created_at": "2026-02-03T09:00:00+05:00"},
    {"type": "opportunity", "id": "o7", "account": "a7", "referral": "r7", "stage": "Proposal",
     "created_at": "2026-02-03T09:00:00+05:00", "known_at": "2026-02-20T09:00:00+05:00"},
    {"type": "review", "id": "w8", "referral": "r8", "at": "2026-01-25T09:00:00+05:00", "outcome": "returned",
     "by": "Morgan", "reason": "no decision maker was named"},
    {"type": "invoice", "id": "i1", "account": "a1", "contract": "c1", "issued_on": "2026-03-31", "currency": "PKR",
     "lines": [{"kind": "managed_service", "amount": "1000000.00"}]},
    {"type": "payout", "id": "y1", "statement": "code-ninety:p1:2026-01-01:PKR", "paid_on": "2026-04-10",
     "amount": "180000.00", "currency": "PKR"},
    {"type": "dispute", "id": "d1", "partner": "p1", "subject": "code-ninety:p1:2026-01-01:PKR", "raised_on": "2026-04-12",
     "reason": "a contract is missing", "outcome": "rejected", "decided_on": "2026-04-15"},
    {"type": "application", "id": "x1", "program": "code-ninety", "applied_on": "2026-03-02", "name": "Cedar Consulting",
     "decided_on": "2026-03-06", "outcome": "accepted"},
    {"type": "ticket", "id": "t1", "partner": "p1", "opened_at": "2026-03-02T09:00:00+05:00", "subject": "logo files",
     "first_response_at": "2026-03-03T09:00:00+05:00"},
]  # fmt: skip


def code_ninety(as_of: str = "2026-04-30") -> Picture:
    return settled("code-ninety", CN, as_of)


def test_claimants_of_a_conflict_are_told_the_decision_and_the_approver_that_there_is_one() -> None:
    picture = settled("next-technik", scenario("nt_09_award_to_the_second"), "2026-02-28")
    assert sent(picture, "conflict_opened") == [("2026-01-06", "vendor:approver", "a1")]
    assert sent(picture, "conflict_decided") == [("2026-01-08", "p1", "a1"), ("2026-01-08", "p2", "a1")]
    first, second = told(picture, "conflict_decided")
    assert "another partner's" in first["body"] and "it is yours" in second["body"]
    assert "p2 brought the decision maker" in first["body"]  # the reason is the approver's own words
    assert first["clauses"] == ["NT-9"]


def test_a_statement_is_told_on_the_day_after_its_period_with_what_to_do() -> None:
    picture = settled("next-technik", scenario("e17_negative_balance"), "2026-06-30")
    january, february, *_ = told(picture, "statement_ready")
    assert (january["on"], january["due_on"], january["clauses"]) == ("2026-02-01", "2026-02-28", ["NT-15", "NT-16"])
    assert "invoice of exactly 100.00 AUD" in january["body"]
    assert "Nothing is paid now." in february["body"]


def test_too_many_cases_are_told_to_support_and_the_managing_partner() -> None:
    rows = sent(settled("next-technik", scenario("nt_23_sixth_case"), "2026-12-31"), "support_review")
    assert {to for _, to, _ in rows} == {"vendor:support", "p3"}


def test_every_change_of_status_is_told() -> None:
    """CN-55, CN-62."""
    picture = code_ninety()
    story = [(row["on"], row["kind"]) for row in notifications(picture)
             if row["about"] == "r7" and row["kind"].startswith("status_")]  # fmt: skip
    assert sorted(story) == [
        ("2026-01-17", "status_qualified"), ("2026-02-03", "status_engaged"), ("2026-02-20", "status_proposal"),
    ]  # fmt: skip


def test_a_review_is_told_and_a_returned_one_with_its_reason() -> None:
    picture = code_ninety()
    assert ("2026-01-11", "p1", "r1") in sent(picture, "review_approved")
    (returned,) = told(picture, "review_refused")
    assert (returned["on"], returned["clauses"]) == ("2026-01-25", ["CN-44", "CN-56"])
    assert "no decision maker was named" in returned["body"] and returned["subject"].endswith("was returned")


def test_an_approval_that_does_not_lift_a_failed_condition_is_told_as_what_it_is() -> None:
    own_sale = {
        "type": "opportunity",
        "id": "o9",
        "account": "a1",
        "stage": "Discovery",
        "created_at": "2025-12-01T09:00:00+05:00",
    }
    picture = settled("code-ninety", [own_sale, *CN[:2], *client(1)], "2026-02-28")
    assert told(picture, "review_approved") == []
    (refused,) = told(picture, "review_refused")
    assert refused["subject"].endswith("was not accepted")


def test_a_signed_deal_is_confirmed_with_its_calculation_and_until_when_it_may_be_disputed() -> None:
    """CN-46, CN-58, CN-59."""
    (deal,) = [row for row in told(code_ninety(), "deal_registered") if row["about"] == "c1"]
    assert (deal["on"], deal["due_on"]) == ("2026-02-02", "2026-02-09")
    for text in (
        "Contract value: 18,000,000.00 PKR", "Commission rate: 15% (tier bronze)", "Duration: 18 months",
        "Expected monthly billing: 1,000,000.00 PKR", "18,000,000.00 PKR x 15% = 2,700,000.00 PKR", "by 2026-02-09",
    ):  # fmt: skip
        assert text in deal["body"]


def test_a_promotion_is_told_on_the_day_of_the_sixth_won_referral() -> None:
    (promoted,) = told(code_ninety(), "tier_promoted")
    assert (promoted["on"], promoted["to"], promoted["clauses"]) == ("2026-02-16", "p1", ["CN-8", "CN-62"])
    assert "silver" in promoted["subject"] and "18%" in promoted["body"]


def test_partners_get_a_weekly_update_of_active_and_a_monthly_summary_of_all() -> None:
    """CN-55."""
    picture = code_ninety("2026-03-01")
    weekly = told(picture, "weekly_update")
    assert all(date.fromisoformat(row["on"]).weekday() == 0 for row in weekly)
    last = weekly[-1]
    assert last["on"] == "2026-02-23" and "- Client 7 Works: proposal" in last["body"]
    assert "Client 1 Works" not in last["body"]  # won
    monthly = told(picture, "monthly_summary")
    assert [row["on"] for row in monthly] == ["2026-02-01", "2026-03-01"]
    assert "6 won, 1 lost" in " ".join(monthly[-1]["body"].split())


def test_a_partner_that_left_is_told_of_its_deals_and_no_more_of_the_program() -> None:
    """CN-55, CN-62: summaries, news and new terms are for partners that are in the program on that day."""
    gone = {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "role": "agency",
            "starts_on": "2026-01-01", "standing": "terminated", "known_at": "2026-02-18T00:00:00+05:00"}  # fmt: skip
    picture = settled("code-ninety", [*CN, gone], "2026-04-30")
    assert {row["on"] for row in told(picture, "monthly_summary")} == {"2026-02-01"}
    assert max(row["on"] for row in told(picture, "weekly_update")) == "2026-02-16"
    assert sent(picture, "payout_made") == [("2026-04-10", "p1", "y1")]


def test_payouts_disputes_tickets_and_managers_are_told() -> None:
    picture = code_ninety()
    assert sent(picture, "payout_made") == [("2026-04-10", "p1", "y1")]
    (dispute,) = told(picture, "dispute_decided")
    assert (dispute["on"], dispute["due_on"]) == ("2026-04-15", "2026-04-29")
    assert sent(picture, "ticket_answered") == [("2026-03-03", "p1", "t1")]
    assert sent(picture, "manager_assigned") == [("2026-01-01", "p1", "e1"), ("2026-01-01", "vendor:Robin Vale", "e1")]
    assert "Alder Advisers" in told(picture, "manager_assigned")[1]["body"]


def test_a_shared_lead_is_offered_to_each_partner_in_its_turn() -> None:
    records = [
        row for name, tier in (("p1", "gold"), ("p2", "bronze"), ("p3", "silver"), ("p4", "silver")) for row in (
            {"type": "partner", "id": name, "name": f"{name} Advisers"},
            {"type": "enrollment", "id": f"e{name}", "partner": name, "program": "code-ninety", "starts_on": "2026-01-01",
             "tier": tier},
        )
    ] + [{"type": "shared_lead", "id": "l1", "program": "code-ninety", "offered_at": "2026-03-02T09:00:00+05:00",
          "source": "website", "company": "Client Works", "services": ["retainer"], "offers": ["p1", "p2", "p3", "p4"],
          "taken_by": "p3", "taken_at": "2026-03-03T15:00:00+05:00"}]  # fmt: skip
    picture = settled("code-ninety", records, "2026-03-31")
    # p1 had its 24 hours, p2's tier is too low, p3 took it in its turn, p4 was never asked
    assert sent(picture, "lead_offered") == [("2026-03-02", "p1", "l1"), ("2026-03-03", "p3", "l1")]
    first = told(picture, "lead_offered")[0]
    assert first["due_on"] == "2026-03-03" and "until 2026-03-03T09:00:00+05:00" in first["body"]
    assert "retainer" in first["body"] and first["clauses"] == ["CN-111", "CN-112"]


def test_an_applicant_is_told_of_receipt_and_welcome() -> None:
    """CN-123, CN-128."""
    picture = code_ninety()
    (received,) = told(picture, "application_received")
    assert (received["on"], received["to"], received["due_on"]) == ("2026-03-02", "applicant:x1", "2026-03-09")
    assert sent(picture, "application_accepted") == [("2026-03-06", "applicant:x1", "x1")]
    assert told(picture, "application_refused") == []


def test_a_registration_goes_to_the_partners_manager() -> None:
    records = [
        {"type": "partner", "id": "p1", "name": "Alder Advisers"},
        {"type": "enrollment", "id": "e1", "partner": "p1", "program": "one-network", "starts_on": "2026-01-01", "manager": "Robin Vale"},
        {"type": "referral", "id": "r1", "program": "one-network", "partner": "p1", "channel": "portal",
         "submitted_at": "2026-01-05T15:00:00Z", "company": "Client Works"},
    ]  # fmt: skip
    (request,) = told(settled("one-network", records, "2026-02-01"), "registration_requested")
    assert request["to"] == "vendor:Robin Vale" and "Alder Advisers asks to register Client Works" in request["body"]


def consultant(*records: Row, as_of: str, program: Program | None = None) -> Picture:
    facts = facts_of(
        [{"type": "partner", "id": "p1", "name": "Alder Advisers"},
         {"type": "enrollment", "id": "e1", "partner": "p1", "program": "technology-consultant", "starts_on": "2026-01-01"},
         *records]
    )  # fmt: skip
    loaded = program or load_program("technology-consultant")
    return Picture.of(settle_program(loaded, facts, date.fromisoformat(as_of)), facts)


def test_a_referrer_is_told_when_matched_and_when_the_project_is_under_way() -> None:
    """TC-9, TC-32."""
    picture = consultant(
        {"type": "account", "id": "a1", "name": "Client Works"},
        {"type": "referral", "id": "r1", "program": "technology-consultant", "partner": "p1", "channel": "portal",
         "submitted_at": "2026-01-05T15:00:00Z", "company": "Client Works", "account": "a1",
         "details": {"service_type": "cybersecurity", "needs": "an audit"}},
        {"type": "review", "id": "v1", "referral": "r1", "at": "2026-01-08T15:00:00Z", "outcome": "approved", "by": "Morgan"},
        {"type": "contract", "id": "c1", "account": "a1", "kind": "project", "signed_on": "2026-02-02", "currency": "USD",
         "value": "80000.00", "commenced_on": "2026-02-16"},
        as_of="2026-03-15",
    )  # fmt: skip
    assert sent(picture, "project_assigned") == [("2026-01-08", "p1", "r1")]
    assert told(picture, "project_assigned")[0]["clauses"] == ["TC-9", "TC-32"]
    assert sent(picture, "project_started") == [("2026-02-16", "p1", "c1")]


def test_a_referrer_is_told_who_takes_over() -> None:
    """TC-8, TC-32."""
    scene = load_scenario(FOLDER / "technology-consultant" / "tc_08_assigned.yaml")
    picture = settled("technology-consultant", scene.records, "2026-01-31")
    assert sent(picture, "consultant_named") == [("2026-01-07", "p1", "r1")]
    assert "Marta Oduya takes over" in told(picture, "consultant_named")[0]["subject"]


def test_news_of_a_program_is_told_once_to_everybody_in_it() -> None:
    """TC-30, CN-62, OP-14: updates, stories and practices stand in the program file, each with its day."""
    body = load_program("technology-consultant").model_dump(mode="json")
    body["versions"][0]["content"] = [
        {"topic": "news", "label": "A bakery online in six weeks", "text": "How it was done.", "announced_on": "2026-02-02",
         "clauses": ["TC-30"]},
        {"topic": "news", "label": "For others", "roles": ["nobody"], "announced_on": "2026-02-02", "clauses": ["TC-30"]},
    ]  # fmt: skip
    changed = Program.model_validate_json(orjson.dumps(body))
    later = [{"type": "partner", "id": "p2", "name": "Late Ltd"},
             {"type": "enrollment", "id": "e2", "partner": "p2", "program": "technology-consultant", "starts_on": "2026-02-03"}]  # fmt: skip
    assert told(consultant(as_of="2026-02-01", program=changed), "program_news") == []
    (news,) = told(consultant(*later, as_of="2026-03-01", program=changed), "program_news")
    assert (news["on"], news["to"], news["subject"]) == ("2026-02-02", "p1", "A bakery online in six weeks")
    assert "How it was done." in news["body"] and news["clauses"] == ["TC-30"]
    monthly = told(consultant(as_of="2026-03-01", program=changed), "monthly_summary")
    assert monthly == []  # of no referrals there is nothing to sum up


def test_new_terms_are_told_to_everybody_as_many_days_ahead_as_promised() -> None:
    body = load_program("technology-consultant").model_dump(mode="json")
    body["versions"].append({**body["versions"][0], "effective_from": "2026-06-01"})
    changed = Program.model_validate_json(orjson.dumps(body))
    assert told(consultant(as_of="2026-05-01", program=changed), "terms_changing") == []
    body["versions"][-1]["announced_on"] = "2026-04-20"  # earlier than promised: told on that day
    early = Program.model_validate_json(orjson.dumps(body))
    assert [row["on"] for row in told(consultant(as_of="2026-05-02", program=early), "terms_changing")] == [
        "2026-04-20"
    ]
    (notice,) = told(consultant(as_of="2026-05-02", program=changed), "terms_changing")
    assert (notice["on"], notice["to"], notice["clauses"]) == ("2026-05-02", "p1", ["TC-27", "TC-34"])


def successes(*known: tuple[int, str, str | None]) -> list[Row]:
    """A project of p1 for each number: the day on which it began, and when that became known."""
    rows: list[Row] = []
    for number, commenced_on, known_at in known:
        deal = {"type": "contract", "id": f"c{number}", "account": f"a{number}", "kind": "project", "signed_on": "2026-01-20",
                "currency": "USD", "value": "8000.00", "commenced_on": commenced_on}  # fmt: skip
        rows += [
            {"type": "account", "id": f"a{number}", "name": f"Client {number} Works"},
            {"type": "referral", "id": f"r{number}", "program": "technology-consultant", "partner": "p1", "channel": "portal",
             "submitted_at": "2026-01-05T15:00:00Z", "company": f"Client {number} Works", "account": f"a{number}",
             "details": {"service_type": "other", "needs": "an audit"}},
            {"type": "review", "id": f"v{number}", "referral": f"r{number}", "at": "2026-01-08T15:00:00Z",
             "outcome": "approved", "by": "Morgan"},
            {**deal, "known_at": known_at} if known_at else deal,
        ]  # fmt: skip
    return rows


def test_a_tier_that_was_told_is_not_told_again_when_an_earlier_success_is_learned_of() -> None:
    """TC-15: the tier that only this success reaches is told, from the day on which it holds."""
    known = [(1, "2026-02-10", None), (2, "2026-03-10", None), (3, "2026-02-01", "2026-05-01T15:00:00Z")]
    before = [("2026-02-10", "p1", "p1")]
    rows = successes(*known)
    assert sent(consultant(*rows, as_of="2026-04-30"), "tier_promoted") == before
    after = told(consultant(*rows, as_of="2026-05-01"), "tier_promoted")
    assert [(row["on"], row["to"], row["about"]) for row in after] == [*before, ("2026-03-10", "p1", "p1")]
    assert "silver" in after[1]["subject"] + after[1]["body"]


def test_a_tier_that_turns_out_otherwise_is_told_on_the_day_on_which_that_is_learned() -> None:
    """CN-8, CN-10: what was told before stays told."""
    joined = {"type": "enrollment", "id": "e1", "partner": "p1", "program": "code-ninety", "starts_on": "2026-01-01"}
    partner = {"type": "partner", "id": "p1", "name": "Alder Advisers"}
    picture = settled("code-ninety", [partner, joined], "2026-05-01")
    calendar = picture.program.calendar
    first, silver = Step(date(2026, 1, 1), "bronze"), Step(date(2026, 2, 1), "silver")
    known = [
        (calendar.start_of(day), steps)
        for day, steps in (
            (first.since, [first]), (silver.since, [first, silver]), (date(2026, 3, 1), [first]), (date(2026, 4, 1), [first, silver])
        )
    ]  # fmt: skip
    picture.tiers["p1"] = TierHistory(first.since, picture.tiers["p1"].levels, known, [], 0, None)
    assert sent(picture, "tier_promoted") == [("2026-02-01", "p1", "p1"), ("2026-04-01", "p1", "p1")]
    assert sent(picture, "tier_lowered") == [("2026-03-01", "p1", "p1")]


@pytest.mark.parametrize("path", scenarios(1), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_keys_are_unique_and_what_was_told_is_told_the_same_later(path: Path) -> None:
    scene = load_scenario(path)
    days = sorted({str(step.as_of) for step in scene.steps})
    told_by = [notifications(settled(scene.program, scene.records, day, **scene.settings)) for day in days]
    assert all(len({row["key"] for row in rows}) == len(rows) for rows in told_by)
    later = {row["key"]: row for row in told_by[-1]}
    if any(row.get("deleted") for row in scene.records):  # what is withdrawn before it was sent is not told
        told_by = [[row for row in rows if row["key"] in later] for rows in told_by]
    assert [row for rows in told_by for row in rows if later[row["key"]] != row] == []


def test_the_order_of_lines_does_not_decide_who_is_told_what() -> None:
    expected = notifications(code_ninety())
    for seed in range(5):
        shuffled = list(CN)
        random.Random(seed).shuffle(shuffled)
        assert notifications(settled("code-ninety", shuffled, "2026-04-30")) == expected


def test_what_was_told_of_a_deal_does_not_change_when_the_tier_does() -> None:
    before = {row["key"]: row for row in notifications(code_ninety("2026-02-13"))}
    after = {row["key"]: row for row in notifications(code_ninety())}
    assert before.items() <= after.items()


def test_a_partner_is_told_nothing_about_the_partners_it_competes_with() -> None:
    for name in ("nt_09_award_to_the_first", "nt_07_first_party", "g_07_tie"):
        picture = settled("next-technik", scenario(name), "2026-12-31")
        for partner, other in (("p1", "Birch Partners"), ("p2", "Alder Advisers")):
            text = orjson.dumps(notifications(picture, partner=partner)).decode()
            assert other not in text and f'"to":"{"p2" if partner == "p1" else "p1"}"' not in text
        assert "p1 (r1" not in orjson.dumps(notifications(picture, partner="p2")).decode()


def test_every_kind_is_sent_by_some_program_and_has_words() -> None:
    kinds = {kind for program in SHIPPED for kind in notices_of(program)}
    assert kinds == set(FIELDS)


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (
            "payout_made: {clauses: [CN-62], body: 'to {bank}'}",
            "placeholder {bank}; allowed: program_name, partner_name",
        ),
        ("pay_day: {clauses: [CN-62], subject: a, body: b}", "found 'pay_day'; allowed: application_accepted"),
        ("payout_made: {clauses: []}", "payout_made.clauses"),
        ("ticket_answered: {clauses: [CN-62]}", "no subject or body"),
        ("- payout_made", "allowed: kinds of notices"),
        ("payout_made: [", "not YAML"),
    ],
)
def test_a_file_of_notices_that_cannot_be_used_says_where(own: str, told: str) -> None:
    shared = "payout_made: {subject: 'Paid {amount}', body: 'to {partner_name}'}\n"
    with pytest.raises(ProgramError) as raised:
        parse_notices(own, shared, "own.yaml")
    assert "own.yaml" in str(raised.value) and told in str(raised.value)


def test_the_command_lists_previews_and_refuses(tmp_path: Path) -> None:
    records = tmp_path / "records.jsonl"
    records.write_bytes(b"\n".join(map(orjson.dumps, CN)))
    run = CliRunner()
    common = ["notifications", "-r", str(records), "--as-of", "2026-04-30"]
    document = orjson.loads(run.invoke(app, [*common, "--json"]).stdout)
    assert document["programs"] == ["code-ninety@2024-01-01"]
    key = "code-ninety:review_refused:r8:2026-01-25:p1"
    assert key in [row["key"] for row in document["notifications"]]
    shown = run.invoke(app, [*common, "--preview", key]).stdout
    assert shown.startswith("To: p1\nSubject: Client 8 Works: your referral was returned\n\nDear Alder Advisers,")
    later = orjson.loads(run.invoke(app, [*common, "--json", "--since", "2026-04-01"]).stdout)
    assert 0 < len(later["notifications"]) < len(document["notifications"])
    refused = run.invoke(app, [*common, "--preview", "nothing"])
    assert refused.exit_code != 0 and refused.stdout == ""
