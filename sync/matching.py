"""Is this the same company? Hard evidence decides, anything else asks a person, and nothing is guessed.

The rules, in order, and what was measured: docs/matching.md.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sync.blocking import filed_under, looked_up
from sync.identity import Company, Keys, fresh_keys, keys_of
from sync.identity_lists import COMMON, GENERIC, VERSION
from sync.postings import Postings
from sync.similarity import alike

__all__ = ["RULESET", "Company", "Hit", "Index", "Keys", "Match", "keys_of"]

RULESET = f"names-{VERSION}"

_SHOWN = 5
_ROWS_PER_KEY = 1000
_ROWS_PER_LOOKUP = 2000
_COMPANIES_PER_ADDRESS = 3

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

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._names: list[str] = []
        self._groups: list[str] = []
        self._keys: list[Keys] = []
        self._row_of: dict[str, int] = {}
        self._spellings: dict[str, list[int]] = {}
        self._free: list[int] = []
        self._postings = Postings()

    def __len__(self) -> int:
        return len(self._row_of)

    def add(self, company: Company, *, group: str | None = None) -> None:
        """File one spelling, under its own id unless a ``group`` is given. The same id again replaces the earlier."""
        if company.id in self._row_of:
            self.remove(company.id)
        keys = fresh_keys(company)
        group = company.id if group is None else group
        if self._free:
            row = self._free.pop()
            self._ids[row], self._names[row], self._groups[row], self._keys[row] = company.id, company.name, group, keys
        else:
            row = len(self._ids)
            self._ids.append(company.id)
            self._names.append(company.name)
            self._groups.append(group)
            self._keys.append(keys)
        self._row_of[company.id] = row
        if group != company.id:
            self._spellings.setdefault(group, []).append(row)
        for key in _all_keys(keys):
            self._postings.add(key, row)

    def remove(self, id: str) -> None:
        """Forget one spelling, as if it had never been added. An id that is not there is ignored."""
        row = self._row_of.pop(id, None)
        if row is None:
            return
        for key in _all_keys(self._keys[row]):
            self._postings.remove(key, row)
        group = self._groups[row]
        if group != id:
            self._spellings[group].remove(row)
            if not self._spellings[group]:
                del self._spellings[group]
        self._free.append(row)

    def match(self, company: Company, *, exclude: Collection[str] = ()) -> Match:
        """Which known company this is. ``exclude`` names ids or groups to leave out (usually the company itself)."""
        lookup = _Lookup(self, company, frozenset(exclude))
        return lookup.by_number_or_domain() or lookup.by_name_or_review()

    def candidates(self, company: Company) -> tuple[str, ...]:
        """Groups whose names would be compared with this one, sorted: tells a name never seen from one judged unlike."""
        lookup = _Lookup(self, company, frozenset())
        return tuple(sorted({self._groups[row] for row in lookup.candidate_rows()}))

    def _group_rows(self, group: str) -> list[int]:
        own = self._row_of.get(group)
        rows = [] if own is None or self._groups[own] != group else [own]
        return sorted(rows + self._spellings.get(group, []), key=lambda row: self._ids[row])


def _all_keys(keys: Keys) -> Iterator[str]:
    yield from _exact_keys(keys)
    if keys.squash:
        yield f"s{keys.squash}"
        yield from filed_under(keys)


def _exact_keys(keys: Keys) -> Iterator[str]:
    if keys.tax_id:
        yield f"x{_number(keys.tax_id)}"
    if keys.domain:
        yield f"d{keys.domain}"
    if keys.email_domain:
        yield f"e{keys.email_domain}"


class _Lookup:
    """One question to the index."""

    def __init__(self, index: Index, company: Company, excluded: frozenset[str]) -> None:
        self._index = index
        self._name = company.name
        self._keys = keys_of(company)
        self._excluded = excluded

    def by_number_or_domain(self) -> Match | None:
        keys = self._keys
        by_number: dict[str, list[Keys]] = {}
        by_domain: dict[str, list[Keys]] = {}
        if keys.tax_id:
            number = _number(keys.tax_id)
            by_number = self._groups_of(
                row for row in self._rows(f"x{number}") if number == _number(self._index._keys[row].tax_id)
            )
        if keys.domain:
            by_domain = self._groups_of(
                row for row in self._rows(f"d{keys.domain}") if self._index._keys[row].domain == keys.domain
            )
        found = by_number | by_domain
        if not found:
            return None
        if len(found) > 1:
            return self._review(
                Hit(group, "contradiction", 1.0, f"{self._agreement(group, by_number)}; but {len(found)} companies match.")
                for group in found
            )
        [(group, spellings)] = found.items()
        rule: Rule = "tax_id" if by_number else "domain"
        against = self._against_number(spellings) if by_number else self._against_domain(spellings)
        agreement = self._agreement(group, by_number)
        if against:
            return self._review([Hit(group, "contradiction", 1.0, f"{agreement}; but {against}.")])
        return Match("same", (Hit(group, rule, 1.0, f"{agreement}."),), rule, RULESET)

    def by_name_or_review(self) -> Match:
        keys = self._keys
        if not keys.squash:
            return self._review(self._by_email(set()))
        named = self._groups_of(
            row for row in self._rows(f"s{keys.squash}") if self._index._keys[row].squash == keys.squash
        )
        against = {group: self._against_name(spellings) for group, spellings in named.items()}
        if len(named) > 1:
            against = {group: reasons or f"{len(named)} companies have it" for group, reasons in against.items()}
        hits = [
            Hit(group, "contradiction", 1.0, f"Same name {self._quoted(group)}; but {reasons}.")
            for group, reasons in against.items()
            if reasons
        ]
        if named and not hits:
            [group] = named
            return Match("same", (Hit(group, "name", 1.0, f"Same name {self._quoted(group)}."),), "name", RULESET)
        hits += self._by_likeness(set(named))
        hits += self._by_email({hit.id for hit in hits})
        return self._review(hits)

    def _by_likeness(self, known: set[str]) -> list[Hit]:
        rows = self.candidate_rows()
        if known:
            rows = [row for row in rows if self._index._groups[row] not in known]
        others = [self._index._keys[row] for row in rows]
        best: dict[str, Hit] = {}
        for position, (score, way) in alike(self._keys, others, strict=self._spoken_against).items():
            row = rows[position]
            group = self._index._groups[row]
            if self._numbers_differ(self._spellings(group)):
                continue
            evidence = f"{_quote(self._name)} is like {_quote(self._index._names[row])}: {way}, {score:.0%}."
            hit = Hit(group, "fuzzy", score, evidence)
            if group not in best or (-hit.score, hit.evidence) < (-best[group].score, best[group].evidence):
                best[group] = hit
        return list(best.values())

    def _spoken_against(self, other: Keys) -> bool:
        return self._domains_differ([other]) or self._countries_differ([other])

    def candidate_rows(self) -> list[int]:
        """Rows worth comparing. Keys with few rows first; a key with too many is left out, whatever order they came in."""
        postings = self._index._postings
        keys = sorted({(postings.count(key), key) for key in looked_up(self._keys)})
        rows: set[int] = set()
        for count, key in keys:
            if count > _ROWS_PER_KEY or len(rows) + count > _ROWS_PER_LOOKUP:
                break
            rows.update(postings.rows(key))
        return [row for row in rows if self._visible(row)] if self._excluded else list(rows)

    def _by_email(self, known: set[str]) -> list[Hit]:
        own, mail = self._keys.domain, self._keys.email_domain
        found: dict[str, str] = {}
        if mail:
            for group in self._groups_of(
                row for row in self._rows(f"d{mail}") if self._index._keys[row].domain == mail
            ):
                found[group] = f"The contact's e-mail domain {mail} is its website"
        for domain in sorted({domain for domain in (own, mail) if domain}):
            groups = self._groups_of(
                row for row in self._rows(f"e{domain}") if self._index._keys[row].email_domain == domain
            )
            if len(groups) > _COMPANIES_PER_ADDRESS:
                continue
            for group, spellings in groups.items():
                if domain == own:
                    found.setdefault(group, f"The website {domain} is the domain of its contact's e-mail")
                elif not self._domains_differ(spellings):
                    found.setdefault(group, f"Contacts of both have e-mail at {domain}")
        return [
            Hit(group, "email_domain", 0.5, f"{reason}; names {_quote(self._name)} and {self._quoted(group)}.")
            for group, reason in found.items()
            if group not in known and not self._numbers_differ(self._spellings(group))
        ]

    def _review(self, hits: Iterable[Hit]) -> Match:
        best = sorted(hits, key=lambda hit: (-hit.score, hit.id))[:_SHOWN]
        if not best:
            return Match("none", (), "none", RULESET)
        return Match("review", tuple(best), best[0].rule, RULESET)

    # What speaks against

    def _against_number(self, spellings: list[Keys]) -> str:
        mine = _country(self._keys.tax_id)
        theirs = {_country(other.tax_id) for other in spellings if _number(other.tax_id) == _number(self._keys.tax_id)}
        if mine and theirs and "" not in theirs and mine not in theirs:
            return f"the number is one of {mine} here and of {', '.join(sorted(theirs))} there"
        return ""

    def _against_domain(self, spellings: list[Keys]) -> str:
        if any(other.squash == self._keys.squash for other in spellings):
            return ""
        if self._countries_differ(spellings):
            return "both name and country differ"
        if self._numbers_differ(spellings):
            return "both name and tax number differ"
        return ""

    def _against_name(self, spellings: list[Keys]) -> str:
        reasons = []
        if self._domains_differ(spellings):
            reasons.append("the websites differ")
        if self._countries_differ(spellings):
            reasons.append("the countries differ")
        if self._numbers_differ(spellings):
            reasons.append("the tax numbers differ")
        if not any(self._ends_alike(other) for other in spellings if other.squash == self._keys.squash):
            reasons.append("the name alone says too little")
        return " and ".join(reasons)

    def _ends_alike(self, other: Keys) -> bool:
        """Names equal but for generic words: fine when one of them has none; acronyms and common words need equality."""
        mine, theirs = set(self._keys.tokens), set(other.tokens)
        if mine == theirs:
            return True
        telling = set(self._keys.core.split()) - COMMON
        if not telling or (self._keys.squash.isascii() and len(self._keys.squash) <= 3):
            return False
        left, right = (mine - theirs) & GENERIC, (theirs - mine) & GENERIC
        return not (left and right)

    def _domains_differ(self, spellings: list[Keys]) -> bool:
        theirs = {other.domain for other in spellings} - {None}
        return self._keys.domain is not None and bool(theirs) and self._keys.domain not in theirs

    def _countries_differ(self, spellings: list[Keys]) -> bool:
        theirs = {other.country for other in spellings} - {None}
        return self._keys.country is not None and bool(theirs) and self._keys.country not in theirs

    def _numbers_differ(self, spellings: list[Keys]) -> bool:
        """Two numbers of one kind (same country, same length) that differ; other pairs cannot be compared."""
        mine = self._keys.tax_id
        theirs = {other.tax_id for other in spellings if other.tax_id}
        if mine is None or mine in theirs:
            return False
        return any(_country(mine) == _country(other) and len(mine) == len(other) for other in theirs if other)

    # Rows and groups

    def _visible(self, row: int) -> bool:
        return self._index._ids[row] not in self._excluded and self._index._groups[row] not in self._excluded

    def _rows(self, key: str) -> list[int]:
        return self._index._postings.rows(key)

    def _groups_of(self, rows: Iterable[int]) -> dict[str, list[Keys]]:
        """Groups of the rows that may be shown, by id, each with all its spellings."""
        groups = sorted({self._index._groups[row] for row in rows if self._visible(row)})
        return {group: self._spellings(group) for group in groups}

    def _spellings(self, group: str) -> list[Keys]:
        return [self._index._keys[row] for row in self._index._group_rows(group) if self._visible(row)]

    def _quoted(self, group: str) -> str:
        names = [self._index._names[row] for row in self._index._group_rows(group) if self._visible(row)]
        return _quote(names[0])

    def _agreement(self, group: str, by_number: dict[str, list[Keys]]) -> str:
        what = "Same tax number" if group in by_number else f"Same website {self._keys.domain}"
        return f"{what}; names {_quote(self._name)} and {self._quoted(group)}"


def _quote(name: str) -> str:
    return f"“{name}”"


def _country(tax_id: str | None) -> str:
    return (tax_id or "").partition(":")[0]


def _number(tax_id: str | None) -> str:
    return (tax_id or "").partition(":")[2]
