"""The companies already known: their spellings, which spellings are one company, and where to find them by key."""

import marshal
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from sync.blocking import filed_under
from sync.identity import Company, Keys, fresh_keys
from sync.long_maps import LongMap, Shelves
from sync.postings import Postings


class Spelling(NamedTuple):
    """One spelling of a company, and the group of spellings that it is one of."""

    id: str
    name: str
    group: str


class KnownCompanies:
    """Spellings in numbered rows, of any number in little memory.

    What is found never depends on the order in which spellings were added, nor on those removed again.
    """

    def __init__(self, shelves: Shelves) -> None:
        self._rows: LongMap[int, Spelling] = LongMap(shelves)
        self._packed: LongMap[int, bytes] = LongMap(shelves)
        self._members: LongMap[str, set[int]] = LongMap(shelves)
        """Rows of a group that are not the company by whose id it is called."""
        self._postings = Postings(shelves)
        self._count = 0
        self._next = 0
        self._free: list[int] = []

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, row: int) -> Spelling:
        return self._rows[row]

    def keys(self, rows: Sequence[int]) -> list[Keys]:
        """What is compared of these spellings."""
        return [Keys._make(marshal.loads(packed)) for packed in self._packed.several(rows)]

    def add(self, company: Company, group: str) -> None:
        """File one spelling; the same id again replaces the earlier."""
        self.remove(company.id)
        keys = fresh_keys(company)
        if self._free:
            row = self._free.pop()
        else:
            row = self._next
            self._next += 1
        self._rows[row] = Spelling(company.id, company.name, group)
        self._packed[row] = marshal.dumps(tuple(keys))  # a seventh of the room that they take
        self._count += 1
        self._join(row)
        self._postings.add((f"i{company.id}", *_all_keys(keys)), row)

    def remove(self, id: str) -> None:
        """Forget one spelling; an id that is not there is ignored."""
        row = self._row_of(id)
        if row is not None:
            self._postings.remove((f"i{id}", *_all_keys(*self.keys([row]))), row)
            self._count -= 1
            self._leave(row)
            del self._rows[row], self._packed[row]
            self._free.append(row)

    def regroup(self, group: str, into: str) -> None:
        """Every spelling of ``group`` is one of ``into`` from now on."""
        for row in self.rows_of_group(group):
            self._leave(row)
            self._rows[row] = self[row]._replace(group=into)
            self._join(row)

    def rows_of_group(self, group: str) -> list[int]:
        """Rows of the spellings of one company, by id."""
        own = self._row_of(group)
        rows = [own] if own is not None and self[own].group == group else []
        return sorted((*rows, *self._members.get(group, ())), key=lambda row: self[row].id)

    def rows_called(self, name: str) -> set[int]:
        """Rows of the spellings with this id, or of this group."""
        own = self._row_of(name)
        return {*self._members.get(name, ()), *([] if own is None else [own])}

    def with_tax_number(self, number: str) -> list[int]:
        """Rows whose tax number is this one, whatever its country."""
        return self._rows_where(f"x{number}", lambda keys: (keys.tax_id or "").partition(":")[2] == number)

    def with_domain(self, domain: str) -> list[int]:
        """Rows whose website is on this domain."""
        return self._rows_where(f"d{domain}", lambda keys: keys.domain == domain)

    def with_email_domain(self, domain: str) -> list[int]:
        """Rows whose contact's e-mail is on this domain."""
        return self._rows_where(f"e{domain}", lambda keys: keys.email_domain == domain)

    def with_squash(self, squash: str) -> list[int]:
        """Rows whose name is this one but for spaces, legal form and generic words."""
        return self._rows_where(f"s{squash}", lambda keys: keys.squash == squash)

    def under(self, keys: Iterable[str], *, per_key: int, in_all: int) -> set[int]:
        """Rows filed under any of the keys, those with few rows first, until there are ``in_all``.

        A key with more than ``per_key`` rows is left out whole, so that the answer does not depend on the order of rows.
        """
        rows: set[int] = set()
        for count, key in sorted({(self._postings.count(key, per_key), key) for key in keys}):
            if count > per_key or len(rows) + count > in_all:
                break
            rows.update(self._postings.rows(key))
        return rows

    def _rows_where(self, key: str, is_meant: Callable[[Keys], bool]) -> list[int]:
        """Rows under a key that are really meant: others may have one that looks like it to the index."""
        rows = self._postings.rows(key)
        return [row for row, keys in zip(rows, self.keys(rows), strict=True) if is_meant(keys)]

    def _row_of(self, id: str) -> int | None:
        return next((row for row in self._postings.rows(f"i{id}") if self[row].id == id), None)

    def _join(self, row: int) -> None:
        one = self[row]
        if one.group != one.id:
            members = self._members.get(one.group, set())
            members.add(row)
            self._members[one.group] = members

    def _leave(self, row: int) -> None:
        one = self[row]
        if one.group != one.id:
            members = self._members[one.group]
            members.remove(row)
            if members:
                self._members[one.group] = members
            else:
                del self._members[one.group]


def _all_keys(keys: Keys) -> Iterator[str]:
    if keys.tax_id:
        yield "x" + keys.tax_id.partition(":")[2]
    if keys.domain:
        yield f"d{keys.domain}"
    if keys.email_domain:
        yield f"e{keys.email_domain}"
    if keys.squash:
        yield f"s{keys.squash}"
        yield from filed_under(keys)
