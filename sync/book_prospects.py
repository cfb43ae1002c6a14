"""The prospects of a stored book: how referrals are tied, what touches them, and what their last settling left for the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import orjson
from sqlalchemy import select

from rules.statements import Hold
from sync import book_tables as t
from sync import tables
from sync.book_facts import NewFacts
from sync.book_part import BookPart, escaped, task_subject
from sync.bulk import run_each, slices
from sync.prospects import Prospect, Prospects, Tie
from sync.tables import instant, micros


class BookProspects(BookPart):
    """The prospects of one program's book."""

    def save_ties(self, prospects: Prospects, partners: Mapping[str, str], ruleset: str) -> set[str]:
        """Store how those referrals are tied that a partner made; returns the prospects that gained or lost a referral or
        account. ``partners`` are by referral."""
        changed: set[str] = set()
        for some in slices(name for name in prospects.ties if name in partners):
            changed |= self._save_ties({name: prospects.ties[name] for name in some}, partners, ruleset)
        for some in slices(prospects.by_id):
            changed |= self._save_prospects({name: prospects.by_id[name] for name in some})
        return changed

    def _save_ties(self, some: Mapping[str, list[Tie]], partners: Mapping[str, str], ruleset: str) -> set[str]:
        own = select(t.tie).where(t.tie.c.program == self.program, t.tie.c.referral.in_(list(some)))
        before = {row.referral: row for row in self.db.execute(own)}
        changed: set[str] = set()
        values = []
        for referral, ties in some.items():
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
        self.upsert(t.tie, ["program", "referral"], values)
        return changed

    def _save_prospects(self, some: Mapping[str, Prospect]) -> set[str]:
        own = select(t.prospect).where(t.prospect.c.program == self.program, t.prospect.c.prospect.in_(list(some)))
        known = {row.prospect: row.accounts for row in self.db.execute(own)}
        changed: set[str] = set()
        rows, members = [], []
        for name, prospect in some.items():
            known_as = [[micros(at), account] for at, account in prospect.accounts]
            accounts = orjson.dumps({"known": known_as, "trees": prospect.trees}, option=orjson.OPT_SORT_KEYS).decode()
            if known.get(name) != accounts:
                changed.add(name)
                rows.append({"program": self.program, "prospect": name, "accounts": accounts})
                members += [
                    {"program": self.program, "account": each, "prospect": name} for each in sorted(prospect.everyone)
                ]
        self.upsert(t.prospect, ["program", "prospect"], rows)
        self.upsert(t.account_prospect, ["program", "account"], members)
        return changed

    def prospects_of(self, new: NewFacts, today: date) -> set[str]:
        """The prospects that these new facts, or the passing of time, touch."""
        found: set[str] = set()
        a, tie, p = t.account_prospect, t.tie, t.prospect
        subjects = {task_subject(s, self.program) for s in new.subjects} | new.subjects
        for some in slices(sorted(new.accounts | subjects)):
            found |= set(
                self.db.execute(
                    select(a.c.prospect).where(a.c.program == self.program, a.c.account.in_(some))
                ).scalars()
            )
        for column, touched in ((tie.c.referral, new.referrals | subjects), (tie.c.partner, new.partners)):
            for some in slices(sorted(touched)):
                found |= set(
                    self.db.execute(
                        select(tie.c.prospect).where(tie.c.program == self.program, column.in_(some))
                    ).scalars()
                )
        due = select(p.c.prospect).where(p.c.program == self.program, p.c.wake_on <= today.isoformat())
        return found | set(self.db.execute(due).scalars())

    def all_prospects(self) -> set[str]:
        """Every prospect of the program."""
        return set(self.db.execute(select(t.prospect.c.prospect).where(t.prospect.c.program == self.program)).scalars())

    def waiting_for_rates(self) -> set[str]:
        """Prospects with something that cannot be posted for want of an exchange rate."""
        o = t.outcome_row
        key = f"{escaped(self.program)}:fx_rate_missing:%"
        query = select(o.c.owner, o.c.row).where(
            o.c.program == self.program, o.c.list == "tasks", o.c.key.like(key, escape="\\")
        )
        return {row.owner for row in self.db.execute(query) if orjson.loads(row.row)["state"] != "done"}

    def prospects_of_partners(self, partners: Collection[str]) -> set[str]:
        """The prospects that these partners claim."""
        found: set[str] = set()
        for some in slices(sorted(partners)):
            query = select(t.tie.c.prospect).where(t.tie.c.program == self.program, t.tie.c.partner.in_(some))
            found |= set(self.db.execute(query).scalars())
        return found

    def marks(self, partner: str) -> list[dict[str, Any]]:
        """Which claims of a partner count for its tier, and what they are worth, a row for each prospect."""
        o = t.outcome_row
        query = select(o.c.row).where(
            o.c.program == self.program, o.c.list == "marks", o.c.key.like(f"{escaped(partner)}:%", escape="\\")
        )
        rows = [orjson.loads(row) for row in self.db.execute(query.order_by(o.c.key)).scalars()]
        return [row for row in rows if row["partner"] == partner]

    def owned(self, owners: Collection[str]) -> dict[str, Any]:
        """Outcome rows of these owners, by key."""
        o = t.outcome_row
        found: dict[str, Any] = {}
        for some in slices(sorted(owners)):
            query = select(o.c.key, o.c.row).where(o.c.program == self.program, o.c.owner.in_(some))
            found |= {row.key: orjson.loads(row.row) for row in self.db.execute(query)}
        return found

    def prospects(self, names: Collection[str]) -> Prospects:
        """These prospects as stored."""
        by_id: dict[str, Prospect] = {}
        ties: dict[str, list[Tie]] = {}
        for some in slices(sorted(names)):
            for row in self.db.execute(
                select(t.prospect).where(t.prospect.c.program == self.program, t.prospect.c.prospect.in_(some))
            ):
                accounts = orjson.loads(row.accounts)
                known = [(instant(at), account) for at, account in accounts["known"]]
                by_id[row.prospect] = Prospect(row.prospect, [], known, accounts["trees"])
            for row in self.db.execute(
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

    def kin(self, groups: Mapping[str, Collection[str]]) -> dict[str, list[str]]:
        """Claimed accounts directly above or below those of each group in the corporate tree."""
        a, s, f, head = t.account_prospect, t.fact_subject, tables.fact, tables.fact_head
        near: dict[str, set[str]] = {account: set() for accounts in groups.values() for account in accounts}
        for some in slices(sorted(near)):
            below = select(s.c.subject, s.c.fact_id).where(
                s.c.type == "account", s.c.subject.in_([f"parent:{one}" for one in some])
            )
            for subject, account in self.db.execute(below):
                near[subject.removeprefix("parent:")].add(account)
            own = (
                select(head.c.fact_id, f.c.body)
                .join(f, head.c.row_id == f.c.id)
                .where(head.c.type == "account", head.c.fact_id.in_(some))
            )
            for account, body in self.db.execute(own):
                if (parent := orjson.loads(body).get("parent")) is not None:
                    near[account].add(parent)
        claimed: set[str] = set()
        for some in slices(sorted(set[str]().union(*near.values()))):
            held = select(a.c.account).where(a.c.program == self.program, a.c.account.in_(some))
            claimed |= set(self.db.execute(held).scalars())
        return {
            name: sorted(set[str]().union(*(near[one] for one in accounts)) & claimed - set(accounts))
            for name, accounts in groups.items()
        }

    def holds_of_partners(self, partners: Collection[str]) -> list[Hold]:
        """What the disputes of these partners hold."""
        o = t.outcome_row
        found: list[Hold] = []
        for some in slices(sorted(partners)):
            query = select(o.c.row).where(o.c.program == self.program, o.c.list == "disputed", o.c.key.in_(some))
            for row in self.db.execute(query).scalars():
                found += [
                    Hold(kind, subject, instant(since), None if until is None else instant(until), disputed=True)
                    for kind, subject, since, until in orjson.loads(row)
                ]
        return found

    def holds(self, referrals: Collection[str]) -> dict[str, list[Hold]]:
        """When the entries of these referrals were held, as the last settling of their prospects found."""
        o = t.outcome_row
        found: dict[str, list[Hold]] = {}
        for some in slices(sorted(referrals)):
            query = select(o.c.key, o.c.row).where(o.c.program == self.program, o.c.list == "holds", o.c.key.in_(some))
            for row in self.db.execute(query):
                found[row.key] = [
                    Hold("referral", row.key, instant(since), None if until is None else instant(until))
                    for since, until in orjson.loads(row.row)
                ]
        return found

    def set_wakes(self, wakes: Mapping[str, date | None]) -> None:
        """When each of these prospects next changes by the passing of time alone."""
        given = [(wake_on.isoformat() if wake_on else None, self.program, name) for name, wake_on in wakes.items()]
        run_each(self.db, "UPDATE prospect SET wake_on = ? WHERE program = ? AND prospect = ?", given)
