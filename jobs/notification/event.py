"""An event that somebody is told of: what, to whom, about what, on which day, with the values its text needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Event:
    """``to`` is a partner's id, ``vendor:ROLE`` or ``applicant:ID``; ``due_on`` is a date for the reader's calendar.

    ``text`` is the notice whose words it has, where several kinds share one (each status of a lead is a kind).
    """

    kind: str
    to: str
    about: str
    on: date
    fields: Mapping[str, str]
    due_on: date | None = None
    text: str | None = None

    def key(self, program: str) -> str:
        """``program:kind:about:on:to``: the same on every run, so that nobody is told twice."""
        return f"{program}:{self.kind}:{self.about}:{self.on.isoformat()}:{self.to}"
