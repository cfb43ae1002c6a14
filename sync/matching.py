"""Is this the same company? Hard evidence decides, anything else asks a person, and nothing is guessed.

The rules, in order, and what was measured: docs/matching.md.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from publicsuffixlist import __version__ as public_suffix_version

from sync.blocking import looked_up
from sync.evidence import (
    against_domain,
    against_name,
    against_tax_number,
    domains_differ,
    speaks_against,
    tax_numbers_differ,
)
from sync.identity import Company, Keys, keys_of
from sync.identity_lists import VERSION
from sync.known_companies import KnownCompanies
from sync.long_maps import Shelves
from sync.similarity import alike, faintly_alike

__all__ = ["RULESET", "Company", "Hit", "Index", "Keys", "Match", "keys_of"]

RULESET = f"names-{VERSION}+suffixes-{public_suffix_version}"

_SHOWN = 5
_ROWS_PER_KEY = 1000
_ROWS_PER_LOOKUP = 2000
_COMPANIES_PER_MAIL_DOMAIN = 3

Rule = Literal["tax_id", "domain", "name", "contradiction", "fuzzy", "email_domain"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One company that was found, by which rule, how sure (0 to 1, four places), and what agreed or not."""

    id: str
    rule: Rule
    score: float
    evidence: str


@dataclass(frozen=True, slots=True)
class Match:
    """The answer. ``same``: one hit, decided on hard evidence. ``review``: up to five hits, best first, for a person.

    ``rule`` is the rule of the first hit, or "none". ``ruleset`` names the rules and lists that answered.
    """

    outcome: Literal["same", "review", "none"]
    hits: tuple[Hit, ...]
    rule: Rule | Literal["none"]
    ruleset: str


class Index:
    """Companies already known. Several spellings of one company share a ``group``; hits report the group."""

    def __init__(self, shelves: Shelves | None = None) -> None:
        """``shelves`` take what does not fit into memory, together with what others put there."""
        self._known = KnownCompanies(shelves or Shelves())

    def __len__(self) -> int:
        return len(self._known)

    def add(self, company: Company, *, group: str | None = None) -> None:
        """File one spelling, under its own id unless a ``group`` is given. The same id again replaces the earlier."""
        self._known.add(company, company.id if group is None else group)

    def remove(self, id: str) -> None:
        """Forget one spelling, as if it had never been added. An id that is not there is ignored."""
        self._known.remove(id)

    def regroup(self, group: str, into: str) -> None:
        """Two groups turned out to be one company: every spelling of ``group`` is one of ``into`` from now on."""
        self._known.regroup(group, into)

    def match(self, company: Company, *, exclude: Collection[str] = ()) -> Match:
        """Which known company this is. ``exclude`` names ids or groups to leave out (usually the company itself)."""
        question = _Question(self._known, company, frozenset(exclude))
        return question.by_number_or_domain() or question.by_name() or question.for_review()

    def candidates(self, company: Company) -> tuple[str, ...]:
        """Groups whose names would be compared with this one, sorted: tells a name never seen from one judged unlike."""
        rows = _Question(self._known, company, frozenset()).candidate_rows()
        return tuple(sorted({self._known[row].group for row in rows}))


class _Question:
    """One company asked about. Groups are kept by id, each with all its spellings that may be shown."""

    def __init__(self, known: KnownCompanies, company: Company, excluded: frozenset[str]) -> None:
        self._known = known
        self._name = company.name
        self._keys = keys_of(company)
        self._hidden = {row for name in excluded for row in known.rows_called(name)}

    def by_number_or_domain(self) -> Match | None:
        """Same tax number or same website: one company, unless several have it or something contradicts."""
        number, domain = (self._keys.tax_id or "").partition(":")[2], self._keys.domain
        by_number = self._groups_of(self._known.with_tax_number(number)) if number else {}
        by_domain = self._groups_of(self._known.with_domain(domain)) if domain else {}
        found = by_number | by_domain
        agreement = {
            group: f"Same {'tax number' if group in by_number else f'website {domain}'}; {self._both_names(group)}"
            for group in found
        }
        if len(found) > 1:
            reason = f"{len(found)} companies match"
            return _review(Hit(group, "contradiction", 1.0, f"{agreement[group]}; but {reason}.") for group in found)
        for group, spellings in found.items():
            if by_number:
                against = against_tax_number(self._keys, spellings)
            else:
                against = against_domain(self._keys, spellings)
            if against:
                return _review(
                    [
                        Hit(
                            group,
                            "contradiction",
                            1.0,
                            f"{agreement[group]}; but {against}.",
                        )
                    ]
                )
            return _same(
                Hit(
                    group,
                    "tax_id" if by_number else "domain",
                    1.0,
                    f"{agreement[group]}.",
                )
            )
        return None

    def by_name(self) -> Match | None:
        """Same name, of one company only, and nothing contradicts."""
        named = self._named()
        if len(named) == 1:
            [(group, spellings)] = named.items()
            if not against_name(self._keys, spellings):
                return _same(Hit(group, "name", 1.0, f"Same name; {self._both_names(group)}."))
        return None

    def for_review(self) -> Match:
        """Same name but contradicted, a name that is like it, or an e-mail domain: for a person."""
        named = self._named()
        several = [f"{len(named)} companies have it"] if len(named) > 1 else []
        hits = {
            group: Hit(
                group,
                "contradiction",
                1.0,
                f"Same name; {self._both_names(group)}; but "
                f"{' and '.join([*against_name(self._keys, spellings), *several])}.",
            )
            for group, spellings in named.items()
        }
        for hit in (*self._by_likeness(), *self._by_email()):
            known = hits.get(hit.id)
            if known is None or (known.rule == hit.rule and _order(hit) < _order(known)):
                hits[hit.id] = hit
        return _review(hits.values())

    def candidate_rows(self) -> list[int]:
        """Rows whose names are worth comparing."""
        rows = self._known.under(looked_up(self._keys), per_key=_ROWS_PER_KEY, in_all=_ROWS_PER_LOOKUP)
        return sorted(rows - self._hidden)

    def _by_likeness(self) -> list[Hit]:
        rows = self.candidate_rows()
        others = self._known.keys(rows)
        hits = []
        for position, (score, way) in alike(self._keys, others, strict=speaks_against).items():
            row = rows[position]
            group = self._known[row].group
            if not tax_numbers_differ(self._keys, self._spellings(group)):
                names = f"{_quote(self._name)} is like {_quote(self._known[row].name)}"
                hits.append(Hit(group, "fuzzy", score, f"{names}: {way}, {score:.0%}."))
        return hits

    def _by_email(self) -> list[Hit]:
        own, mail = self._keys.domain, self._keys.email_domain
        reasons: dict[str, str] = {}
        if mail:
            for group, spellings in self._groups_of(self._known.with_domain(mail)).items():
                if self._somewhat_alike(spellings) or not domains_differ(self._keys, spellings):
                    reasons[group] = f"The contact's e-mail domain {mail} is its website"
        if own:
            for group, spellings in self._few(self._known.with_email_domain(own)).items():
                if self._somewhat_alike(spellings) or not domains_differ(self._keys, spellings):
                    reasons.setdefault(group, f"The website {own} is the domain of its contact's e-mail")
        if mail:
            for group, spellings in self._few(self._known.with_email_domain(mail)).items():
                if self._somewhat_alike(spellings) and not domains_differ(self._keys, spellings):
                    reasons.setdefault(group, f"Contacts of both have e-mail at {mail}")
        return [
            Hit(group, "email_domain", 0.5, f"{reason}; {self._both_names(group)}.")
            for group, reason in reasons.items()
            if not tax_numbers_differ(self._keys, self._spellings(group))
        ]

    def _somewhat_alike(self, spellings: Iterable[Keys]) -> bool:
        return any(faintly_alike(self._keys, other) for other in spellings)

    def _few(self, rows: Iterable[int]) -> dict[str, list[Keys]]:
        """The groups of the rows, none when there are many: an address of an agency says nothing about its clients."""
        groups = self._groups_of(rows)
        return groups if len(groups) <= _COMPANIES_PER_MAIL_DOMAIN else {}

    def _named(self) -> dict[str, list[Keys]]:
        return self._groups_of(self._known.with_squash(self._keys.squash)) if self._keys.squash else {}

    def _groups_of(self, rows: Iterable[int]) -> dict[str, list[Keys]]:
        groups = sorted({self._known[row].group for row in rows if row not in self._hidden})
        return {group: self._spellings(group) for group in groups}

    def _spellings(self, group: str) -> list[Keys]:
        return self._known.keys(self._visible_rows(group))

    def _visible_rows(self, group: str) -> list[int]:
        return [row for row in self._known.rows_of_group(group) if row not in self._hidden]

    def _both_names(self, group: str) -> str:
        return f"names {_quote(self._name)} and {_quote(self._known[self._visible_rows(group)[0]].name)}"


def _same(hit: Hit) -> Match:
    return Match("same", (hit,), hit.rule, RULESET)


def _review(hits: Iterable[Hit]) -> Match:
    best = sorted(hits, key=_order)[:_SHOWN]
    return Match("review", tuple(best), best[0].rule, RULESET) if best else Match("none", (), "none", RULESET)


def _order(hit: Hit) -> tuple[float, str, str]:
    return -hit.score, hit.id, hit.evidence


def _quote(name: str) -> str:
    return f"“{name}”"
