"""Claims: whose referral of a prospect stands, at every instant, and why.

For one prospect at a time the history is replayed: at each instant at which something became true or known, every
claim is judged from what could be seen then. The earliest complete submission by *received* order holds the prospect;
nothing a later claimant does changes that order; a person's decision does, with a reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from rules.calendar import Calendar, Period
from rules.facts import View
from rules.records import Contract, Decision, Enrollment, Opportunity, Partner, Referral, Review
from rules.tasks import TaskLog, Wanted, names_task
from rules.terms import Program, Terms
from sync.intake import Intake, checked, standing_at
from sync.prospects import Prospect, Tie

ENDED = {"returned", "rejected"}
END = datetime.max.replace(tzinfo=UTC)


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
    approved_at: datetime | None = None
    held: bool = False


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


@dataclass(slots=True)
class ProspectFacts:
    """Everything about one prospect that can move a claim, as timelines of views by record id."""

    referrals: Mapping[str, Sequence[View[Referral]]]
    reviews: Mapping[str, Sequence[View[Review]]]
    decisions: Mapping[str, Sequence[View[Decision]]]
    opportunities: Mapping[str, Sequence[View[Opportunity]]]
    contracts: Mapping[str, Sequence[View[Contract]]]
    enrollments: Mapping[str, Sequence[View[Enrollment]]]
    """Enrollments of the claiming partners in this program."""
    partners: Mapping[str, Sequence[View[Partner]]]
    kin: Sequence[str] = ()
    """Accounts above or below this prospect's account in the corporate tree that others claim."""


def replay(
    program: Program, prospect: Prospect, ties: Mapping[str, Sequence[Tie]], facts: ProspectFacts, until: datetime
) -> tuple[list[Claim], TaskLog]:
    """Judge every claim to one prospect at every instant before ``until``.

    Returns the claims in order of receipt and the tasks that they call for. Source: NT-1..NT-9, NT-13, NT-14, G-7, G-9.
    """
    return _Replay(program, prospect, ties, facts).run(until)


@dataclass(slots=True)
class _Candidate:
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


class _Replay:
    def __init__(
        self, program: Program, prospect: Prospect, ties: Mapping[str, Sequence[Tie]], facts: ProspectFacts
    ) -> None:
        self._program = program
        self._calendar: Calendar = program.calendar
        self._prospect = prospect
        self._ties = ties
        self._facts = facts
        self._now: dict[str, dict[str, Any]] = {
            name: {} for name in ("referral", "review", "decision", "opportunity", "contract", "enrollment", "partner")
        }
        self._claims: dict[str, Claim] = {}
        self._rank_at: dict[str, datetime] = {}
        self._learned: dict[str, dict[str, datetime]] = {}
        self._part: dict[str, str] = {}
        self._number: dict[str, int] = {}
        self._approved: set[str] = set()
        self._tasks = TaskLog(program.id)

    def run(self, until: datetime) -> tuple[list[Claim], TaskLog]:
        changes = sorted(self._changes(), key=lambda change: (change[0], change[1], change[2]))
        timers = self._timers(until)
        index = 0
        while index < len(changes) or timers:
            instant = min([c[0] for c in changes[index : index + 1]] + timers[:1])
            if instant >= until:
                break
            timers = [timer for timer in timers if timer > instant]
            while index < len(changes) and changes[index][0] == instant:
                _, kind, name, view = changes[index]
                self._see(kind, name, view)
                index += 1
            self._judge(instant)
        return sorted(self._claims.values(), key=self._order), self._tasks

    def _order(self, claim: Claim) -> tuple[datetime, str]:
        return self._rank_at.get(claim.referral, END), claim.referral

    def _changes(self) -> Iterator[tuple[datetime, str, str, View[Any]]]:
        facts = self._facts
        timelines: tuple[tuple[str, Mapping[str, Sequence[View[Any]]]], ...] = (
            ("contract", facts.contracts),
            ("decision", facts.decisions),
            ("enrollment", facts.enrollments),
            ("opportunity", facts.opportunities),
            ("partner", facts.partners),
            ("referral", facts.referrals),
            ("review", facts.reviews),
        )
        for kind, records in timelines:
            for name, views in records.items():
                for view in views:
                    yield view.at, kind, name, view
        for name, ties in self._ties.items():
            for tie in ties:
                yield tie.at, "tie", name, View(tie.at, None)

    def _timers(self, until: datetime) -> list[datetime]:
        """Instants at which a claim changes by the passing of time alone: its expiry and its reminder."""
        instants = set()
        for views in self._facts.referrals.values():
            for view in views:
                if view.fact is None:
                    continue
                terms = self._program.on(self._calendar.date_of(view.fact.submitted_at))
                day = self._calendar.date_of(max(view.fact.submitted_at, view.at))
                for start in {day, self._calendar.date_of(view.fact.submitted_at)}:
                    expiry = terms.values.get("claim_expiry")
                    if isinstance(expiry, Period):
                        instants.add(self._calendar.end_of(self._last_day(terms, start, expiry)))
                    stale = terms.values.get("stale_days")
                    if isinstance(stale, int):
                        instants.add(self._calendar.start_of(start + timedelta(days=stale)))
        return sorted(instant for instant in instants if instant < until)

    def _last_day(self, terms: Terms, start: date, length: Period) -> date:
        last = length.after(start)
        return last if terms.values.get("window_end") == "inclusive" else last - timedelta(days=1)

    def _see(self, kind: str, name: str, view: View[Any]) -> None:
        if kind == "tie":
            return
        if view.fact is None:
            self._now[kind].pop(name, None)
            return
        self._now[kind][name] = view.fact
        if kind == "referral":
            self._number[name] = view.number

    def _judge(self, instant: datetime) -> None:
        today = self._calendar.date_of(instant)
        wanted: list[Wanted] = []
        candidates = self._candidates(instant)
        verdicts: dict[str, Verdict] = {}
        for name in self._facts.referrals:
            if name not in self._now["referral"] and name in self._claims:
                last = self._claims[name].last
                verdicts[name] = Verdict("withdrawn", None, last.account, (), "the referral was withdrawn")
        valid = []
        for candidate in candidates:
            verdict = self._outside(candidate, instant)
            if verdict is not None:
                verdicts[candidate.id] = verdict
            else:
                valid.append(candidate)
        for group in self._parted(valid, instant):
            group.sort(key=lambda c: (c.rank_at, c.id))
            ranks = {candidate.id: number for number, candidate in enumerate(group, 1)}
            self._stand(instant, today, group, ranks, verdicts, wanted)
        for name, verdict in verdicts.items():
            claim = self._claims.get(name)
            if claim is None:
                claim = self._claims[name] = Claim(name, self._now["referral"][name].partner)
            if not claim.verdicts or claim.last != verdict:
                claim.verdicts.append((instant, verdict))
        self._tasks.update(today, wanted)

    def _parted(self, valid: list[_Candidate], instant: datetime) -> list[list[_Candidate]]:
        """The claims by what was known then to be one company; a later merge never rewrites what was before it."""
        parts: dict[str, list[_Candidate]] = {}
        for candidate in valid:
            parts.setdefault(candidate.tie.part if candidate.tie else "", []).append(candidate)
        for part, group in parts.items():
            known = self._learned.setdefault(part, {})
            moved_whole = not known
            for candidate in group:
                before = self._learned.get(self._part.get(candidate.id, part), {})
                if candidate.id not in known:
                    known[candidate.id] = before.get(candidate.id, instant) if moved_whole else instant
            for candidate in group:
                candidate.learned_at = known[candidate.id]
                self._part[candidate.id] = part
        return [parts[part] for part in sorted(parts)]

    def _candidates(self, instant: datetime) -> list[_Candidate]:
        found = []
        for name in sorted(self._now["referral"]):
            referral: Referral = self._now["referral"][name]
            partner = self._now["partner"].get(referral.partner)
            day = self._calendar.date_of(referral.submitted_at)
            intake = checked(referral, partner, self._enrollments_of(referral), day, self._program.on(day))
            if not intake.missing and name not in self._rank_at:
                first = self._number[name] == 1
                self._rank_at[name] = referral.submitted_at if first else instant
            reviews = sorted(
                (r for r in self._now["review"].values() if r.referral == name), key=lambda r: (r.at, r.id)
            )
            review = reviews[-1] if reviews else None
            override = review if review and review.outcome == "approved" and review.override else None
            if override is not None:
                self._rank_at.setdefault(name, override.at)
            found.append(
                _Candidate(
                    name, referral, self._rank_at.get(name, instant), intake, review,
                    ended=review.outcome if review and review.outcome in ENDED else None,
                    overridden=override, tie=self._tie_of(name, instant),
                )  # fmt: skip
            )
        return found

    def _enrollments_of(self, referral: Referral) -> Iterator[Enrollment]:
        """The partner's enrollments, each in the standing it had at the submission: leaving later undoes no claim."""
        for name, enrollment in self._now["enrollment"].items():
            if enrollment.partner == referral.partner:
                yield standing_at(self._facts.enrollments[name], referral.submitted_at) or enrollment

    def _tie_of(self, name: str, instant: datetime) -> Tie | None:
        found = None
        for tie in self._ties.get(name, ()):
            if tie.at <= instant:
                found = tie
        return found

    def _outside(self, candidate: _Candidate, instant: datetime) -> Verdict | None:
        """The verdict of a claim that is not in the line at all, or ``None`` when it is."""
        account = self._account_of(candidate, instant)
        intake = candidate.intake
        if candidate.overridden:
            return None
        if intake.inadmissible:
            state = "inadmissible"
        elif intake.missing:
            state = "incomplete"
        else:
            return None
        if candidate.ended:
            state = candidate.ended
        return Verdict(state, None, account, intake.failed, intake.because)

    def _stand(
        self,
        instant: datetime,
        today: date,
        valid: list[_Candidate],
        ranks: Mapping[str, int],
        verdicts: dict[str, Verdict],
        wanted: list[Wanted],
    ) -> None:
        """Say where each claim in the line stands."""
        terms_of = {c.id: self._program.on(self._calendar.date_of(c.referral.submitted_at)) for c in valid}

        def verdict(c: _Candidate, state: str, because: str, failed: tuple[str, ...] = (), **more: Any) -> None:
            verdicts[c.id] = Verdict(state, ranks[c.id], self._account_of(c, instant), failed, because, **more)

        line: list[_Candidate] = []
        out: list[tuple[_Candidate, str]] = []
        for candidate in valid:
            terms = terms_of[candidate.id]
            decision = self._decision_on(candidate, "claim_review")
            if candidate.ended:
                assert candidate.review is not None
                reason = f": {candidate.review.reason}" if candidate.review.reason else ""
                failed = _failed_checks(candidate.review) or terms.claims.review_clauses
                verdict(candidate, candidate.ended, f"{candidate.ended} by {candidate.review.by}{reason}", failed)
            elif decision is not None and decision.choice == "reject":
                verdict(candidate, "rejected", f"rejected by {decision.by}: {decision.reason}", terms.claims.conflict_clauses)
            elif candidate.id not in self._approved and (sold := self._own_sales(candidate, terms)):
                verdict(candidate, "rejected", sold, terms.claims.first_party_clauses)
            elif run_out := self._run_out(candidate, instant, terms):
                out.append((candidate, run_out))
            else:
                line.append(candidate)
        awarded = self._award(line)
        unsure = [c for c in line if self._is_unsure(c, instant) and c is not awarded]
        for candidate in unsure:
            assert candidate.tie is not None
            verdict(candidate, "in_review", f"a person must compare: {candidate.tie.evidence}")
            wanted.append(
                Wanted("claim_review", candidate.id, terms_of[candidate.id].claims.conflict_clauses, candidate.tie.evidence)
            )
        standing = [c for c in line if c not in unsure]
        tied = self._tied(standing, terms_of) if awarded is None else []
        for candidate in tied:
            because = "received at the same instant as another partner's claim; a person decides who was first"
            verdict(candidate, "in_review", because, ())
            wanted.append(Wanted("claim_review", candidate.id, ("G-7",), because))
        pending = [*unsure, *tied]
        standing = [c for c in standing if c not in tied]
        blocked = [c for c in standing if any((p.rank_at, p.id) < (c.rank_at, c.id) for p in pending)]
        if awarded is None and blocked:
            for candidate in blocked:
                verdict(candidate, "submitted", "an earlier claim to the same prospect waits for a person")
            standing = [c for c in standing if c not in blocked]
        self._award_line(instant, today, standing, awarded, terms_of, verdict, wanted)
        owner = next((c for c in standing if verdicts[c.id].state in ("active", "won")), None)
        for candidate, run_out in out:
            terms = terms_of[candidate.id]
            if owner and (owner is awarded or (owner.rank_at, owner.id) < (candidate.rank_at, candidate.id)):
                verdict(candidate, "superseded", _owned_by(owner), terms.claims.first_party_clauses)
            else:
                verdict(candidate, "expired", run_out, terms.claims.expiry_clauses, **self._window(candidate, terms))

    def _award_line(
        self,
        instant: datetime,
        today: date,
        standing: list[_Candidate],
        awarded: _Candidate | None,
        terms_of: Mapping[str, Terms],
        verdict: Any,
        wanted: list[Wanted],
    ) -> None:
        """One claim holds the prospect; say which, and what the others are to it."""
        if not standing:
            return
        by_learning = sorted(standing, key=lambda c: (c.learned_at, c.rank_at, c.id))
        holder = awarded or by_learning[0]
        terms = terms_of[holder.id]
        policy = terms.values["conflict_policy"]
        rivals = [c for c in standing if c is not holder and c.referral.partner != holder.referral.partner]
        decided_at = self._award_instant(holder) if awarded else None
        newcomers = [c for c in rivals if decided_at is None or c.learned_at > decided_at]
        apart = timedelta(milliseconds=int(str(terms.values["tie_window_ms"])))
        earlier = [c for c in newcomers if c.rank_at <= holder.rank_at + apart] if awarded is None else []
        strict = policy in ("strict_first", "first_submitter") and not earlier
        contested = bool(newcomers) and not strict
        for other in standing:
            if other is holder:
                continue
            if other in newcomers and contested:
                because = f"{holder.referral.partner} also claims this prospect; the vendor decides who is awarded"
                verdict(other, "conflict", because, terms.claims.conflict_clauses)
            else:
                verdict(other, "superseded", _owned_by(holder), terms.claims.first_party_clauses)
        if contested:
            subject = self._account_of(holder, instant) or holder.id
            listed = sorted([holder, *newcomers], key=lambda c: (c.rank_at, c.id))
            listing = ", ".join(f"{c.referral.partner} ({c.id}, received {self._calendar.local(c.rank_at)})" for c in listed)
            proposed = f"; proposed: {listed[0].referral.partner}" if policy != "always_manual" else ""
            wanted.append(
                Wanted("conflict", subject, terms.claims.conflict_clauses, f"claims in order of receipt: {listing}{proposed}")
            )
        if contested and (earlier or policy == "always_manual"):
            why = "another partner's claim was received earlier but became known later" if earlier else "several partners claim this prospect"
            verdict(holder, "conflict", f"{why}; the vendor decides who is awarded", terms.claims.conflict_clauses, held=True,
                    **self._won(holder, instant))  # fmt: skip
            return
        held = contested and bool(terms.values.get("hold_on_conflict"))
        self._hold_prospect(instant, today, holder, terms, awarded is holder, held, verdict, wanted)

    def _hold_prospect(
        self,
        instant: datetime,
        today: date,
        holder: _Candidate,
        terms: Terms,
        by_decision: bool,
        held: bool,
        verdict: Any,
        wanted: list[Wanted],
    ) -> None:
        window = self._window(holder, terms)
        started = self._calendar.date_of(holder.rank_at)
        won = self._won(holder, instant)
        if won:
            contract = self._now["contract"][won["contract"]]
            because = f"won: contract {won['contract']} was signed on {won['won_on']}"
            failed: tuple[str, ...] = ()
            if won["approved_at"] is None:
                failed = _failed_checks(holder.review)
                task = f"contract {contract.id} was signed on {contract.signed_on}; review the referral"
                wanted.append(Wanted("commission_review", holder.id, terms.claims.review_clauses, task))
                because += "; the commission waits for its review"
            else:
                self._approved.add(holder.id)
            verdict(holder, "won", because, failed, held=held, **window, **won)
            return
        stale = terms.values.get("stale_days")
        if isinstance(stale, int) and today >= (opens := started + timedelta(days=stale)):
            clauses = terms.clauses_of("stale_days")
            wanted.append(
                Wanted("stale_claim", holder.id, clauses, f"no contract {stale} days after {started}", opened_on=opens)
            )
        why = "awarded by a person" if by_decision else "first complete submission received"
        if holder.overridden:
            why = f"accepted by {holder.overridden.by}: {holder.overridden.reason}"
        kin = f"; note: {', '.join(self._facts.kin)} in the same corporate tree is claimed too" if self._facts.kin else ""
        verdict(holder, "active", why + kin, (), held=held, **window)

    def _window(self, candidate: _Candidate, terms: Terms) -> dict[str, date | None]:
        """The first and the last day on which the claim holds its prospect."""
        started = self._calendar.date_of(candidate.rank_at)
        expiry = terms.values.get("claim_expiry")
        last = self._last_day(terms, started, expiry) if isinstance(expiry, Period) else None
        return {"protected_from": started, "protected_until": last}

    def _run_out(self, candidate: _Candidate, instant: datetime, terms: Terms) -> str | None:
        """Why the claim has expired: no contract signed by its last day, whenever the CRM told of it (NT-A11)."""
        last = self._window(candidate, terms)["protected_until"]
        if last is None:
            return None
        won = self._won(candidate, instant)
        if won:
            return f"the contract was signed on {won['won_on']}, after {last}" if won["won_on"] > last else None
        return f"no contract was signed by {last}" if self._calendar.date_of(instant) > last else None

    def _won(self, candidate: _Candidate, instant: datetime) -> dict[str, Any]:
        """The signed contract that makes the claim won, with its approval, or nothing (NT-13, NT-14)."""
        submitted = self._calendar.date_of(candidate.referral.submitted_at)
        accounts = self._accounts_of(candidate, instant)
        contracts = []
        for contract in self._now["contract"].values():
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
        opportunity = self._now["opportunity"].get(contract.opportunity) if contract.opportunity else None
        return opportunity.referral if opportunity else None

    def _approval(self, candidate: _Candidate, contract: Contract) -> datetime | None:
        """The instant of the approving review; one given before the signature approves nothing yet."""
        signed = self._calendar.start_of(contract.signed_on)
        approvals = [
            r.at
            for r in self._now["review"].values()
            if r.referral == candidate.id and r.outcome == "approved" and r.at >= signed
            and (r.override or all((r.checks or {}).values()))
        ]  # fmt: skip
        return min(approvals) if approvals else None

    def _account_of(self, candidate: _Candidate, instant: datetime) -> str | None:
        if candidate.referral.account is not None:
            return candidate.referral.account
        account = None if candidate.tie is None or candidate.tie.unsure else candidate.tie.account
        if account is None:
            named = [c for c in self._now["contract"].values() if c.referral == candidate.id]
            account = min(named, key=lambda c: (c.signed_on, c.id)).account if named else None
        return account

    def _accounts_of(self, candidate: _Candidate, instant: datetime) -> set[str]:
        """The claim's account, and its whole corporate tree where that is one prospect (NT-A10)."""
        account = self._account_of(candidate, instant)
        if account is None:
            return set()
        return {account, *self._prospect.trees.get(account, ())}

    def _own_sales(self, candidate: _Candidate, terms: Terms) -> str | None:
        """Why the vendor's own sales were first, or ``None`` (NT-7)."""
        includes = terms.values.get("first_party_includes", ())
        assert isinstance(includes, tuple)
        if "direct_sales" not in includes or candidate.overridden:
            return None
        submitted = candidate.referral.submitted_at
        accounts = self._accounts_of(candidate, submitted)
        for opportunity in sorted(self._now["opportunity"].values(), key=lambda o: (o.created_at, o.id)):
            if opportunity.account not in accounts or opportunity.referral is not None:
                continue
            if opportunity.created_at < submitted and (opportunity.closed_at is None or opportunity.closed_at > submitted):
                return f"direct sales were first: opportunity {opportunity.id} was open since {self._calendar.local(opportunity.created_at)}"
        return None

    def _is_unsure(self, candidate: _Candidate, instant: datetime) -> bool:
        if candidate.tie is None or not candidate.tie.unsure or candidate.overridden:
            return False
        decision = self._decision_on(candidate, "claim_review")
        return decision is None or decision.choice != "award"

    def _tied(self, standing: list[_Candidate], terms_of: Mapping[str, Terms]) -> list[_Candidate]:
        """Claims of different partners received so close together that nobody can say who was first (G-7)."""
        if not standing:
            return []
        first = min(standing, key=lambda c: (c.rank_at, c.id))
        window = terms_of[first.id].values["tie_window_ms"]
        assert isinstance(window, int)
        apart = timedelta(milliseconds=window)
        seen = min(c.learned_at for c in standing)
        near = [c for c in standing if c.rank_at - first.rank_at <= apart and c.learned_at - seen <= apart]
        return near if len({c.referral.partner for c in near}) > 1 else []

    def _decisions(self) -> Iterable[Decision]:
        return sorted(self._now["decision"].values(), key=lambda d: (d.at, d.id))

    def _decision_on(self, candidate: _Candidate, kind: str) -> Decision | None:
        """The latest decision about this very claim."""
        found = None
        for decision in self._decisions():
            named = names_task(decision.about, self._program.id, kind)
            if candidate.id in (decision.about, named) and decision.choice in ("award", "reject"):
                found = decision
        return found

    def _awards(self) -> list[tuple[datetime, str, str | None]]:
        """Awards as (instant, referral or empty, partner)."""
        known = {*self._now["referral"], *(account for _, account in self._prospect.accounts)}
        known |= {c.account for c in self._now["contract"].values() if c.referral in self._now["referral"]}
        awards: list[tuple[datetime, str, str | None]] = []
        for decision in self._decisions():
            subject = names_task(decision.about, self._program.id, "conflict") or names_task(
                decision.about, self._program.id, "claim_review"
            )
            subject = subject or decision.about
            if decision.choice == "award" and subject in known:
                awards.append((decision.at, subject if subject in self._now["referral"] else "", decision.partner))
        for review in self._now["review"].values():
            if review.outcome == "approved" and review.override:
                awards.append((review.at, review.referral, None))
        return sorted(awards, key=lambda award: (award[0], award[1]))

    def _award(self, line: list[_Candidate]) -> _Candidate | None:
        """The claim that a person awarded the prospect to."""
        winner = None
        for _, referral, partner in self._awards():
            mine = [c for c in line if (c.referral.partner == partner if partner else c.id == referral)]
            if mine:
                exact = [c for c in mine if c.id == referral]
                winner = exact[0] if exact else min(mine, key=lambda c: (c.rank_at, c.id))
        return winner

    def _award_instant(self, holder: _Candidate) -> datetime:
        return max(
            instant for instant, referral, partner in self._awards()
            if referral == holder.id or partner == holder.referral.partner
        )  # fmt: skip


def _owned_by(holder: _Candidate) -> str:
    return f"the claim {holder.id} of {holder.referral.partner} owns the prospect"


def _failed_checks(review: Review | None) -> tuple[str, ...]:
    checks = (review.checks if review else None) or {}
    return tuple(sorted(clause for clause, holds in checks.items() if not holds))


def verdict_at(claim: Claim, instant: datetime) -> Verdict | None:
    """The claim's verdict as it stood at an instant."""
    found = None
    for since, verdict in claim.verdicts:
        if since > instant:
            break
        found = verdict
    return found
