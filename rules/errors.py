"""Errors of the rules: each names where, what was found, what is allowed."""

from __future__ import annotations


class RuleError(Exception):
    """Base of everything the rules raise on purpose."""


class RecordError(RuleError):
    """A record that cannot be taken as a fact.

    ``field`` is a dotted path inside the record (empty for the record as a whole).
    """

    def __init__(self, field: str, found: str, allowed: str) -> None:
        super().__init__(f"{field or 'record'}: found {found}; allowed: {allowed}")
        self.field = field
        self.found = found
        self.allowed = allowed


class ProgramError(RuleError):
    """A program file or setting that cannot be used: file, line, key, what was found, what is allowed.

    ``path`` leads to the place in the program file, for whoever knows its lines.
    """

    def __init__(self, message: str, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path
