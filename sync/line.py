"""The line: the valid claims to one prospect in order of receipt, and where each of them stands at an instant.

Judged in steps: who has left the line (returned, rejected, failing a condition, expired), whom a person must look at
first (doubtful identity, same instant), who holds the prospect, and what the others are to the holder. Where a review
makes claims active, the earliest waits for it and the others wait behind.
Source: NT-7, NT-9, NT-13, NT-14, NT-A1, NT-A11, ON-2..ON-5, ON-14, ON-15, ON-22, CN-44, CN-48, CN-A28, TC-22, TC-A11,
OP-18..OP-20, OP-A10, G-7, G-9.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from rules.calendar import DAY, Calendar, Period
from rules.dues import last_day_of
from rules.records import Review
from rules.tasks import Wanted
from rules.terms import Terms, WindowTerm
from sync.snapshot import Candidate, Snapshot
from sync.standards import Failure, failures, is_upsell, money_failures, warnings
from sync.verdicts import Verdict

REMINDED = timedelta(days=30)
"""How long before its end a person is reminded of a window."""


@dataclass(slots=True)
class Memory:
    """What earlier instants decided for good about the claims of a prospect."""

    approved: set[str] = field(default_factory=set)
    """Claims whose commission was approved: own sales found later change nothing for them."""
    activated: dict[str, tuple[datetime, datetime]] = field(default_factory=dict)
    """Claims that a review made active: since when, and the instant of that review."""
    stands: dict[str, datetime] = field(default_factory=dict)
    """Won claims that share the prospect with others: since when each earns."""
    earning: set[tuple[str, str | None]] = field(default_factory=set)
    """Won claims that met the conditions for money, each with the contract that won it then."""


@dataclass
class Line:
    """Judges the claims of one company at an instant."""

    seen: Snapshot
    instant: datetime
    claims: Sequence[Candidate]
    memory: Memory
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._calendar: Calendar = self.seen.calendar
        self._today = self._calendar.date_of(self.instant)
        self.claims = sorted(self.claims, key=lambda c: c.place)
        self._ranks = {c.id: number for number, c in enumerate(self.claims, 1)}
        self._terms = {c.id: self.seen.program.on(self._calendar.date_of(c.referral.submitted_at)) for c in self.claims}
        self._next_round: dict[str, date] = {}
        self._windows: dict[tuple[str, datetime | None], dict[str, Any]] = {}
        self._wins: dict[tuple[str, date | None, date | None, date | None], dict[str, Any]] = {}
        """What is asked more than once at an instant: the windows of claims by their approval, and what won them."""

    def judge(self) -> None:
        """Fill ``verdicts`` (one for each claim) and ``wanted`` (tasks for people)."""
        self._forget_withdrawn_approvals()
        line = [c for c in self.claims if not self._has_left(c)]
        expired = {c.id: why for c in line if (why := self._run_out(c)) is not None}
        line = [c for c in line if c.id not in expired]
        splits = self._splits()
        self.seen.sharing = frozenset(c.id for c in self.claims) if splits else frozenset()
        self._wins.clear()  # what won a claim goes by who shares
        owners: dict[str | None, tuple[Candidate, bool]] = {}
        for role in sorted({c.intake.role or "" for c in line}) if splits else [None]:
            part = [c for c in line if role is None or (c.intake.role or "") == role]
            awarded = self.seen.award(part)
            standing = self._looked_at(part, awarded)
            for number, group in enumerate(self._rounds(standing)):
                if self._by_review(group[0]):
                    self._review(group, awarded if awarded in group else None)
                else:
                    self._award(group, awarded if number == 0 else None)
            owner = next((c for c in standing if self.verdicts[c.id].state in ("active", "won")), None)
            if owner is not None:
                owners[role] = owner, owner is awarded
        for claim in self.claims:
            if claim.id in expired:
                owner, by_decision = owners.get((claim.intake.role or "") if splits else None, (None, False))
                self._expire(claim, expired[claim.id], owner, by_decision)
        if splits:
            self._share()

    def _splits(self) -> bool:
        """Whether claims by partners of different roles share the prospect instead of competing for it (OP-A10)."""
        return bool(self.claims) and self._terms[self.claims[0].id].values.get("program_conflict") == "split"

    def _share(self) -> None:
        """Say of each claim that earns how many earn beside it, and from which day on those that joined later do (OP-A10)."""
        earn = {name: v for name, v in self.verdicts.items() if v.won_on is not None and v.approved_at is not None}
        stands = self.memory.stands
        for claim in self.claims:
            if claim.id not in earn:
                stands.pop(claim.id, None)
        for name in earn:
            stands.setdefault(name, self.instant)
        first = min((stands[name] for name in earn), default=self.instant)
        joined = {name: None if at == first else self._calendar.date_of(at) + DAY for name, at in stands.items()}
        for name, verdict in earn.items():
            if len(earn) > 1:
                self.verdicts[name] = replace(
                    verdict, joined_on=joined[name], sharers=tuple(joined[each] for each in earn)
                )

    def _forget_withdrawn_approvals(self) -> None:
        """A claim whose approving review was withdrawn was never let in, unless a decision awarded it the prospect."""
        reviewed = {r.referral for r in self.seen.now["review"].values() if r.outcome == "approved"}
        awarded = self.seen.award(list(self.claims))
        for c in self.claims:
            if c.id in self.memory.activated and c.id not in reviewed and c is not awarded:
                del self.memory.activated[c.id]
                self.memory.earning = {each for each in self.memory.earning if each[0] != c.id}

    def _by_review(self, c: Candidate) -> bool:
        return self._terms[c.id].claims.activation == "review"

    def _rounds(self, standing: list[Candidate]) -> Iterator[list[Candidate]]:
        """The claims that compete with each other: a customer that was won may be registered again by its partner."""
        rest = standing
        while rest:
            group, rest = rest, []
            holder = next((c for c in group if c.id in self.memory.activated), None)
            won_on = (
                self._won(holder).get("won_on") if holder and self._terms[holder.id].claims.registers_again else None
            )
            if holder is not None and won_on is not None:
                rest = [c for c in group if self._is_again(c, holder, won_on)]
                group = [c for c in group if c not in rest]
                started = [self.memory.activated[c.id][0] for c in rest if c.id in self.memory.activated]
                if started:
                    self._next_round[holder.id] = self._calendar.date_of(min(started))
            yield group

    def _is_again(self, c: Candidate, holder: Candidate, won_on: date) -> bool:
        """Whether a claim is for what comes after the holder's deal: by its own partner, or by another once its window is over."""
        submitted = self._calendar.date_of(c.referral.submitted_at)
        if c is holder or c.referral.partner == holder.referral.partner:
            return c is not holder and submitted >= won_on
        last = self._window(holder)["protected_until"]
        return last is not None and submitted > last

    def _verdict(self, c: Candidate, state: str, because: str, failed: tuple[str, ...] = (), **more: Any) -> None:
        self.verdicts[c.id] = Verdict(
            state, self._ranks[c.id], self.seen.account_of(c), failed, because, role=c.intake.role, **more
        )

    def _has_left(self, c: Candidate) -> bool:
        """Whether a person, or a condition that does not hold, put the claim out of the line; its verdict is given then."""
        terms = self._terms[c.id]
        decision = self.seen.decision_on(c, "claim_review")
        if c.ended:
            assert c.review is not None
            reason = f": {c.review.reason}" if c.review.reason else ""
            failed = failed_checks(c.review) or terms.claims.review_clauses
            self._verdict(c, c.ended, f"{c.ended} by {c.review.by}{reason}", failed)
            return True
        if decision is not None and decision.choice == "reject":
            why = f"rejected by {decision.by}: {decision.reason}"
            self._verdict(c, "rejected", why, terms.claims.conflict_clauses)
            return True
        if c.id in self.memory.approved or c.id in self.memory.activated or c.overridden:
            return False
        if c.failed_checks:
            assert c.review is not None
            reason = f": {c.review.reason}" if c.review.reason else ""
            self._verdict(c, "rejected", f"not met, found {c.review.by}{reason}", c.failed_checks)
            return True
        return self._fails(c, terms)

    def _fails(self, c: Candidate, terms: Terms) -> bool:
        """Whether a condition keeps the claim from becoming active; what may still be mended waits for its review."""
        found = failures(self.seen, c, terms, self._today, is_again=self._won_before(c))
        if not found:
            return False
        clauses = _clauses_of(found)
        because = "; ".join(failure.because for failure in found)
        waits = self._by_review(c) and c.approval is None
        state = "in_review" if waits and all(failure.may_be_mended for failure in found) else "rejected"
        self._verdict(c, state, because, clauses)
        if waits:
            self._want_review(c, because)
        return True

    def _won_before(self, c: Candidate) -> bool:
        """Whether its partner had won this prospect before it was submitted again (ON-22)."""
        if not self._terms[c.id].claims.registers_again:
            return False
        return any(
            other.id in self.memory.activated
            and other.referral.partner == c.referral.partner
            and (won_on := self._won(other).get("won_on")) is not None
            and self._is_again(c, other, won_on)
            for other in self.claims
        )

    def _want_review(self, c: Candidate, because: str) -> None:
        """A person reviews the registration, by when the program says so (ON-14, CN-44, OP-18)."""
        claims = self._terms[c.id].claims
        due = None
        if claims.review_within_hours is not None:
            received_at = c.again_at or c.rank_at
            due = review_due(self._terms[c.id], self._calendar, received_at, claims.review_within_hours)
        self.wanted.append(Wanted("claim_review", c.id, claims.review_clauses, because, due))

    def _review(self, group: Sequence[Candidate], awarded: Candidate | None) -> None:
        """The earliest approved claim becomes active; while an earlier one waits for its review the others wait too."""
        by_approval = self._terms[group[0].id].values.get("rank_by") == "approved_at"
        started = [c for c in group if c.id in self.memory.activated]
        holder = awarded or min(
            started, key=lambda c: (c.learned_at, self.memory.activated[c.id][0], *c.place), default=None
        )
        if holder is None:
            ready = [c for c in group if self._approval_of(c) is not None]
            if by_approval and ready:
                holder = min(ready, key=lambda c: (self._approval_of(c), *c.place))
            else:
                holder = min(group, key=lambda c: c.place)
        approval = self._approval_of(holder)
        if approval is None and awarded is holder and started:
            approval = self.seen.award_instant(holder)  # the award moves from a claim that had been let in
        if approval is None:
            for c in group:
                first = "" if c is holder else f"; the earlier claim {holder.id} waits too"
                self._verdict(c, "submitted", f"waits for its review{first}")
                self._want_review(c, self._evidence(c))
            return
        self.memory.activated.setdefault(holder.id, (self.instant, approval))
        self._take(group, holder, awarded)

    def _take(self, group: Sequence[Candidate], holder: Candidate, awarded: Candidate | None) -> None:
        """The holder has the prospect; a claim received earlier that became known later awaits a decision."""
        terms = self._terms[holder.id]
        since = self.memory.activated[holder.id][0]
        late = [] if awarded or terms.values.get("rank_by") == "approved_at" else [
            c for c in self._newcomers(group, holder, awarded)
            if (c.place < holder.place and c.learned_at > since) or self._let_in_meanwhile(c, holder, since)
        ]  # fmt: skip
        for c in group:
            if c is not holder and c not in late:
                self._verdict(c, "superseded", _owned_by(holder), terms.claims.first_party_clauses)
        if not late:
            self._hold(holder, terms, held=False, by_decision=awarded is holder)
            return
        for c in late:
            because = f"{holder.referral.partner} was given this prospect before this claim to it became known"
            self._verdict(c, "conflict", because)
        self._want_decision(holder, late, terms)
        late_first = any(c.place < holder.place for c in late)
        why = "was received earlier but became known later" if late_first else "was let in meanwhile"
        because = f"another partner's claim {why}; the vendor decides who is awarded"
        won, failed = self._won(holder), terms.claims.first_party_clauses
        if won:
            won, missed = self._earning(holder, terms, won)
            failed += _clauses_of(missed)
            won = {**won, "is_upsell": is_upsell(self.seen, holder, terms)}
        self._verdict(holder, "conflict", because, failed, held=True, **self._window(holder), **won)

    def _let_in_meanwhile(self, c: Candidate, holder: Candidate, since: datetime) -> bool:
        """Whether a claim was given the prospect while the holder was out of the line. It gives way when it has earned nothing
        and the holder's sale was made before, though told of later: the date of the signature decides (E29)."""
        let_in = self.memory.activated[c.id][0] if c.id in self.memory.activated else None
        if let_in is None or let_in <= since:
            return False
        ours = self._won(holder)
        if not ours or any(deal[0] == c.id and deal[1] != ours["contract"] for deal in self.memory.earning):
            return True
        return bool(ours["won_on"] >= self._calendar.date_of(let_in))

    def _earning(
        self, holder: Candidate, terms: Terms, won: dict[str, Any]
    ) -> tuple[dict[str, Any], Sequence[Failure]]:
        """What a claim won, with since when that earns, and the conditions for money that it fails (ON-2, ON-3)."""
        deal = holder.id, won["contract"]
        missed = money_failures(self.seen, holder, terms, won["won_on"], won["contract"])
        if not missed:
            self.memory.earning.add(deal)
        return ({**won, "approved_at": won["activated_at"]}, ()) if deal in self.memory.earning else (won, missed)

    def _approval_of(self, c: Candidate) -> datetime | None:
        """The instant of the review that let the claim in."""
        return self.memory.activated[c.id][1] if c.id in self.memory.activated else c.approval

    def _evidence(self, c: Candidate) -> str:
        warned = "; ".join(warnings(c, self._terms[c.id]))
        return f"{c.referral.partner} registered {c.referral.company}{'; note: ' + warned if warned else ''}"

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
                if self._by_review(c) and self._approval_of(c) is None:
                    self._want_review(c, self._evidence(c))
            standing = [c for c in standing if c not in behind]
        return standing

    def _in_review(self, c: Candidate, evidence: str, because: str, clauses: tuple[str, ...]) -> None:
        self._verdict(c, "in_review", because)
        if self._by_review(c):
            self._want_review(c, evidence)
        else:
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
            won = self._won(holder)
            if won:
                self._follow_commission(holder, terms, won)
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
        window = self._window(holder)
        won = self._won(holder)
        self._want_assignment(holder, terms)
        if won:
            self._win(holder, terms, held, {**window, **won})
            return
        self._want_reminder(holder, terms, window["protected_until"])
        why = "awarded by a person" if by_decision else "first complete submission received"
        if holder.overridden:
            why = f"accepted by {holder.overridden.by}: {holder.overridden.reason}"
        elif holder.review is not None and self._by_review(holder):
            why += f", approved by {holder.review.by}"
        kin = self.seen.kin
        warning = f"; note: {', '.join(kin)} in the same corporate tree is claimed too" if kin else ""
        activated = self.memory.activated.get(holder.id, (None, None))[1]
        self._verdict(holder, "active", why + warning, held=held, activated_at=activated, **window)

    def _won(self, c: Candidate) -> dict[str, Any]:
        """What won the claim, and since when it earns; nothing while it is not won."""
        terms = self._terms[c.id]
        last = self._window(c)["protected_until"]
        not_before, before = self._not_before(c), self._next_round.get(c.id)
        asked = (c.id, not_before, last, before)
        if asked not in self._wins:
            self._wins[asked] = self.seen.won(c, terms, not_before=not_before, last=last, before=before)
        won = self._wins[asked]
        if not won:
            return {}
        if not self._by_review(c):
            return {**won, "approved_at": self.seen.approval(c, won["contract"])}
        since, activated = self.memory.activated.get(c.id, (None, None))
        earns = since is not None and (c.id, won["contract"]) in self.memory.earning
        return {**won, "activated_at": activated, "approved_at": activated if earns else None}

    def _not_before(self, c: Candidate) -> date | None:
        """The first day on which a signature can win the claim: of its approval, where its window starts then."""
        anchors = {self._anchor(c, window) for window, _ in windows_of(self._terms[c.id], c.intake.role)}
        approval = self._approval_of(c) if self._by_review(c) else None
        return self._calendar.date_of(approval) if approval is not None and "approval" in anchors else None

    def _win(self, holder: Candidate, terms: Terms, held: bool, facts: dict[str, Any]) -> None:
        name = f"contract {facts['contract']}"
        because = f"won: {self._what_won(facts, name, 'its opportunity')}"
        failed: tuple[str, ...] = ()
        if self._by_review(holder):
            facts, missed = self._earning(holder, terms, facts)
            failed = _clauses_of(missed)
            because = "; ".join([because, *(failure.because for failure in missed)])
        else:
            self._follow_commission(holder, terms, facts)
            if facts["approved_at"] is None:
                failed = failed_checks(holder.review)
                because += "; the commission waits for its review"
        fraud = sorted(
            (f for f in self.seen.now["fraud_finding"].values() if f.referral == holder.id), key=lambda f: f.id
        )
        if fraud and terms.claims.fraud_clauses:
            failed += terms.claims.fraud_clauses
            because += f"; fraud found on {fraud[0].found_on} by {fraud[0].by}: {fraud[0].reason}"
        elif fraud:
            task = f"fraud found on {fraud[0].found_on} by {fraud[0].by}: {fraud[0].reason}; decide what becomes of its money"
            self.wanted.append(Wanted("fraud_review", holder.id, ("G-9",), task))
        upsell = is_upsell(self.seen, holder, terms)
        self._verdict(holder, "won", because, failed, held=held, is_upsell=upsell, **facts)

    def _follow_commission(self, holder: Candidate, terms: Terms, won: dict[str, Any]) -> None:
        """The commission of a signed contract waits for its review, or was approved for good (NT-14)."""
        if won["approved_at"] is not None:
            self.memory.approved.add(holder.id)
            return
        task = f"contract {won['contract']} was signed on {won['won_on']}; review the referral"
        self.wanted.append(Wanted("commission_review", holder.id, terms.claims.review_clauses, task))

    def _want_assignment(self, holder: Candidate, terms: Terms) -> None:
        """A person says who takes over; the decision ``done`` names them as its contact (TC-8)."""
        term = terms.claims.assignment
        if term is None:
            return
        named = [d for d in self.seen.decisions_on(holder) if d.choice == "done" and d.contact is not None]
        because = f"{term.label}: {holder.referral.company}"
        if named and named[-1].contact is not None:
            because += f"; {named[-1].contact.name} takes over, says {named[-1].by}"
        self.wanted.append(Wanted("assignment", holder.id, term.clauses, because))

    def _what_won(self, won: Mapping[str, Any], contract: str, opportunity: str) -> str:
        """The event that won a claim, in words: the signature, unless its opportunity was closed on another day."""
        signed = won["contract"] and self.seen.now["contract"][won["contract"]].signed_on == won["won_on"]
        return f"{contract} was signed on {won['won_on']}" if signed else f"{opportunity} was closed on {won['won_on']}"

    def _want_reminder(self, holder: Candidate, terms: Terms, last: date | None) -> None:
        if last is not None and self._today >= last - REMINDED:
            because = f"the claim runs out after {last}; no contract is signed yet"
            clauses = terms.claims.expiry_clauses
            self.wanted.append(Wanted("claim_expiring", holder.id, clauses, because, last, last - REMINDED))
        started = self._calendar.date_of(holder.rank_at)
        stale = terms.values.get("stale_days")
        if isinstance(stale, int) and self._today >= (opens := started + timedelta(days=stale)):
            because = f"no contract {stale} days after {started}"
            clauses = terms.clauses_of("stale_days")
            self.wanted.append(Wanted("stale_claim", holder.id, clauses, because, opened_on=opens))

    def _window(self, c: Candidate) -> dict[str, Any]:
        """The first and the last day on which the claim holds its prospect; ``None`` for what is not known yet."""
        approval = self._approval_of(c) if self._by_review(c) else None
        if (c.id, approval) not in self._windows:
            self._windows[c.id, approval] = self._window_from(c, approval)
        return self._windows[c.id, approval]

    def _window_from(self, c: Candidate, approval: datetime | None) -> dict[str, Any]:
        terms = self._terms[c.id]
        started = self._calendar.date_of(c.rank_at)
        first, lasts = started, []
        for window, length in windows_of(terms, c.intake.role):
            start = started
            if self._anchor(c, window) == "approval":
                if approval is None:
                    return {"protected_from": None, "protected_until": None}
                first = start = self._calendar.date_of(approval)
            lasts.append(last_day_of(terms, start, length))
        last = min(lasts, default=None)
        return {"protected_from": first, "protected_until": self._extended(c, terms, last) if last else None}

    def _anchor(self, c: Candidate, window: WindowTerm) -> str:
        """What a window is counted from: the submission or the approval (ON-A1)."""
        if window.anchor != "window_anchor":
            return window.anchor
        return "approval" if self._terms[c.id].values["window_anchor"] == "approved_at" else "submission"

    def _extended(self, c: Candidate, terms: Terms, last: date) -> date | None:
        """The window's last day after extensions that a person made in time, where the program, or an override, allows
        them (ON-A8, E30); ``None``: an override let the claim in after its window had run out (G-9)."""
        if self._by_review(c) and c.overridden and self._calendar.date_of(c.overridden.at) > last:
            return None
        for decision in self.seen.decisions_on(c):
            if decision.choice != "extend" or decision.until is None or self._calendar.date_of(decision.at) > last:
                continue
            overrides = isinstance(decision.detail, dict) and decision.detail.get("override") is True
            if terms.values.get("extension_allowed") or overrides:
                last = max(last, decision.until)
        return last

    def _run_out(self, c: Candidate) -> str | None:
        """Why the claim has expired: no contract signed by its last day, whenever the CRM told of it (NT-A11, ON-5)."""
        last = self._window(c)["protected_until"]
        if last is None:
            return None
        won = self._won(c)
        if won:
            what = self._what_won(won, "the contract", "the opportunity")
            return f"{what}, after {last}" if won["won_on"] > last else None
        return f"no contract was signed by {last}" if self._today > last else None

    def _expire(self, c: Candidate, why: str, owner: Candidate | None, by_decision: bool) -> None:
        """A claim that ran out; one that had lost the prospect before is superseded."""
        terms = self._terms[c.id]
        if owner and (by_decision or owner.place < c.place):
            self._verdict(c, "superseded", _owned_by(owner), terms.claims.first_party_clauses)
        else:
            clauses = [clause for window, _ in windows_of(terms, c.intake.role) for clause in window.clauses]
            if not clauses or not self._won(c):  # time alone ended it; no signature came too late
                clauses += terms.claims.expiry_clauses
            self._verdict(c, "expired", why, tuple(dict.fromkeys(clauses)), **self._window(c))


def _clauses_of(found: Sequence[Failure]) -> tuple[str, ...]:
    """The clauses of conditions that do not hold, each once."""
    return tuple(dict.fromkeys(clause for failure in found for clause in failure.clauses))


def windows_of(terms: Terms, role: str | None) -> Iterator[tuple[WindowTerm, Period]]:
    """The windows of a claim by a partner of a role (``None``: of any), with their lengths."""
    for window in terms.claims.windows:
        if role is not None and window.roles and role not in window.roles:
            continue
        length = terms.values.get(window.setting) if window.setting else Period.parse(str(window.length))
        if isinstance(length, Period):
            yield window, length


def review_due(terms: Terms, calendar: Calendar, received_at: datetime, hours: int) -> date:
    """The local date of the last instant for a review: by the clock, or with a day of business for each 24 hours (CN-A24)."""
    if terms.values.get("lead_sla") == "business_hours":
        return calendar.business_day_after(calendar.date_of(received_at), -(-hours // 24))
    return calendar.date_of(received_at + timedelta(hours=hours))


def failed_checks(review: Review | None) -> tuple[str, ...]:
    """Clauses that the reviewer found not to hold."""
    checks = (review.checks if review else None) or {}
    return tuple(sorted(clause for clause, holds in checks.items() if not holds))


def _owned_by(holder: Candidate) -> str:
    return f"the claim {holder.id} of {holder.referral.partner} owns the prospect"
