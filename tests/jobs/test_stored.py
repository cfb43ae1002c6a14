"""The stored book holds what settling once says: whether it is brought up to date every day or once at the end."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.ledger import verify
from jobs.scenarios import load_scenario, scenario_files
from jobs.settle import outcome, settle
from jobs.stored import stored_outcome
from rules.errors import RuleError
from rules.facts import read_facts
from rules.program import Program, load_program
from sync.bulk import is_sqlite
from sync.redirects import follow_redirects
from sync.store import Store
from sync.tables import redirect
from tests.jobs.stored_days import LISTS, OLDEST, bring, learn, learned, live_through
from tests.sync.conftest import fresh_postgres, postgres_url

__all__ = ["postgres_url"]  # a fixture of these tests too


# One or two of each kind of movement in the ledger; all scenarios run on SQLite.
ON_POSTGRESQL = {
    "e03_credit_after_statement", "e09_bounced_payment", "e17_negative_balance", "e41_account_merge",
    "e45_withdrawn_and_restored", "e54_voided_invoice", "e55_payment_applied_elsewhere", "g_03_currencies",
    "nt_09_award_to_the_second", "nt_16_partner_invoice_exact", "nt_23_sixth_case", "nt_26_reallocation",
    "nt_a10_parent_and_subsidiary",
}  # fmt: skip


Fresh = Callable[[], Store]


@pytest.fixture
def fresh(request: pytest.FixtureRequest) -> Iterator[Fresh]:
    """Makes an empty store; one at a time is in use."""
    opened: list[Store] = []

    def on_postgresql() -> Store:
        opened.append(Store.open(fresh_postgres(request.getfixturevalue("postgres_url"))))
        return opened[-1]

    yield request.getfixturevalue("shelf").fresh if request.param == "sqlite" else on_postgresql
    for store in opened:
        store.close()


def databases() -> list[Any]:
    """Every scenario on SQLite, some of them on PostgreSQL too."""
    stems = {path.stem for path in scenario_files()}
    assert stems >= ON_POSTGRESQL, "a scenario was renamed"
    return [
        pytest.param(name, path, id=f"{name}-{path.stem}")
        for name in ("sqlite", "postgresql")
        for path in scenario_files()
        if name == "sqlite" or path.stem in ON_POSTGRESQL
    ]


def quiet_days(path: Path, news: Collection[date], until: date) -> set[date]:
    """The first of the month after each day with news; in every twelfth scenario the first of each month of a year and a half."""
    months = {day.replace(day=1) for day in news if day.year > 1990}
    if zlib.crc32(path.stem.encode()) % 12 == 0:
        spanned = (until.year - min(months).year) * 12 + until.month - min(months).month
        months |= {_later(min(months), number) for number in range(min(spanned, 18))}
    return {day for month in months if (day := _later(month, 1)) <= until}


def _later(month: date, months: int) -> date:
    years, number = divmod(month.month - 1 + months, 12)
    return date(month.year + years, number + 1, 1)


@cache
def program_named(name: str) -> Program:
    return load_program(name)


@pytest.mark.parametrize(("fresh", "path"), databases(), indirect=["fresh"])
def test_the_stored_outcome_is_the_settled_one(path: Path, fresh: Fresh) -> None:
    scenario = load_scenario(path)
    step = scenario.steps[-1]
    program = program_named(scenario.program).changed({**scenario.settings, **step.set})
    facts, rejected = read_facts([orjson.dumps(row) for row in scenario.records], file=scenario.name)
    if rejected:
        pytest.skip("records that are refused never reach the store")
    expected = outcome(settle([program], facts, step.as_of), step.as_of)
    end = program.calendar.end_of(step.as_of)
    coming = [(at, body) for at, body in learned(scenario.records, program) if at < end]
    days = {step.as_of, *(program.calendar.date_of(at) for at, _ in coming)}
    days |= quiet_days(path, days, step.as_of)
    at_once = zlib.crc32(path.stem.encode()) % 3 == 0
    for how in [{step.as_of}, days] if at_once else [days]:
        book = fresh()
        live_through(book, program, coming, how)
        again = bring(book, program, step.as_of)
        assert (again.new_entries, again.statements_cut) == (0, ())
        with book.reading() as db:
            found = stored_outcome(db, [program], {program.id: step.as_of})
        for name in LISTS:
            assert found[name] == expected[name], f"{name}, brought up to date on {len(how)} days"
        assert verify(book)["ok"]


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
@pytest.mark.parametrize("stem", ["g_03_currencies", "e41_account_merge"])
def test_what_is_held_together_changes_no_row(stem: str, fresh: Fresh, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == stem))
    program = program_named(scenario.program).changed({**scenario.settings, **scenario.steps[-1].set})
    day = scenario.steps[-1].as_of
    found = []
    for size in (1000, 1):
        for name in ("jobs.stored._BATCH", "jobs.stored._ENTRIES", "sync.book_facts.ROWS_PER_STATEMENT"):
            monkeypatch.setattr(name, size)
        book = fresh()
        live_through(book, program, learned(scenario.records, program), [day])
        with book.reading() as db:
            found.append(stored_outcome(db, [program], {program.id: day}))
    assert found[0] == found[1]
    assert found[0]["entries"] and found[0]["claims"]


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
def test_a_deal_that_is_merged_into_a_new_one_keeps_what_its_invoices_earned(fresh: Fresh) -> None:
    """As in HubSpot: the ERP's invoices name the old one for ever."""
    book = fresh()
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == "nt_16_partner_invoice_exact"))
    program = program_named(scenario.program)
    day, tomorrow = scenario.steps[-1].as_of, scenario.steps[-1].as_of + timedelta(days=1)
    live_through(book, program, learned(scenario.records, program), [day])
    at = program.calendar.end_of(day) + timedelta(hours=1)

    def standing() -> list[tuple[str, str]]:
        with book.reading() as db:
            found = stored_outcome(db, [program], {program.id: tomorrow})
        return [(entry["key"], entry["amount"]) for entry in found["entries"]]

    before = standing()
    (old,) = {fact["id"]: fact for fact in book.facts(types=["contract"])}.values()
    left = {key: value for key, value in old.items() if key != "known_at"} | {"id": "left"}
    stream = book.stream("crm", "deals")
    with book.transaction() as db:
        learn(db, [(at, left), (at, {"type": "contract", "id": old["id"], "deleted": True})], 0)
        values = {"stream_id": stream.id, "loser": old["id"], "winner": "left", "seen_at": at}
        db.execute(redirect.insert().values(values))
        assert follow_redirects(db, at=at, run_id=0) > 0
    assert bring(book, program, tomorrow).new_entries == 0
    assert standing() == before and before


KNOWN_AHEAD = ["e53_second_payout_on_one_statement", "nt_09_doubt_rejected", "nt_16_partner_invoice_exact",
               "nt_24_no_action", "op_20_check_false"]  # fmt: skip


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
@pytest.mark.parametrize("stem", KNOWN_AHEAD)
def test_what_was_known_ahead_comes_true_by_the_passing_of_time_alone(stem: str, fresh: Fresh) -> None:
    """Payouts that are planned, decisions and leads by a clock that is ahead, a partner who starts next month."""
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == stem))
    day = scenario.steps[-1].as_of
    program = program_named(scenario.program).changed({**scenario.settings, **scenario.steps[-1].set})
    ahead = [{"known_at": "2000-01-01T00:00:00Z", **record} for record in scenario.records]
    facts, _ = read_facts([orjson.dumps(row) for row in ahead], file=scenario.name)
    expected = outcome(settle([program], facts, day), day)
    happens = {program.calendar.date_of(at) for at, _ in learned(scenario.records, program)}
    book = fresh()
    live_through(book, program, learned(ahead, program), {each for each in happens if each <= day} | {day})
    with book.reading() as db:
        found = stored_outcome(db, [program], {program.id: day})
    for name in LISTS:
        assert found[name] == expected[name], name


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
def test_duties_of_a_partner_whose_own_record_has_not_come_yet_go_on(fresh: Fresh) -> None:
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == "on_a01_window"))
    program, day = program_named(scenario.program), scenario.steps[-1].as_of
    records = [
        {**record, "known_at": "2099-01-01T00:00:00Z"} if record["type"] == "partner" else record
        for record in scenario.records
    ]
    facts, _ = read_facts([orjson.dumps(row) for row in records], file=scenario.name)
    expected = outcome(settle([program], facts, day), day)["tasks"]
    end = program.calendar.end_of(day)
    coming = [(at, body) for at, body in learned(records, program) if at < end]
    book = fresh()
    live_through(book, program, coming, quiet_days(Path(), [date(2025, 1, 1)], day) | {_later(day, -3), day})
    with book.reading() as db:
        assert stored_outcome(db, [program], {program.id: day})["tasks"] == expected


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("ahead", "states"), [(10, ["paid", "paid"]), (3600, ["invoiced", "paid"])])
def test_facts_of_a_process_whose_clock_is_ahead_are_never_passed_over(
    ahead: int, states: list[str], fresh: Fresh
) -> None:
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == "nt_16_partner_invoice_exact"))
    program, day = program_named(scenario.program), scenario.steps[-1].as_of
    *before, (_, payout) = learned(scenario.records, program)
    assert payout["type"] == "payout"
    book = fresh()
    live_through(book, program, before, [day])
    bring(book, program, day, [(program.calendar.end_of(day) + timedelta(seconds=ahead), payout)])
    found = []
    for today in (day, day + timedelta(days=1)):
        bring(book, program, today)
        with book.reading() as db:
            (statement,) = stored_outcome(db, [program], {program.id: today})["statements"][:1]
        found.append(statement["state"])
    assert found == states


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
def test_a_stored_fact_that_the_rules_no_longer_take_is_named(fresh: Fresh) -> None:
    referral = next(record for record in partners_of_one_company() if record["type"] == "referral")
    coming = [(OLDEST, {**referral, "submitted_at": "0001-01-01T00:00:00Z"})]
    with pytest.raises(RuleError, match=r"stored referral r1, known at 1990.*submitted_at.*0001-01-01.*from 1900 on"):
        bring(fresh(), program_named("next-technik"), date(2026, 1, 12), coming)


def partners_of_one_company() -> list[dict[str, Any]]:
    """Two partners register one company; the enrollment of the first is known only after both did."""
    found: list[dict[str, Any]] = []
    for number, known in ((1, "2026-01-10T00:00:00Z"), (2, "2026-01-01T00:00:00Z")):
        details = {"field_technicians": 12, "industry": "construction"}
        found += [
            {"type": "partner", "id": f"p{number}", "name": f"Partner {number}", "known_at": "2026-01-01T00:00:00Z"},
            {"type": "enrollment", "id": f"e{number}", "partner": f"p{number}", "program": "next-technik",
             "role": "referral", "starts_on": "2025-01-01", "rate": "0.10", "known_at": known},
            {"type": "referral", "id": f"r{number}", "program": "next-technik", "partner": f"p{number}", "channel": "portal",
             "submitted_at": f"2026-01-0{2 + number}T09:00:00+11:00", "company": ("Brindle Crane Hire", "BCH Cranes")[number - 1],
             "website": "brindlecrane.com.au", "details": details},
        ]  # fmt: skip
    return found


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
def test_a_partner_enrolled_late_is_compared_with_those_who_came_after(fresh: Fresh) -> None:
    records, day = partners_of_one_company(), date(2026, 1, 12)
    program = program_named("next-technik")
    facts, rejected = read_facts([orjson.dumps(row) for row in records], file="records")
    expected = outcome(settle([program], facts, day), day)["claims"]
    assert not rejected
    assert [claim["rank"] for claim in expected] == [1, 2]
    book = fresh()
    live_through(book, program, learned(records, program), [date(2026, 1, number) for number in (4, 5, 10, 12)])
    with book.reading() as db:
        assert stored_outcome(db, [program], {program.id: day})["claims"] == expected


@pytest.mark.parametrize("fresh", ["sqlite"], indirect=True)
def test_other_rules_of_matching_tie_again(fresh: Fresh) -> None:
    records, day = partners_of_one_company(), date(2026, 1, 12)
    before, after = (
        program_named("next-technik").changed({"match_keys": "normalised_name"}),
        program_named("next-technik"),
    )
    facts, _ = read_facts([orjson.dumps(row) for row in records], file="records")
    expected = outcome(settle([after], facts, day), day)["claims"]
    book = fresh()
    live_through(book, before, learned(records, before), [day])
    with book.reading() as db:
        assert stored_outcome(db, [before], {before.id: day})["claims"] != expected
    bring(book, after, day)
    with book.reading() as db:
        assert stored_outcome(db, [after], {after.id: day})["claims"] == expected


@pytest.mark.parametrize("fresh", ["sqlite", "postgresql"], indirect=True)
def test_a_changed_byte_in_the_journal_is_found(fresh: Fresh) -> None:
    book = fresh()
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == "nt_16_partner_invoice_exact"))
    program = program_named(scenario.program)
    live_through(book, program, learned(scenario.records, program), [scenario.steps[-1].as_of])
    whole = verify(book)
    assert whole["ok"]
    assert whole["rows"] > 3
    with book.transaction() as db:
        allow = "DROP TRIGGER journal_no_update" if is_sqlite(db) else "ALTER TABLE journal DISABLE TRIGGER USER"
        db.exec_driver_sql(allow)
        db.exec_driver_sql(
            'UPDATE journal SET body = replace(body, \'"currency":"AUD"\', \'"currency":"USD"\') WHERE seq = 2'
        )
    assert verify(book)["broken"] == [2]
