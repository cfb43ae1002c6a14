"""The files connector passes the acceptance suite that every connector passes, over folders that a person edits."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from connectors.conformance import ConnectorConformance
from connectors.files import PLUGIN
from connectors.files.config import FilesConfig
from connectors.files.connector import FilesConnector, connect

COLUMNS = ("key", "name", "note")


class FolderDriver:
    """Keeps a list in a file, as a person does with a spreadsheet program."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))

    def save(self, rows: list[dict[str, str]]) -> None:
        with self.path.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS)
            table.writeheader()
            table.writerows(rows)

    def create(self, kind: str, fields: Mapping[str, Any]) -> str:
        self.save([*self.rows(), dict(fields)])
        return str(fields["key"])

    def update(self, kind: str, external_id: str, fields: Mapping[str, Any]) -> None:
        self.save([{**row, **fields} if row["key"] == external_id else row for row in self.rows()])

    def delete(self, kind: str, external_id: str) -> None:
        self.save([row for row in self.rows() if row["key"] != external_id])

    def advance(self, seconds: float) -> None:
        """Files know no time."""

    def count(self, kind: str, field: str, value: str) -> int:
        return sum(row[field] == value for row in self.rows())


class TestFiles(ConnectorConformance):
    """A CSV file that is read and written."""

    plugin = PLUGIN
    kind, key_field, text_field = "partners", "key", "name"

    @pytest.fixture
    def edit(self, tmp_path: Path) -> FolderDriver:
        return FolderDriver(tmp_path / "partners.csv")

    @pytest.fixture
    def connector(self, edit: FolderDriver) -> FilesConnector:
        own = {"file": edit.path.name, "id": "key", "full_list": True, "write": True, "columns": COLUMNS}
        return connect(FilesConfig(folder=edit.path.parent, objects={"partners": own}, page_size=7))


class WorkbookDriver(FolderDriver):
    """The same in a workbook."""

    def rows(self) -> list[dict[str, str]]:
        if not self.path.exists():
            return []
        header, *rows = load_workbook(self.path).worksheets[0].iter_rows(values_only=True)
        return [
            {str(name): "" if cell is None else str(cell) for name, cell in zip(header, row, strict=True)}
            for row in rows
        ]

    def save(self, rows: list[dict[str, str]]) -> None:
        book = Workbook()
        sheet = book.worksheets[0]
        sheet.append(COLUMNS)
        for number, row in enumerate(rows, 2):
            for place, name in enumerate(COLUMNS, 1):
                cell = sheet.cell(number, place)
                cell.value = row.get(name, "")
                cell.data_type = "s"  # text, also when it looks like a formula or a number
        book.save(self.path)


class TestWorkbook(TestFiles):
    """A workbook, which is only read."""

    @pytest.fixture
    def edit(self, tmp_path: Path) -> WorkbookDriver:
        made = WorkbookDriver(tmp_path / "partners.xlsx")
        made.save([])
        return made

    @pytest.fixture
    def connector(self, edit: WorkbookDriver) -> Any:
        class OnlyReads:
            def __init__(self, inner: FilesConnector) -> None:
                self.changes, self.fetch = inner.changes, inner.fetch

        own = {"file": "*.xlsx", "id": "key", "full_list": True}
        return OnlyReads(connect(FilesConfig(folder=edit.path.parent, objects={"partners": own}, page_size=7)))
