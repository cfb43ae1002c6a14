"""Reads lists from CSV files and workbooks; writes rows to CSV files of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from connectors.base import (
    FAULT,
    Change,
    Cursor,
    Description,
    Field,
    FieldType,
    Page,
    Probe,
    Problem,
    Query,
    Record,
    Usage,
    Written,
)
from connectors.errors import ConnectorError
from connectors.files.config import FilesConfig
from connectors.files.cursors import Held, content_of, held
from connectors.files.lists import FileList, Row, digest_of
from connectors.files.values import date_format
from connectors.files.writer import ListWriter

LOSS_FROM = 20
"""Rows that a full list may always lose at once, whatever their share."""


class FilesConnector:
    """Implements :class:`connectors.base.Connector` over a folder."""

    Config = FilesConfig

    def __init__(self, config: FilesConfig) -> None:
        self._config = config

    def changes(self, query: Query, *, since: Cursor | None) -> Iterator[Page]:
        """Pages of the rows that differ from what the cursor says is held; files that are the same are not parsed."""
        files = self._list(query.kind)
        if query.where is not None:
            raise ConnectorError(
                f"files: {query.kind}: found the filter {query.where!r}; files know none: use `when` in the mapping",
                code="FILTER",
            )
        content = files.content()
        read_so = f"{files.settings!r} {self._config.zone} {query.fields!r} {content.digest}"
        name = hashlib.blake2b(read_so.encode(), digest_size=16).hexdigest()
        if since is not None and content_of(since) == name:
            yield Page((), since, since, calls=0)
            return
        yield from self._pages(files, query.fields, held(since), name, files.rows(content, query.fields))

    def _pages(
        self, files: FileList, fields: Sequence[str], before: Held, name: str, rows: Mapping[str, Row]
    ) -> Iterator[Page]:
        gone = _gone(files, before, rows)
        stays = rows.keys() | set(gone) if not files.settings.full_list else before.rows
        now = Held(rows={key: digest for key, digest in before.rows.items() if key in stays})
        now.nameless = before.nameless & now.rows.keys()
        page: list[Record] = []
        for record, digest in _changed(files, fields, now, rows, gone):
            if len(page) == self._config.page_size:
                yield Page(tuple(page), now.written(), calls=0)
                page = []
            page.append(record)
            if record.deleted:
                del now.rows[record.external_id]
                now.nameless.discard(record.external_id)
                continue
            now.rows[record.external_id] = digest
            if rows[record.external_id].nameless_as(record.external_id):
                now.nameless.add(record.external_id)
        now.content = name
        watermark = now.written()
        yield Page(tuple(page), watermark, watermark, calls=0)

    def fetch(
        self, kind: str, fields: Sequence[str], keys: Sequence[str], *, key_field: str | None = None
    ) -> Iterator[Record]:
        """The rows with these ids (or texts in another column) that can be read."""
        files = self._list(kind)
        rows = files.rows(files.content(), fields)
        if key_field in (None, files.settings.id):
            found = [key for key in dict.fromkeys(keys) if key in rows]
        else:
            wanted = set(keys)
            found = [external_id for external_id, row in rows.items() if row.cells.get(key_field or "") in wanted]
        for external_id in found:
            if rows[external_id].fault is None:
                yield files.record(external_id, rows[external_id], fields)

    def lists_all(self, kind: str) -> bool:
        """Whether a row that is not in the files is gone: only from a full list of which every row can be told."""
        files = self._list(kind)
        return files.settings.full_list and _all_told(files.rows(files.content()))

    def write(self, changes: Sequence[Change]) -> list[Written]:
        """Put rows into the CSV file of their object, all of one object in one step."""
        results: dict[int, Written] = {}
        for kind in dict.fromkeys(change.kind for change in changes):
            some = [(place, change) for place, change in enumerate(changes) if change.kind == kind]
            answers = ListWriter(self._list(kind), self._config).write([change for _, change in some])
            results.update(zip((place for place, _ in some), answers, strict=True))
        return [results[place] for place in range(len(changes))]

    def write_calls(self, changes: Sequence[Change]) -> int:
        """None: nothing is called."""
        return 0

    def kinds(self) -> list[str]:
        """The objects of the settings."""
        return sorted(self._config.objects)

    def describe(self, kind: str) -> Description | None:
        """The columns of an object's files."""
        if kind not in self._config.objects:
            return None
        files = self._list(kind)
        own, writes = files.settings, files.settings.write
        columns = [name for name in files.columns(files.content()) if name and name not in own.lines]
        lines = {f"lines.{name}": Field(f"lines.{name}", name, _type(files, name)) for name in own.lines}
        if lines:
            lines["lines"] = Field("lines", "lines", "json")
        fields = {
            name: Field(
                name, name, _type(files, name), creatable=writes, updatable=writes, required=name == own.id,
                unique=name == own.id, external_id=name == own.id,
            )
            for name in columns
        } | lines  # fmt: skip
        return Description(kind, kind, fields, creatable=writes, updatable=writes, deletable=False)

    def usage(self) -> Usage:
        """There is no limit."""
        return Usage(None, None)

    def probe(self) -> Probe:
        """The folder, and the rows that cannot be read."""
        problems = []
        for kind in self.kinds():
            files = self._list(kind)
            rows = files.rows(files.content())
            columns = [name for name in files.columns(files.content()) if name and name not in files.settings.lines]
            every = [*columns, "lines"] if files.settings.lines else columns
            bad = [
                fault
                for external_id, row in rows.items()
                if (fault := files.record(external_id, row, every).fields.get(FAULT))
            ]
            if bad:
                first = bad[0]
                problems.append(
                    Problem(
                        f"{kind}: {first['field']}", first["found"], first["allowed"],
                        f"{len(bad)} of {len(rows)} rows cannot be read; each waits in quarantine until it is mended", "warning",
                    )
                )  # fmt: skip
        return Probe(str(self._config.folder), tuple(problems))

    def _list(self, kind: str) -> FileList:
        if kind not in self._config.objects:
            raise ConnectorError(
                f"files: found no object {kind!r}; there are {', '.join(self.kinds())} (setting `objects`)",
                code="UNKNOWN_OBJECT",
            )
        return FileList(kind, self._config)


def _gone(files: FileList, before: Held, rows: Mapping[str, Row]) -> list[str]:
    """The rows that are to be called deleted: those without an id of their own, and all of a full list, unless a row
    of it has no id now: it may be one of them.

    Raises: ``ConnectorError`` when a full list has lost so much that it looks cut off.
    """
    lost = [key for key in before.rows if key not in rows]
    if not files.settings.full_list or not _all_told(rows):
        return [key for key in lost if key in before.nameless]
    share = files.settings.largest_loss
    if len(lost) > LOSS_FROM and len(lost) > share * len(before.rows):
        raise ConnectorError(
            f"files: {files.kind}: found {len(rows)} rows, {len(lost)} of {len(before.rows)} have gone; allowed: at most "
            f"{share:.0%} at once. If they are meant to be deleted, raise `largest_loss` for one run",
            code="LIST_CUT_OFF",
        )
    return lost


def _all_told(rows: Mapping[str, Row]) -> bool:
    """Whether every row goes by an id of its own."""
    return not any(row.nameless_as(key) for key, row in rows.items())


def _changed(
    files: FileList, fields: Sequence[str], now: Held, rows: Mapping[str, Row], gone: Sequence[str]
) -> Iterator[tuple[Record, str]]:
    """Records of the rows that are not as they are held, with the digest of each, then those that are gone."""
    for external_id, row in rows.items():
        record = files.record(external_id, row, fields)
        digest = digest_of(record.fields)
        if now.rows.get(external_id) != digest:
            yield record, digest
    for external_id in gone:
        yield Record(files.kind, external_id, f"gone after {now.rows[external_id]}", {}, deleted=True), ""


def _type(files: FileList, name: str) -> FieldType:
    own = files.settings
    if name in own.numbers:
        return "decimal"
    if name in own.dates:
        return "datetime" if date_format(own.dates[name])[1] else "date"
    return "string"


def connect(
    config: FilesConfig,
    *,
    clock: Callable[[], datetime] | None = None,
    budget: object = None,
    sleep: object = None,
) -> FilesConnector:
    """A connector over a folder; ``clock``, ``budget`` and ``sleep`` are not needed: nothing is dated, limited or waits."""
    return FilesConnector(config)
