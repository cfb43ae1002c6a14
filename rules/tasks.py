"""Tasks: every review, deadline, entitlement and human decision that the clauses call for.

At each instant the rules say which tasks are wanted; the log turns that into tasks that open and close. So a task
needs no state of its own: facts that answer it make it done.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """A task that is wanted now. ``due_on`` is the last day for it."""

    kind: str
    subject: str
    clauses: tuple[str, ...]
    because: str
    due_on: date | None = None
    opened_on: date | None = None
    """Overrides the day it is first wanted (a reminder opens on its own day)."""


@dataclass(slots=True)
class Task:
    """A task as the outcome shows it; ``done_on`` is ``None`` while it is open."""

    program: str
    kind: str
    subject: str
    opened_on: date
    due_on: date | None
    clauses: tuple[str, ...]
    because: str
    done_on: date | None = None

    @property
    def key(self) -> str:
        """``program:kind:subject:opened_on``."""
        return f"{self.program}:{self.kind}:{self.subject}:{self.opened_on.isoformat()}"

    def row(self, as_of: date) -> dict[str, Any]:
        """The task's row of the outcome."""
        late = self.done_on is None and self.due_on is not None and as_of > self.due_on
        return {
            "key": self.key,
            "kind": self.kind,
            "program": self.program,
            "subject": self.subject,
            "opened_on": self.opened_on.isoformat(),
            "due_on": self.due_on.isoformat() if self.due_on else None,
            "state": "done" if self.done_on else "late" if late else "open",
            "clauses": list(self.clauses),
            "because": self.because,
        }


@dataclass(slots=True)
class TaskLog:
    """Opens what becomes wanted, closes what is wanted no more."""

    program: str
    tasks: list[Task] = field(default_factory=list)
    _open: dict[tuple[str, str], Task] = field(default_factory=dict)

    def update(self, today: date, wanted: Iterable[Wanted]) -> None:
        """Take note of what is wanted today; asking twice changes nothing."""
        seen = set()
        for want in wanted:
            name = (want.kind, want.subject)
            seen.add(name)
            task = self._open.get(name)
            if task is None:
                task = self._reopened(want, today) or self._opened(want, today)
                self._open[name] = task
            task.due_on, task.because = want.due_on, want.because
        for name in [name for name in self._open if name not in seen]:
            self._open.pop(name).done_on = today

    def is_open(self, kind: str, subject: str) -> Task | None:
        """The open task of that kind about that subject."""
        return self._open.get((kind, subject))

    def _opened(self, want: Wanted, today: date) -> Task:
        opened = want.opened_on or today
        task = Task(self.program, want.kind, want.subject, opened, want.due_on, want.clauses, want.because)
        self.tasks.append(task)
        return task

    def _reopened(self, want: Wanted, today: date) -> Task | None:
        """A task closed and wanted again on the day it opened is the same task: its key says so."""
        opened = want.opened_on or today
        for task in reversed(self.tasks):
            if (task.kind, task.subject, task.opened_on) == (want.kind, want.subject, opened):
                task.done_on = None
                return task
        return None


def names_task(about: str, program: str, kind: str) -> str | None:
    """The subject when ``about`` is the key of a task of this program and kind, else ``None``."""
    prefix = f"{program}:{kind}:"
    if not about.startswith(prefix):
        return None
    subject, _, _day = about[len(prefix) :].rpartition(":")
    return subject or None
