"""The facts that a stored book settles: what is new, and all versions that one prospect, partner or statement needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import delete, func, select

from rules.calendar import Calendar
from rules.errors import RecordError, RuleError
from rules.facts import Facts, Version, comes_true, dates_of
from rules.records import RECORDS, Withdrawal, changed, parse
from sync import book_tables as t
from sync import tables
from sync.book_part import BookPart, task_subject
from sync.bulk import ROWS_PER_STATEMENT, each_row, slices
from sync.bulk import rows as rows_of
from sync.tables import instant, micros

_READ = "SELECT id, type, fact_id, account, parent_type, parent_id, body, previous, known_at FROM fact"
_NEW = f"{_READ} WHERE id > ? AND id <= ? ORDER BY id"
_AGAIN = f"{_READ} WHERE id AMONG ? ORDER BY id"
_HEADS = "SELECT row_id FROM fact_head WHERE type = ? AND fact_id AMONG ?"
_ROWS = "SELECT * FROM fact WHERE id AMONG ?"
_OF_ACCOUNTS = "SELECT * FROM fact WHERE account AMONG ?"
_OF_PARENTS = "SELECT * FROM fact WHERE parent_type = ? AND parent_id AMONG ?"
_ABOUT = "SELECT DISTINCT type, fact_id FROM fact_subject WHERE subject AMONG ?"
_BILLS = "SELECT fact_id, account, body FROM fact WHERE id > ? AND id <= ? AND type = 'invoice' ORDER BY id"
_TOLD = "SELECT type, fact_id, body FROM fact WHERE id > ? AND id <= ? AND type AMONG ? ORDER BY id"
_CLOCKS_DIFFER = timedelta(minutes=1)
_OF_PARTNERS = frozenset({"partner", "enrollment", "certification", "ticket", "co_op_request", "dispute"})
_TELLING = _OF_PARTNERS | {"decision", "partner_invoice", "payout", "shared_lead"}
"""Facts that name partners, subjects or statements."""
_DEALS = {"opportunity", "contract", "invoice"}
"""Facts that may name a referral, an opportunity or a contract of another account than their own."""
_AHEAD = _TELLING | {"referral", "fx_rate"}
"""Facts that no prospect waits for while their date lies ahead."""
_IDENTIFYING: Mapping[str, tuple[str, ...]] = {
    "account": ("name", "website", "country", "tax_id", "parent"),
    "referral": ("company", "website", "country", "tax_id", "account", "details", "contact", "channel", "submitted_at"),
    "partner": ("name",),
    "enrollment": ("partner", "program", "role", "starts_on", "ends_on", "standing"),
}
"""What may decide which referrals and accounts are one company: also whether a referral is complete, so that later ones
are compared with it."""


@dataclass(slots=True)
class NewFacts:
    """What fact rows since the last settling touch."""

    last_row: int
    identity: bool = False
    rates: bool = False
    """Whether rates of exchange are among them."""
    accounts: set[str] = field(default_factory=set)
    referrals: set[str] = field(default_factory=set)
    partners: set[str] = field(default_factory=set)
    subjects: set[str] = field(default_factory=set)
    statements: set[str] = field(default_factory=set)
    ahead: set[tuple[int, date]] = field(default_factory=set)
    """Rows that read otherwise later by time alone, with the next date of each."""


@dataclass(slots=True)
class _Touched:
    """What facts touch: accounts and referrals, and the deals and documents that lead to them."""

    found: NewFacts
    invoices: set[str] = field(default_factory=set)
    contracts: set[str] = field(default_factory=set)
    opportunities: set[str] = field(default_factory=set)

    def by_rows(self, rows: Iterable[Any]) -> None:
        for row in rows:
            self.by(row.type, row.fact_id, row.account, row.parent_type, row.parent_id, row.body)

    def by(self, kind: str, id: str, account: str | None, parent_type: str | None, parent_id: str, text: str) -> None:
        """Note what one version of a fact names."""
        if account is not None:
            self.found.accounts.add(account)
        if kind == "referral":
            self.found.referrals.add(id)
        if parent_type == "invoice":
            self.invoices.add(parent_id)
        elif parent_type == "referral":
            self.found.referrals.add(parent_id)
        if kind in _DEALS:
            body = orjson.loads(text)
            for name, those in (
                ("referral", self.found.referrals), ("opportunity", self.opportunities), ("contract", self.contracts)
            ):  # fmt: skip
                if body.get(name):
                    those.add(body[name])


class BookFacts(BookPart):
    """The facts of one program's book."""

    def new_facts(self, since: int, calendar: Calendar, until: datetime, *, all_touched: bool = False) -> NewFacts:
        """Read what fact rows after ``since`` touch, and those whose date has come by now; ``until`` is the first instant
        that is not looked at. Accounts and referrals are left out where all are touched anyway."""
        f = tables.fact
        last = self.db.execute(select(func.max(f.c.id))).scalar() or 0
        found, end = NewFacts(last), micros(until)
        touched = _Touched(found)
        older: list[int] = []
        again = self._take_due(calendar.date_of(until))
        read = chain(each_row(self.db, _AGAIN, again), each_row(self.db, _NEW, since, last))
        for row_id, kind, fact_id, account, parent_type, parent_id, text, previous, known_at in read:
            if known_at >= end:  # another process's clock was ahead
                found.ahead.add((row_id, calendar.date_of(instant(known_at))))
            if kind == "fx_rate":
                found.rates = True
            elif not found.identity and (kind in _IDENTIFYING or kind == "decision"):
                found.identity = row_id <= since or self._may_identify(kind, text, previous)
            if kind in _AHEAD:
                body = orjson.loads(text)
                if kind in _TELLING:
                    self._note_named(found, kind, fact_id, body)
                if (day := _coming(body, calendar, until)) is not None:
                    found.ahead.add((row_id, day))
            if all_touched:
                continue
            touched.by(kind, fact_id, account, parent_type, parent_id, text)
            if previous is not None:
                older.append(previous)
        about = found.subjects | {task_subject(subject, self.program) for subject in found.subjects}
        touched.contracts |= about
        found.accounts |= about
        for some in slices(older):
            touched.by_rows(self.db.execute(select(f).where(f.c.id.in_(some))))
        self._follow(touched)
        return found

    def _follow(self, touched: _Touched) -> None:
        """From what new facts name to the accounts and referrals that it belongs to, by any of its versions."""
        f = tables.fact
        for kind, names in (("invoice", touched.invoices), ("contract", touched.contracts)):
            touched.by_rows(self._versions(kind, names))
        for some in slices(sorted(touched.found.accounts)):
            deals = f.c.type.in_(("contract", "opportunity"))
            touched.by_rows(self.db.execute(select(f).where(f.c.account.in_(some), deals)))
        touched.by_rows(self._versions("opportunity", touched.opportunities))

    def known_by(self, now: datetime) -> datetime:
        """``now``, or when the newest fact became known if that is later, but not by much: clocks of two processes differ."""
        newest = select(tables.fact.c.known_at).order_by(tables.fact.c.id.desc()).limit(1)
        at: datetime | None = self.db.execute(newest).scalar()
        return at if at is not None and now < at <= now + _CLOCKS_DIFFER else now

    def note_ahead(self, rows: Iterable[tuple[int, date]]) -> None:
        """Keep when these rows are to be looked at again: on a later day they read otherwise."""
        values = [
            {"program": self.program, "list": "ahead", "key": f"{day}:{row_id}", "owner": "ahead", "row": str(row_id)}
            for row_id, day in sorted(rows)
        ]
        self.upsert(t.outcome_row, ["program", "list", "key"], values)

    def _take_due(self, today: date) -> list[int]:
        """Rows that may read otherwise since this day has begun; they are no longer kept."""
        o = t.outcome_row
        due = (o.c.program == self.program) & (o.c.list == "ahead") & (o.c.key < f"{today + timedelta(days=1)}")
        found = [int(row) for row in self.db.execute(select(o.c.row).where(due)).scalars()]
        if found:
            self.db.execute(delete(o).where(due))
        return sorted(found)

    def _note_named(self, found: NewFacts, kind: str, fact_id: str, body: Mapping[str, Any]) -> None:
        """Note the partners, subjects and statements that a fact names."""
        if kind in _OF_PARTNERS:
            found.partners.add(fact_id if kind == "partner" else str(body.get("partner", "")))
        elif kind == "decision":
            found.subjects.add(str(body.get("about", "")))
        elif kind in ("partner_invoice", "payout") and body.get("statement"):
            found.statements.add(str(body["statement"]))
        elif kind == "shared_lead" and body.get("taken_by"):
            found.partners.add(str(body["taken_by"]))  # its referral of this company counts otherwise from now on

    def _may_identify(self, kind: str, text: str, previous: int | None) -> bool:
        """Whether a new version of a fact may change which referrals and accounts are one company."""
        new = orjson.loads(text) if kind == "decision" or previous is not None else {}
        old: dict[str, Any] = {}
        if previous is not None:
            body = select(tables.fact.c.body).where(tables.fact.c.id == previous)
            old = orjson.loads(self.db.execute(body).scalar_one())
        if kind == "decision":  # an award may settle which account a claim is about
            return "award" in (new.get("choice"), old.get("choice"))
        return previous is None or any(old.get(name) != new.get(name) for name in (*_IDENTIFYING[kind], "deleted"))

    def note_subjects(self, since: int, until: int) -> None:
        """Keep the look-up from a subject (partner, decision's subject, named referral) to the facts about it."""
        kinds = [
            "account", "enrollment", "certification", "decision", "contract", "opportunity", "partner_invoice", "payout",
            "ticket", "co_op_request", "dispute",
        ]  # fmt: skip
        found: dict[tuple[str, str, str], None] = {}
        for kind, fact_id, text in each_row(self.db, _TOLD, since, until, kinds):
            for subject in _subjects(kind, orjson.loads(text)):
                found[subject, kind, fact_id] = None
            if len(found) >= ROWS_PER_STATEMENT:
                self._note_subjects(found)
                found.clear()
        self._note_subjects(found)
        for some in slices(each_row(self.db, _BILLS, since, until)):
            self._note_bills(some)

    def _note_bills(self, bills: Collection[Any]) -> None:
        """Note the invoices that go to another account than that of the contract which they name."""
        named = {fact_id: (account, orjson.loads(text).get("contract")) for fact_id, account, text in bills}
        head, f = tables.fact_head, tables.fact
        contracts = {contract for _, contract in named.values() if contract}
        known = (
            select(head.c.fact_id, f.c.account)
            .join(f, head.c.row_id == f.c.id)
            .where(head.c.type == "contract", head.c.fact_id.in_(contracts))
        )
        owners = {row.fact_id: row.account for row in self.db.execute(known)} if contracts else {}
        self._note_subjects(
            (f"contract:{contract}", "invoice", fact_id)
            for fact_id, (account, contract) in named.items()
            if contract and owners.get(contract) != account
        )

    def _note_subjects(self, found: Iterable[tuple[str, str, str]]) -> None:
        values = [{"subject": subject, "type": kind, "fact_id": fact_id} for subject, kind, fact_id in found]
        if values:
            self.insert_missing(t.fact_subject, values)

    def facts_for(self, accounts: Collection[str], referrals: Collection[str]) -> Facts:
        """All versions of every record that these prospects' settling can see."""
        rows: dict[int, Any] = {}
        self._take_accounts(rows, accounts)
        self._take_ids(rows, {("referral", r) for r in referrals})
        self._take_subjects(rows, {f"referral:{r}" for r in referrals})
        named = {row.fact_id for row in rows.values() if row.type == "opportunity"}
        self._take_subjects(rows, {f"opportunity:{name}" for name in named})
        deals = [row for row in rows.values() if row.type == "contract"]
        self._take_ids(rows, {("opportunity", str(name)) for name in map(_opportunity_of, deals) if name})
        elsewhere = {row.account for row in deals if row.account} - set(accounts)
        self._take_accounts(rows, elsewhere)
        self._take_subjects(rows, {f"contract:{row.fact_id}" for row in deals})
        contracts = {row.fact_id for row in rows.values() if row.type == "contract"}
        self._take_subjects(rows, {f"about:{s}" for s in (*accounts, *elsewhere, *referrals, *contracts)})
        children: dict[int, Any] = {}
        for kind in ("invoice", "referral"):
            for some in slices(sorted({row.fact_id for row in rows.values() if row.type == kind})):
                self._take(children, _OF_PARENTS, kind, some)
        self._take_ids(rows, {(row.type, row.fact_id) for row in children.values()})
        partners = set()
        for row in rows.values():
            if row.type in ("referral", "decision", "concern") and not row.deleted:
                partners.add(orjson.loads(row.body).get("partner"))
        partners.discard(None)
        self._take_ids(rows, {("partner", p) for p in partners})
        self._take_subjects(rows, {f"partner:{p}" for p in partners})
        head = tables.fact_head
        everywhere = select(head.c.row_id).where(head.c.type.in_(("fx_rate", "shared_lead")))
        self._take_versions(rows, list(self.db.execute(everywhere).scalars()))
        return self._facts(rows.values())

    def enrollment_facts(self) -> Facts:
        """All enrollments."""
        return self._facts(self._beside_accounts("enrollment"))

    def partner_facts(self, partners: Collection[str]) -> Facts:
        """Partners with all that is about them alone, the decisions about their tasks, and what they dispute."""
        rows: dict[int, Any] = {}
        self._take_ids(rows, {("partner", p) for p in partners})
        self._take_subjects(rows, {f"partner:{p}" for p in partners} | {f"about:{p}" for p in partners})
        own = {(row.type, row.fact_id) for row in rows.values() if row.type in ("ticket", "co_op_request", "dispute")}
        disputed = {
            orjson.loads(row.body).get("subject") for row in rows.values() if row.type == "dispute" and row.body
        }
        self._take_subjects(rows, {f"about:{name}" for _, name in own})
        self._take_ids(rows, {("contract", str(name)) for name in disputed})
        return self._facts(rows.values())

    def program_facts(self) -> Facts:
        """What stands beside deals and partners: applications, shared leads, all enrollments, and every decision."""
        kinds = ("application", "shared_lead", "enrollment", "partner", "decision")
        return self._facts(self._beside_accounts(*kinds))

    def partners(self) -> list[str]:
        """Every partner that has a place in a program, whether its own record came or not."""
        s = t.fact_subject
        subjects = select(s.c.subject).where(s.c.type == "enrollment", s.c.subject.like("partner:%")).distinct()
        return sorted(subject.removeprefix("partner:") for subject in self.db.execute(subjects).scalars())

    def partners_named(self, subjects: Collection[str]) -> set[str]:
        """Those subjects of decisions that are partners (or tasks on them)."""
        names = sorted({task_subject(subject, self.program) for subject in subjects})
        head = tables.fact_head
        found: set[str] = set()
        for some in slices(names):
            found |= set(
                self.db.execute(
                    select(head.c.fact_id).where(head.c.type == "partner", head.c.fact_id.in_(some))
                ).scalars()
            )
        return found

    def facts_of(self, kind: str) -> Iterator[Facts]:
        """All facts of one type, some at a time."""
        head = tables.fact_head
        behind = ""
        while True:
            after = select(head.c.row_id, head.c.fact_id).where(head.c.type == kind, head.c.fact_id > behind)
            some = self.db.execute(after.order_by(head.c.fact_id).limit(ROWS_PER_STATEMENT)).all()
            if not some:
                return
            rows: dict[int, Any] = {}
            self._take_versions(rows, [row.row_id for row in some])
            yield self._facts(rows.values())
            behind = some[-1].fact_id

    def linking_facts(self) -> Facts:
        """All partners, enrollments and decisions: what else there is to tie referrals and accounts by."""
        return self._facts(self._beside_accounts("partner", "enrollment", "decision"))

    def merges(self) -> list[tuple[datetime, str, str]]:
        """Records that systems merged and did not part again: (instant, the one that is gone, the one that is left)."""
        r = tables.redirect
        held = select(r.c.seen_at, r.c.loser, r.c.winner).where(r.c.ended_at.is_(None))
        rows = self.db.execute(held.order_by(r.c.seen_at, r.c.loser))
        return [(row.seen_at, row.loser, row.winner) for row in rows]

    def statement_facts(self, statements: Collection[str], partners: Collection[str]) -> Facts:
        """Partner invoices, payouts and decisions that name these statements, and these partners."""
        rows: dict[int, Any] = {}
        self._take_subjects(rows, {f"{about}:{name}" for name in statements for about in ("statement", "about")})
        self._take_ids(rows, {("partner", p) for p in partners})
        self._take_subjects(rows, {f"partner:{p}" for p in partners})
        return self._facts(rows.values())

    def _beside_accounts(self, *kinds: str) -> Iterable[Any]:
        """All versions of facts of types that never name an account, an invoice or a referral: an index of its own has
        these, among however many others."""
        f = tables.fact
        unscoped = f.c.account.is_(None) & f.c.parent_type.is_(None)
        return self.db.execute(select(f).where(f.c.type.in_(kinds), unscoped))

    def _take(self, rows: dict[int, Any], query: str, *values: Any) -> None:
        for row in rows_of(self.db, query, *values):
            rows[row.id] = row

    def _take_accounts(self, rows: dict[int, Any], accounts: Collection[str]) -> None:
        """Every version of the facts that ever were about these accounts."""
        found: dict[int, Any] = {}
        for some in slices(sorted(accounts)):
            self._take(found, _OF_ACCOUNTS, some)
        rows |= found
        self._take_ids(rows, {(row.type, row.fact_id) for row in found.values()})

    def _take_ids(self, rows: dict[int, Any], keys: Collection[tuple[str, str]]) -> None:
        kinds: dict[str, list[str]] = {}
        for kind, identity in sorted(keys):
            kinds.setdefault(kind, []).append(identity)
        for kind, identities in kinds.items():
            for some in slices(identities):
                self._take_versions(rows, [row_id for (row_id,) in rows_of(self.db, _HEADS, kind, some)])

    def _take_subjects(self, rows: dict[int, Any], subjects: Collection[str]) -> None:
        keys: set[tuple[str, str]] = set()
        for some in slices(sorted(subjects)):
            keys |= {(kind, fact_id) for kind, fact_id in rows_of(self.db, _ABOUT, some)}
        self._take_ids(rows, keys)

    def _take_versions(self, rows: dict[int, Any], wanted: list[int]) -> None:
        """These rows, and the versions before them, as far as they are not there yet."""
        while wanted:
            for some in slices([row_id for row_id in wanted if row_id not in rows]):
                self._take(rows, _ROWS, some)
            wanted = [rows[row_id].previous for row_id in wanted if rows[row_id].previous is not None]

    def _versions(self, kind: str, names: Collection[str]) -> Collection[Any]:
        """Every version of these facts of one type."""
        found: dict[int, Any] = {}
        self._take_ids(found, {(kind, name) for name in names})
        return found.values()

    def _facts(self, rows: Iterable[Any]) -> Facts:
        facts = Facts()
        for row in sorted(rows, key=lambda row: row.id):
            known = instant(row.known_at) if isinstance(row.known_at, int) else row.known_at
            if row.deleted:
                facts.add(Withdrawal(type=row.type, id=row.fact_id, known_at=known), row.id)
                continue
            try:
                fact = parse(row.body)
            except RecordError as error:
                raise RuleError(f"stored {row.type} {row.fact_id}, known at {known.isoformat()}: {error}") from error
            assert not isinstance(fact, Withdrawal)
            facts.add(changed(fact, {"known_at": known}), row.id)
        return facts


def _coming(body: Mapping[str, Any], calendar: Calendar, until: datetime) -> date | None:
    """The next local date at or after an instant on which a fact reads otherwise by the passing of time alone."""
    soon = (until - timedelta(days=2)).date().isoformat()
    if not any(str(body.get(name) or "") >= soon for name in dates_of(RECORDS[body["type"]])):
        return None
    fact = parse(orjson.dumps(body))
    return comes_true([Version(None, fact, 0)], calendar, until) if not isinstance(fact, Withdrawal) else None


def _opportunity_of(row: Any) -> str | None:
    name: str | None = orjson.loads(row.body).get("opportunity")
    return name


def _subjects(kind: str, body: Mapping[str, Any]) -> Iterator[str]:
    if kind in ("enrollment", "certification", "ticket", "co_op_request", "dispute") and body.get("partner"):
        yield f"partner:{body['partner']}"
    elif kind == "decision" and body.get("about"):
        yield f"about:{body['about']}"
        parts = str(body["about"]).split(":")
        if len(parts) > 3:
            yield f"about:{':'.join(parts[2:-1])}"
    elif kind == "account" and body.get("parent"):
        yield f"parent:{body['parent']}"
    elif kind in ("partner_invoice", "payout") and body.get("statement"):
        yield f"statement:{body['statement']}"
    elif kind in ("contract", "opportunity"):
        for name in ("referral", "opportunity"):
            if body.get(name):
                yield f"{name}:{body[name]}"
