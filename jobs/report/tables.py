"""The shape of reports: what is asked for, and the columns and order of each list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jobs.report.picture import Row


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for: one partner's rows only, month-end snapshots, how many places."""

    partner: str | None = None
    monthly: bool = False
    top: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """One list of a report: its columns in order, and those that it is sorted by."""

    name: str
    columns: tuple[str, ...]
    sorted_by: tuple[str, ...]

    def arranged(self, rows: Iterable[Mapping[str, Any]]) -> list[Row]:
        """The rows with exactly these columns, in order; what has no value comes first."""
        return sorted(({column: row[column] for column in self.columns} for row in rows), key=self._order)

    def _order(self, row: Row) -> tuple[tuple[bool, Any], ...]:
        values = (row[name] for name in self.sorted_by)
        return tuple((value is not None, 0 if value is None else value) for value in values)
