"""The line: the valid claims to one prospect in order of receipt, and where each of them stands at an instant.

Judged in steps: who has left the line (returned, rejected, beaten by own sales, expired), whom a person must look at
first (doubtful identity, same instant), who holds the prospect, and what the others are to the holder.
Source: NT-7, NT-9, NT-13, NT-14, NT-A1, NT-A11, G-7, G-9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from rules.calendar import Calendar, Period
from rules.records import Review
from rules.tasks import Wanted
from rules.terms import Terms
from sync.snapshot import Candidate, Snapshot
from sync.verdicts import Verdict


@dataclass
class Line:
    """Judges the claims of one company. ``approved`` are claims whose commission was approved before: own sales found
    later change nothing for them; newly approved ones are added."""

    seen: Snapshot
    instant: datetime
    claims: Sequence[Candidate]
    approved: set[str]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._calendar: Calendar = self.seen.calendar
        self._today = self._calendar.date_of(self.instant)
        self.claims = sorted(self.claims, key=lambda c: c.place)
        self._ranks = {c.id: number for number, c in enumerate(self.claims, 1)}
        self._terms = {c.id: self.seen.program.on(self._calendar.date_of(c.referral.submitted_at)) for c in self.claims}

    def judge(self) -> None:
        """Fill ``verdicts`` (one for each claim) and ``wanted`` (tasks for people)."""
        line = [c for c in self.claims if not self._has_left(c)]
        expired = {c.id: why for c in line if (why := self._run_out(c)) is not None}
        line = [c for c in line if c.id not in expired]
        awarded = self.seen.award(line)
        standing = self._looked_at(line, awarded)
        if standing:
            self._award(standing, awarded)
        owner = next((c for c in standing if self.verdicts[c.id].state in ("active", "won")), None)
        for claim in self.claims:
            if claim.id in expired:
                self._expire(claim, expired[claim.id], owner, owner is not None and owner is awarded)

    def _verdict(self, c: Candidate, state: str, because: str, failed: tuple[str, ...] = (), **more: Any) -> None:
        self.verdicts[c.id] = Verdict(state, self._ranks[c.id], self.seen.account_of(c), failed, because, **more)

    def _has_left(self, c: Candidate) -> bool:
        """Whether a person or the vendor's own sales put the claim out of the line; its verdict is given then."""
        terms = self._terms[c.id]
        decision = self.seen.decision_on(c, "claim_review")
        if c.ended:
            assert c.review is not None
            reason = f": {c.review.reason}" if c.review.reason else ""
            failed = failed_checks(c.review) or terms.claims.review_clauses
            self._verdict(c, c.ended, f"{c.ended} by {c.review.by}{reason}", failed)
        elif decision is not None and decision.choice == "reject":
            why = f"rejected by {decision.by}: {decision.reason}"
            self._verdict(c, "rejected", why, terms.claims.conflict_clauses)
        elif c.id not in self.approved and (sold := self.seen.own_sales(c, terms)):
            self._verdict(c, "rejected", sold, terms.claims.first_party_clauses)
        else:
            return False
        return True

    def _looked_at(self, line: list[Candidate], awarded: Candidate | None) -> list[Candidate]:
        """The claims that need no look of a person first, and stand behind none that does."""
        unsure = [c for c in line if self.seen.is_unsure(c) and c is not awarded]
        for c in unsure:
            assert c.tie is not None
            self._in_review(
                c, c.tie.evidence, f"a person must compare: {c.tie.evidence}", self._terms[c.id].claims.conflict_clauses
            )
        sure = [c for c in line if c not in unsure]
        tied = self._tied(sure) if awarded is None else []
        for c in tied:
            because = "received at the same instant as another partner's claim; a person decides who was first"
            self._in_review(c, because, because, ("G-7",))
        pending = [*unsure, *tied]
        standing = [c for c in sure if c not in tied]
        if awarded is None:
            behind = [c for c in standing if any(p.place < c.place for p in pending)]
            for c in behind:
                self._verdict(c, "submitted", "an earlier claim to the same prospect waits for a person")
            standing = [c for c in standing if c not in behind]
        return standing

    def _in_review(self, c: Candidate, evidence: str, because: str, clauses: tuple[str, ...]) -> None:
        self._verdict(c, "in_review", because)
        self.wanted.append(Wanted("claim_review", c.id, clauses, evidence))

    def _tied(self, standing: Sequence[Candidate]) -> list[Candidate]:
        """Claims of different partners received so close together that nobody can say who was first (G-7)."""
        if not standing:
            return []
        first = min(standing, key=lambda c: c.place)
        apart = self._tie_window(self._terms[first.id])
        seen = min(c.learned_at for c in standing)
        near = [c for c in standing if c.rank_at - first.rank_at <= apart and c.learned_at - seen <= apart]
        return near if len({c.referral.partner for c in near}) > 1 else []

    def _award(self, standing: Sequence[Candidate], awarded: Candidate | None) -> None:
        """One claim holds the prospect; say which, and what the others are to it."""
        holder = awarded or min(standing, key=lambda c: (c.learned_at, *c.place))
        terms = self._terms[holder.id]
        policy = terms.values["conflict_policy"]
        newcomers = self._newcomers(standing, holder, awarded)
        earlier = self._earlier(newcomers, holder, terms) if awarded is None else []
        strict = policy in ("strict_first", "first_submitter") and not earlier
        contested = bool(newcomers) and not strict
        for other in standing:
            if other in newcomers and contested:
                because = f"{holder.referral.partner} also claims this prospect; the vendor decides who is awarded"
                self._verdict(other, "conflict", because, self._not_first(other, [holder, *newcomers], terms))
            elif other is not holder:
                self._verdict(other, "superseded", _owned_by(holder), terms.claims.first_party_clauses)
        if contested:
            self._want_decision(holder, newcomers, terms)
        if contested and (earlier or policy == "always_manual"):
            late = "another partner's claim was received earlier but became known later"
            why = late if earlier else "several partners claim this prospect"
            why += "; the vendor decides who is awarded"
            won = self.seen.won(holder)
            self._verdict(holder, "conflict", why, self._not_first(holder, newcomers, terms), held=True, **won)
            return
        held = contested and bool(terms.values.get("hold_on_conflict"))
        self._hold(holder, terms, held, by_decision=awarded is holder)

    def _not_first(self, c: Candidate, others: Sequence[Candidate], terms: Terms) -> tuple[str, ...]:
        """The clause that a claim in conflict fails when another was received before it (NT-7)."""
        return terms.claims.first_party_clauses if any(o.place < c.place for o in others) else ()

    def _newcomers(
        self, standing: Sequence[Candidate], holder: Candidate, awarded: Candidate | None
    ) -> list[Candidate]:
        """Claims of other partners that no decision has dealt with."""
        rivals = [c for c in standing if c.referral.partner != holder.referral.partner]
        decided_at = self.seen.award_instant(holder) if awarded else None
        return [c for c in rivals if decided_at is None or c.learned_at > decided_at]

    def _earlier(self, newcomers: Sequence[Candidate], holder: Candidate, terms: Terms) -> list[Candidate]:
        """Claims received no later than the holder's that became known only after it held the prospect."""
        return [c for c in newcomers if c.rank_at <= holder.rank_at + self._tie_window(terms)]

    def _tie_window(self, terms: Terms) -> timedelta:
        milliseconds = terms.values["tie_window_ms"]
        assert isinstance(milliseconds, int)
        return timedelta(milliseconds=milliseconds)

    def _want_decision(self, holder: Candidate, newcomers: Sequence[Candidate], terms: Terms) -> None:
        """A conflict case that lists all claims in order of receipt (NT-9)."""
        listed = sorted([holder, *newcomers], key=lambda c: c.place)
        listing = ", ".join(
            f"{c.referral.partner} ({c.id}, received {self._calendar.local(c.rank_at)})" for c in listed
        )
        manual = terms.values["conflict_policy"] == "always_manual"
        proposed = "" if manual else f"; proposed: {listed[0].referral.partner}"
        subject = self.seen.account_of(holder) or holder.id
        evidence = f"claims in order of receipt: {listing}{proposed}"
        self.wanted.append(Wanted("conflict", subject, terms.claims.conflict_clauses, evidence))

    def _hold(self, holder: Candidate, terms: Terms, held: bool, *, by_decision: bool) -> None:
        """The holder is active, or won once a contract is signed."""
        window = self._window(holder, terms)
        won = self.seen.won(holder)
        if won:
            self._win(holder, terms, held, {**window, **won})
            return
        self._want_reminder(holder, terms)
        why = "awarded by a person" if by_decision else "first complete submission received"
        if holder.overridden:
            why = f"accepted by {holder.overridden.by}: {holder.overridden.reason}"
        kin = self.seen.kin
        warning = f"; note: {', '.join(kin)} in the same corporate tree is claimed too" if kin else ""
        self._verdict(holder, "active", why + warning, held=held, **window)

    def _win(self, holder: Candidate, terms: Terms, held: bool, facts: dict[str, Any]) -> None:
        because = f"won: contract {facts['contract']} was signed on {facts['won_on']}"
        failed: tuple[str, ...] = ()
        if facts["approved_at"] is None:
            failed = failed_checks(holder.review)
            task = f"contract {facts['contract']} was signed on {facts['won_on']}; review the referral"
            self.wanted.append(Wanted("commission_review", holder.id, terms.claims.review_clauses, task))
            because += "; the commission waits for its review"
        else:
            self.approved.add(holder.id)
        self._verdict(holder, "won", because, failed, held=held, **facts)

    def _want_reminder(self, holder: Candidate, terms: Terms) -> None:
        started = self._calendar.date_of(holder.rank_at)
        stale = terms.values.get("stale_days")
        if isinstance(stale, int) and self._today >= (opens := started + timedelta(days=stale)):
            because = f"no contract {stale} days after {started}"
            clauses = terms.clauses_of("stale_days")
            self.wanted.append(Wanted("stale_claim", holder.id, clauses, because, opened_on=opens))

    def _window(self, c: Candidate, terms: Terms) -> dict[str, Any]:
        """The first and the last day on which the claim holds its prospect."""
        started = self._calendar.date_of(c.rank_at)
        expiry = terms.values.get("claim_expiry")
        last = last_day(terms, started, expiry) if isinstance(expiry, Period) else None
        return {"protected_from": started, "protected_until": last}

    def _run_out(self, c: Candidate) -> str | None:
        """Why the claim has expired: no contract signed by its last day, whenever the CRM told of it (NT-A11)."""
        last = self._window(c, self._terms[c.id])["protected_until"]
        if last is None:
            return None
        won = self.seen.won(c)
        if won:
            return f"the contract was signed on {won['won_on']}, after {last}" if won["won_on"] > last else None
        return f"no contract was signed by {last}" if self._today > last else None

    def _expire(self, c: Candidate, why: str, owner: Candidate | None, by_decision: bool) -> None:
        """A claim that ran out; one that had lost the prospect before is superseded."""
        terms = self._terms[c.id]
        if owner and (by_decision or owner.place < c.place):
            self._verdict(c, "superseded", _owned_by(owner), terms.claims.first_party_clauses)
        else:
            self._verdict(c, "expired", why, terms.claims.expiry_clauses, **self._window(c, terms))


def last_day(terms: Terms, start: date, length: Period) -> date:
    """The last day of a window of this length; inclusive unless the program says otherwise (G-4)."""
    last = length.after(start)
    return last if terms.values.get("window_end") == "inclusive" else last - timedelta(days=1)


def failed_checks(review: Review | None) -> tuple[str, ...]:
    """Clauses that the reviewer found not to hold."""
    checks = (review.checks if review else None) or {}
    return tuple(sorted(clause for clause, holds in checks.items() if not holds))


def _owned_by(holder: Candidate) -> str:
    return f"the claim {holder.id} of {holder.referral.partner} owns the prospect"
