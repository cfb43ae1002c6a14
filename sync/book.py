"""The book: the stored ledger, its statements and outcome rows, and the facts that one prospect needs.

The journal is append-only and chained; heads say how things stand. Nothing here decides anything: rules do, and
``jobs.stored`` brings their difference here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection, Select, bindparam, delete, false, func, insert, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from rules.calendar import Calendar
from rules.facts import Facts
from rules.ledger import GENESIS, Entry, Posting, Standing, broken_links, chained, entry_row, posting
from rules.money import Money
from rules.records import Withdrawal, changed, parse
from rules.statements import Hold
from sync import book_tables as t
from sync import tables
from sync.prospects import Prospect, Prospects, Tie
from sync.tables import instant, micros

_SLICE = 500


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


class Book:
    """One program's stored outcome, inside one transaction."""

    def __init__(self, db: Connection, program: str, calendar: Calendar) -> None:
        self._db = db
        self.program = program
        self._calendar = calendar

    # ---- where settling stopped

    def state(self) -> Any:
        """The program's row of ``book``, or ``None`` when it was never settled."""
        return self._db.execute(select(t.book).where(t.book.c.program == self.program)).one_or_none()

    def set_state(self, *, terms: str, fact_row: int, as_of: date, at: datetime) -> None:
        """Remember up to where facts are settled."""
        values = {
            "program": self.program,
            "terms": terms,
            "fact_row": fact_row,
            "as_of": as_of.isoformat(),
            "settled_at": at,
        }
        self._upsert(t.book, ["program"], [values])

    def new_facts(self, since: int) -> NewFacts:
        """Read what fact rows after ``since`` touch."""
        f = tables.fact
        last = self._db.execute(select(func.max(f.c.id))).scalar() or 0
        found = NewFacts(last)
        rows = self._db.execute(
            select(f.c.id, f.c.type, f.c.fact_id, f.c.account, f.c.parent_type, f.c.parent_id, f.c.body, f.c.previous)
            .where(f.c.id > since, f.c.id <= last)
            .order_by(f.c.id)
        )
        invoices: set[str] = set()
        for row in rows:
            if row.account is not None:
                found.accounts.add(row.account)
            if row.type in ("account", "referral"):
                found.identity |= self._changes_identity(row)
                if row.type == "referral":
                    found.referrals.add(row.fact_id)
            if row.parent_type == "invoice":
                invoices.add(row.parent_id)
            elif row.parent_type == "referral":
                found.referrals.add(row.parent_id)
            body = orjson.loads(row.body)
            if row.type in ("partner", "enrollment", "certification", "ticket", "co_op_request", "dispute"):
                found.partners.add(row.fact_id if row.type == "partner" else str(body.get("partner", "")))
            elif row.type == "decision":
                found.subjects.add(str(body.get("about", "")))
                found.identity |= body.get("choice") == "award"  # an award may settle which account a claim is about
            elif row.type in ("partner_invoice", "payout") and body.get("statement"):
                found.statements.add(str(body["statement"]))
            elif row.type == "shared_lead" and body.get("taken_by"):
                found.partners.add(str(body["taken_by"]))  # its referral of this company counts otherwise from now on
            elif row.type == "fx_rate":
                found.rates = True
            if row.type == "contract" and body.get("referral"):
                found.referrals.add(str(body["referral"]))
        for some in _slices(sorted(invoices)):
            heads = self._versions(select(tables.fact_head.c.row_id).where(
                tables.fact_head.c.type == "invoice", tables.fact_head.c.fact_id.in_(some)))  # fmt: skip
            found.accounts |= {row.account for row in heads if row.account}
        return found

    def _changes_identity(self, row: Any) -> bool:
        if row.previous is None:
            return True
        before = self._db.execute(select(tables.fact.c.body).where(tables.fact.c.id == row.previous)).scalar_one()
        names = (
            "name",
            "company",
            "website",
            "country",
            "tax_id",
            "parent",
            "account",
            "deleted",
            "details",
            "contact",
            "channel",
        )
        old, new = orjson.loads(before), orjson.loads(row.body)
        return any(old.get(name) != new.get(name) for name in names)

    def note_subjects(self, since: int, until: int) -> None:
        """Keep the look-up from a subject (partner, decision's subject, named referral) to the facts about it."""
        f = tables.fact
        kinds = (
            "account", "enrollment", "certification", "decision", "contract", "opportunity", "partner_invoice", "payout",
            "ticket", "co_op_request", "dispute",
        )  # fmt: skip
        rows = self._db.execute(
            select(f.c.type, f.c.fact_id, f.c.body).where(f.c.id > since, f.c.id <= until, f.c.type.in_(kinds))
        )
        found: dict[tuple[str, str, str], None] = {}
        for row in rows:
            body = orjson.loads(row.body)
            for subject in _subjects(row.type, body):
                found[subject, row.type, row.fact_id] = None
        values = [{"subject": s, "type": k, "fact_id": i} for s, k, i in found]
        for some in _slices(values):
            self._insert_missing(t.fact_subject, some)

    # ---- facts of a prospect

    def facts_for(self, accounts: Collection[str], referrals: Collection[str]) -> Facts:
        """All versions of every record that these prospects' settling can see."""
        f = tables.fact
        rows: dict[int, Any] = {}
        for some in _slices(sorted(accounts)):
            self._take(rows, select(f).where(f.c.account.in_(some)))
        self._take_ids(rows, {(row.type, row.fact_id) for row in rows.values()} | {("referral", r) for r in referrals})
        subjects = {f"referral:{r}" for r in referrals} | {f"about:{s}" for s in (*accounts, *referrals)}
        self._take_subjects(rows, subjects)
        subjects = {f"about:{row.fact_id}" for row in rows.values() if row.type == "contract"}
        self._take_subjects(rows, subjects)
        children: dict[int, Any] = {}
        for kind in ("invoice", "referral"):
            for some in _slices(sorted({row.fact_id for row in rows.values() if row.type == kind})):
                self._take(children, select(f).where(f.c.parent_type == kind, f.c.parent_id.in_(some)))
        self._take_ids(rows, {(row.type, row.fact_id) for row in children.values()})
        partners = set()
        for row in rows.values():
            if row.type in ("referral", "decision", "concern") and not row.deleted:
                partners.add(orjson.loads(row.body).get("partner"))
        partners.discard(None)
        self._take_ids(rows, {("partner", p) for p in partners})
        self._take_subjects(rows, {f"partner:{p}" for p in partners})
        head = tables.fact_head
        for row in self._versions(select(head.c.row_id).where(head.c.type.in_(("fx_rate", "shared_lead")))):
            rows[row.id] = row
        return self._facts(rows.values())

    def enrollment_facts(self) -> Facts:
        """All enrollments."""
        return self._facts(self._db.execute(select(tables.fact).where(tables.fact.c.type == "enrollment")))

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
        f = tables.fact
        kinds = ("application", "shared_lead", "enrollment", "partner", "decision")
        return self._facts(self._db.execute(select(f).where(f.c.type.in_(kinds)).order_by(f.c.id)))

    def partners(self) -> list[str]:
        """Every partner that is known."""
        head = tables.fact_head
        return sorted(self._db.execute(select(head.c.fact_id).where(head.c.type == "partner")).scalars())

    def partners_named(self, subjects: Collection[str]) -> set[str]:
        """Those subjects of decisions that are partners (or tasks on them)."""
        names = sorted({_task_subject(subject, self.program) for subject in subjects})
        head = tables.fact_head
        found: set[str] = set()
        for some in _slices(names):
            found |= set(
                self._db.execute(
                    select(head.c.fact_id).where(head.c.type == "partner", head.c.fact_id.in_(some))
                ).scalars()
            )
        return found

    def identity_facts(self) -> Facts:
        """All accounts, referrals, partners, enrollments and decisions: what ties prospects."""
        f = tables.fact
        kinds = ("account", "referral", "partner", "enrollment", "decision")
        return self._facts(self._db.execute(select(f).where(f.c.type.in_(kinds)).order_by(f.c.id)))

    def merges(self) -> list[tuple[datetime, str, str]]:
        """Records that systems merged: (instant, the one that is gone, the one that is left)."""
        r = tables.redirect
        rows = self._db.execute(select(r.c.seen_at, r.c.loser, r.c.winner).order_by(r.c.seen_at, r.c.loser))
        return [(row.seen_at, row.loser, row.winner) for row in rows]

    def statement_facts(self, statements: Collection[str], partners: Collection[str]) -> Facts:
        """Partner invoices, payouts and decisions that name these statements, and these partners."""
        rows: dict[int, Any] = {}
        self._take_subjects(rows, {f"{about}:{name}" for name in statements for about in ("statement", "about")})
        self._take_ids(rows, {("partner", p) for p in partners})
        self._take_subjects(rows, {f"partner:{p}" for p in partners})
        return self._facts(rows.values())

    def _take(self, rows: dict[int, Any], query: Select[Any]) -> None:
        for row in self._db.execute(query):
            rows[row.id] = row

    def _take_ids(self, rows: dict[int, Any], keys: Collection[tuple[str, str]]) -> None:
        kinds: dict[str, list[str]] = {}
        for kind, identity in sorted(keys):
            kinds.setdefault(kind, []).append(identity)
        head = tables.fact_head
        for kind, identities in kinds.items():
            for some in _slices(identities):
                for row in self._versions(select(head.c.row_id).where(head.c.type == kind, head.c.fact_id.in_(some))):
                    rows[row.id] = row

    def _take_subjects(self, rows: dict[int, Any], subjects: Collection[str]) -> None:
        s = t.fact_subject
        keys: set[tuple[str, str]] = set()
        for some in _slices(sorted(subjects)):
            keys |= {(row.type, row.fact_id) for row in self._db.execute(select(s).where(s.c.subject.in_(some)))}
        self._take_ids(rows, keys)

    def _versions(self, heads: Select[Any]) -> Iterator[Any]:
        """Every version of the facts whose current rows are asked for, newest first."""
        f = tables.fact
        wanted = [row.row_id for row in self._db.execute(heads)]
        while wanted:
            found = []
            for some in _slices(wanted):
                found += list(self._db.execute(select(f).where(f.c.id.in_(some))))
            yield from found
            wanted = [row.previous for row in found if row.previous is not None]

    def _facts(self, rows: Iterable[Any]) -> Facts:
        facts = Facts()
        for row in sorted(rows, key=lambda row: row.id):
            known = instant(row.known_at) if isinstance(row.known_at, int) else row.known_at
            if row.deleted:
                facts.add(Withdrawal(type=row.type, id=row.fact_id, known_at=known), row.id)
                continue
            fact = parse(row.body)
            assert not isinstance(fact, Withdrawal)
            facts.add(changed(fact, {"known_at": known}), row.id)
        return facts

    # ---- ties

    def save_ties(self, prospects: Prospects, partners: Mapping[str, str], ruleset: str) -> set[str]:
        """Store how referrals are tied; returns the prospects that gained or lost a referral or account."""
        before = {row.referral: row for row in self._db.execute(select(t.tie).where(t.tie.c.program == self.program))}
        changed: set[str] = set()
        values = []
        for referral, ties in sorted(prospects.ties.items()):
            written = orjson.dumps(
                [[micros(x.at), x.prospect, x.rule, x.evidence, list(x.unsure), x.part] for x in ties]
            ).decode()
            old = before.get(referral)
            if old is not None and old.ties == written:
                continue
            changed |= {ties[-1].prospect} | ({old.prospect} if old is not None else set())
            values.append(
                {"program": self.program, "referral": referral, "prospect": ties[-1].prospect,
                 "partner": partners[referral], "ties": written, "ruleset": ruleset}
            )  # fmt: skip
        self._upsert(t.tie, ["program", "referral"], values)
        known = {
            row.prospect: row.accounts
            for row in self._db.execute(select(t.prospect).where(t.prospect.c.program == self.program))
        }
        rows, members = [], []
        for name, prospect in sorted(prospects.by_id.items()):
            known_as = [[micros(at), account] for at, account in prospect.accounts]
            accounts = orjson.dumps({"known": known_as, "trees": prospect.trees}, option=orjson.OPT_SORT_KEYS).decode()
            if known.get(name) != accounts:
                changed.add(name)
                rows.append({"program": self.program, "prospect": name, "accounts": accounts})
                members += [
                    {"program": self.program, "account": each, "prospect": name} for each in sorted(prospect.everyone)
                ]
        self._upsert(t.prospect, ["program", "prospect"], rows)
        self._upsert(t.account_prospect, ["program", "account"], members)
        return changed

    def prospects_of(self, new: NewFacts, today: date) -> set[str]:
        """The prospects that these new facts, or the passing of time, touch."""
        found: set[str] = set()
        a, tie, p = t.account_prospect, t.tie, t.prospect
        subjects = {_task_subject(s, self.program) for s in new.subjects} | new.subjects
        for some in _slices(sorted(new.accounts | subjects)):
            found |= set(
                self._db.execute(
                    select(a.c.prospect).where(a.c.program == self.program, a.c.account.in_(some))
                ).scalars()
            )
        for column, touched in ((tie.c.referral, new.referrals | subjects), (tie.c.partner, new.partners)):
            for some in _slices(sorted(touched)):
                found |= set(
                    self._db.execute(
                        select(tie.c.prospect).where(tie.c.program == self.program, column.in_(some))
                    ).scalars()
                )
        contracts = [subject for subject in subjects if subject not in found]
        head, f = tables.fact_head, tables.fact
        for some in _slices(sorted(contracts)):
            accounts = self._db.execute(
                select(f.c.account)
                .join(head, head.c.row_id == f.c.id)
                .where(head.c.type == "contract", head.c.fact_id.in_(some))
            ).scalars()
            names = [account for account in accounts if account is not None]
            if names:
                found |= set(
                    self._db.execute(
                        select(a.c.prospect).where(a.c.program == self.program, a.c.account.in_(names))
                    ).scalars()
                )
        due = select(p.c.prospect).where(p.c.program == self.program, p.c.wake_on <= today.isoformat())
        return found | set(self._db.execute(due).scalars())

    def all_prospects(self) -> set[str]:
        """Every prospect of the program."""
        return set(
            self._db.execute(select(t.prospect.c.prospect).where(t.prospect.c.program == self.program)).scalars()
        )

    def waiting_for_rates(self) -> set[str]:
        """Prospects with something that cannot be posted for want of an exchange rate."""
        o = t.outcome_row
        key = f"{_escaped(self.program)}:fx_rate_missing:%"
        query = select(o.c.owner, o.c.row).where(
            o.c.program == self.program, o.c.list == "tasks", o.c.key.like(key, escape="\\")
        )
        return {row.owner for row in self._db.execute(query) if orjson.loads(row.row)["state"] != "done"}

    def prospects_of_partners(self, partners: Collection[str]) -> set[str]:
        """The prospects that these partners claim."""
        found: set[str] = set()
        for some in _slices(sorted(partners)):
            query = select(t.tie.c.prospect).where(t.tie.c.program == self.program, t.tie.c.partner.in_(some))
            found |= set(self._db.execute(query).scalars())
        return found

    def marks(self, partner: str) -> list[dict[str, Any]]:
        """Which claims of a partner count for its tier, and what they are worth, a row for each prospect."""
        o = t.outcome_row
        query = select(o.c.row).where(
            o.c.program == self.program, o.c.list == "marks", o.c.key.like(f"{_escaped(partner)}:%", escape="\\")
        )
        rows = [orjson.loads(row) for row in self._db.execute(query.order_by(o.c.key)).scalars()]
        return [row for row in rows if row["partner"] == partner]

    def owned(self, owners: Collection[str]) -> dict[str, Any]:
        """Outcome rows of these owners, by key."""
        o = t.outcome_row
        found: dict[str, Any] = {}
        for some in _slices(sorted(owners)):
            query = select(o.c.key, o.c.row).where(o.c.program == self.program, o.c.owner.in_(some))
            found |= {row.key: orjson.loads(row.row) for row in self._db.execute(query)}
        return found

    def prospects(self, names: Collection[str]) -> Prospects:
        """These prospects as stored."""
        by_id: dict[str, Prospect] = {}
        ties: dict[str, list[Tie]] = {}
        for some in _slices(sorted(names)):
            for row in self._db.execute(
                select(t.prospect).where(t.prospect.c.program == self.program, t.prospect.c.prospect.in_(some))
            ):
                accounts = orjson.loads(row.accounts)
                known = [(instant(at), account) for at, account in accounts["known"]]
                by_id[row.prospect] = Prospect(row.prospect, [], known, accounts["trees"])
            for row in self._db.execute(
                select(t.tie)
                .where(t.tie.c.program == self.program, t.tie.c.prospect.in_(some))
                .order_by(t.tie.c.referral)
            ):
                by_id[row.prospect].referrals.append(row.referral)
                ties[row.referral] = [
                    Tie(instant(at), prospect, rule, evidence, tuple(unsure), part)
                    for at, prospect, rule, evidence, unsure, part in orjson.loads(row.ties)
                ]
        return Prospects(by_id, ties)

    def kin(self, accounts: Collection[str]) -> list[str]:
        """Claimed accounts directly above or below these in the corporate tree."""
        a, s, f, head = t.account_prospect, t.fact_subject, tables.fact, tables.fact_head
        near: set[str] = set()
        for some in _slices(sorted(accounts)):
            below = select(s.c.fact_id).where(s.c.type == "account", s.c.subject.in_([f"parent:{one}" for one in some]))
            near |= set(self._db.execute(below).scalars())
            own = (
                select(f.c.body)
                .join(head, head.c.row_id == f.c.id)
                .where(head.c.type == "account", head.c.fact_id.in_(some))
            )
            near |= {orjson.loads(body).get("parent") for body in self._db.execute(own).scalars()}
        near -= {None, *accounts}
        found: set[str] = set()
        for some in _slices(sorted(near)):
            found |= set(
                self._db.execute(
                    select(a.c.account).where(a.c.program == self.program, a.c.account.in_(some))
                ).scalars()
            )
        return sorted(found)

    def holds_of_partners(self, partners: Collection[str]) -> list[Hold]:
        """What the disputes of these partners hold."""
        o = t.outcome_row
        found: list[Hold] = []
        for some in _slices(sorted(partners)):
            query = select(o.c.row).where(o.c.program == self.program, o.c.list == "disputed", o.c.key.in_(some))
            for row in self._db.execute(query).scalars():
                found += [
                    Hold(kind, subject, instant(since), None if until is None else instant(until), disputed=True)
                    for kind, subject, since, until in orjson.loads(row)
                ]
        return found

    def holds(self, referrals: Collection[str]) -> dict[str, list[Hold]]:
        """When the entries of these referrals were held, as the last settling of their prospects found."""
        o = t.outcome_row
        found: dict[str, list[Hold]] = {}
        for some in _slices(sorted(referrals)):
            query = select(o.c.key, o.c.row).where(o.c.program == self.program, o.c.list == "holds", o.c.key.in_(some))
            for row in self._db.execute(query):
                found[row.key] = [
                    Hold("referral", row.key, instant(since), None if until is None else instant(until))
                    for since, until in orjson.loads(row.row)
                ]
        return found

    def set_wake(self, prospect: str, wake_on: date | None) -> None:
        """When the prospect next changes by the passing of time alone."""
        self._db.execute(
            update(t.prospect)
            .where(t.prospect.c.program == self.program, t.prospect.c.prospect == prospect)
            .values(wake_on=wake_on.isoformat() if wake_on else None)
        )

    # ---- outcome rows

    def replace_rows(self, owners: Collection[str], rows: Sequence[tuple[str, str, str, Any]]) -> None:
        """Replace the outcome rows of these owners: (list, key, owner, row)."""
        o = t.outcome_row
        for some in _slices(sorted(owners)):
            self._db.execute(delete(o).where(o.c.program == self.program, o.c.owner.in_(some)))
        values = [
            {"program": self.program, "list": name, "key": key, "owner": owner, "row": orjson.dumps(row).decode()}
            for name, key, owner, row in rows
        ]
        self._upsert(o, ["program", "list", "key"], values)

    def rows(self, name: str) -> list[dict[str, Any]]:
        """All current rows of one list of the outcome, in order of their key."""
        if name == "entries":
            found = self._db.execute(
                select(t.entry_head).where(t.entry_head.c.program == self.program).order_by(t.entry_head.c.key)
            )
            return [_entry_row(row) for row in found]
        if name == "statements":
            s = t.statement_head
            found = self._db.execute(select(s.c.row).where(s.c.program == self.program).order_by(s.c.id))
        else:
            o = t.outcome_row
            found = self._db.execute(
                select(o.c.row).where(o.c.program == self.program, o.c.list == name).order_by(o.c.key)
            )
        return [orjson.loads(row.row) for row in found]

    # ---- journal

    def journal(self, items: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Append (kind, subject, body) rows to the chain."""
        if not items:
            return
        j = t.journal
        last = self._db.execute(select(j.c.seq, j.c.hash).order_by(j.c.seq.desc()).limit(1)).one_or_none()
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
        self._db.execute(insert(j), values)

    def entries_of(self, prospects: Collection[str]) -> dict[str, Any]:
        """Stored entry heads of these prospects, by key."""
        e = t.entry_head
        found = {}
        for some in _slices(sorted(prospects)):
            for row in self._db.execute(select(e).where(e.c.program == self.program, e.c.prospect.in_(some))):
                found[row.key] = row
        return found

    def add_entries(self, entries: Sequence[tuple[str, Entry, str | None]]) -> None:
        """Append entries (prospect, entry, key it replaces) to the journal with their accrual, and make their heads."""
        if not entries:
            return
        self.journal([("entry", entry.key, entry_body(entry)) for _, entry, _ in entries])
        self.journal([("posting", e.key, posting_body(posting(e, "accrued", e.posted_at))) for _, e, _ in entries])
        values = [
            {"key": entry.key, "program": self.program, "prospect": owner, "partner": entry.partner, "referral": entry.referral or "",
             "currency": entry.currency, "amount_minor": Money(entry.amount, entry.currency).minor,
             "states_on": _iso(entry.states_on), "releases_on": _iso(entry.releases_on), "state": "accrued",
             "released_on": None, "statement": None, "replaces": replaces,
             "body": orjson.dumps(entry_body(entry), option=orjson.OPT_SORT_KEYS).decode()}
            for owner, entry, replaces in entries
        ]  # fmt: skip
        self._db.execute(insert(t.entry_head), values)

    def set_releases(self, entries: Sequence[Entry]) -> None:
        """Entries were released since they were posted: where and when they are stated and due."""
        e = t.entry_head
        change = (
            update(e)
            .where(e.c.key == bindparam("entry"))
            .values(states_on=bindparam("stated"), releases_on=bindparam("released"), body=bindparam("now"))
        )
        values = [
            {"entry": each.key, "stated": _iso(each.states_on), "released": _iso(each.releases_on),
             "now": orjson.dumps(entry_body(each), option=orjson.OPT_SORT_KEYS).decode()}
            for each in entries
        ]  # fmt: skip
        if values:
            self._db.execute(change, values)

    def entries_named(self, keys: Collection[str]) -> set[str]:
        """Those of these keys under which an entry is stored."""
        e = t.entry_head
        found: set[str] = set()
        for some in _slices(sorted(keys)):
            found |= set(self._db.execute(select(e.c.key).where(e.c.key.in_(some))).scalars())
        return found

    def entries_of_partners(self, partners: Collection[str]) -> list[tuple[Entry, Any]]:
        """Every entry of these partners, with its head."""
        e = t.entry_head
        found = []
        for some in _slices(sorted(partners)):
            query = select(e).where(e.c.program == self.program, e.c.partner.in_(some))
            found += [(entry_of(orjson.loads(row.body)), row) for row in self._db.execute(query)]
        return found

    def unstated(self, partners: Collection[str]) -> list[tuple[Entry, Any]]:
        """Entries that stand on no cut statement, with their heads."""
        e = t.entry_head
        found = []
        for some in _slices(sorted(partners)):
            query = select(e).where(e.c.program == self.program, e.c.partner.in_(some), e.c.statement.is_(None))
            found += [(entry_of(orjson.loads(row.body)), row) for row in self._db.execute(query)]
        return found

    def entries_on(self, statements: Collection[str]) -> list[tuple[Entry, Any]]:
        """Entries that stand on these cut statements."""
        e = t.entry_head
        found = []
        for some in _slices(sorted(statements)):
            found += [
                (entry_of(orjson.loads(row.body)), row)
                for row in self._db.execute(select(e).where(e.c.statement.in_(some)))
            ]
        return found

    def waiting_partners(self, today: date, settled_to: date | None) -> set[str]:
        """Partners with entries that are released by now, or (in a month not settled before) statements to go on with."""
        e, s = t.entry_head, t.statement_head
        released = select(e.c.partner).where(
            e.c.program == self.program, e.c.state == "accrued", e.c.releases_on <= today.isoformat()
        )
        if settled_to is not None and (settled_to.year, settled_to.month) == (today.year, today.month):
            return set(self._db.execute(released.distinct()).scalars())
        month = today.replace(day=1).isoformat()  # a period begins with a month
        opened = select(s.c.partner).where(s.c.program == self.program, s.c.cut.is_(false()), s.c.period_from < month)
        carried = select(s.c.partner).where(s.c.program == self.program, s.c.carried_minor != 0)
        unstated = select(e.c.partner).where(
            e.c.program == self.program, e.c.statement.is_(None), e.c.states_on < month
        )
        return {
            name
            for query in (released, opened, carried, unstated)
            for name in self._db.execute(query.distinct()).scalars()
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
            {"entry": key, "now": state, "released": _iso(released_on), "on": statement}
            for key, state, released_on, statement in standings
        ]
        if values:
            self._db.execute(change, values)

    def postings_of(self, keys: Collection[str]) -> set[tuple[str, str, int]]:
        """(entry, event, instant) of everything posted on these entries."""
        j = t.journal
        found = set()
        for some in _slices(sorted(keys)):
            for row in self._db.execute(
                select(j.c.subject, j.c.body).where(j.c.kind == "posting", j.c.subject.in_(some))
            ):
                body = orjson.loads(row.body)
                found.add((row.subject, body["event"], body["at"]))
        return found

    def statement_heads(self, partners: Collection[str]) -> list[Any]:
        """Statement heads of these partners, oldest first."""
        s = t.statement_head
        found: list[Any] = []
        for some in _slices(sorted(partners)):
            query = (
                select(s).where(s.c.program == self.program, s.c.partner.in_(some)).order_by(s.c.period_from, s.c.id)
            )
            found += list(self._db.execute(query))
        return found

    def last_statements(self, partners: Collection[str]) -> list[Any]:
        """The last cut statement of each partner and currency."""
        s = t.statement_head
        found: list[Any] = []
        for some in _slices(sorted(partners)):
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
            found += list(self._db.execute(query))
        return found

    def statements_named(self, ids: Collection[str]) -> list[Any]:
        """Statement heads by id."""
        s = t.statement_head
        found: list[Any] = []
        for some in _slices(sorted(ids)):
            found += list(self._db.execute(select(s).where(s.c.program == self.program, s.c.id.in_(some))))
        return found

    def save_statements(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert or replace statement heads; a cut statement's figures are journaled by the caller once."""
        self._upsert(t.statement_head, ["id"], rows)

    def drop_open_statements(self, partners: Collection[str]) -> None:
        """Forget open statements: they are computed again."""
        s = t.statement_head
        for some in _slices(sorted(partners)):
            self._db.execute(delete(s).where(s.c.program == self.program, s.c.partner.in_(some), s.c.cut.is_(false())))

    # ---- writing

    def _upsert(self, target: Any, keys: Sequence[str], values: Sequence[Mapping[str, Any]]) -> None:
        if not values:
            return
        make: Any = postgresql.insert if self._db.dialect.name == "postgresql" else sqlite.insert
        statement = make(target)
        others = {name: statement.excluded[name] for name in values[0] if name not in keys}
        self._db.execute(statement.on_conflict_do_update(index_elements=list(keys), set_=others), list(values))

    def _insert_missing(self, target: Any, values: Sequence[Mapping[str, Any]]) -> None:
        make: Any = postgresql.insert if self._db.dialect.name == "postgresql" else sqlite.insert
        self._db.execute(make(target).on_conflict_do_nothing(), list(values))


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
        "posted_at": micros(entry.posted_at), "states_on": _iso(entry.states_on), "releases_on": _iso(entry.releases_on),
        "due_on": _iso(entry.due_on), "corrects": entry.corrects, "clauses": list(entry.clauses), "because": entry.because,
        **({"paid_on": entry.paid_on.isoformat()} if entry.paid_on else {}),
    }  # fmt: skip


def entry_of(body: Mapping[str, Any]) -> Entry:
    """The entry that :func:`entry_body` wrote."""
    return Entry(
        body["key"], body["entry_program"], body["partner"], body["referral"], body["contract"], body["entry_kind"],
        (body["source"][0], body["source"][1]),
        None if body["basis"] is None else Decimal(body["basis"]), None if body["rate"] is None else Decimal(body["rate"]),
        Decimal(body["amount"]), body["currency"], date.fromisoformat(body["earned_on"]), instant(body["posted_at"]),
        _day(body["states_on"]), _day(body["releases_on"]), _day(body["due_on"]), body["corrects"], tuple(body["clauses"]),
        body["because"], _day(body.get("paid_on")),
    )  # fmt: skip


def posting_body(each: Posting) -> dict[str, Any]:
    """A posting as JSON."""
    return {
        "entry": each.entry, "event": each.event, "at": micros(each.at), "debit": each.debit, "credit": each.credit,
        "amount": format(each.amount, "f"), "currency": each.currency, "note": each.note,
    }  # fmt: skip


def _entry_row(head: Any) -> dict[str, Any]:
    entry = entry_of(orjson.loads(head.body))
    return entry_row(entry, Standing(head.state, _day(head.released_on)))


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
    elif kind in ("contract", "opportunity") and body.get("referral"):
        yield f"referral:{body['referral']}"


def _task_subject(about: str, program: str) -> str:
    if not about.startswith(f"{program}:"):
        return about
    return ":".join(about.split(":")[2:-1]) or about


def _escaped(text: str) -> str:
    """Text as it stands, for a pattern of LIKE."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _slices(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(values), _SLICE):
        yield values[start : start + _SLICE]
