"""A stored book as the days go by: facts are put into a store as they become known, and a program is brought up to date."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection

from jobs.stored import Brought, bring_up_to_date
from rules.calendar import BEGINNING
from rules.facts import read_facts, views
from rules.program import Program
from rules.records import RECORDS
from sync.fact_rows import FactWriter, Source, written
from sync.store import Store
from sync.tables import micros
from tests.sync.empty_store import empty_store

LISTS = ("claims", "tiers", "entries", "statements", "support", "tasks")
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)
LATE = datetime(2100, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place for one SQLite store after the other. SQL that one of them compiled, the next ones need not."""

    store: Store
    file: Path

    @classmethod
    def at(cls, folder: Path) -> Shelf:
        file = folder / "book.db"
        return cls(Store.open(f"sqlite:///{file}"), file)

    def fresh(self) -> Store:
        """An empty store, in the place of the last one."""
        self.store.close()
        for old in self.file.parent.glob(f"{self.file.name}*"):
            old.unlink()
        empty_store(self.file)
        return self.store


Learned = list[tuple[datetime, dict[str, Any]]]


def learned(records: Sequence[dict[str, Any]], program: Program) -> Learned:
    """The record versions with the instant at which each becomes known, in that order."""
    facts, _ = read_facts([orjson.dumps(row) for row in records], file="records")
    found = []
    by_line = dict(enumerate(records, 1))
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


def learn(db: Connection, coming: Learned, run: int) -> None:
    """State these versions of facts and withdrawals, one after the other."""
    writer = FactWriter(db, run)
    writer.prepare({(body["type"], body["id"]) for _, body in coming})
    for at, body in coming:
        source = Source(None, None, None, micros(at), micros(at))
        if body.get("deleted"):
            writer.withdraw((body["type"], body["id"]), source)
        else:
            writer.state(written(body), source)
    writer.flush()


def bring(store: Store, program: Program, day: date, coming: Learned | None = None, run: int = 0) -> Brought:
    """Bring a program up to date as of the end of a day, once these versions of facts are learned."""
    now = program.calendar.end_of(day) - timedelta(microseconds=1)
    with store.transaction(durable=False) as db:
        if coming:
            learn(db, coming, run)
        return bring_up_to_date(db, program, now)


def live_through(store: Store, program: Program, coming: Learned, days: Iterable[date]) -> None:
    """Learn what there is to learn by each of these days, and bring the book up to date on each."""
    run = store.start_run("test", None, at=OLDEST)
    start = 0
    for day in sorted(set(days)):
        end = bisect_left(coming, program.calendar.end_of(day), key=lambda each: each[0])
        bring(store, program, day, coming[start:end], run)
        start = end
