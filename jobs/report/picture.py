"""What the reports of one program are made from: its outcome and the facts behind it, as they stood at an instant."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import cached_property
from typing import Any

from jobs.history import subject_of
from jobs.settle import Settled
from rules.enrolled import Span, enrolled
from rules.facts import Facts, View, timelines
from rules.program import Program
from rules.records import Decision
from rules.terms import Terms
from rules.tiers import TierHistory
from sync.verdicts import Claim, Verdict

Row = dict[str, Any]
OF_ONE_PROGRAM = ("referral", "enrollment", "application", "shared_lead")
"""Records that name their program; those of another one are not in the picture."""


@dataclass(frozen=True)
class Picture:
    """One settled program at the end of ``as_of``: ``rows`` are its lists of the outcome, ``claims`` through time."""

    program: Program
    as_of: date
    rows: Mapping[str, Sequence[Row]]
    claims: Mapping[str, Claim]
    posted_at: Mapping[str, datetime]
    """The instant at which each entry of the ledger became known, by its key."""
    tiers: Mapping[str, TierHistory]
    source: Facts
    seen_until: datetime | None = None
    """The first instant that is not seen, when that is not the end of ``as_of``."""
    _seen: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, settled: Settled, facts: Facts) -> Picture:
        """The picture of a settled program."""
        claims = {claim.referral: claim for claim in settled.claims}
        posted_at = {key: entry.posted_at for key, entry in settled.ledger.entries.items()}
        return cls(
            settled.program, settled.as_of, settled.rows(), claims, posted_at, settled.tiers, facts, settled.until
        )

    @cached_property
    def until(self) -> datetime:
        """The first instant that is not seen."""
        return self.seen_until or self.program.calendar.end_of(self.as_of)

    @cached_property
    def terms(self) -> Terms:
        """The program's terms in force on ``as_of``."""
        return self.program.on(self.as_of)

    def timelines(self, kind: str) -> Mapping[str, Sequence[View[Any]]]:
        """Every record of a type as its views over time."""
        name = f"timelines of {kind}"
        if name not in self._seen:
            records = self.source.of(kind)
            if kind in OF_ONE_PROGRAM:
                own = self.program.id
                records = {each: found for each, found in records.items() if found[0].fact.program == own}
            self._seen[name] = timelines(records, self.program.calendar, self.until)
        return self._seen[name]  # type: ignore[no-any-return]

    def facts(self, kind: str) -> Mapping[str, Any]:
        """Every record of a type that is not withdrawn, as it reads at the end; in the order of their ids."""
        if kind not in self._seen:
            found = {name: views[-1].fact for name, views in self.timelines(kind).items()}
            self._seen[kind] = {name: found[name] for name in sorted(found) if found[name] is not None}
        return self._seen[kind]  # type: ignore[no-any-return]

    def grouped(self, kind: str, field: str) -> Mapping[Any, Mapping[str, Any]]:
        """The records of a type by the value of one of their fields."""
        name = f"{kind} by {field}"
        if name not in self._seen:
            groups: dict[Any, dict[str, Any]] = {}
            for identity, fact in self.facts(kind).items():
                groups.setdefault(getattr(fact, field), {})[identity] = fact
            self._seen[name] = groups
        return self._seen[name]  # type: ignore[no-any-return]

    def owned(self, kind: str, field: str) -> Mapping[Any, Mapping[str, Sequence[View[Any]]]]:
        """The records of a type as views over time, by the value that one of their fields had first."""
        name = f"timelines of {kind} by {field}"
        if name not in self._seen:
            groups: dict[Any, dict[str, Sequence[View[Any]]]] = {}
            for identity, views in self.timelines(kind).items():
                owner = next(getattr(view.fact, field) for view in views if view.fact is not None)
                groups.setdefault(owner, {})[identity] = views
            self._seen[name] = groups
        return self._seen[name]  # type: ignore[no-any-return]

    @cached_property
    def decisions(self) -> Mapping[str, Sequence[Sequence[View[Decision]]]]:
        """Decisions as views over time, by the referral, contract or other subject that they are about."""
        found: dict[str, list[Sequence[View[Decision]]]] = {}
        for views in self.timelines("decision").values():
            about = next(view.fact.about for view in views if view.fact is not None)
            found.setdefault(subject_of(about, self.program.id), []).append(views)
        return found

    def last_known(self, kind: str, identity: str | None, before: datetime | None = None) -> Any:
        """A record as it read when it was last there (a withdrawn one, too), or ``None``.

        ``before`` an instant: as it was known then; what became known only later reads as it first did.
        """
        there = [view for view in self.timelines(kind).get(identity or "", ()) if view.fact is not None]
        then = [view for view in there if before is None or view.at < before]
        return (then[-1] if then else there[0]).fact if there else None

    def name_of(self, partner: str) -> str | None:
        """A partner's name."""
        found = self.last_known("partner", partner)
        return found.name if found else None

    def enrolled(self, roles: Collection[str] = ()) -> Mapping[str, Sequence[Span]]:
        """The spans in which each partner was in the program, as known at the time; only in these roles when given."""
        name = f"enrolled as {sorted(roles)}"
        if name not in self._seen:
            calendar = self.program.calendar
            found = {who: enrolled(own, calendar, roles) for who, own in self.owned("enrollment", "partner").items()}
            self._seen[name] = dict(sorted(found.items()))
        return self._seen[name]  # type: ignore[no-any-return]

    def manager_of(self, partner: str) -> str | None:
        """Whom a partner is to write to: the manager of its latest enrollment that names one."""
        own = self.grouped("enrollment", "partner").get(partner, {}).values()
        named = [each.manager for each in sorted(own, key=lambda each: (each.starts_on, each.id)) if each.manager]
        return named[-1] if named else None

    @cached_property
    def partners(self) -> tuple[str, ...]:
        """All partners with an enrollment or a referral in this program."""
        enrolled = {fact.partner for fact in self.facts("enrollment").values()}
        return tuple(sorted(enrolled | {claim.partner for claim in self.claims.values()}))

    @cached_property
    def commissions(self) -> Sequence[Row]:
        """All entries but co-op reimbursements, which pay a cost back and are no earnings."""
        return [row for row in self.rows["entries"] if row["kind"] != "co_op"]

    def tier_of(self, partner: str, day: date | None = None) -> str | None:
        """A partner's tier on a day (on ``as_of``), as it was known by its end."""
        history, day = self.tiers.get(partner), day or self.as_of
        return history.on(day, self.program.calendar.end_of(day)) if history else None

    def seen_on(self, kind: str, identity: str, field: str) -> date:
        """The local date on which a field of a record that is there could first be read."""
        views = self.timelines(kind)[identity]
        return self.program.calendar.date_of(
            next(view.at for view in views if view.fact is not None and getattr(view.fact, field) is not None)
        )

    def verdicts(self, referral: str) -> Sequence[tuple[datetime, Verdict]]:
        """How a claim stood through time."""
        return self.claims[referral].verdicts

    def on(self, day: date) -> Picture:
        """The picture at the end of an earlier day: facts, claims and entries that were known then.

        How entries stand, statements, tiers, support and tasks are those of a settlement and are left out.
        """
        until = min(self.program.calendar.end_of(day), self.until)
        claims = {}
        for name, claim in self.claims.items():
            known = [(at, verdict) for at, verdict in claim.verdicts if at < until]
            if known:
                claims[name] = Claim(claim.referral, claim.partner, known)
        rows = {
            "claims": [claims[name].row(self.program.id) for name in sorted(claims)],
            "entries": [row for row in self.rows["entries"] if self.posted_at[row["key"]] < until],
        }
        return replace(self, as_of=day, rows=rows, claims=claims, seen_until=until, _seen={})
