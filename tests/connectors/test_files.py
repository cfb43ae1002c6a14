"""Lists in CSV files and workbooks: what is detected, what is refused with its place, and what comes as changed."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook
from pydantic import ValidationError

from connectors.base import FAULT, Change, Query, Record
from connectors.errors import ConnectorError, NeedsOperator, RetryLater
from connectors.files import texts
from connectors.files.config import FilesConfig
from connectors.files.connector import FilesConnector, connect
from connectors.files.guards import guarded, unguarded
from connectors.files.values import Unreadable, date_text, from_excel, number

FIELDS = ("No", "Name", "Net")
TEXT = "No,Name,Net\n1,Ångström Łódź 株式会社,10.00\n2,Harbour Lift,20.50\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def opened(folder: Path, **own: Any) -> FilesConnector:
    settings = {"file": "list.csv", "id": "No", **own}
    return connect(FilesConfig(folder=folder, objects={"deals": settings}))


def read(
    connector: FilesConnector, since: str | None = None, fields: tuple[str, ...] = FIELDS
) -> tuple[list[Record], str]:
    pages = list(connector.changes(Query("deals", fields), since=since))
    assert pages[-1].watermark is not None
    return [record for page in pages for record in page.records], pages[-1].watermark


def fault(record: Record) -> dict[str, str]:
    found: dict[str, str] = record.fields[FAULT]
    return found


# -- what a file is made of


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_encoding_and_delimiter_are_found(folder: Path, encoding: str, delimiter: str, ending: str) -> None:
    text = TEXT.replace(",", delimiter).replace("\n", ending)
    (folder / "list.csv").write_bytes(text.encode(encoding))
    records, _ = read(opened(folder))
    assert [tuple(record.fields.values()) for record in records] == [
        ("1", "Ångström Łódź 株式会社", "10.00"),
        ("2", "Harbour Lift", "20.50"),
    ]


def test_windows_text_is_read_and_noise_is_not_guessed_at(folder: Path) -> None:
    names = ["Müller & Söhne GmbH", "Café Noël – “façade”", "Señor Núñez", "Größe 10 €"]
    lines = "".join(f"{number},{name},1\n" for number, name in enumerate(names))
    (folder / "list.csv").write_bytes(f"No,Name,Net\n{lines}".encode("cp1252"))
    assert [record.fields["Name"] for record in read(opened(folder))[0]] == names
    (folder / "list.csv").write_bytes(b"No,Name,Net\n1,\x81\x8d\x8f\x90,1\n")
    with pytest.raises(ConnectorError, match=r"list\.csv: .*`encoding`"):
        read(opened(folder))
    (folder / "list.csv").write_bytes("No,Name,Net\n1,Łódź,1\n".encode("cp1250"))
    assert read(opened(folder, encoding="cp1250"))[0][0].fields["Name"] == "Łódź"
    with pytest.raises(ConnectorError, match="a byte that is no utf-8"):
        read(opened(folder, encoding="utf-8"))


def test_a_comma_in_the_cells_of_a_semicolon_file_is_no_delimiter(folder: Path) -> None:
    (folder / "list.csv").write_text("No;Name, in full;Net\n1;Lift, Harbour;1.000,50\n", "utf-8")
    connector = opened(folder, numbers=["Net"], decimal_sign=",", thousands_sign=".")
    [record] = read(connector, fields=("No", "Name, in full", "Net"))[0]
    assert tuple(record.fields.values()) == ("1", "Lift, Harbour", "1000.50")


def test_titles_above_the_header_and_excels_hint_are_left_out(folder: Path) -> None:
    for title in ("Report of March", '"Report" of March', '"Report of March'):
        (folder / "list.csv").write_text(f"{title}\n\nNo,Name,Net\n1,A,1\n", "utf-8")
        assert read(opened(folder, header_line=3))[0][0].version.startswith("list.csv:4 ")
    (folder / "list.csv").write_text("sep=|\nNo|Name|Net\n1|A, B|1\n", "utf-8")
    [record] = read(opened(folder))[0]
    assert record.fields["Name"] == "A, B" and record.version.startswith("list.csv:3 ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Number,Name,Net\n1,A,1\n", r"list\.csv:1: found no column 'No'"),
        ("No,Name,Name,Net\n1,A,B,1\n", r"list\.csv:1: found two columns 'Name'"),
        ("No,Name\n1,A\n", r"list\.csv:1: found no column 'Net'; there are No, Name"),
        ('No,Name,Net\n1,"A,1\n2,B,2\n', r"list\.csv:2: found a quote that is opened here and never closed"),
        ('No,"Na"me,Net\n1,A,1\n', r"list\.csv:1: found ',' expected after"),
        ("", "no column 'No'"),
    ],
)
def test_a_file_that_cannot_be_read_as_a_whole_is_refused(folder: Path, text: str, says: str) -> None:
    (folder / "list.csv").write_text(text, "utf-8")
    with pytest.raises(ConnectorError, match=says):
        read(opened(folder))


def test_a_misspelled_column_of_the_settings_is_named(folder: Path) -> None:
    (folder / "list.csv").write_text(TEXT, "utf-8")
    for own in ({"numbers": ["Nett"]}, {"dates": {"Nett": "D/M/YYYY"}}, {"lines": ["Nett"]}):
        with pytest.raises(ConnectorError, match="found no column 'Nett'; there are No, Name, Net"):
            read(opened(folder, **own))


def test_a_missing_file_changes_nothing_and_a_missing_folder_is_for_a_person(folder: Path) -> None:
    with pytest.raises(ConnectorError, match=r"deals: found no file list\.csv"):
        read(opened(folder))
    assert read(opened(folder, file="inbox-*.csv"))[0] == []
    with pytest.raises(NeedsOperator, match="setting `folder`"):
        read(opened(folder / "elsewhere"))
    (folder / "list.csv").write_bytes(b"x" * 1_100_000)
    small = FilesConfig(folder=folder, objects={"deals": {"file": "list.csv", "id": "No"}}, largest_file_mb=1)
    with pytest.raises(ConnectorError, match="largest_file_mb"):
        read(connect(small))


# -- bad rows


def test_bad_rows_are_faults_with_file_and_line_and_their_neighbours_are_read(folder: Path) -> None:
    (folder / "list.csv").write_text(
        'No,Name,Net,Day\n1,A,"1,234.50",31/01/2026\n2,"two\nlines",12x,31/01/2026\n3,C,1,30/02/2026\n4,D\n'
        ',E,1,01/02/2026\n6,"F" x,1,01/02/2026\n7,G,1,01/02/2026,more\n8,H,,\n',
        "utf-8",
    )
    connector = opened(folder, numbers=["Net"], thousands_sign=",", dates={"Day": "DD/MM/YYYY"})
    found = {record.external_id: record for record in read(connector, fields=(*FIELDS, "Day"))[0]}
    assert dict(found["1"].fields) == {"No": "1", "Name": "A", "Net": "1234.50", "Day": "2026-01-31"}
    assert dict(found["8"].fields) == {"No": "8", "Name": "H", "Net": None, "Day": None}
    bad = {key: fault(record) for key, record in found.items() if FAULT in record.fields}
    assert {key: (one["field"], one["found"]) for key, one in bad.items()} == {
        "2": ("Net (list.csv:3)", "'12x'"),
        "3": ("Day (list.csv:5)", "'30/02/2026'"),
        "4": ("line (list.csv:6)", "2 cells"),
        "list.csv:7": ("No (list.csv:7)", "nothing"),
        "list.csv:8": ("line (list.csv:8)", "',' expected after '\"'"),
        "7": ("line (list.csv:9)", "5 cells"),
    }
    assert "1,234.50" in bad["2"]["allowed"] and "DD/MM/YYYY" in bad["3"]["allowed"]
    [problem] = connector.probe().problems
    assert "6 of 8 rows cannot be read" in problem.hint and "list.csv" in problem.where


def test_a_duplicate_id_is_refused_with_both_places(folder: Path) -> None:
    (folder / "a-1.csv").write_text("No,Name,Net\n1,A,1\n2,B,2\n", "utf-8")
    (folder / "a-2.csv").write_text("No,Name,Net\n1,A,1\n3,C,3\n", "utf-8")
    records, watermark = read(opened(folder, file="a-*.csv"))
    assert [record.external_id for record in records if FAULT in record.fields] == ["1"]
    assert fault(records[0])["field"] == "No (a-1.csv:2 and a-2.csv:2)"
    (folder / "a-2.csv").write_text("No,Name,Net\n3,C,3\n", "utf-8")
    [mended] = read(opened(folder, file="a-*.csv"), watermark)[0]
    assert dict(mended.fields) == {"No": "1", "Name": "A", "Net": "1"}


def test_a_row_without_an_id_is_gone_once_it_has_one(folder: Path) -> None:
    (folder / "list.csv").write_text("No,Name,Net\n,A,1\n", "utf-8")
    _, watermark = read(opened(folder))
    (folder / "list.csv").write_text("No,Name,Net\n1,A,1\n", "utf-8")
    records, _ = read(opened(folder), watermark)
    assert [(record.external_id, record.deleted) for record in records] == [("1", False), ("list.csv:2", True)]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('No,Name,Net\n1,A,1\n2,"B"x,2\n', "line (list.csv:3)"),  # a cell that no reader takes apart
        ("No,Name,Net\n1,A,1\n,B,2\n", "No (list.csv:3)"),  # an id that was wiped
        ("Name,Net,No\nA,1,1\nB, Ltd,2,2\n", "line (list.csv:3)"),  # a cell too many before the id: which one is it?
    ],
)
def test_a_full_list_deletes_nothing_while_a_row_of_it_cannot_be_told(folder: Path, text: str, place: str) -> None:
    """The row that cannot be read may be any of those that seem to be gone."""
    path = folder / "list.csv"
    path.write_text("No,Name,Net\n1,A,1\n2,B,2\n3,C,3\n", "utf-8")
    _, watermark = read(opened(folder, full_list=True))
    path.write_text(text, "utf-8")
    [record], watermark = read(opened(folder, full_list=True), watermark)
    assert not record.deleted and fault(record)["field"] == place
    assert "nothing of this full list is deleted" in fault(record)["allowed"]
    path.write_text("No,Name,Net\n1,A,1\n2,B,2\n", "utf-8")  # mended, and 3 was meant to go
    records, _ = read(opened(folder, full_list=True), watermark)
    assert {(record.external_id, record.deleted) for record in records} == {("list.csv:3", True), ("3", True)}


def test_a_row_whose_id_is_not_sure_leaves_nothing_behind_once_it_is_mended(folder: Path) -> None:
    (folder / "list.csv").write_text("Name,Net,No\nA,1,1\nB, Ltd,2,2\n", "utf-8")
    records, watermark = read(opened(folder))
    assert [record.external_id for record in records] == ["1", "list.csv:3"]
    (folder / "list.csv").write_text('Name,Net,No\nA,1,1\n"B, Ltd",2,2\n', "utf-8")
    records, _ = read(opened(folder), watermark)
    assert [(record.external_id, record.deleted) for record in records] == [("2", False), ("list.csv:3", True)]


@pytest.mark.parametrize("bad", ['1,A,"30"x', ",A,30", "1,A"])
def test_a_record_is_never_taken_without_one_of_its_lines(folder: Path, bad: str) -> None:
    """An invoice without its last line would be settled at a lower amount."""
    (folder / "list.csv").write_text(f"No,Name,Net\n7,Z,9\n1,A,10\n1,A,20\n{bad}\n2,B,5\n3,C,1\n", "utf-8")
    connector = opened(folder, lines=["Net"], numbers=["Net"])
    found = {record.external_id: record for record in read(connector, fields=("No", "Name", "lines.Net"))[0]}
    assert [{key: FAULT in found[key].fields} for key in ("7", "1", "3")] == [{"7": False}, {"1": True}, {"3": False}]
    assert "list.csv:5" in str(fault(found["1"]))
    assert (FAULT in found["2"].fields) is (bad != "1,A"), "only a row that names no record may be one of the next"


def test_rows_of_one_id_are_one_record_with_lines_when_the_settings_say_so(folder: Path) -> None:
    (folder / "list.csv").write_text(
        "No,Name,Kind,Net\n1,A,saas,10.00\n2,B,saas,5.00\n1,A,services,2.5\n3,C,saas,1\n3,D,saas,1\n", "utf-8"
    )
    connector = opened(folder, lines=["Kind", "Net"], numbers=["Net"])
    records, _ = read(connector, fields=("No", "Name", "lines.Kind", "lines.Net"))
    assert records[0].fields == {
        "No": "1", "Name": "A", "lines": [{"Kind": "saas", "Net": "10.00"}, {"Kind": "services", "Net": "2.5"}],
    }  # fmt: skip
    assert fault(records[2])["field"] == "Name (list.csv:5 and list.csv:6)"
    description = connector.describe("deals")
    assert description is not None and {"lines", "lines.Kind"} <= set(description.fields)


# -- what comes as changed


def test_only_changed_rows_come_again_and_rows_that_have_gone_are_deleted_only_from_a_full_list(folder: Path) -> None:
    path = folder / "list.csv"
    for full_list in (False, True):
        path.write_text("No,Name,Net\n1,A,1\n2,B,2\n3,C,3\n", "utf-8")
        connector = opened(folder, full_list=full_list)
        records, watermark = read(connector)
        assert len(records) == 3
        path.write_text("Net,Name,No\n2,B,2\n9,A,1\n", "utf-16")  # another order, another encoding, one new value
        records, watermark = read(connector, watermark)
        gone = [("3", True)] if full_list else []
        assert [(record.external_id, record.deleted) for record in records] == [("1", False), *gone]
        assert read(connector, watermark)[0] == []
        path.write_text("No,Name,Net\n1,A,9\n2,B,2\n3,C,3\n", "utf-8")
        assert [(record.external_id, record.deleted) for record in read(connector, watermark)[0]] == [("3", False)]


FILES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from("123"), max_size=8)


@given(st.lists(st.tuples(FILES, st.integers(0, 4)), min_size=1, max_size=6))
def test_whoever_follows_the_pages_holds_the_file_wherever_reading_was_cut_off(
    states: list[tuple[dict[str, str], int]],
) -> None:
    with TemporaryDirectory() as name:
        folder, own = Path(name), {"file": "list.csv", "id": "No", "full_list": True}
        connector = connect(FilesConfig(folder=folder, objects={"deals": own}, page_size=2))
        held: dict[str, str] = {}
        cursor: str | None = None
        for state, stop in [*states, (states[-1][0], 99)]:
            rows = "".join(f"{key},{value},\n" for key, value in state.items())
            (folder / "list.csv").write_text("No,Name,Net\n" + rows, "utf-8")
            for page in islice(connector.changes(Query("deals", FIELDS), since=cursor), stop):
                cursor = page.cursor
                for record in page.records:
                    assert record.deleted or held.get(record.external_id) != record.fields["Name"], "nothing changed"
                    held.pop(record.external_id, None)
                    if not record.deleted:
                        held[record.external_id] = str(record.fields["Name"])
        assert held == states[-1][0]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)


@given(
    st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)
def test_whatever_is_written_as_csv_is_read_as_it_was(
    cells: list[tuple[str, str]], delimiter: str, encoding: str, quoting: int
) -> None:
    out = io.StringIO(newline="")
    table = csv.writer(out, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    table.writerow(FIELDS)
    table.writerows((str(number), *pair) for number, pair in enumerate(cells))
    with TemporaryDirectory() as name:
        (Path(name) / "list.csv").write_bytes(out.getvalue().encode(encoding))
        records, _ = read(opened(Path(name)))
    blank = [tuple(None if not cell or cell.isspace() else cell for cell in pair) for pair in cells]
    assert [(record.fields["Name"], record.fields["Net"]) for record in records] == blank


def test_files_whose_bytes_are_those_of_the_last_read_are_not_parsed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "list.csv"
    path.write_text(TEXT, "utf-8")
    _, watermark = read(opened(folder))
    path.unlink()
    path.write_text(TEXT, "utf-8")  # copied there once more, as every night
    parsed: list[str] = []
    taken_apart = texts.lines_of

    def counting(*arguments: Any) -> Iterator[texts.Line]:
        parsed.append(arguments[-1])
        return taken_apart(*arguments)

    monkeypatch.setattr(texts, "lines_of", counting)
    assert read(opened(folder), watermark) == ([], watermark) and parsed == []
    path.write_text(TEXT + "3,New,1\n", "utf-8")
    assert [record.external_id for record in read(opened(folder), watermark)[0]] == ["3"] and parsed == ["list.csv"]


def test_a_file_that_is_being_written_is_left_for_the_next_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "list.csv").write_text(TEXT, "utf-8")
    whole = Path.read_bytes

    def read_while_it_grows(path: Path) -> bytes:
        found = whole(path)
        with path.open("a", encoding="utf-8") as file:
            file.write("3,Ne")
        return found

    with monkeypatch.context() as patched, pytest.raises(RetryLater, match="is being written"):
        patched.setattr(Path, "read_bytes", read_while_it_grows)
        read(opened(folder))


def test_a_full_list_that_looks_cut_off_deletes_nothing(folder: Path) -> None:
    path = folder / "list.csv"
    path.write_text("No,Name,Net\n" + "".join(f"{number},A,1\n" for number in range(100)), "utf-8")
    _, watermark = read(opened(folder, full_list=True))
    path.write_text("No,Name,Net\n" + "".join(f"{number},A,1\n" for number in range(40)), "utf-8")
    with pytest.raises(ConnectorError, match="60 of 100 have gone; allowed: at most 50%.*`largest_loss`"):
        read(opened(folder, full_list=True), watermark)
    records, _ = read(opened(folder, full_list=True, largest_loss=0.7), watermark)
    assert sum(record.deleted for record in records) == 60


def test_a_full_list_whose_files_are_all_away_keeps_its_rows_and_files_on_their_way_are_left_out(folder: Path) -> None:
    full = opened(folder, file="list-*.csv", full_list=True)
    (folder / "list-1.csv").write_text(TEXT, "utf-8")
    _, watermark = read(full)
    (folder / "list-1.csv").rename(folder / "other.csv")
    with pytest.raises(ConnectorError, match=r"found no file list-\*\.csv .* Its rows stay as they are"):
        read(full, watermark)
    anything = opened(folder, file="*.csv")
    for name in (".list-2.csv", "~list-3.csv"):  # as tools call what they have not written to its end
        (folder / name).write_text("No,Name,Net\n9,Half", "utf-8")
    assert [record.external_id for record in read(anything)[0]] == ["1", "2"]


def test_changed_settings_are_read_with(folder: Path) -> None:
    (folder / "list.csv").write_text('No,Name,Net\n1,A,"1.000"\n', "utf-8")
    [before], watermark = read(opened(folder))
    [after], _ = read(opened(folder, numbers=["Net"], decimal_sign=",", thousands_sign="."), watermark)
    assert (before.fields["Net"], after.fields["Net"]) == ("1.000", "1000")


def test_the_first_read_can_date_rows_by_a_column(folder: Path) -> None:
    (folder / "list.csv").write_text("No,Name,Net,Day\n1,A,1,31.01.2026\n2,B,1,\n", "utf-8")
    own = {"file": "list.csv", "id": "No", "dates": {"Day": "DD.MM.YYYY"}, "created": "Day"}
    connector = connect(FilesConfig(folder=folder, objects={"deals": own}, zone="Australia/Sydney"))
    assert [record.created_at for record in read(connector)[0]] == [datetime(2026, 1, 30, 13, tzinfo=UTC), None]


def test_a_filter_is_refused(folder: Path) -> None:
    with pytest.raises(ConnectorError, match="use `when` in the mapping"):
        list(opened(folder).changes(Query("deals", FIELDS, where="Net > 0"), since=None))


# -- workbooks


def workbook(folder: Path, *rows: tuple[Any, ...], **sheets: list[tuple[Any, ...]]) -> None:
    book = Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    for name, more in sheets.items():
        sheet = book.create_sheet(name)
        for row in more:
            sheet.append(row)
    book.save(folder / "list.xlsx")


def test_cells_of_a_workbook_are_exact_text(folder: Path) -> None:
    workbook(
        folder,
        ("No", "Name", "Net", "Day", "At", "Yes"),
        (1001, "plain", 0.1 + 0.2, date(2026, 1, 31), datetime(2026, 1, 31, 9, 30), True),
        (1002.0, None, 1234567.89, "31/01/2026", None, False),
        ("A-3", "x", "1.234,50-", None, None, None),
        (),
        (1004, "y", 5e-7, None, None, None),
    )
    own = {"file": "list.xlsx", "numbers": ["Net"], "decimal_sign": ",", "thousands_sign": "."}
    connector = opened(folder, **own, dates={"Day": "DD/MM/YYYY", "At": "DD/MM/YYYY HH24:MI"})
    records, _ = read(connector, fields=(*FIELDS, "Day", "At", "Yes"))
    assert [tuple(record.fields.values()) for record in records] == [
        ("1001", "plain", "0.3", "2026-01-31", "2026-01-31T09:30:00", "true"),
        ("1002", None, "1234567.89", "2026-01-31", None, "false"),
        ("A-3", "x", "-1234.50", None, None, None),
        ("1004", "y", "0.0000005", None, None, None),
    ]
    assert [record.external_id for record in records] == ["1001", "1002", "A-3", "1004"]
    assert records[-1].version.startswith("list.xlsx:6 ")


def test_a_cell_of_another_kind_than_its_column_is_a_fault_with_its_line(folder: Path) -> None:
    workbook(
        folder, ("No", "Net", "Day"), (1, date(2026, 1, 31), None), (2, True, None), (3, 1, 45000), (4, 1, time(9, 30)),
        (5, -1.5, 20260131),
    )  # fmt: skip
    connector = opened(folder, file="list.xlsx", numbers=["Net"], dates={"Day": "YYYYMMDD"})
    records, _ = read(connector, fields=("No", "Net", "Day"))
    places = [fault(record)["field"] for record in records[:-1]]
    assert places == ["Net (list.xlsx:2)", "Net (list.xlsx:3)", "Day (list.xlsx:4)", "Day (list.xlsx:5)"]
    assert dict(records[-1].fields) == {"No": "5", "Net": "-1.5", "Day": "2026-01-31"}


def test_a_workbook_that_unfolds_to_many_times_its_size_is_not_opened(folder: Path) -> None:
    workbook(folder, ("No", "Name", "Net"), (1, "A", 1))
    with zipfile.ZipFile(folder / "list.xlsx", "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/media/large.bin", bytes(21_000_000))
    assert (folder / "list.xlsx").stat().st_size < 100_000
    own = {"deals": {"file": "list.xlsx", "id": "No"}}
    with pytest.raises(ConnectorError, match="unfolds to many times its size"):
        read(connect(FilesConfig(folder=folder, objects=own, largest_file_mb=1)))


def test_a_sheet_is_chosen_by_name_and_never_by_chance(folder: Path) -> None:
    workbook(folder, ("No", "Name", "Net"), (1, "A", 1), Other=[("No", "Name", "Net"), (2, "B", 1)])
    with pytest.raises(ConnectorError, match="found the sheets Sheet, Other; .*`sheet`"):
        read(opened(folder, file="list.xlsx"))
    assert [record.external_id for record in read(opened(folder, file="list.xlsx", sheet="Other"))[0]] == ["2"]
    with pytest.raises(ConnectorError, match="no sheet 'Third'"):
        read(opened(folder, file="list.xlsx", sheet="Third"))


def test_error_cells_are_faults(folder: Path) -> None:
    workbook(folder, ("No", "Name", "Net"), (1, "#REF!", 1), (2, "B", "=1+1"), (3, "C", 1))
    failed, uncomputed, fine = read(opened(folder, file="list.xlsx"))[0]
    assert fault(failed)["field"] == "Name (list.xlsx:2)" and "formula" in fault(failed)["allowed"]
    assert fault(uncomputed)["field"] == "Net (list.xlsx:3)"
    assert FAULT not in fine.fields


def test_a_formula_without_a_result_is_a_fault_also_where_every_tag_has_a_prefix(folder: Path) -> None:
    """As some programs write workbooks; taken for an empty cell, the amount would be missing without a word."""
    workbook(folder, ("No", "Name", "Net"), (1, "A", "=1+1"), (2, "B", 1))
    path = folder / "list.xlsx"
    with zipfile.ZipFile(path) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    for name, content in parts.items():
        if name.startswith("xl/worksheets/"):
            parts[name] = re.sub(rb"<(/?)(\w)", rb"<\1x:\2", content).replace(b'xmlns="', b'xmlns:x="')
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in parts.items():
            packed.writestr(name, content)
    uncomputed, fine = read(opened(folder, file="list.xlsx"))[0]
    assert fault(uncomputed)["field"] == "Net (list.xlsx:2)" and FAULT not in fine.fields


@pytest.mark.parametrize("content", [b"PK\x03\x04 cut off", b"\xd0\xcf\x11\xe0 old"])
def test_what_is_no_workbook_is_refused(folder: Path, content: bytes) -> None:
    (folder / "list.xlsx").write_bytes(content)
    with pytest.raises(ConnectorError, match="list.xlsx: found .*workbook"):
        read(opened(folder, file="list.xlsx"))


# -- numbers and dates


@pytest.mark.parametrize(
    ("text", "decimal", "thousands", "wanted"),
    [
        ("1,234,567.80", ".", ",", "1234567.80"),
        ("1.234.567,80", ",", ".", "1234567.80"),
        ("1 234,5", ",", " ", "1234.5"),
        ("1\u202f234,5", ",", " ", "1234.5"),
        ("12'345", ".", "'", "12345"),
        ("1,50,000", ".", ",", "150000"),
        ("(1,234.50)", ".", ",", "-1234.50"),
        ("12.50-", ".", "", "-12.50"),
        ("+007", ".", "", "7"),
        ("0.10", ".", "", "0.10"),
    ],
)
def test_numbers_of_many_countries(text: str, decimal: str, thousands: str, wanted: str) -> None:
    assert number(text, decimal, thousands) == wanted


@pytest.mark.parametrize(
    "text", ["1,5", "1.234.5", "12,34", "1,2345", "--1", "1-2", "-1-", "()", "", "1e5", "AUD 5", "٣", "1.", ".5", "NaN"]
)
def test_what_is_no_number_in_the_declared_form_is_refused(text: str) -> None:
    with pytest.raises(Unreadable, match="such as 1,234.50"):
        number(text, ".", ",")


@given(
    st.decimals(-(10**12), 10**12, places=2),
    st.sampled_from([(".", ","), (",", "."), (",", " "), (".", "'"), (".", "")]),
)
def test_a_number_written_with_signs_is_read_exactly(value: Decimal, signs: tuple[str, str]) -> None:
    decimal_sign, thousands_sign = signs
    english = f"{value:,.2f}" if thousands_sign else f"{value:.2f}"
    written = english.translate(str.maketrans({",": thousands_sign, ".": decimal_sign}))
    assert Decimal(number(written, decimal_sign, thousands_sign)) == value


@given(st.decimals(-(10**11), 10**11, places=4))
def test_a_number_typed_into_excel_comes_back_as_typed(value: Decimal) -> None:
    assert Decimal(from_excel(float(value))) == value


def test_dates_by_their_format() -> None:
    assert date_text("5/3/2026", "D/M/YYYY") == "2026-03-05"
    assert date_text("05-MAR-2026 14:05", "DD-MON-YYYY HH24:MI") == "2026-03-05T14:05:00"
    for text in ("2026-03-05", "31/04/2026", "5/3/26"):
        with pytest.raises(Unreadable, match="a date written D/M/YYYY"):
            date_text(text, "D/M/YYYY")


# -- settings


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"file": "../other.csv"}, "inside the folder"),
        ({"file": "/etc/passwd"}, "inside the folder"),
        ({"file": "."}, "inside the folder"),
        ({"thousands_sign": "."}, "decimal_sign and thousands_sign that differ"),
        ({"dates": {"Day": "DD/XX/YYYY"}}, "without 'X'"),
        ({"dates": {"Day": "MM/YYYY"}}, "year, month and day"),
        ({"created": "Day"}, "stands under dates"),
        ({"encoding": "klingon"}, "an encoding that Python knows"),
        ({"delimiter": "::"}, "one character"),
        ({"write": True, "file": "*.csv", "columns": ["No"]}, "one .csv file"),
        ({"write": True, "columns": ["Name"]}, "hold the id column"),
        ({"headers": 1}, "Extra inputs"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(own: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        FilesConfig.model_validate({"folder": "x", "objects": {"deals": {"file": "list.csv", "id": "No", **own}}})


# -- writing


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_no_cell_is_a_formula_and_every_text_comes_back(text: str) -> None:
    written = guarded(text)
    assert unguarded(written) == text
    assert not written.startswith(("=", "+", "-", "@", "\t", "\r")) or Decimal(written).is_finite()


def written(folder: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO((folder / "out.csv").read_text("utf-8-sig"), newline="")))


@pytest.fixture
def outbox(folder: Path) -> Iterator[FilesConnector]:
    own = {"file": "out.csv", "id": "Key", "write": True, "columns": ["Key", "Amount", "Reason"]}
    yield connect(FilesConfig(folder=folder, objects={"commission-records": own}))


def change(key: str, **fields: Any) -> Change:
    return Change("commission-records", "Key", key, fields)


def test_rows_are_written_once_by_key_and_stay_in_their_place(folder: Path, outbox: FilesConnector) -> None:
    outbox.write([change("b", Amount="-48.00", Reason="=HYPERLINK(1)"), change("a", Amount=Decimal("10.50"))])
    assert written(folder) == [
        ["Key", "Amount", "Reason"],
        ["b", "-48.00", "'=HYPERLINK(1)"],
        ["a", "10.50", ""],
    ]
    first = (folder / "out.csv").stat()
    [again] = outbox.write([change("a", Amount="10.50")])
    assert (again.state, again.created) == ("done", False)
    assert (folder / "out.csv").stat().st_mtime_ns == first.st_mtime_ns, "nothing differs, and still it was written"
    (folder / "out.csv").write_text("Key,Amount,Reason,Checked\na,10.50,,yes\nb,-48.00,'=HYPERLINK(1),\n", "utf-8")
    outbox.write([change("a", Amount="11.00")])
    assert written(folder)[1] == ["a", "11.00", "", "yes"], "a column of another person's was lost"
    [record] = outbox.fetch("commission-records", ("Reason",), ["b"])
    assert record.fields["Reason"] == "=HYPERLINK(1)"


def test_a_file_that_cannot_be_read_whole_is_not_written_over(folder: Path, outbox: FilesConnector) -> None:
    text = "Key,Amount,Reason\na,1,\na,2,\n"
    (folder / "out.csv").write_text(text, "utf-8")
    with pytest.raises(NeedsOperator, match=r"out\.csv:2 and out\.csv:3"):
        outbox.write([change("b", Amount="1")])
    [result] = outbox.write([change("a", Amount="1")])
    assert (result.state, result.code) == ("rejected", "DUPLICATE_KEY")
    assert (folder / "out.csv").read_text("utf-8") == text


def test_a_list_that_is_only_read_is_never_written(folder: Path) -> None:
    (folder / "list.csv").write_text(TEXT, "utf-8")
    [result] = opened(folder).write([Change("deals", "No", "1", {"Name": "x"})])
    assert (result.state, result.code) == ("rejected", "READ_ONLY")
    assert (folder / "list.csv").read_text("utf-8") == TEXT
