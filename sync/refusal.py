"""A value that cannot be taken: raised inside a transform, reported as a reject of the record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

RejectCode = Literal["type", "missing", "picklist", "waiting", "record", "unreadable"]


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a record gives no facts. ``waits_for`` is the (object, id) whose arrival is worth another try."""

    code: RejectCode
    field: str
    found: str
    allowed: str
    waits_for: tuple[str, str] | None = None


class Refused(Exception):
    """What was found (shortened, so that no long text leaks) and what is allowed.

    ``words``: ``found`` is a description of ours, not the value. ``waits_for``: the (object, id) that is not here yet.
    """

    def __init__(
        self,
        found: object,
        allowed: str,
        code: RejectCode = "type",
        waits_for: tuple[str, str] | None = None,
        *,
        words: bool = False,
    ) -> None:
        super().__init__(allowed)
        self.found = str(found) if words else shown(found)
        self.allowed, self.code, self.waits_for = allowed, code, waits_for
        self.field = ""

    def inside(self, name: str) -> Refused:
        """The same, seen from the object that holds the field: the path grows at the front."""
        self.field = f"{name}.{self.field}" if self.field else name
        return self


def shown(value: object, length: int = 40) -> str:
    """A value in at most ``length`` characters; containers by their size only."""
    if isinstance(value, str):
        text = repr(value[: length + 1])
    elif isinstance(value, (dict, list, tuple)):
        text = f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    elif value is None:
        text = "nothing"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int):
        text = str(value) if value.bit_length() < 4000 else "a whole number of more than 1000 digits"
    elif isinstance(value, (float, date, datetime)):
        text = f"the number {value!r}" if isinstance(value, float) else value.isoformat()
    else:
        text = str(value) if type(value).__name__ == "Decimal" else f"a {type(value).__name__}"
    return text if len(text) <= length else text[: length - 1] + "…"
