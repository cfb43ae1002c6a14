"""The journal of a simulator: what it carried out, whatever the client believes."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import orjson

Action = Literal["created", "updated", "deleted"]


@dataclass(frozen=True)
class AppliedWrite:
    """One write that the simulated system carried out; ``at`` is in the simulator's time."""

    at: datetime
    object: str
    key: str | None
    external_id: str
    action: Action
    fields: Mapping[str, Any]


class Journal:
    """Every applied write, in order; with a path also as JSON lines, so that another process can read them."""

    def __init__(self, now: Callable[[], datetime], path: Path | None = None) -> None:
        self._now = now
        self._path = path
        self._lock = threading.Lock()
        self._writes: list[AppliedWrite] = []

    def add(self, object: str, key: str | None, external_id: str, action: Action, fields: Mapping[str, Any]) -> None:
        """Note an applied write; ``key`` is the value of the external key it was written by, if any."""
        write = AppliedWrite(self._now(), object, key, external_id, action, dict(fields))
        with self._lock:
            self._writes.append(write)
            if self._path is not None:
                with self._path.open("ab") as file:
                    file.write(orjson.dumps(write, default=str, option=orjson.OPT_APPEND_NEWLINE))

    def writes(self, object: str | None = None) -> list[AppliedWrite]:
        """The applied writes, of one object or all."""
        with self._lock:
            return [write for write in self._writes if object is None or write.object == object]

    def count_by_key(self) -> Counter[tuple[str, str]]:
        """How many records were *created* for each (object, key): more than one is a duplicate."""
        return Counter((w.object, w.key) for w in self.writes() if w.action == "created" and w.key is not None)

    @staticmethod
    def read(path: Path) -> list[AppliedWrite]:
        """The writes in a journal file of another process; a line still being written is left out."""
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        rows = [json.loads(line) for line in lines]
        return [AppliedWrite(**{**row, "at": datetime.fromisoformat(row["at"])}) for row in rows]
