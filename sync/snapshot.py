"""What can be seen of a prospect at an instant, and what it says about a claim: contract, approval, awards, own sales."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from rules.calendar import Calendar
from rules.program import Program
from rules.records import Contract, Decision, Enrollment, Referral, Review
from rules.tasks import names_task
from rules.terms import Terms
from sync.intake import Intake
from sync.prospects import Prospect, Tie


def is_of(contract: Contract, kinds: tuple[str, ...]) -> bool:
    """Whether a contract, or one of its lines, is of these kinds; no kinds: any will do."""
    return not kinds or contract.kind in kinds or any(line.kind in kinds for line in contract.lines or ())


END = datetime.max.replace(tzinfo=UTC)
KINDS = (
    "account", "activity", "contract", "decision", "enrollment", "fraud_finding", "introduction", "opportunity", "partner", "referral",
    "review",
)  # fmt: skip


@dataclass(slots=True)
class Candidate:
    """A complete, admissible submission at the instant that is judged."""

    id: str
    referral: Referral
    rank_at: datetime
    intake: Intake
    review: Review | None
    approval: datetime | None = None
    """The instant of the review that approves the registration, where that makes a claim active."""
    enrollments: tuple[Enrollment, ...] = ()
    """The partner's enrollments as they read at the approving review, before it as they read now."""
    failed_checks: tuple[str, ...] = ()
    """Clauses that the approving reviewer found not to hold."""
    ended: str | None = None
    overridden: Review | None = None
    tie: Tie | None = None
    again_at: datetime | None = None
    """When it was sent in again after it had been returned, and waits for another review (CN-56)."""
    learned_at: datetime = END
    """When it was first seen to be complete and admissible among the claims to this prospect."""

    @property
    def place(self) -> tuple[datetime, str]:
        """Its place in the line: by instant of receipt, then by id."""
        return self.rank_at, self.id


@dataclass(slots=True)
class Snapshot:
    """The records of one prospect as they read now, by kind and id."""

    program: Program
    prospect: Prospect
    kin: tuple[str, ...] = ()
    """Claimed accounts of the same corporate tree."""
    now: dict[str, dict[str, Any]] = field(default_factory=lambda: {kind: {} for kind in KINDS})
    sharing: frozenset[str] = frozenset()
    """Claims that share the prospect: what names one of them is the others', too (OP-A10)."""

    @property
    def calendar(self) -> Calendar:
        """The program's days."""
        return self.program.calendar

    def won(
        self, candidate: Candidate, terms: Terms, *, not_before: date | None = None, last: date | None = None,
        before: date | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """What won the claim, or nothing: the first of its contracts, or its won opportunity (NT-13, ON-4, OP-A9).

        Only contracts from ``not_before`` (else the submission) on, up to ``last`` and before ``before`` count.
        """
        first_day = not_before or self.calendar.date_of(candidate.referral.submitted_at)
        contracts = [
            c for c in self._contracts_of(candidate, terms)
            if c.signed_on >= first_day and (before is None or c.signed_on < before)
        ]  # fmt: skip
        contracts.sort(key=lambda c: (c.signed_on, c.id))
        winning = [c for c in contracts if c.renews is None and is_of(c, terms.claims.won_kinds)]
        closed = self._closed(candidate, first_day) if terms.claims.won_by_opportunity else None
        if not winning and closed is None:
            return {}
        first = winning[0] if winning else None
        won_on = closed or (first.signed_on if first else None)
        earning = [first] if first else []
        if terms.claims.contracts != "first":
            ends = last if terms.claims.contracts == "in_window" else None
            earning += [c for c in contracts if c is not first and (ends is None or c.signed_on <= ends or c.renews)]
        names = tuple(c.id for c in earning)
        return {"won_on": won_on, "contract": first.id if first else None, "contracts": names}

    def approval(self, candidate: Candidate, contract: str | None) -> datetime | None:
        """The instant of the review that approves the commission of a signed contract (NT-14)."""
        return self._approval(candidate, self.now["contract"][contract]) if contract is not None else None

    def _contracts_of(self, candidate: Candidate, terms: Terms) -> list[Contract]:
        """Contracts that name the claim, or nobody and are its account's."""
        accounts = self.accounts_of(candidate)
        found = []
        for contract in self.now["contract"].values():
            if contract.renews is not None and terms.claims.contracts == "first":
                continue
            named = contract.referral or self._named_by_opportunity(contract)
            if named == candidate.id or (self._is_common(named) and contract.account in accounts):
                found.append(contract)
        return found

    def _closed(self, candidate: Candidate, first_day: date) -> date | None:
        """The day on which the claim's opportunity was won."""
        accounts = self.accounts_of(candidate)
        days = [
            self.calendar.date_of(o.closed_at)
            for o in self.now["opportunity"].values()
            if o.outcome == "won" and o.closed_at is not None
            and (o.referral == candidate.id or (self._is_common(o.referral) and o.account in accounts))
        ]  # fmt: skip
        return min((day for day in days if day >= first_day), default=None)

    def _is_common(self, named: str | None) -> bool:
        return named is None or named in self.sharing

    def _named_by_opportunity(self, contract: Contract) -> str | None:
        opportunity = self.now["opportunity"].get(contract.opportunity) if contract.opportunity else None
        return opportunity.referral if opportunity else None

    def _approval(self, candidate: Candidate, contract: Contract) -> datetime | None:
        """The instant of the approving review; one given before the signature approves nothing yet."""
        signed = self.calendar.start_of(contract.signed_on)
        approvals = [
            r.at
            for r in self.now["review"].values()
            if r.referral == candidate.id and r.outcome == "approved" and r.at >= signed
            and (r.override or all((r.checks or {}).values()))
        ]  # fmt: skip
        return min(approvals) if approvals else None

    def account_of(self, candidate: Candidate) -> str | None:
        """The claim's account: linked by a person, else tied by evidence, else that of the contract which names it."""
        if candidate.referral.account is not None:
            return candidate.referral.account
        account = None if candidate.tie is None or candidate.tie.unsure else candidate.tie.account
        if account is None:
            named = [c for c in self.now["contract"].values() if c.referral == candidate.id]
            account = min(named, key=lambda c: (c.signed_on, c.id)).account if named else None
        return account

    def accounts_of(self, candidate: Candidate) -> set[str]:
        """The claim's account, and its whole corporate tree where that is one prospect (NT-A10)."""
        account = self.account_of(candidate)
        if account is None:
            return set()
        return {account, *self.prospect.trees.get(account, ())}

    def is_unsure(self, candidate: Candidate) -> bool:
        """Whether a person must still compare it with companies that are like it."""
        if candidate.tie is None or not candidate.tie.unsure or candidate.overridden:
            return False
        if candidate.approval is not None:
            return False
        decision = self.decision_on(candidate, "claim_review")
        return decision is None or decision.choice != "award"

    def _decisions(self) -> list[Decision]:
        return sorted(self.now["decision"].values(), key=lambda d: (d.at, d.id))

    def decision_on(self, candidate: Candidate, kind: str) -> Decision | None:
        """The latest decision about this very claim."""
        found = None
        for decision in self._decisions():
            named = names_task(decision.about, self.program.id, kind)
            if candidate.id in (decision.about, named) and decision.choice in ("award", "reject"):
                found = decision
        return found

    def decisions_on(self, candidate: Candidate) -> list[Decision]:
        """All decisions about this very claim or a task on it, in time order."""
        prefix = f"{self.program.id}:"
        return [
            d for d in self._decisions()
            if d.about == candidate.id or (d.about.startswith(prefix) and d.about.split(":")[2:3] == [candidate.id])
        ]  # fmt: skip

    def _awards(self) -> list[tuple[datetime, str, str | None]]:
        """Awards as (instant, referral or empty, partner)."""
        awards: list[tuple[datetime, str, str | None]] = []
        decisions = self._decisions()
        if decisions:
            known = {*self.now["referral"], *(account for _, account in self.prospect.accounts)}
            known |= {c.account for c in self.now["contract"].values() if c.referral in self.now["referral"]}
        for decision in decisions:
            subject = names_task(decision.about, self.program.id, "conflict") or names_task(
                decision.about, self.program.id, "claim_review"
            )
            subject = subject or decision.about
            if decision.choice == "award" and subject in known:
                awards.append((decision.at, subject if subject in self.now["referral"] else "", decision.partner))
        for review in self.now["review"].values():
            if review.outcome == "approved" and review.override:
                awards.append((review.at, review.referral, None))
        return sorted(awards, key=lambda award: (award[0], award[1]))

    def award(self, line: list[Candidate]) -> Candidate | None:
        """The claim that a person awarded the prospect to."""
        winner = None
        for _, referral, partner in self._awards():
            mine = [c for c in line if (c.referral.partner == partner if partner else c.id == referral)]
            if mine:
                exact = [c for c in mine if c.id == referral]
                winner = exact[0] if exact else min(mine, key=lambda c: c.place)
        return winner

    def award_instant(self, holder: Candidate) -> datetime:
        """When a person last awarded the prospect to this claim or its partner."""
        return max(
            instant for instant, referral, partner in self._awards()
            if referral == holder.id or partner == holder.referral.partner
        )  # fmt: skip
