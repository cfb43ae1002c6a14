"""The companies already known: their spellings, which spellings are one company, and where to find them by key."""

import marshal
from collections.abc import Iterable, Iterator

from sync.blocking import filed_under
from sync.identity import Company, Keys, fresh_keys
from sync.postings import Postings


class _Packed:
    """Keys by row number, each packed into one piece of bytes: a seventh of the room that its texts take."""

    def __init__(self) -> None:
        self._rows: list[bytes] = []

    def put(self, row: int, keys: Keys) -> None:
        """Set a row, or add the next one."""
        words = len(keys.core.split(" ")) if keys.core else 0  # of the tokens, those of the core come first
        packed = marshal.dumps((words, keys.domain, keys.email_domain, keys.country, keys.tax_id, *keys.tokens))
        self._rows[row : row + 1] = [bytes(memoryview(packed))]  # a copy: marshal takes more room than it needs

    def __getitem__(self, row: int) -> Keys:
        words, domain, email_domain, country, tax_id, *tokens = marshal.loads(self._rows[row])
        core = " ".join(tokens[:words])
        return Keys(core, core.replace(" ", ""), domain, email_domain, country, tax_id, tuple(tokens))


class KnownCompanies:
    """Spellings in numbered rows. ``ids``, ``names``, ``groups`` and ``keys`` are read by row number.

    What is found never depends on the order in which spellings were added, nor on those removed again.
    """

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.names: list[str] = []
        self.groups: list[str] = []
        self.keys = _Packed()
        self._count = 0
        self._members: dict[str, list[int]] = {}
        self._free: list[int] = []
        self._postings = Postings()

    def __len__(self) -> int:
        return self._count

    def add(self, company: Company, group: str) -> None:
        """File one spelling; the same id again replaces the earlier."""
        self.remove(company.id)
        keys = fresh_keys(company)
        if self._free:
            row = self._free.pop()
            self.ids[row], self.names[row], self.groups[row] = company.id, company.name, group
        else:
            row = len(self.ids)
            self.ids.append(company.id)
            self.names.append(company.name)
            self.groups.append(group)
        self.keys.put(row, keys)
        self._count += 1
        self._join(row)
        self._postings.add((f"i{company.id}", *_all_keys(keys)), row)

    def remove(self, id: str) -> None:
        """Forget one spelling; an id that is not there is ignored."""
        row = self._row_of(id)
        if row is not None:
            self._postings.remove((f"i{id}", *_all_keys(self.keys[row])), row)
            self._count -= 1
            self._leave(row)
            self._free.append(row)

    def regroup(self, group: str, into: str) -> None:
        """Every spelling of ``group`` is one of ``into`` from now on."""
        for row in self.rows_of_group(group):
            self._leave(row)
            self.groups[row] = into
            self._join(row)

    def rows_of_group(self, group: str) -> list[int]:
        """Rows of the spellings of one company, by id."""
        own = self._row_of(group)
        rows = [own] if own is not None and self.groups[own] == group else []
        return sorted(rows + self._members.get(group, []), key=self.ids.__getitem__)

    def with_tax_number(self, number: str) -> list[int]:
        """Rows whose tax number is this one, whatever its country."""
        rows = self._postings.rows(f"x{number}")
        return [row for row in rows if (self.keys[row].tax_id or "").partition(":")[2] == number]

    def with_domain(self, domain: str) -> list[int]:
        """Rows whose website is on this domain."""
        return [row for row in self._postings.rows(f"d{domain}") if self.keys[row].domain == domain]

    def with_email_domain(self, domain: str) -> list[int]:
        """Rows whose contact's e-mail is on this domain."""
        return [row for row in self._postings.rows(f"e{domain}") if self.keys[row].email_domain == domain]

    def with_squash(self, squash: str) -> list[int]:
        """Rows whose name is this one but for spaces, legal form and generic words."""
        return [row for row in self._postings.rows(f"s{squash}") if self.keys[row].squash == squash]

    def under(self, keys: Iterable[str], *, per_key: int, in_all: int) -> set[int]:
        """Rows filed under any of the keys, those with few rows first, until there are ``in_all``.

        A key with more than ``per_key`` rows is left out whole, so that the answer does not depend on the order of rows.
        """
        rows: set[int] = set()
        for count, key in sorted({(self._postings.count(key), key) for key in keys}):
            if count > per_key or len(rows) + count > in_all:
                break
            rows.update(self._postings.rows(key))
        return rows

    def _row_of(self, id: str) -> int | None:
        return next((row for row in self._postings.rows(f"i{id}") if self.ids[row] == id), None)

    def _join(self, row: int) -> None:
        if self.groups[row] != self.ids[row]:
            self._members.setdefault(self.groups[row], []).append(row)

    def _leave(self, row: int) -> None:
        group = self.groups[row]
        if group != self.ids[row]:
            self._members[group].remove(row)
            if not self._members[group]:
                del self._members[group]


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
