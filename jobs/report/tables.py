"""The shape of reports: what is asked for, and the columns and order of each list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jobs.report.picture import Row

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_CONDITION = re.compile(r"(?P<column>[a-z_]+)(?P<sign>>=|<=|~=|=)(?P<value>.*)", re.S)


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a column: ``=``, ``>=`` or ``<=`` a value, or ``~=`` a word in it, large or small.

    Amounts compare as numbers, lists by what they hold.
    """

    column: str
    sign: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Where | None:
        """Read ``column=value``, ``column>=value``, ``column<=value`` or ``column~=word``; ``None``: it is none of these."""
        match = _CONDITION.fullmatch(text)
        return cls(match["column"], match["sign"], match["value"]) if match else None

    def holds(self, row: Row) -> bool:
        """Whether a row meets it; nothing meets no condition but ``column=``."""
        found = row[self.column]
        if self.sign == "~=":
            return found is not None and self.value.casefold() in _words(found).casefold()
        if isinstance(found, list):
            return self.sign == "=" and self.value in found
        if found is None:
            return self.sign == "=" and not self.value
        own, asked = _comparable(str(found)), _comparable(self.value)
        if type(own) is not type(asked):
            own, asked = str(found), self.value
        if self.sign == "=":
            return bool(own == asked)
        return bool(own >= asked) if self.sign == ">=" else bool(own <= asked)


def _words(value: Any) -> str:
    """All text in a value, to be searched."""
    if isinstance(value, Mapping):
        return " ".join(map(_words, value.values()))
    return " ".join(map(_words, value)) if isinstance(value, list) else str(value)


def is_number(value: Any) -> bool:
    """Whether a value is a number, an amount or nothing."""
    return value is None or (not isinstance(value, bool | list | dict) and _NUMBER.fullmatch(str(value)) is not None)


def _comparable(text: str) -> Any:
    return Decimal(text) if _NUMBER.fullmatch(text) else text


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for: one partner's rows only, month-end snapshots, how many places, which rows."""

    partner: str | None = None
    monthly: bool = False
    top: int | None = None
    where: tuple[Where, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """One list of a report: its columns in order, and those that it is sorted by."""

    name: str
    columns: tuple[str, ...]
    sorted_by: tuple[str, ...]

    def arranged(self, rows: Iterable[Mapping[str, Any]], where: Iterable[Where] = ()) -> list[Row]:
        """The rows with exactly these columns, in order, that meet the conditions on them; no value comes first."""
        own = [condition for condition in where if condition.column in self.columns]
        made = ({column: row[column] for column in self.columns} for row in rows)
        return sorted((row for row in made if all(each.holds(row) for each in own)), key=self._order)

    def _order(self, row: Row) -> tuple[tuple[bool, Any], ...]:
        values = (row[name] for name in self.sorted_by)
        return tuple((value is not None, 0 if value is None else value) for value in values)
