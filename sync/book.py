"""The book: a program's stored outcome, and up to where facts are settled in it.

Nothing here decides anything: rules do, and ``jobs.stored`` brings their difference here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import delete, select

from sync import book_tables as t
from sync.book_facts import BookFacts
from sync.book_ledger import BookLedger, stored_row
from sync.book_prospects import BookProspects
from sync.bulk import slices


class Book(BookFacts, BookProspects, BookLedger):
    """One program's stored outcome, inside one transaction."""

    def state(self) -> Any:
        """The program's row of ``book``, or ``None`` when it was never settled."""
        return self.db.execute(select(t.book).where(t.book.c.program == self.program)).one_or_none()

    def set_state(self, *, terms: str, fact_row: int, as_of: date, at: datetime) -> None:
        """Remember up to where facts are settled."""
        values = {
            "program": self.program,
            "terms": terms,
            "fact_row": fact_row,
            "as_of": as_of.isoformat(),
            "settled_at": at,
        }
        self.upsert(t.book, ["program"], [values])

    def replace_rows(self, owners: Collection[str], rows: Sequence[tuple[str, str, str, Any]]) -> None:
        """Replace the outcome rows of these owners: (list, key, owner, row)."""
        o = t.outcome_row
        for some in slices(sorted(owners)):
            self.db.execute(delete(o).where(o.c.program == self.program, o.c.owner.in_(some)))
        values = [
            {"program": self.program, "list": name, "key": key, "owner": owner, "row": orjson.dumps(row).decode()}
            for name, key, owner, row in rows
        ]
        self.upsert(o, ["program", "list", "key"], values)

    def rows(self, name: str) -> Iterator[dict[str, Any]]:
        """All current rows of one list of the outcome, in order of their key, read while they are gone through."""
        e, s, o = t.entry_head, t.statement_head, t.outcome_row
        in_parts = {"yield_per": 1000}
        if name == "entries":
            heads = select(e.c.body, e.c.state, e.c.released_on).where(e.c.program == self.program).order_by(e.c.key)
            for head in self.db.execute(heads, execution_options=in_parts):
                yield stored_row(head)
            return
        query = select(o.c.row).where(o.c.program == self.program, o.c.list == name).order_by(o.c.key)
        if name == "statements":
            query = select(s.c.row).where(s.c.program == self.program).order_by(s.c.id)
        for row in self.db.execute(query, execution_options=in_parts):
            yield orjson.loads(row.row)
