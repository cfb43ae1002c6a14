"""What was deleted: NetSuite keeps one table of it for all objects, so one question serves all that share a window.

The windows of one run end on whole minutes, so most of its objects have the same one.
"""

from __future__ import annotations

from collections.abc import Iterable

from connectors.base import FieldType
from connectors.errors import NeedsOperator
from connectors.netsuite.cursors import Window
from connectors.netsuite.errors import QueryRefused
from connectors.netsuite.kinds import STANDARD, Kind
from connectors.netsuite.queries import Queries, Rows
from connectors.netsuite.statements import Clause, behind, between, one_of, select

_COLUMNS: dict[str, FieldType | None] = {"deleteddate": "datetime", "recordid": None, "type": None, "scriptid": None}
ORDER = ("deleteddate", "recordid")


class Deletions:
    """Pages of deletions of one object at a time."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._kinds = [kind for kind in STANDARD.values() if kind.tombstones]
        self._window: tuple[str | None, str] | None = None
        self._rows: Rows | None = None

    def page(self, kind: Kind, window: Window, size: int) -> tuple[Rows, bool]:
        """Deletions of an object in this window behind its position, in order, at most ``size``, and whether more follow.

        Raises: ``NeedsOperator`` when the role may not see deletions.
        """
        if not window.at:
            rows = self._shared(kind, window, size)
            if rows is not None:
                names = frozenset(kind.tombstones)
                return [row for row in rows if row.get("type") in names or row.get("scriptid") in names], False
        return self._asked([kind], window, size)

    def _shared(self, kind: Kind, window: Window, size: int) -> Rows | None:
        """Deletions of all objects in this window, unless they are more than a page."""
        if kind not in self._kinds:
            self._kinds.append(kind)
            self._window = None
        if self._window != (window.low, window.high):
            rows, more = self._asked(self._kinds, window, size)
            self._window, self._rows = (window.low, window.high), None if more else rows
        return self._rows

    def _asked(self, kinds: Iterable[Kind], window: Window, size: int) -> tuple[Rows, bool]:
        names = list(dict.fromkeys(name for kind in kinds for name in kind.tombstones))
        by_type, by_script = one_of("type", names), one_of("scriptid", names)
        clauses = [
            Clause(f"({by_type.text} OR {by_script.text})", (*by_type.params, *by_script.params)),
            between("deleteddate", window.low, window.high),
            behind(ORDER, window.at),
        ]
        try:
            rows, more = self._queries.page(select(_COLUMNS, "deletedrecord", clauses, ORDER), size)
        except QueryRefused as error:
            raise NeedsOperator(
                "netsuite: deletions cannot be read; give the role the permission Lists > Deleted Records, or set "
                "deleted_records: false and accept that deletions are not seen",
                code=error.code,
                status=error.status,
            ) from error
        return rows, more and bool(rows)
