"""The stored book holds what settling once says: whether it is brought up to date every day or once at the end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.ledger import verify
from jobs.scenarios import Scenario, load_scenario, scenario_files
from jobs.settle import outcome, settle
from jobs.stored import bring_up_to_date, stored_outcome
from rules.facts import BEGINNING, read_facts, views
from rules.records import RECORDS
from rules.terms import Program, load_program
from sync.fact_rows import FactWriter, Source, written
from sync.store import Store
from sync.tables import micros

LISTS = ("claims", "entries", "statements", "support", "tasks")
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
LATE = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Store]:
    store = Store.open(f"sqlite:///{tmp_path}/book.db")
    store.migrate()
    yield store
    store.close()


def learned(scenario: Scenario, program: Program) -> list[tuple[datetime, dict[str, Any]]]:
    """The scenario's record versions with the instant at which each becomes known, in that order."""
    facts, _ = read_facts([orjson.dumps(row) for row in scenario.records], file=scenario.name)
    found = []
    by_line = dict(enumerate(scenario.records, 1))
    for kind in RECORDS:
        for versions in facts.of(kind).values():
            for version in versions:
                at = version.known_at
                if at is None:
                    at = views(versions, program.calendar, LATE)[0].at
                    known_by = RECORDS[kind].known_by
                    at = OLDEST if known_by is None or at == BEGINNING else at
                body = {key: value for key, value in by_line[version.line].items() if key != "known_at"}
                found.append((max(at, OLDEST), body))
    return sorted(found, key=lambda each: each[0])


def put(store: Store, at: datetime, body: dict[str, Any], run: int) -> None:
    if not body.get("deleted"):
        store.put_facts([body], known_at=at, run_id=run)
        return
    with store.transaction() as db:
        writer = FactWriter(db, run)
        writer.prepare({(body["type"], body["id"])})
        writer.withdraw((body["type"], body["id"]), Source(None, None, None, micros(at), micros(at)))
        writer.flush()


def bring(store: Store, program: Program, day: date) -> None:
    now = program.calendar.end_of(day) - timedelta(microseconds=1)
    with store.transaction() as db:
        bring_up_to_date(db, program, now)
    with store.transaction() as db:
        again = bring_up_to_date(db, program, now)
    assert again.new_entries == 0
    assert again.statements_cut == ()


@pytest.mark.parametrize("how", ["every_day", "once"])
@pytest.mark.parametrize("path", scenario_files(), ids=lambda path: path.stem)
def test_the_stored_outcome_is_the_settled_one(path: Path, how: str, book: Store) -> None:
    scenario = load_scenario(path)
    step = scenario.steps[-1]
    program = load_program(scenario.program).changed({**scenario.settings, **step.set})
    facts, rejected = read_facts([orjson.dumps(row) for row in scenario.records], file=scenario.name)
    if rejected:
        pytest.skip("records that are refused never reach the store")
    expected = outcome(settle([program], facts, step.as_of), step.as_of)
    run = book.start_run("test", None, at=OLDEST)
    end = program.calendar.end_of(step.as_of)
    coming = [(at, body) for at, body in learned(scenario, program) if at < end]
    days = sorted({program.calendar.date_of(at) for at, _ in coming} | {step.as_of}) if how == "every_day" else [step.as_of]
    months = {day.replace(day=1) for day in days if day.year > 1990}
    if how == "every_day" and months:
        day = min(months)
        while day <= step.as_of:
            days.append(day)
            day = (day + timedelta(days=32)).replace(day=1)
    for day in sorted(set(days)):
        limit = program.calendar.end_of(day)
        while coming and coming[0][0] < limit:
            put(book, *coming.pop(0), run)
        bring(book, program, day)
    with book.reading() as db:
        found = stored_outcome(db, [program], {program.id: step.as_of})
    for name in LISTS:
        assert found[name] == expected[name], name
    assert verify(book)["ok"]


def test_a_changed_byte_in_the_journal_is_found(book: Store) -> None:
    scenario = load_scenario(next(path for path in scenario_files() if path.stem == "nt_16_partner_invoice_exact"))
    program = load_program(scenario.program)
    run = book.start_run("test", None, at=OLDEST)
    for at, body in learned(scenario, program):
        put(book, at, body, run)
    bring(book, program, scenario.steps[-1].as_of)
    whole = verify(book)
    assert whole["ok"]
    assert whole["rows"] > 3
    with book.transaction() as db:
        db.exec_driver_sql("DROP TRIGGER journal_no_update")
        db.exec_driver_sql("UPDATE journal SET body = replace(body, '\"currency\":\"AUD\"', '\"currency\":\"USD\"') WHERE seq = 2")
    assert verify(book)["broken"] == [2]
