"""Prospects: which referrals and accounts are one company, decided once in the order things became known.

The matcher gives evidence; this file keeps what was decided. A referral is tied by a person's link, else by hard
evidence at the moment it is first seen; an account that appears later is tied the same way. A decision once made is
not remade by a later record, so the past stays as it was (matching rules are versioned in ``sync.matching.RULESET``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import merge

from rules.facts import View
from rules.program import Program
from rules.records import Account, Decision, Referral
from rules.tasks import names_task
from sync.long_maps import LongMap, Shelves
from sync.matching import Company, Hit, Index
from sync.sightings import Event, Sightings

AUTOMATIC = {"domain": "domain", "normalised_name": "name"}


@dataclass(frozen=True, slots=True)
class Tie:
    """From ``at`` on, the referral belongs to this prospect.

    ``evidence`` says why, for a person; ``unsure`` holds the prospects that a person must compare it with. ``part`` is
    the company as it was known then: parts that later turned out to be one make one prospect.
    """

    at: datetime
    prospect: str
    rule: str
    evidence: str
    unsure: tuple[str, ...] = ()
    part: str = ""

    @property
    def account(self) -> str | None:
        """The account that the company was known by from then on."""
        known_as = self.part or self.prospect
        return known_as.removeprefix("account:") if known_as.startswith("account:") else None


@dataclass(slots=True)
class Prospect:
    """One company that partners claim: its referrals, and its account once there is one."""

    id: str
    referrals: list[str] = field(default_factory=list)
    accounts: list[tuple[datetime, str]] = field(default_factory=list)
    """Accounts with the instant from which each is known to be this prospect."""
    trees: dict[str, list[str]] = field(default_factory=dict)
    """For an account whose corporate tree is one prospect, the other accounts of the tree."""

    @property
    def everyone(self) -> set[str]:
        """All accounts that are this prospect, corporate trees included."""
        return {account for _, account in self.accounts} | {other for tree in self.trees.values() for other in tree}


def _at(event: Event) -> datetime:
    return event[0]


@dataclass(slots=True)
class Prospects:
    """All prospects of a program, and the tie of each referral, by name and in its order."""

    by_id: MutableMapping[str, Prospect]
    ties: MutableMapping[str, list[Tie]]

    def of(self, referral: str) -> Prospect:
        """The prospect that a referral finally belongs to."""
        return self.by_id[self.ties[referral][-1].prospect]


def resolve(
    program: Program,
    sightings: Sightings,
    decisions: Iterable[View[Decision]],
    is_complete: Callable[[Referral], bool],
    merges: Iterable[tuple[datetime, str, str]] = (),
) -> Prospects:
    """Tie every referral to a prospect, in the order things became known.

    ``is_complete`` tells whether a referral's spelling may be compared with later ones; ``merges`` are accounts that
    the CRM merged, as (instant, the one that is gone, the one that is left).
    Raises: nothing; doubt is a tie with ``unsure`` prospects, which a person settles.
    """
    return _Resolution(program, is_complete).run(sightings, decisions, merges)


class _Resolution:
    def __init__(self, program: Program, is_complete: Callable[[Referral], bool]) -> None:
        values = program.versions[-1].values
        keys = values.get("match_keys", tuple(AUTOMATIC))
        assert isinstance(keys, tuple)
        self._program = program.id
        self._automatic = {"tax_id", *(AUTOMATIC[key] for key in keys)}
        self._one_tree = values.get("parent_subsidiary") == "same_prospect"
        self._is_complete = is_complete
        self._shelves = shelves = Shelves()
        self._parents: LongMap[str, str | None] = LongMap(shelves)
        """The accounts that are known, each with the one above it."""
        self._accounts = Index(shelves)
        self._claims = Index(shelves)
        self._merged: LongMap[str, str] = LongMap(shelves)
        self._prospects: LongMap[str, list[tuple[datetime, str]]] = LongMap(shelves)
        """The accounts of each prospect, with the instant from which each is known to be this prospect."""
        self._ties: LongMap[str, list[Tie]] = LongMap(shelves)
        self._spelled: LongMap[str, tuple[int, bool]] = LongMap(shelves)
        self._members: LongMap[str, set[str]] = LongMap(shelves)
        """The referrals that each prospect has now."""

    def run(
        self,
        sightings: Sightings,
        decisions: Iterable[View[Decision]],
        merges: Iterable[tuple[datetime, str, str]],
    ) -> Prospects:
        decided: list[Event] = []
        for view in decisions:
            if view.fact is not None:
                about = names_task(view.fact.about, self._program, "claim_review") or view.fact.about
                decided.append((view.at, 2, about, view.fact))
        decided.sort(key=lambda event: (*event[:3], event[3].id))
        merged: list[Event] = [(at, 3, gone, left) for at, gone, left in merges if sightings.has_account(gone)]
        merged.sort(key=_at)
        seen = merge(sightings, decided, key=lambda event: event[:3])
        for at, order, name, fact in merge(seen, merged, key=_at):
            if order == 3:
                self._merge(at, f"account:{name}", fact)
            elif order == 0:
                self._account(at, name, fact)
            elif order == 1:
                self._referral(at, name, fact)
            else:
                self._decision(at, name, fact)
        return self._result()

    def _account(self, at: datetime, name: str, account: Account | None) -> None:
        is_known = name in self._parents
        if is_known:
            del self._parents[name]
            self._accounts.remove(f"account:{name}")
        if account is None:
            return
        self._parents[name] = account.parent
        spelling = Company(f"account:{name}", account.name, account.website, account.country, account.tax_id)
        self._accounts.add(spelling)
        if not is_known and self._ties:
            match = self._claims.match(spelling)
            if match.outcome == "same" and match.rule in self._automatic:
                waiting = self._root(match.hits[0].id)
                if not self._prospects[waiting]:
                    self._merge(at, waiting, name)

    def _referral(self, at: datetime, name: str, referral: Referral | None) -> None:
        if referral is None:
            return
        if referral.account is not None:
            self._tie(
                Tie(at, self._prospect_of(at, referral.account), "link", "linked to the account by a person"), name
            )
            return
        spelled = hash((referral.company, referral.website, referral.country, referral.tax_id))
        complete = self._is_complete(referral)
        tied = self._ties.get(name)
        if tied and (self._spelled.get(name) == (spelled, complete) or tied[-1].rule in ("link", "domain", "tax_id")):
            return
        email = referral.contact.email if referral.contact else None
        company = Company(
            f"referral:{name}", referral.company, referral.website, referral.country, referral.tax_id, email
        )
        if tied and complete and self._spelled[name][0] == spelled and tied[-1].rule not in ("none", "review"):
            self._tie(tied[-1], name)  # others may have come while it was incomplete, so no match is matched again
        elif referral.company.strip():
            self._tie(self._matched(at, name, company), name)
        else:
            self._tie(Tie(at, self._own(name), "none", "no company name to compare"), name)
        self._spelled[name] = (spelled, complete)
        if complete:
            self._claims.remove(company.id)
            self._claims.add(company, group=self._ties[name][-1].prospect)

    def _decision(self, at: datetime, name: str, decision: Decision) -> None:
        """A person settles a doubt: awarded, and the doubt was about one account that nobody claims: it is that one."""
        tie = self._ties[name][-1] if name in self._ties else None
        if tie is None or not tie.unsure or decision.choice != "award":
            return
        linked = decision.detail.get("account") if isinstance(decision.detail, dict) else None
        free = [p for p in tie.unsure if p.startswith("account:") and not self._claimed(p)]
        if linked is None and len(free) == 1 and len(tie.unsure) == 1:
            linked = free[0].removeprefix("account:")
        if isinstance(linked, str) and linked in self._parents:
            self._tie(Tie(at, self._prospect_of(at, linked), "link", f"tied by {decision.by}: {decision.reason}"), name)

    def _claimed(self, prospect: str) -> bool:
        return bool(self._members.get(self._root(prospect)))

    def _matched(self, at: datetime, name: str, company: Company) -> Tie:
        own = self._own(name)
        outcomes = (self._claims.match(company, exclude=(company.id,)), self._accounts.match(company))
        sure: dict[str, Hit] = {}
        unsure: dict[str, Hit] = {}
        for match in outcomes:
            for hit in match.hits:
                if match.outcome == "same" and hit.rule in self._automatic:
                    sure.setdefault(self._known_prospect(hit.id), hit)
                elif match.outcome != "none":
                    unsure.setdefault(self._known_prospect(hit.id), hit)
        accounts = [prospect for prospect in sure if prospect.startswith("account:")]
        if len(sure) == 2 and len(accounts) == 1:
            # The spelling of an earlier claim and an account agree with this one: they are one company.
            other = next(prospect for prospect in sure if prospect != accounts[0])
            if not self._prospects[other]:
                self._merge(at, other, accounts[0].removeprefix("account:"))
                sure = {accounts[0]: sure[accounts[0]]}
        if len(sure) == 1:
            prospect, hit = next(iter(sure.items()))
            if prospect.startswith("account:"):
                prospect = self._prospect_of(at, prospect.removeprefix("account:"))
            return Tie(at, prospect, hit.rule, hit.evidence)
        doubts = {**sure, **unsure}
        if doubts:
            evidence = "; ".join(hit.evidence for hit in doubts.values())
            return Tie(at, own, "review", evidence, tuple(doubts))
        return Tie(at, own, "none", "no known company is like it")

    def _known_prospect(self, identity: str) -> str:
        if identity.startswith("account:"):
            return self._root(self._tree_root(identity.removeprefix("account:")))
        return self._root(identity)

    def _tree_root(self, account: str) -> str:
        seen = {account}
        while self._one_tree:
            parent = self._parents.get(account)
            if parent is None or parent in seen:
                break
            seen.add(parent)
            account = parent
        return f"account:{account}"

    def _prospect_of(self, at: datetime, account: str) -> str:
        root = self._root(self._tree_root(account))
        if root not in self._prospects:
            self._prospects[root] = [(at, root.removeprefix("account:"))]
        return root

    def _own(self, referral: str) -> str:
        own = f"referral:{referral}"
        if own not in self._prospects:
            self._prospects[own] = []
        return self._root(own)

    def _merge(self, at: datetime, waiting: str, account: str) -> None:
        """A prospect turns out to be an account: an untied one that was found in the CRM, or one merged into another."""
        target = self._prospect_of(at, account)
        if target == waiting:
            return
        self._merged[waiting] = target
        self._claims.regroup(waiting, into=target)
        for name in sorted(self._members.get(waiting, ())):
            self._tie(replace(self._ties[name][-1], at=at, prospect=target), name)

    def _root(self, prospect: str) -> str:
        while prospect in self._merged:
            prospect = self._merged[prospect]
        return prospect

    def _tie(self, tie: Tie, name: str) -> None:
        ties = self._ties.get(name, [])
        if ties and ties[-1] == tie:
            return
        if ties:
            members = self._members[ties[-1].prospect]
            members.discard(name)
            self._members[ties[-1].prospect] = members
        members = self._members.get(tie.prospect, set())
        members.add(name)
        self._members[tie.prospect] = members
        ties.append(tie)
        self._ties[name] = ties

    def _result(self) -> Prospects:
        whole = self._joined()
        by_id: LongMap[str, Prospect] = LongMap(self._shelves)
        for name in self._ties:
            ties = [replace(tie, prospect=whole[tie.prospect], part=tie.prospect) for tie in self._ties[name]]
            self._ties[name] = ties
            found = by_id.get(ties[-1].prospect, Prospect(ties[-1].prospect))
            found.referrals.append(name)
            for part in dict.fromkeys(tie.part for tie in ties):
                found.accounts += [one for one in self._prospects[part] if one not in found.accounts]
            by_id[found.id] = found
        if self._one_tree:
            self._add_trees(by_id, whole)
        return Prospects(by_id, self._ties)

    def _joined(self) -> Mapping[str, str]:
        """For each part the prospect it ended up in: parts that shared a referral are one, named by where it ended."""
        above: LongMap[str, str] = LongMap(self._shelves)

        def top(part: str) -> str:
            while (higher := above.get(part, part)) != part:
                part = higher
            return part

        for ties in self._ties.values():
            for tie in ties:
                above[top(tie.prospect)] = top(ties[-1].prospect)
        ends: LongMap[str, str] = LongMap(self._shelves)
        for ties in self._ties.values():
            root, last = top(ties[-1].prospect), ties[-1].prospect
            ends[root] = min(ends.get(root, last), last)
        whole: LongMap[str, str] = LongMap(self._shelves)
        for part in above:
            whole[part] = ends[top(part)]
        return whole

    def _add_trees(self, by_id: MutableMapping[str, Prospect], whole: Mapping[str, str]) -> None:
        for account in self._parents:
            root = self._tree_root(account)
            if root not in whole or root == f"account:{account}":
                continue
            prospect, top = by_id[whole[root]], root.removeprefix("account:")
            since = next(at for at, name in prospect.accounts if name == top)
            prospect.accounts.append((since, account))
            tree = [top, *prospect.trees.get(top, ()), account]
            prospect.trees |= {one: [other for other in tree if other != one] for one in tree}
            by_id[prospect.id] = prospect
