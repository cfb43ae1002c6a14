"""One object of a folder: the rows of its files, each with its place, as records; and what is wrong with a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import orjson

from connectors.base import FAULT, Record
from connectors.errors import ConnectorError, NeedsOperator, RetryLater
from connectors.files import sheets, texts
from connectors.files.config import FilesConfig, ListSettings
from connectors.files.guards import unguarded
from connectors.files.texts import Line
from connectors.files.values import Unreadable, date_text, number, shown

_MB = 1_000_000
_LINES = "lines"
"""The list field of a record that is made of several rows; its members are ``lines.COLUMN``."""
_ERRORS = frozenset({"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "#NULL!", sheets.UNCOMPUTED})


class Row(NamedTuple):
    """One row: the file and line where it stands, its cells by column, and why it cannot be read."""

    place: str
    cells: dict[str, str]
    fault: tuple[str, str, str] | None = None
    """Field, what was found, what is allowed."""
    lines: tuple[tuple[str, dict[str, str]], ...] = ()
    """Where rows of one id are one record: the place of each, and its cells of the columns of lines."""

    def nameless_as(self, external_id: str) -> bool:
        """Whether the row, listed under this id, has none of its own: it goes by its place."""
        return self.place == external_id


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an object's files, by name, as they lay there at one moment."""

    files: tuple[tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """A hash of names and bytes."""
        total = hashlib.blake2b(digest_size=16)
        for name, data in self.files:
            total.update(f"{len(name)}:{name}:{len(data)}:".encode())
            total.update(data)
        return total.hexdigest()


class FileList:
    """The files of one object."""

    def __init__(self, kind: str, config: FilesConfig) -> None:
        self.kind = kind
        self.settings: ListSettings = config.objects[kind]
        self._folder = config.folder
        self._largest = config.largest_file_mb * _MB
        self._zone = ZoneInfo(config.zone)

    def content(self) -> Content:
        """Read the files, by name.

        Raises: ``NeedsOperator`` without the folder or the right to read it; ``ConnectorError`` for a file that is
        missing or too large; ``RetryLater`` for one that is being written.
        """
        pattern = self.settings.file
        if not self._folder.is_dir():
            raise NeedsOperator(f"files: found no folder {self._folder}; allowed: one that is there (setting `folder`)")
        paths = sorted(path for path in self._folder.glob(pattern) if path.is_file() and path.name[:1] not in ".~")
        if not paths and not self.settings.write and ("*" not in pattern or self.settings.full_list):
            raise ConnectorError(
                f"files: {self.kind}: found no file {pattern} in {self._folder}; allowed: one at least. Its rows stay as they are",
                code="NO_FILE",
            )
        return Content(tuple((path.relative_to(self._folder).as_posix(), self._bytes(path)) for path in paths))

    def _bytes(self, path: Path) -> bytes:
        try:
            before = path.stat()
            if before.st_size > self._largest:
                raise ConnectorError(
                    f"files: {path.name}: found {before.st_size // _MB} MB; allowed: {self._largest // _MB} MB (setting "
                    "`largest_file_mb`)",
                    code="TOO_LARGE",
                )
            data = path.read_bytes()
            after = path.stat()
        except PermissionError:
            raise NeedsOperator(f"files: {path.name}: may not be read; give this user the right to read it") from None
        except OSError as error:
            raise RetryLater(
                f"files: {path.name}: cannot be read: {error.strerror}", retry_after_seconds=60, code="FILE"
            ) from None
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(data) != after.st_size:
            raise RetryLater(
                f"files: {path.name}: is being written; write to another name and rename it",
                retry_after_seconds=60,
                code="FILE_CHANGING",
            )
        return data

    def columns(self, content: Content) -> list[str]:
        """The columns, in the order of the first file; those that the settings name when there is no file."""
        found: dict[str, None] = {}
        for name, data in content.files:
            header = next(self._lines(name, data), None)
            found.update(dict.fromkeys(self._header(name, header)))
        return list(found or dict.fromkeys(self.settings.columns))

    def rows(self, content: Content, fields: Sequence[str] = ()) -> dict[str, Row]:
        """The rows by their id, in the order of the files; a row without one has its place as id.

        Raises: ``ConnectorError`` for a file without a column that the settings or ``fields`` name.
        """
        found: dict[str, Row] = {}
        for name, data in content.files:
            lines = self._lines(name, data)
            header = self._header(name, next(lines, None))
            for wanted in (*self.settings.named_columns, *(name for name in fields if not _of_lines(name))):
                if wanted not in header:
                    raise ConnectorError(
                        f"files: {name}:{self.settings.header_line}: found no column {wanted!r}; there are "
                        f"{', '.join(filter(None, header))}",
                        code="UNKNOWN_FIELD",
                    )
            read: list[str] = []
            for line in lines:
                external_id, row = self._row(f"{name}:{line.number}", header, line)
                first = found.get(external_id)
                found[external_id] = row if first is None else self._joined(external_id, first, row)
                read.append(external_id)
            if self.settings.lines:
                self._doubt_neighbours(read, found)
        return found

    def _doubt_neighbours(self, read: Sequence[str], found: dict[str, Row]) -> None:
        """A row that names no record may be a line of the one before or after it, which would then lack that line."""
        for one, other in pairwise(read):
            for nameless, neighbour in ((one, other), (other, one)):
                row = found[neighbour]
                if found[nameless].nameless_as(nameless) and not row.nameless_as(neighbour) and row.fault is None:
                    fault = (
                        _LINES,
                        f"no {self.settings.id} at {nameless}",
                        "one there: it may be a line of this record",
                    )
                    found[neighbour] = row._replace(fault=fault)

    def _joined(self, external_id: str, first: Row, row: Row) -> Row:
        """Two rows of one id: one record with both lines where the settings say so, otherwise nobody's."""
        places = f"{first.place} and {row.place}"
        if not self.settings.lines:
            return Row(places, first.cells, (self.settings.id, shown(external_id), "an id of its own for every row"))
        if first.fault is not None or row.fault is not None:
            return first if first.fault is not None else row
        for name, cell in row.cells.items():
            if cell != first.cells.get(name, ""):
                found = f"{shown(cell)} after {shown(first.cells.get(name, ''))}"
                return Row(places, first.cells, (name, found, "the same in every row of one id, except in `lines`"))
        return Row(first.place, first.cells, None, (*first.lines, *row.lines))

    def record(self, external_id: str, row: Row, fields: Sequence[str]) -> Record:
        """The record of a row; what cannot be read is in it as a fault."""
        faults = [] if row.fault is None else [(row.place, *row.fault)]
        cells: dict[str, object] = self._values(row.place, row.cells, [f for f in fields if not _of_lines(f)], faults)
        members = [name.removeprefix(_LINES + ".") for name in fields if _of_lines(name) and name != _LINES]
        if members or _LINES in fields:
            members = members or list(self.settings.lines)
            cells[_LINES] = [self._values(place, line, members, faults) for place, line in row.lines]
        if faults:
            place, field, found, allowed = faults[0]
            cells[FAULT] = {"field": f"{field} ({place})", "found": found, "allowed": allowed}
        version = f"{row.place} {digest_of(cells)}"
        return Record(self.kind, external_id, version, cells, created_at=self._created(row))

    def _values(
        self, place: str, cells: Mapping[str, str], names: Sequence[str], faults: list[tuple[str, str, str, str]]
    ) -> dict[str, object]:
        """Cells as values; one that cannot be read stays as it is, and what is wrong with it is added to ``faults``."""
        values: dict[str, object] = {}
        for name in names:
            text = cells.get(name, "")
            try:
                values[name] = self._value(name, text)
            except Unreadable as error:
                values[name] = str(text)
                faults.append((place, name, error.found, error.allowed))
        return values

    def _lines(self, name: str, data: bytes) -> Iterator[Line]:
        s = self.settings
        if data.startswith(sheets.OLD_SIGNATURE):
            raise ConnectorError(
                f"files: {name}: found a protected workbook or one of Excel before 2007; allowed: .xlsx without a password",
                code="WORKBOOK",
            )
        if data.startswith(sheets.SIGNATURE):
            return sheets.lines_of(data, s.sheet, s.header_line, name, self._largest)
        return texts.lines_of(texts.decoded(data, s.encoding, name), s.header_line, s.delimiter, s.id, name)

    def _header(self, name: str, line: Line | None) -> list[str]:
        """The names of the columns; columns without a name are ``""``. Raises: ``ConnectorError``."""
        header = [cell.strip() for cell in line.cells] if line is not None else []
        if line is not None and line.fault:
            raise ConnectorError(
                f"files: {name}:{line.number}: found {line.fault}; allowed: column names in the form of RFC 4180",
                code="HEADER",
            )
        for column in filter(None, header):
            if header.count(column) > 1:
                raise ConnectorError(
                    f"files: {name}:{self.settings.header_line}: found two columns {column!r}; allowed: names that differ",
                    code="HEADER",
                )
        return header

    def _row(self, place: str, header: list[str], line: Line) -> tuple[str, Row]:
        waits = "; until then nothing of this full list is deleted" if self.settings.full_list else ""
        if line.fault:
            return place, Row(place, {}, ("line", line.fault, f"cells in the form of RFC 4180{waits}"))
        cells = {name: cell for name, cell in zip(header, line.cells, strict=False) if name}
        if self.settings.write:
            cells = {name: unguarded(cell) for name, cell in cells.items()}
        external_id = cells.get(self.settings.id, "").strip()
        if not external_id:
            return place, Row(place, cells, (self.settings.id, "nothing", f"an id in every row{waits}"))
        stray = any(cell for cell, name in zip_longest(line.cells, header, fillvalue="") if not name)
        if stray or len(line.cells) < len(header):
            found = f"{len(line.cells)} cells"
            if header[0] != self.settings.id:  # a cell too many or too few: which one is the id is not sure
                return place, Row(place, cells, ("line", found, f"{len(header)}, as the header has{waits}"))
            return external_id, Row(place, cells, ("line", found, f"{len(header)}, as the header has"))
        lines = ((place, {name: cells.pop(name, "") for name in self.settings.lines}),) if self.settings.lines else ()
        return external_id, Row(place, cells, None, lines)

    def _value(self, name: str, text: str) -> str | None:
        if not text or text.isspace():
            return None
        if text in _ERRORS:
            raise Unreadable(
                shown(text), "a value; the formula has failed, or the workbook was not saved by a spreadsheet program"
            )
        if name in self.settings.numbers:
            return number(text, self.settings.decimal_sign, self.settings.thousands_sign)
        if name in self.settings.dates:
            return date_text(text, self.settings.dates[name])
        return str(text)

    def _created(self, row: Row) -> datetime | None:
        name = self.settings.created
        try:
            text = self._value(name, row.cells.get(name, "")) if name else None
            moment = datetime.fromisoformat(text) if text else None
        except ValueError:
            return None
        return moment.replace(tzinfo=self._zone).astimezone(UTC) if moment else None


def _of_lines(name: str) -> bool:
    return name == _LINES or name.startswith(_LINES + ".")


def digest_of(cells: Mapping[str, object]) -> str:
    """Twelve signs that change with the content of a row."""
    return hashlib.blake2b(orjson.dumps(dict(cells), option=orjson.OPT_SORT_KEYS), digest_size=6).hexdigest()
