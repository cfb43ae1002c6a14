"""What can be seen of a prospect at an instant, and what it says about a claim: contract, approval, awards, own sales."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from rules.calendar import Calendar
from rules.program import Program
from rules.records import Contract, Decision, Referral, Review
from rules.tasks import names_task
from rules.terms import Terms
from sync.intake import Intake
from sync.prospects import Prospect, Tie

END = datetime.max.replace(tzinfo=UTC)
KINDS = ("contract", "decision", "enrollment", "opportunity", "partner", "referral", "review")


@dataclass(slots=True)
class Candidate:
    """A complete, admissible submission at the instant that is judged."""

    id: str
    referral: Referral
    rank_at: datetime
    intake: Intake
    review: Review | None
    ended: str | None = None
    overridden: Review | None = None
    tie: Tie | None = None
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

    @property
    def calendar(self) -> Calendar:
        """The program's days."""
        return self.program.calendar

    def won(self, candidate: Candidate) -> dict[str, Any]:
        """The signed contract that makes the claim won, with its approval, or nothing (NT-13, NT-14)."""
        submitted = self.calendar.date_of(candidate.referral.submitted_at)
        accounts = self.accounts_of(candidate)
        contracts = []
        for contract in self.now["contract"].values():
            if contract.renews is not None:
                continue
            named = contract.referral or self._named_by_opportunity(contract)
            belongs = named == candidate.id or (named is None and contract.account in accounts)
            if belongs and contract.signed_on >= submitted:
                contracts.append(contract)
        if not contracts:
            return {}
        first = min(contracts, key=lambda c: (c.signed_on, c.id))
        return {"won_on": first.signed_on, "contract": first.id, "approved_at": self._approval(candidate, first)}

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

    def own_sales(self, candidate: Candidate, terms: Terms) -> str | None:
        """Why the vendor's own sales were first, or ``None`` (NT-7)."""
        includes = terms.values.get("first_party_includes", ())
        assert isinstance(includes, tuple)
        if "direct_sales" not in includes or candidate.overridden:
            return None
        submitted = candidate.referral.submitted_at
        accounts = self.accounts_of(candidate)
        for opportunity in sorted(self.now["opportunity"].values(), key=lambda o: (o.created_at, o.id)):
            if opportunity.account not in accounts or opportunity.referral is not None:
                continue
            if opportunity.created_at < submitted and (
                opportunity.closed_at is None or opportunity.closed_at > submitted
            ):
                return f"direct sales were first: opportunity {opportunity.id} was open since {self.calendar.local(opportunity.created_at)}"
        return None

    def is_unsure(self, candidate: Candidate) -> bool:
        """Whether a person must still compare it with companies that are like it."""
        if candidate.tie is None or not candidate.tie.unsure or candidate.overridden:
            return False
        decision = self.decision_on(candidate, "claim_review")
        return decision is None or decision.choice != "award"

    def _decisions(self) -> Iterable[Decision]:
        return sorted(self.now["decision"].values(), key=lambda d: (d.at, d.id))

    def decision_on(self, candidate: Candidate, kind: str) -> Decision | None:
        """The latest decision about this very claim."""
        found = None
        for decision in self._decisions():
            named = names_task(decision.about, self.program.id, kind)
            if candidate.id in (decision.about, named) and decision.choice in ("award", "reject"):
                found = decision
        return found

    def _awards(self) -> list[tuple[datetime, str, str | None]]:
        """Awards as (instant, referral or empty, partner)."""
        known = {*self.now["referral"], *(account for _, account in self.prospect.accounts)}
        known |= {c.account for c in self.now["contract"].values() if c.referral in self.now["referral"]}
        awards: list[tuple[datetime, str, str | None]] = []
        for decision in self._decisions():
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
