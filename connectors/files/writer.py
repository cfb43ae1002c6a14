"""Writes rows to a CSV file by their id: one new file in the place of the old, or nothing."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from connectors.base import Change, Written
from connectors.errors import NeedsOperator, RetryLater
from connectors.files.config import FilesConfig
from connectors.files.guards import guarded
from connectors.files.lists import FileList


class _Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ListWriter:
    """Writes the file of one object. Rows and columns that others put there stay as they are."""

    def __init__(self, files: FileList, config: FilesConfig) -> None:
        self._files = files
        self._own = files.settings
        self._path: Path = config.folder / self._own.file

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Apply the changes and say what became of each, in order.

        Raises: ``NeedsOperator`` without the right to write; ``RetryLater`` when the file cannot be written now.
        """
        content = self._files.content()
        columns = list(dict.fromkeys([*filter(None, self._files.columns(content)), *self._own.columns]))
        read = self._files.rows(content)
        rows = {external_id: dict(row.cells) for external_id, row in read.items()}
        broken = {external_id for external_id, row in read.items() if row.fault is not None}
        results, changed = [], False
        for change in changes:
            try:
                created, differs = self._apply(change, columns, rows, broken)
            except _Refused as error:
                results.append(Written(change.key, "rejected", code=error.code, message=str(error)))
                continue
            changed |= differs
            results.append(Written(change.key, "done", change.key, created))
        if changed and broken:
            # Writing the file anew would lose what could not be read of it.
            broken_at = next(row.place for row in read.values() if row.fault is not None)
            raise NeedsOperator(
                f"files: {broken_at}: cannot be read; mend or remove that row, so that the file can be written"
            )
        if changed:
            self._replace(columns, list(rows.values()))
        return results

    def _apply(
        self, change: Change, columns: list[str], rows: dict[str, dict[str, str]], broken: set[str]
    ) -> tuple[bool, bool]:
        """Change one row in memory; returns whether it was created and whether anything differs."""
        if not self._own.write:
            raise _Refused("READ_ONLY", f"{change.kind} is read only; say `write: true` in its settings")
        if change.key_field not in (None, self._own.id):
            raise _Refused("UNKNOWN_KEY", f"rows of {change.kind} are named by {self._own.id}, not {change.key_field}")
        if not change.key or change.key != change.key.strip():
            raise _Refused("BAD_KEY", "a key needs text without spaces around it")
        if change.key in broken:
            raise _Refused("DUPLICATE_KEY", "the row of this key cannot be read, or there are two")
        texts = {name: _cell(name, value, columns) for name, value in change.fields.items()}
        key = _cell(self._own.id, change.key, columns)
        row = rows.get(key)
        if row is None and change.key_field is None:
            raise _Refused("NOT_FOUND", f"{change.kind} has no row of this id")
        before = dict(row or {})
        rows[key] = {**before, self._own.id: before.get(self._own.id, key), **texts}
        return row is None, row is None or any(before.get(name, "") != text for name, text in texts.items())

    def _replace(self, columns: list[str], rows: list[dict[str, str]]) -> None:
        """Write a whole new file and put it in the place of the old one. With a mark, so that Excel reads UTF-8."""
        out = io.StringIO(newline="")
        table = csv.writer(out)
        table.writerow(columns)
        table.writerows([[guarded(row.get(name, "")) for name in columns] for row in rows])
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            part = self._path.with_name(f".{self._path.name}.part")
            with part.open("wb") as file:
                file.write(out.getvalue().encode("utf-8-sig"))
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
        except PermissionError:
            raise NeedsOperator(f"files: {self._path}: may not be written; give this user the right to") from None
        except OSError as error:
            raise RetryLater(
                f"files: {self._path}: cannot be written: {error.strerror}", retry_after_seconds=60, code="FILE"
            ) from None


def _cell(name: str, value: Any, columns: list[str]) -> str:
    """A value as text. Raises: ``_Refused``."""
    if name not in columns:
        raise _Refused("UNKNOWN_FIELD", f"found no column {name}; there are {', '.join(columns)}")
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (int, date)):
        return value.isoformat() if isinstance(value, date) else str(value)
    if not isinstance(value, str):
        raise _Refused(
            "TYPE", f"{name}: found a {type(value).__name__}; allowed: text, a decimal, a date, true or false"
        )
    if "\0" in value or not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise _Refused("BAD_CHARACTER", f"{name} holds a character that no file can hold")
    return value
