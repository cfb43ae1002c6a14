"""Verdicts: how a claim stands, and a claim as its verdicts through time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from rules.deal import Standing


@dataclass(frozen=True, slots=True)
class Verdict:
    """A claim as it stands at an instant. ``held`` says that what it earns waits for a decision."""

    state: str
    rank: int | None
    account: str | None
    failed: tuple[str, ...]
    because: str
    protected_from: date | None = None
    protected_until: date | None = None
    won_on: date | None = None
    contract: str | None = None
    contracts: tuple[str, ...] = ()
    """All contracts that earn for the claim, the one that won it first."""
    activated_at: datetime | None = None
    """The instant of the review that made it active, where a review does."""
    approved_at: datetime | None = None
    held: bool = False
    role: str | None = None
    """The partner's role in the program at the submission."""
    is_upsell: bool = False
    """Whether the client was a customer before an affiliate's claim."""
    sharers: tuple[date | None, ...] = ()
    """For each claim that shares the prospect's money, this one included, the day from which it does; ``None``: from the first."""
    joined_on: date | None = None
    """The day from which this one does, when another claim earned before."""


@dataclass(slots=True)
class Claim:
    """One referral through time: its verdicts, each from its instant on."""

    referral: str
    partner: str
    verdicts: list[tuple[datetime, Verdict]] = field(default_factory=list)

    @property
    def last(self) -> Verdict:
        """The claim as it stands at the end."""
        return self.verdicts[-1][1]

    @property
    def standings(self) -> list[Standing]:
        """What decides its money, from each instant on."""
        return [
            Standing(at, v.approved_at, v.held, v.won_on, v.contracts, v.sharers, v.joined_on)
            for at, v in self.verdicts
        ]

    def row(self, program: str) -> dict[str, Any]:
        """The claim's row of the outcome."""
        verdict = self.last
        return {
            "referral": self.referral,
            "program": program,
            "partner": self.partner,
            "account": verdict.account,
            "state": verdict.state,
            "rank": verdict.rank,
            "protected_from": _iso(verdict.protected_from),
            "protected_until": _iso(verdict.protected_until),
            "won_on": _iso(verdict.won_on),
            "failed": list(verdict.failed),
            "because": verdict.because,
        }


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None
