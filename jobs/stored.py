"""Job: bring the stored outcome up to date, from what changed since the last time.

Only the prospects that new facts touch (or that time touches) are replayed; their entries are compared with the ledger
and the difference is posted as new entries. Statements go on from the last one cut. So a changed invoice costs the
same whatever the history behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson
from sqlalchemy import Connection

from jobs.counting import marks_of, tiers_of
from jobs.history import History, first_of
from jobs.settle import Settled, settle_claims, settle_money, standing_holds
from jobs.standing import co_op_funds, shared_referrals, successes, tasks_of_partners, tasks_of_program, worth_of
from rules.disputes import Disputable, disputes_of
from rules.dues import due_for, payable_from, period_end, period_start
from rules.facts import Facts
from rules.ledger import Entry, Ledger, Posting, State, posting
from rules.money import Money as Amount
from rules.money import text
from rules.program import Program
from rules.statements import Hold, Holds, Resumed, Statement, astray, cut, disputed_spans, match_money
from rules.tasks import Task, names_task
from rules.tiers import Mark, TierHistory
from sync.book import Book
from sync.book_facts import NewFacts
from sync.book_ledger import entry_of, posting_body
from sync.bulk import slices
from sync.long_maps import LongMap
from sync.matching import RULESET
from sync.prospects import Prospect, Prospects
from sync.sightings import Sightings
from sync.tables import instant, micros

_BATCH = 200
"""Prospects whose facts are held in memory together, or partners whose statements are."""
_NOTES = 2
"""What a book notes of facts; one that was settled with other notes reads all facts once more."""
_ENTRIES = 2000
"""Entries on no statement yet that are held in memory together, unless a single partner has more."""


@dataclass(frozen=True, slots=True)
class Brought:
    """What bringing a program up to date did."""

    program: str
    prospects: int = 0
    new_entries: int = 0
    statements_cut: tuple[str, ...] = ()
    partners: tuple[str, ...] = field(default=())


def bring_up_to_date(db: Connection, program: Program, now: datetime) -> Brought:
    """Settle what changed, inside the caller's transaction; safe to repeat: the second time changes nothing.

    ``now`` is the instant up to which facts count. Raises: ``RuleError`` for a fact that the rules refuse.
    """
    return _Settling(db, program, now).run()


class _Settling:
    def __init__(self, db: Connection, program: Program, now: datetime) -> None:
        self._program = program
        self._calendar = program.calendar
        self._book = Book(db, program.id)
        self._now = self._book.known_by(now)
        self._today = program.calendar.date_of(self._now)
        self._until = self._now + timedelta(microseconds=1)
        terms = program.on(self._today)
        self._has_tiers = terms.tiers is not None
        self._marks_read: dict[str, list[dict[str, Any]]] = {}
        self._moves_daily = bool(
            terms.tiers or terms.co_op or terms.tickets or terms.applications or terms.lead_sharing
            or any(each.every for each in terms.entitlements)
        )  # fmt: skip

    def run(self) -> Brought:
        terms = f"{_NOTES}:{hashlib.sha256(self._program.model_dump_json().encode()).hexdigest()}"
        state = self._book.state()
        is_noted = state is not None and state.terms.startswith(f"{_NOTES}:")
        since = state.fact_row if is_noted else 0
        other_terms = state is None or state.terms != terms
        new = self._book.new_facts(since, self._calendar, self._until, all_touched=other_terms)
        self._book.note_ahead(new.ahead)
        self._book.note_subjects(since, new.last_row)
        touched: set[str] = set()
        if new.identity or other_terms:
            touched |= self._tie()
            self._book.follow_ties(touched)
        if new.rates:
            touched |= self._book.waiting_for_rates()
        touched |= self._book.all_prospects() if other_terms else self._book.prospects_of(new, self._today)
        if self._has_tiers:
            touched |= self._mark(touched)
        partners, count = self._settle_prospects(touched)
        settled_to = date.fromisoformat(state.as_of) if state is not None else None
        moved, more = self._settle_partners(new, is_new_day=settled_to != self._today or other_terms)
        partners |= moved
        count += more
        partners |= self._partners_of(new)
        partners |= self._book.waiting_partners(self._today, settled_to)
        cut_now: list[str] = []
        for some in self._book.unstated_together(sorted(partners), _ENTRIES, _BATCH):
            cut_now += self._settle_statements(some, new)
        if self._has_tiers:
            self._store_tiers()
        self._book.set_state(terms=terms, fact_row=new.last_row, as_of=self._today, at=self._now)
        return Brought(self._program.id, len(touched), count, tuple(cut_now), tuple(sorted(partners)))

    def _tie(self) -> set[str]:
        sightings = Sightings()
        partners: LongMap[str, str] = LongMap()
        for facts in self._book.facts_of("account"):
            sightings.add("account", self._history(facts).views["account"])
        for facts in self._book.facts_of("referral"):
            referrals = self._history(facts).views["referral"]
            sightings.add("referral", referrals)
            partners.update(
                (name, timeline[0].fact.partner) for name, timeline in referrals.items() if timeline[0].fact
            )
        history = self._history(self._book.linking_facts())
        prospects = history.prospects_of(sightings, self._book.merges())
        del sightings
        changed = self._book.save_ties(prospects, partners, RULESET)
        kin: set[str] = set()
        for some in slices(sorted(name.removeprefix("account:") for name in changed if name.startswith("account:"))):
            kin.update(f"account:{account}" for account in self._book.kin({"": some})[""])
        return changed | kin

    def _history(self, facts: Facts) -> History:
        return History.of(self._program, facts, self._today, until=self._until)

    def _settle_prospects(self, names: Collection[str]) -> tuple[set[str], int]:
        """Replay prospects, a batch at a time, and post what is new."""
        partners: set[str] = set()
        count = 0
        for some in slices(sorted(names), _BATCH):
            prospects = self._book.prospects(some)
            history = self._history_of(prospects)
            fresh: list[tuple[str, Entry, str | None]] = []
            rows: list[tuple[str, str, str, Any]] = []
            stored = self._stored(prospects.by_id)
            kin = self._kin(prospects)
            wakes: dict[str, date | None] = {}
            for name in sorted(prospects.by_id):
                settled = self._settled(history, prospects, prospects.by_id[name], kin[name])
                fresh += self._difference(name, settled, stored.get(name, {}))
                self._book.set_releases(_released_since(settled, stored.get(name, {})))
                partners |= {claim.partner for claim in settled.claims if claim.last.contract}
                rows += [(kind, key, name, row) for kind, key, row in settled.rows_of_prospect()]
                rows += _hold_rows(name, settled)
                wakes[name] = self._wake(history, prospects.by_id[name], settled)
            self._book.set_wakes(wakes)
            self._book.add_entries(fresh)
            self._book.replace_rows(prospects.by_id.keys(), rows)
            partners |= {entry.partner for _, entry, _ in fresh}
            count += len(fresh)
        return partners, count

    def _mark(self, names: Collection[str]) -> set[str]:
        """Store which claims count for tiers; returns the prospects of partners for whom that changed."""
        moved: set[str] = set()
        for some in slices(sorted(names), _BATCH):
            prospects = self._book.prospects(some)
            history = self._history_of(prospects)
            kin = self._kin(prospects)
            rows: list[tuple[str, str, str, Any]] = []
            for name in sorted(prospects.by_id):
                settled = self._claims(history, prospects, prospects.by_id[name], kin[name])
                for partner, marks in sorted(marks_of(history, settled.claims).items()):
                    rows.append(
                        (
                            "marks",
                            f"{partner}:{name}",
                            f"marks:{name}",
                            {
                                "partner": partner,
                                "marks": _mark_rows(marks),
                                "worth": [
                                    [claim.referral, format(worth_of(history, claim.last.contracts), "f")]
                                    for claim in settled.claims
                                    if claim.partner == partner
                                ],
                            },
                        )
                    )
            before = self._book.owned([f"marks:{name}" for name in prospects.by_id])
            after = {key: body for _, key, _, body in rows}
            keys = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            moved |= {
                key.removesuffix(f":{name}") for key in keys for name in prospects.by_id if key.endswith(f":{name}")
            }
            self._book.replace_rows([f"marks:{name}" for name in prospects.by_id], rows)
        self._marks_read.clear()
        return self._book.prospects_of_partners(moved)

    def _history_of(self, prospects: Prospects) -> History:
        accounts = {account for prospect in prospects.by_id.values() for account in prospect.everyone}
        referrals = {referral for prospect in prospects.by_id.values() for referral in prospect.referrals}
        facts = self._book.facts_for(accounts, referrals)
        history = self._history(facts)
        history.look_ahead(facts)
        history.shared_referrals = shared_referrals(history)
        return history

    def _kin(self, prospects: Prospects) -> dict[str, list[str]]:
        accounts = {name: [account for _, account in each.accounts] for name, each in prospects.by_id.items()}
        return self._book.kin(accounts)

    def _claims(self, history: History, prospects: Prospects, prospect: Prospect, kin: Sequence[str]) -> Settled:
        settled = Settled(self._program, self._today, ledger=Ledger(self._program.id))
        prospect.referrals = [r for r in prospect.referrals if r in history.views["referral"]]
        settle_claims(history, prospects, prospect, settled, kin)
        return settled

    def _settled(self, history: History, prospects: Prospects, prospect: Prospect, kin: Sequence[str]) -> Settled:
        settled = self._claims(history, prospects, prospect, kin)
        if self._has_tiers:
            partners = sorted({claim.partner for claim in settled.claims})
            settled.tiers = tiers_of(history, self._marks(partners))
        before = len(settled.tasks)
        for claim in settled.claims:
            settle_money(history, claim, settled)
        history.tick_off(settled.tasks[before:])
        return settled

    def _mark_rows_of(self, partner: str) -> list[dict[str, Any]]:
        """The marks of a partner as they are stored; read once, since they stand still while money is settled."""
        if partner not in self._marks_read:
            self._marks_read[partner] = self._book.marks(partner)
        return self._marks_read[partner]

    def _marks(self, partners: Collection[str]) -> dict[str, list[Mark]]:
        return {
            partner: [
                Mark(instant(at), name, date.fromisoformat(day) if day else None)
                for row in self._mark_rows_of(partner)
                for at, name, day in row["marks"]
            ]
            for partner in partners
        }

    @cached_property
    def _tiers(self) -> dict[str, TierHistory]:
        """The tiers of every partner as of today, once all marks are stored: they change by time alone, too."""
        if not self._has_tiers:
            return {}
        history = self._history(self._book.enrollment_facts())
        return tiers_of(history, self._marks(sorted(history.enrollments)))

    def _store_tiers(self) -> None:
        tiers = self._tiers
        seen_at = self._calendar.end_of(self._today)
        rows = [
            ("tiers", partner, "tiers", tiers[partner].row(self._program.id, partner, self._today, seen_at))
            for partner in sorted(tiers)
        ]
        self._book.replace_rows(["tiers"], rows)

    def _stored(self, names: Collection[str]) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for key, row in self._book.entries_of(names).items():
            found.setdefault(row.prospect, {})[key] = row
        return found

    def _difference(
        self, prospect: str, settled: Settled, stored: Mapping[str, Any]
    ) -> list[tuple[str, Entry, str | None]]:
        """Entries that the ledger lacks, and adjustments for stored ones that are computed otherwise now."""
        adjusted: dict[str, Decimal] = {}
        numbers: dict[str, int] = {}
        for row in stored.values():
            if row.replaces is not None:
                amount = Amount.of_minor(row.amount_minor, row.currency).amount
                adjusted[row.replaces] = adjusted.get(row.replaces, Decimal(0)) + amount
                numbers[row.replaces] = numbers.get(row.replaces, 0) + 1
        fresh: list[tuple[str, Entry, str | None]] = []
        computed = settled.ledger.entries
        for key, entry in computed.items():
            if key not in stored:
                fresh.append((prospect, entry, None))
        for key, row in stored.items():
            if row.replaces is not None:
                continue
            before = Amount.of_minor(row.amount_minor, row.currency).amount + adjusted.get(key, Decimal(0))
            target = computed[key].amount if key in computed else Decimal(0)
            if target != before:
                fresh.append((prospect, self._adjustment(row, target - before, numbers.get(key, 0) + 1), key))
        return fresh

    def _adjustment(self, row: Any, amount: Decimal, number: int) -> Entry:
        original = entry_of(orjson.loads(row.body))
        short = hashlib.sha256(original.key.encode()).hexdigest()[:12]
        terms = self._program.on(self._today)
        released = payable_from(terms, self._today)
        key = f"{self._program.id}:{original.referral}:adjustment:recalculation:{short}:{number}"
        because = (
            f"{original.key} is computed as {text(original.amount + amount, original.currency)} {original.currency} now "
            "(changed terms, mapping or identity); the difference is posted, the entry stays as it was"
        )
        return replace(
            original, key=key, kind="adjustment", source=("entry", original.key), basis=None, amount=amount,
            earned_on=self._today, posted_at=self._now, states_on=self._today, releases_on=released,
            due_on=due_for(terms, self._calendar, released), corrects=original.key, because=because,
        )  # fmt: skip

    def _wake(self, history: History, prospect: Prospect, settled: Settled) -> date | None:
        """The next date on which something of the prospect comes true, or a claim changes, by time alone."""
        partners = {
            view.fact.partner for name in prospect.referrals for view in history.views["referral"][name] if view.fact
        }
        deals = {name for referral in prospect.referrals for name in history.contracts_named.get(referral, ())}
        for account in prospect.everyone:
            deals |= history.by_account.get(account, {}).get("contract", {}).keys()
        subjects = {*prospect.referrals, *prospect.everyone, *partners, *deals}
        days = [history.coming[name] for name in sorted(subjects) if name in history.coming]
        days += settled.wakes
        later = [day for day in days if day > self._today]
        return min(later) if later else None

    def _settle_partners(self, new: NewFacts, *, is_new_day: bool) -> tuple[set[str], int]:
        """What belongs to a partner or to the program, not to a prospect: duties, funds, disputes, leads.

        Returns the partners whose money moved, and how many entries are new.
        """
        moved: set[str] = set()
        names = new.partners | self._book.partners_named(new.subjects)
        if is_new_day:
            names |= set(self._book.partners())
        fresh: list[tuple[str, Entry, str | None]] = []
        for some in slices(sorted(names), _BATCH):
            history = self._history(self._book.partner_facts(some))
            stored = self._stored([f"partner:{name}" for name in some])
            rows: list[tuple[str, str, str, Any]] = []
            for partner in some:
                owner = f"partner:{partner}"
                settled = self._settled_partner(history, partner)
                added = self._difference(owner, settled, stored.get(owner, {}))
                released = _released_since(settled, stored.get(owner, {}))
                self._book.set_releases(released)
                fresh += added
                moved |= {partner} if added or released else set()
                rows += [("tasks", task.key, owner, task.row(self._today)) for task in settled.tasks]
                rows.append(("disputed", partner, owner, _disputed_rows(settled.holds)))
            self._book.replace_rows([f"partner:{name}" for name in some], rows)
        self._book.add_entries(fresh)
        if self._moves_daily:
            self._store_program_tasks()
        return moved, len(fresh)

    def _settled_partner(self, history: History, partner: str) -> Settled:
        settled = Settled(self._program, self._today, ledger=Ledger(self._program.id))
        if partner not in history.enrollments:
            return settled
        tier = self._tiers.get(partner)
        alone = history.of_one(partner)
        settled.tasks += tasks_of_partners(alone, {partner: tier} if tier else {})
        for fund in co_op_funds(alone, {partner: tier.steps if tier else ()}, settled.ledger):
            settled.tasks += fund.tasks
        own = {name: t for name, t in history.views["dispute"].items() if first_of(t).partner == partner}
        if own:
            disputable = self._disputable(history, partner, settled.ledger.entries)
            disputes = disputes_of(self._program, own, disputable, history.enrollments, settled.ledger)
            settled.tasks += disputes.tasks
            settled.holds += disputes.holds
        history.tick_off(settled.tasks)
        return settled

    def _disputable(self, history: History, partner: str, fresh: Mapping[str, Entry]) -> Disputable:
        """Where what a partner disputes is looked up: its entries, as they were stated; ``fresh`` may not be stored yet."""
        stored = self._book.entries_of_partners([partner])
        cut = {row.id: self._next_period(row) for row in self._book.statement_heads([partner]) if row.cut}
        entries = {**fresh, **{entry.key: entry for entry, _ in stored}}
        stated_on = {entry.key: cut[head.statement] for entry, head in stored if head.statement in cut}
        claimed = {e.contract: (e.partner, e.referral) for e in entries.values() if e.contract and e.referral}
        return Disputable(self._program, entries, stated_on, history.views["contract"], claimed)

    def _store_program_tasks(self) -> None:
        """Applications, shared leads and the recognition of the best."""
        history = self._history(self._book.program_facts())
        marks = [row for partner in sorted(history.enrollments) for row in self._mark_rows_of(partner)]
        worth = {name: Decimal(value) for row in marks for name, value in row["worth"]}
        found = successes(self._program, self._tiers, lambda referral: worth.get(referral, Decimal(0)))
        tasks = tasks_of_program(history, self._tiers, found)
        history.tick_off(tasks)
        self._book.replace_rows(["program"], [("tasks", t.key, "program", t.row(self._today)) for t in tasks])

    def _partners_of(self, new: NewFacts) -> set[str]:
        """Partners whose statements these facts name, or whose withholding may have changed."""
        asked = (names_task(subject, self._program.id, "negative_balance") for subject in new.subjects)
        named = {*new.statements, *(statement for statement in asked if statement)}
        own = [statement for statement in named if statement.startswith(f"{self._program.id}:")]
        return {_partner_of(statement) for statement in own} | new.partners

    def _settle_statements(self, partners: set[str], new: NewFacts) -> list[str]:
        """Cut what is due for these partners, match money, and post what happened to each entry."""
        said = {statement for statement in new.statements if _partner_of(statement) in partners}
        lasts = self._book.last_statements(partners)
        unstated = self._book.unstated(partners)
        named = self._book.statements_named(said)
        ids = {row.id for row in [*named, *lasts]} | said | self._coming_ids(lasts, unstated)
        facts = self._book.statement_facts(ids, partners)
        history = self._history(facts)
        resumed = {(row.partner, row.currency): self._resume(row) for row in lasts}
        ledger = Ledger(self._program.id)
        for entry, _ in unstated:
            ledger.entries[entry.key] = entry
        held = self._book.holds({entry.referral for entry, _ in unstated if entry.referral is not None})
        disputed = self._book.holds_of_partners(partners)
        holds = [hold for each in held.values() for hold in each] + list(standing_holds(history)) + disputed
        result = cut(
            self._program, ledger, holds, history.views["partner"], history.money(), self._today, resumed,
            history.enrollments,
        )  # fmt: skip
        known = {entry.key for entry, _ in unstated}
        decided = [entry for key, entry in ledger.entries.items() if key not in known]
        self._book.add_entries([(f"write_off:{entry.partner}", entry, None) for entry in decided])
        if decided:
            unstated = self._book.unstated(partners)
        postings = [posting(*move) for move in ledger.moves]
        saved, journaled, tasks = [], [], list(result.tasks)
        for statement in result.statements:
            saved.append(self._statement_values(statement))
            if statement.cut_at is not None:
                journaled.append(("statement", statement.id, _issued_body(statement)))
        on = {e.key: s.id for s in result.statements if s.cut_at is not None for e in s.entries}
        matched, more, extra = self._match_earlier(named, history, {s.id for s in result.statements})
        saved += matched
        postings += more
        tasks += extra
        self._book.drop_open_statements(partners)
        self._book.save_statements(saved)
        self._book.journal(journaled)
        self._journal_postings(postings)
        moved = []
        for entry, head in unstated:
            standing = result.standings[entry.key]
            now = (
                standing.state,
                standing.released_on.isoformat() if standing.released_on else None,
                on.get(entry.key),
            )
            if now != (head.state, head.released_on, head.statement):
                moved.append((entry.key, standing.state, standing.released_on, on.get(entry.key)))
        self._book.set_standings(moved)
        self._pay_carried(result.statements, ledger, partners)
        self._stand_disputed(disputed, partners)
        earlier = {row.id: row for row in [*named, *lasts] if row.cut and row.id not in on.values()}
        rereads = [self._reread(row) for row in earlier.values()]
        tasks += [
            task
            for task in astray(self._program, [*result.statements, *rereads], history.money())
            if task.subject in ids
        ]
        owners = {task.subject for task in tasks} | {row.id for row in named} | {s.id for s in result.statements} | said
        rows = [("tasks", task.key, task.subject, task.row(self._today)) for task in tasks]
        self._book.replace_rows(owners, rows)
        return [statement.id for statement in result.statements if statement.cut_at is not None]

    def _pay_carried(self, statements: Collection[Statement], ledger: Ledger, partners: Collection[str]) -> None:
        """Entries of statements cut in earlier runs are paid with the statement that their amount was carried into."""
        paid = {
            entry.key: (statement.paid_at, statement.id)
            for statement in statements
            if statement.paid_at is not None
            for entry in statement.covers
            if entry.key not in ledger.entries
        }
        if not paid:
            return
        moved, postings = [], []
        for entry, head in self._book.entries_of_partners(partners):
            if entry.key in paid:
                at, name = paid[entry.key]
                assert at is not None
                postings.append(posting(entry, "paid", at, name))
                released = date.fromisoformat(head.released_on) if head.released_on else None
                moved.append((entry.key, "paid", released, head.statement))
        self._book.set_standings(moved)
        self._journal_postings(postings)

    def _stand_disputed(self, disputed: Sequence[Hold], partners: Collection[str]) -> None:
        """Entries on statements cut in earlier runs wait for the answers to disputes about them."""
        if not disputed:
            return
        moved, postings = [], []
        by_partner = {e.key: (e, head) for e, head in self._book.entries_of_partners(partners)}
        heads = {
            row.id: row
            for row in self._book.statements_named({h.statement for _, h in by_partner.values() if h.statement})
        }
        known = self._book.postings_of(by_partner)
        paid = {key: instant(at) for key, event, at in known if event == "paid"}
        holds = Holds(disputed)
        for key, (entry, head) in sorted(by_partner.items()):
            if head.statement not in heads:
                continue
            cut_at = self._calendar.end_of(self._next_period(heads[head.statement]) - timedelta(days=1))
            found = holds.of(entry, head.statement, cut_at)
            if not found:
                continue
            paid_at = paid.get(key)
            state: State = "paid" if paid_at is not None else "stated"
            for since, until in disputed_spans(found, cut_at, paid_at):
                postings.append(posting(entry, "disputed", since))
                if until is not None:
                    postings.append(posting(entry, "resumed", until))
                else:
                    state = "held"
            if state != head.state:
                released = date.fromisoformat(head.released_on) if head.released_on else None
                moved.append((key, state, released, head.statement))
        self._book.set_standings(moved)
        self._journal_postings(postings)

    def _coming_ids(self, lasts: Collection[Any], unstated: Collection[tuple[Entry, Any]]) -> set[str]:
        """Ids of the statements that may be cut or open now."""
        starts = {(row.partner, row.currency): self._next_period(row) for row in lasts}
        for entry, _ in unstated:
            if entry.states_on is None:
                continue
            name = (entry.partner, entry.currency)
            first = period_start(self._program.on(entry.states_on), entry.states_on)
            starts[name] = min(starts.get(name, first), first)
        ids = set()
        for (partner, currency), day in starts.items():
            while day <= self._today:
                ids.add(f"{self._program.id}:{partner}:{day.isoformat()}:{currency}")
                day = period_end(self._program.on(day), day) + timedelta(days=1)
        return ids

    def _next_period(self, row: Any) -> date:
        """The first day after the period of a cut statement."""
        return date.fromisoformat(orjson.loads(row.row)["period_to"]) + timedelta(days=1)

    def _resume(self, row: Any) -> Resumed:
        period = self._next_period(row)
        opening = Amount.of_minor(row.carried_minor, row.currency).amount
        carried: list[Entry] = []
        if opening or not row.payable_minor:
            carried = self._carried(row)
        below = replace(self._reread(row), below_for=self._below_for(row)) if opening < 0 else None
        return Resumed(period, opening, tuple(carried), below)

    def _below_for(self, row: Any) -> int:
        """How many statements in a row up to this one carried on a balance below zero."""
        count = 0
        for head in reversed(self._book.statement_heads([row.partner])):
            if head.currency != row.currency or not head.cut or head.period_from > row.period_from:
                continue
            if head.carried_minor >= 0:
                break
            count += 1
        return count

    def _carried(self, row: Any) -> list[Entry]:
        """Entries of the statements whose amount was carried into the next one."""
        ids = []
        for head in reversed(self._book.statement_heads([row.partner])):
            if head.currency != row.currency or not head.cut or head.period_from > row.period_from:
                continue
            if head.payable_minor:
                break
            ids.append(head.id)
        return [entry for entry, _ in self._book.entries_on(ids)]

    def _statement_values(self, statement: Statement) -> dict[str, Any]:
        return {
            "id": statement.id, "program": statement.program, "partner": statement.partner, "currency": statement.currency,
            "period_from": statement.period_from.isoformat(),
            "payable_minor": Amount(statement.payable, statement.currency).minor,
            "carried_minor": Amount(statement.carried_forward, statement.currency).minor,
            "state": statement.state, "cut": statement.cut_at is not None, "row": orjson.dumps(statement.row()).decode(),
        }  # fmt: skip

    def _match_earlier(
        self, heads: list[Any], history: History, just_cut: Collection[str]
    ) -> tuple[list[dict[str, Any]], list[Posting], list[Task]]:
        """Match invoices and payouts that came for statements cut in an earlier run."""
        saved: list[dict[str, Any]] = []
        postings: list[Posting] = []
        tasks: list[Task] = []
        for head in heads:
            if head.id in just_cut or not head.cut:
                continue
            statement = self._reread(head)
            tasks += match_money(self._program, statement, history.money(), self._calendar)
            saved.append(self._statement_values(statement))
            if statement.paid_at is None:
                continue
            covered = self._covered(head)
            postings += [posting(entry, "paid", statement.paid_at, statement.id) for entry, _ in covered]
            self._book.set_standings(
                [
                    (entry.key, "paid", date.fromisoformat(h.released_on) if h.released_on else None, h.statement)
                    for entry, h in covered
                ]
            )
        return saved, postings, tasks

    def _covered(self, head: Any) -> list[tuple[Entry, Any]]:
        ids = [head.id]
        earlier = [h for h in self._book.statement_heads([head.partner]) if h.currency == head.currency and h.cut]
        for other in reversed([h for h in earlier if h.period_from < head.period_from]):
            if other.payable_minor:
                break
            ids.append(other.id)
        return self._book.entries_on(ids)

    def _reread(self, head: Any) -> Statement:
        row = orjson.loads(head.row)
        period_to = date.fromisoformat(row["period_to"])
        return Statement(
            row["program"], row["partner"], row["currency"], date.fromisoformat(row["period_from"]), period_to,
            date.fromisoformat(row["due_on"]), date.fromisoformat(row["pay_by"]),
            [entry for entry, _ in self._book.entries_on([head.id])],
            Decimal(row["opening"]), Decimal(row["withheld"]), Decimal(row["payable"]), Decimal(row["carried_forward"]),
            self._calendar.end_of(period_to), "issued",
        )  # fmt: skip

    def _journal_postings(self, postings: list[Posting]) -> None:
        known = self._book.postings_of({each.entry for each in postings})
        fresh = []
        for each in sorted(postings, key=lambda p: (p.at, p.entry)):
            body = posting_body(each)
            if each.at <= self._now and (each.entry, each.event, body["at"]) not in known:
                fresh.append(("posting", each.entry, body))
        self._book.journal(fresh)


def _issued_body(statement: Statement) -> dict[str, Any]:
    """A statement's figures as they were issued: what never changes."""
    row = statement.row()
    row.pop("state")
    return {"statement": row}


STORED = ("claims", "tiers", "entries", "statements", "support", "tasks")
"""The lists of the outcome that are stored."""


@dataclass(frozen=True, slots=True)
class StoredRows:
    """The stored rows of one list of the outcome, by program and key, read while they are gone through."""

    db: Connection
    programs: Collection[Program]
    name: str

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for program in self.programs:
            yield from Book(self.db, program.id).rows(self.name)


def stored_outcome(db: Connection, programs: Collection[Program], as_of: Mapping[str, date]) -> dict[str, Any]:
    """The stored outcome of programs as one document, in the shape of `referee settle`."""
    lists: dict[str, list[Any]] = {**{name: list(StoredRows(db, programs, name)) for name in STORED}, "rejected": []}
    for task in lists["tasks"]:
        today = as_of[task["program"]].isoformat()
        if task["state"] == "open" and task["due_on"] and task["due_on"] < today:
            task["state"] = "late"
    return {
        "as_of": max(day.isoformat() for day in as_of.values()),
        "programs": sorted(program.label_on(as_of[program.id]) for program in programs),
        **lists,
    }


def _released_since(settled: Settled, stored: Mapping[str, Any]) -> list[Entry]:
    """Entries on no statement yet that were released, placed on another statement or paid by themselves since stored."""
    found = []
    for key, row in stored.items():
        entry = settled.ledger.entries.get(key)
        if entry is None or row.statement is not None or row.replaces is not None:
            continue
        before = entry_of(orjson.loads(row.body))
        after = replace(
            before, states_on=entry.states_on, releases_on=entry.releases_on, due_on=entry.due_on, paid_on=entry.paid_on
        )
        if after != before:
            found.append(after)
    return found


def _disputed_rows(holds: Collection[Hold]) -> list[list[Any]]:
    return [
        [hold.kind, hold.subject, micros(hold.since), None if hold.until is None else micros(hold.until)]
        for hold in holds
    ]


def _mark_rows(marks: Collection[Mark]) -> list[list[Any]]:
    return [[micros(mark.at), mark.name, mark.day.isoformat() if mark.day else None] for mark in marks]


def _partner_of(statement: str) -> str:
    """The partner in a statement's id, ``program:partner:period_from:currency``."""
    return ":".join(statement.split(":")[1:-2])


def _hold_rows(owner: str, settled: Settled) -> list[tuple[str, str, str, Any]]:
    """When each referral's entries are held; kept beside the outcome, for statements that are cut later."""
    held: dict[str, list[Any]] = {}
    for hold in settled.holds:
        held.setdefault(hold.subject, []).append(
            [micros(hold.since), None if hold.until is None else micros(hold.until)]
        )
    return [("holds", referral, owner, instants) for referral, instants in held.items()]
