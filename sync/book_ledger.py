"""The ledger of a stored book: the chained journal, entries and how they stand, statements.

The journal is append-only; heads say how things stand and can be made from it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, exists, false, func, insert, select, true, update

from rules.ledger import GENESIS, Entry, Posting, Standing, broken_links, chained, entry_row, posting
from rules.money import Money
from sync import book_tables as t
from sync.book_part import BookPart, day, iso
from sync.bulk import slices
from sync.tables import instant, micros


class BookLedger(BookPart):
    """The ledger of one program's book."""

    def journal(self, items: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Append (kind, subject, body) rows to the chain."""
        if not items:
            return
        j = t.journal
        last = self.db.execute(select(j.c.seq, j.c.hash).order_by(j.c.seq.desc()).limit(1)).one_or_none()
        seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
        values = []
        for kind, subject, body in items:
            seq += 1
            full = {"program": self.program, "kind": kind, **body}
            previous = chained(previous, full)
            values.append(
                {"seq": seq, "program": self.program, "kind": kind, "subject": subject,
                 "body": orjson.dumps(full, option=orjson.OPT_SORT_KEYS).decode(), "hash": previous}
            )  # fmt: skip
        self.db.execute(insert(j), values)

    def entries_of(self, prospects: Collection[str]) -> dict[str, Any]:
        """Stored entry heads of these prospects, by key."""
        e = t.entry_head
        found = {}
        for some in slices(sorted(prospects)):
            for row in self.db.execute(select(e).where(e.c.program == self.program, e.c.prospect.in_(some))):
                found[row.key] = row
        return found

    def follow_ties(self, prospects: Collection[str]) -> None:
        """Entries of these prospects belong from now on to the one that their referral is tied to: companies were merged,
        or a merge was taken back."""
        e, tie = t.entry_head, t.tie
        now = select(tie.c.prospect).where(tie.c.program == e.c.program, tie.c.referral == e.c.referral)
        moved = exists(now.where(tie.c.prospect != e.c.prospect))
        for some in slices(sorted(prospects)):
            mine = (e.c.program == self.program) & e.c.prospect.in_(some)
            self.db.execute(update(e).where(mine, moved).values(prospect=now.scalar_subquery()))

    def add_entries(self, entries: Sequence[tuple[str, Entry, str | None]]) -> None:
        """Append entries (prospect, entry, key it replaces) to the journal with their accrual, and make their heads."""
        if not entries:
            return
        self.journal([("entry", entry.key, entry_body(entry)) for _, entry, _ in entries])
        self.journal([("posting", e.key, posting_body(posting(e, "accrued", e.posted_at))) for _, e, _ in entries])
        values = [
            {"key": entry.key, "program": self.program, "prospect": owner, "partner": entry.partner, "referral": entry.referral or "",
             "currency": entry.currency, "amount_minor": Money(entry.amount, entry.currency).minor,
             "states_on": iso(entry.states_on), "releases_on": iso(entry.releases_on), "state": "accrued",
             "released_on": None, "statement": None, "replaces": replaces,
             "body": orjson.dumps(entry_body(entry), option=orjson.OPT_SORT_KEYS).decode()}
            for owner, entry, replaces in entries
        ]  # fmt: skip
        self.db.execute(insert(t.entry_head), values)

    def set_releases(self, entries: Sequence[Entry]) -> None:
        """Entries were released since they were posted: where and when they are stated and due."""
        e = t.entry_head
        change = (
            update(e)
            .where(e.c.key == bindparam("entry"))
            .values(states_on=bindparam("stated"), releases_on=bindparam("released"), body=bindparam("now"))
        )
        values = [
            {"entry": each.key, "stated": iso(each.states_on), "released": iso(each.releases_on),
             "now": orjson.dumps(entry_body(each), option=orjson.OPT_SORT_KEYS).decode()}
            for each in entries
        ]  # fmt: skip
        if values:
            self.db.execute(change, values)

    def entries_of_partners(self, partners: Collection[str]) -> list[tuple[Entry, Any]]:
        """Every entry of these partners, with its head."""
        e = t.entry_head
        found = []
        for some in slices(sorted(partners)):
            query = select(e).where(e.c.program == self.program, e.c.partner.in_(some))
            found += [(entry_of(orjson.loads(row.body)), row) for row in self.db.execute(query)]
        return found

    def unstated_together(self, partners: Sequence[str], entries: int, most: int) -> Iterator[set[str]]:
        """The partners in parts: at most so many of them, with at most so many entries that stand on no cut statement,
        unless a single one has more."""
        e = t.entry_head
        some: set[str] = set()
        count = 0
        for part in slices(partners):
            query = select(e.c.partner, func.count().label("number")).where(
                e.c.program == self.program, e.c.partner.in_(part), e.c.statement.is_(None)
            )
            own = {row.partner: row.number for row in self.db.execute(query.group_by(e.c.partner))}
            for partner in part:
                if some and (len(some) == most or count + own.get(partner, 0) > entries):
                    yield some
                    some, count = set(), 0
                some.add(partner)
                count += own.get(partner, 0)
        if some:
            yield some

    def unstated(self, partners: Collection[str]) -> list[tuple[Entry, Any]]:
        """Entries that stand on no cut statement, with their heads."""
        e = t.entry_head
        found = []
        for some in slices(sorted(partners)):
            query = select(e).where(e.c.program == self.program, e.c.partner.in_(some), e.c.statement.is_(None))
            found += [(entry_of(orjson.loads(row.body)), row) for row in self.db.execute(query)]
        return found

    def entries_on(self, statements: Collection[str]) -> list[tuple[Entry, Any]]:
        """Entries that stand on these cut statements."""
        e = t.entry_head
        found = []
        for some in slices(sorted(statements)):
            found += [
                (entry_of(orjson.loads(row.body)), row)
                for row in self.db.execute(select(e).where(e.c.statement.in_(some)))
            ]
        return found

    def waiting_partners(self, today: date, settled_to: date | None) -> set[str]:
        """Partners with entries that are released by now, or (in a month not settled before) statements to go on with."""
        e, s = t.entry_head, t.statement_head
        released = select(e.c.partner).where(
            e.c.program == self.program, e.c.state == "accrued", e.c.releases_on <= today.isoformat()
        )
        if settled_to is not None and (settled_to.year, settled_to.month) == (today.year, today.month):
            return set(self.db.execute(released.distinct()).scalars())
        month = today.replace(day=1).isoformat()  # a period begins with a month
        opened = select(s.c.partner).where(s.c.program == self.program, s.c.cut.is_(false()), s.c.period_from < month)
        carried = select(s.c.partner).where(s.c.program == self.program, s.c.carried_minor != 0)
        unstated = select(e.c.partner).where(
            e.c.program == self.program, e.c.statement.is_(None), e.c.states_on < month
        )
        return {
            name
            for query in (released, opened, carried, unstated)
            for name in self.db.execute(query.distinct()).scalars()
        }

    def set_standings(self, standings: Sequence[tuple[str, str, date | None, str | None]]) -> None:
        """How entries stand now: (key, state, released on, cut statement)."""
        e = t.entry_head
        change = (
            update(e)
            .where(e.c.key == bindparam("entry"))
            .values(state=bindparam("now"), released_on=bindparam("released"), statement=bindparam("on"))
        )
        values = [
            {"entry": key, "now": state, "released": iso(released_on), "on": statement}
            for key, state, released_on, statement in standings
        ]
        if values:
            self.db.execute(change, values)

    def postings_of(self, keys: Collection[str]) -> set[tuple[str, str, int]]:
        """(entry, event, instant) of everything posted on these entries."""
        j = t.journal
        found = set()
        for some in slices(sorted(keys)):
            for row in self.db.execute(
                select(j.c.subject, j.c.body).where(j.c.kind == "posting", j.c.subject.in_(some))
            ):
                body = orjson.loads(row.body)
                found.add((row.subject, body["event"], body["at"]))
        return found

    def statement_heads(self, partners: Collection[str]) -> list[Any]:
        """Statement heads of these partners, oldest first."""
        s = t.statement_head
        found: list[Any] = []
        for some in slices(sorted(partners)):
            query = (
                select(s).where(s.c.program == self.program, s.c.partner.in_(some)).order_by(s.c.period_from, s.c.id)
            )
            found += list(self.db.execute(query))
        return found

    def last_statements(self, partners: Collection[str]) -> list[Any]:
        """The last cut statement of each partner and currency."""
        s = t.statement_head
        found: list[Any] = []
        for some in slices(sorted(partners)):
            latest = (
                select(s.c.partner, s.c.currency, func.max(s.c.period_from).label("period_from"))
                .where(s.c.program == self.program, s.c.partner.in_(some), s.c.cut.is_(true()))
                .group_by(s.c.partner, s.c.currency)
                .subquery()
            )
            query = select(s).join(
                latest,
                (s.c.partner == latest.c.partner) & (s.c.currency == latest.c.currency) & (s.c.period_from == latest.c.period_from),
            ).where(s.c.program == self.program, s.c.cut.is_(true()))  # fmt: skip
            found += list(self.db.execute(query))
        return found

    def statements_named(self, ids: Collection[str]) -> list[Any]:
        """Statement heads by id."""
        s = t.statement_head
        found: list[Any] = []
        for some in slices(sorted(ids)):
            found += list(self.db.execute(select(s).where(s.c.program == self.program, s.c.id.in_(some))))
        return found

    def save_statements(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert or replace statement heads; a cut statement's figures are journaled by the caller once."""
        self.upsert(t.statement_head, ["id"], rows)

    def drop_open_statements(self, partners: Collection[str]) -> None:
        """Forget open statements: they are computed again."""
        s = t.statement_head
        for some in slices(sorted(partners)):
            self.db.execute(delete(s).where(s.c.program == self.program, s.c.partner.in_(some), s.c.cut.is_(false())))


def verify_journal(db: Connection) -> tuple[int, list[int]]:
    """Check the chain: (rows, positions of rows whose hash does not fit)."""
    j = t.journal
    count = db.execute(select(func.count()).select_from(j)).scalar_one()
    rows = db.execute(select(j.c.body, j.c.hash).order_by(j.c.seq).execution_options(yield_per=2000))
    return count, list(broken_links((orjson.loads(row.body), row.hash) for row in rows))


def entry_body(entry: Entry) -> dict[str, Any]:
    """An entry as JSON; the inverse of :func:`entry_of`."""
    return {
        "key": entry.key, "entry_program": entry.program, "partner": entry.partner, "referral": entry.referral,
        "contract": entry.contract, "entry_kind": entry.kind, "source": list(entry.source),
        "basis": None if entry.basis is None else format(entry.basis, "f"),
        "rate": None if entry.rate is None else format(entry.rate, "f"),
        "amount": format(entry.amount, "f"), "currency": entry.currency, "earned_on": entry.earned_on.isoformat(),
        "posted_at": micros(entry.posted_at), "states_on": iso(entry.states_on), "releases_on": iso(entry.releases_on),
        "due_on": iso(entry.due_on), "corrects": entry.corrects, "clauses": list(entry.clauses), "because": entry.because,
        **({"paid_on": entry.paid_on.isoformat()} if entry.paid_on else {}),
    }  # fmt: skip


def entry_of(body: Mapping[str, Any]) -> Entry:
    """The entry that :func:`entry_body` wrote."""
    return Entry(
        body["key"], body["entry_program"], body["partner"], body["referral"], body["contract"], body["entry_kind"],
        (body["source"][0], body["source"][1]),
        None if body["basis"] is None else Decimal(body["basis"]), None if body["rate"] is None else Decimal(body["rate"]),
        Decimal(body["amount"]), body["currency"], date.fromisoformat(body["earned_on"]), instant(body["posted_at"]),
        day(body["states_on"]), day(body["releases_on"]), day(body["due_on"]), body["corrects"], tuple(body["clauses"]),
        body["because"], day(body.get("paid_on")),
    )  # fmt: skip


def posting_body(each: Posting) -> dict[str, Any]:
    """A posting as JSON."""
    return {
        "entry": each.entry, "event": each.event, "at": micros(each.at), "debit": each.debit, "credit": each.credit,
        "amount": format(each.amount, "f"), "currency": each.currency, "note": each.note,
    }  # fmt: skip


def stored_row(head: Any) -> dict[str, Any]:
    """An entry and how it stands, as a row of the outcome."""
    entry = entry_of(orjson.loads(head.body))
    return entry_row(entry, Standing(head.state, day(head.released_on)))
