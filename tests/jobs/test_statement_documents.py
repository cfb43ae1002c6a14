"""Statements as documents: they add up, they say why, they are the same bytes, and no cell or name does harm."""

import csv
import io
import os
import re
import subprocess
import sys
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jobs.cli import app
from jobs.scenarios import FOLDER, load_scenario
from jobs.sheets import read_cell
from jobs.statement.document import statement_documents
from jobs.statement.paper import page_of, statement_pdf
from jobs.statement.sheet import statements_csv
from jobs.statement_file import file_name
from tests.jobs.report_world import scenarios, settled

Row = dict[str, Any]
SCENARIO = load_scenario(FOLDER / "next-technik" / "e17_negative_balance.yaml")
FEBRUARY = "next-technik:p1:2026-02-01:AUD"


def documents(records: list[Row] = SCENARIO.records, as_of: str = "2026-06-30", **sets: str) -> dict[str, Row]:
    found = statement_documents(settled("next-technik", records, as_of, **sets), with_open=True)
    return {document["statement"]: document for document in found}


def referee(*arguments: str, seed: str = "0", zone: str = "UTC", cwd: Path) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run([sys.executable, "-m", "jobs.cli", *arguments], cwd=cwd, env=environment, capture_output=True)


def write(folder: Path, records: list[Row]) -> str:
    (folder / "records.jsonl").write_bytes(b"\n".join(map(orjson.dumps, records)))
    return "records.jsonl"


@pytest.mark.parametrize("path", scenarios(0), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_statement_adds_up_and_names_customer_basis_rate_and_reason(path: Path) -> None:
    """CN-30, CN-31, NT-15."""
    scenario = load_scenario(path)
    picture = settled(scenario.program, scenario.records, str(scenario.steps[-1].as_of), **scenario.settings)
    for document in statement_documents(picture, with_open=True):
        figure = {name: Decimal(document[name]) for name in ("opening", "earned", "corrections", "total", "balance",
                  "withheld", "payable", "to_pay", "carried_forward")}  # fmt: skip
        assert sum(Decimal(line["amount"]) for line in document["lines"]) == figure["total"]
        assert figure["earned"] + figure["corrections"] == figure["total"]
        assert figure["opening"] + figure["total"] == figure["balance"] == figure["payable"] + figure["carried_forward"]
        assert figure["payable"] - figure["withheld"] == figure["to_pay"]
        for line in document["lines"]:
            assert line["because"] and line["clauses"]
            assert line["customer"] or line["source_type"] in ("dispute", "decision")  # of a whole statement
            has_no_rate = line["kind"] in ("adjustment", "bonus") or ":bonus:" in (line["corrects"] or "")
            assert has_no_rate or (line["basis"] and line["rate"])


def test_a_statement_says_what_it_corrects_and_what_was_carried_in() -> None:
    found = documents()
    (line,) = found[FEBRUARY]["lines"]
    assert line["corrects_statement"] == "next-technik:p1:2026-01-01:AUD"
    assert (found[FEBRUARY]["corrections"], found[FEBRUARY]["carried_forward"]) == ("-100.00", "-100.00")
    april = found["next-technik:p1:2026-04-01:AUD"]
    assert (april["opening"], april["previous"]) == ("-100.00", "next-technik:p1:2026-03-01:AUD")
    texts = page_of(april)
    assert any("invoice of exactly 50.00 AUD" in note for note in texts["notes"])
    assert ("Carried in from next-technik:p1:2026-03-01:AUD", "-100.00", False) in texts["summary"]


def test_what_was_signed_stays_as_it_was_known_when_it_was_cut() -> None:
    later = [
        {**SCENARIO.records[0], "name": "Alder International", "known_at": "2026-05-02T00:00:00+10:00"},
        *SCENARIO.records,
    ]
    assert later[0]["type"] == "partner" and later[0]["id"] == "p1"
    before, after = documents()[FEBRUARY], documents(later)[FEBRUARY]
    assert before == after and before["partner"]["name"] == "Alder Advisers"
    paid = [*SCENARIO.records, {"type": "partner_invoice", "id": "x", "partner": "p1", "statement": "next-technik:p1:2026-01-01:AUD",
            "received_on": "2026-02-10", "amount": "100.00", "currency": "AUD"}]  # fmt: skip
    january, invoiced = (documents(records)["next-technik:p1:2026-01-01:AUD"] for records in (SCENARIO.records, paid))
    assert (january["state"], invoiced["state"]) == ("issued", "invoiced")
    assert january["sha256"] == invoiced["sha256"]


def test_the_amounts_of_a_sheet_add_up_to_the_balance() -> None:
    found = documents()
    rows = list(csv.DictReader(io.StringIO(statements_csv(found.values()))))
    for name, document in found.items():
        own = [row for row in rows if row["statement"] == name]
        assert sum(Decimal(row["amount"]) for row in own) == Decimal(document["balance"])
        assert {row["statement_payable"] for row in own} == {document["payable"]}


def test_a_partner_cannot_put_a_formula_into_the_sheet() -> None:
    name = '=HYPERLINK("http://bad.example","Brindle")'
    records = [{**row, "name": name} if row["type"] == "account" else row for row in SCENARIO.records]
    sheet = statements_csv(documents(records).values())
    customers = [row["customer"] for row in csv.DictReader(io.StringIO(sheet)) if row["customer"]]
    assert customers and all(each == f"'{name}" and read_cell(each) == name for each in customers)


def test_a_pdf_is_the_same_bytes_on_every_run_machine_and_zone(tmp_path: Path) -> None:
    records = write(tmp_path, SCENARIO.records)
    arguments = ["statement", FEBRUARY, "--records", records, "--as-of", "2026-06-30", "--format", "pdf"]
    runs = [
        referee(*arguments, seed=seed, zone=zone, cwd=tmp_path) for seed, zone in (("1", "UTC"), ("2", "Asia/Tokyo"))
    ]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    assert runs[0].stdout == runs[1].stdout == statement_pdf(documents()[FEBRUARY])


def test_a_pdf_is_tagged_archival_and_has_a_title() -> None:
    made = statement_pdf(documents()[FEBRUARY])
    assert made.startswith(b"%PDF-")
    inside = made + b"".join(_inflated(made))
    assert b"/StructTreeRoot" in inside and b"/Marked true" in inside
    assert b"<pdfuaid:part>1<" in inside and b"<pdfaid:part>2<" in inside
    assert b"Commission statement next-technik:p1:2026-02-01:AUD" in inside


def _inflated(pdf: bytes) -> list[bytes]:
    found = []
    for match in re.finditer(rb"stream\r?\n", pdf):
        try:
            found.append(zlib.decompressobj().decompress(pdf[match.end() :]))
        except zlib.error:
            continue
    return found


def test_all_statements_are_written_with_their_list_and_again_the_same(tmp_path: Path) -> None:
    records = write(tmp_path, SCENARIO.records)
    arguments = ["statements", "--records", records, "--as-of", "2026-04-15", "--out-dir", "out"]
    first = referee(*arguments, cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    written = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert len(written) == 4 and b"3 statements written" in first.stdout
    rows = list(csv.DictReader(io.StringIO(written["statements.csv"].decode())))
    assert [(row["file"], row["payable"]) for row in rows] == [
        ("next-technik_p1_2026-01-01_AUD.pdf", "100.00"),
        ("next-technik_p1_2026-02-01_AUD.pdf", "0.00"),
        ("next-technik_p1_2026-03-01_AUD.pdf", "0.00"),
    ]
    assert all(written[row["file"]].startswith(b"%PDF-") for row in rows)
    referee(*arguments, seed="7", cwd=tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == written
    one = ["statements", "--records", records, "--as-of", "2026-04-15", "--out-dir", "one", "--format", "csv",
           "--period-from", "2026-04-01", "--with-open"]  # fmt: skip
    assert referee(*one, cwd=tmp_path).returncode == 0
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == [
        "next-technik_p1_2026-04-01_AUD.csv", "statements.csv",
    ]  # fmt: skip


def test_a_name_that_no_font_has_stops_its_own_statement_only(tmp_path: Path) -> None:
    records = [{**row, "name": "株式会社"} if row["id"] == "p1" else row for row in SCENARIO.records]
    records += [{**row, **{key: f"{row[key]}-2" for key in ("id", "referral", "account", "contract", "invoice") if key in row}}
                for row in SCENARIO.records if row["type"] not in ("partner", "enrollment")]  # fmt: skip
    for row in records:
        if row["id"].endswith("-2") and row["type"] in ("referral", "account"):
            row["website"] = "second.example"
            row["partner" if row["type"] == "referral" else "name"] = "p2" if row["type"] == "referral" else "Second"
    done = referee(
        "statements", "--records", write(tmp_path, records), "--as-of", "2026-04-15", "--out-dir", "out", cwd=tmp_path
    )
    assert done.returncode == 1
    assert "株".encode() in done.stderr and b"--fonts" in done.stderr and b"3 not" in done.stderr
    listed = (tmp_path / "out" / "statements.csv").read_text("utf-8")
    assert "next-technik:p2:2026-01-01:AUD" in listed and "p1" not in listed


def test_a_statement_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    records = write(tmp_path, SCENARIO.records)
    done = referee(
        "statement", "next-technik:p9:2026-02-01:AUD", "--records", records, "--as-of", "2026-06-30", cwd=tmp_path
    )
    assert done.returncode == 2 and done.stdout == b""
    assert FEBRUARY.encode() in done.stderr


def test_a_statement_has_the_format_that_the_name_of_its_file_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin = {"pdf": b"%PDF-", "csv": b"statement,", "json": b"{"}
    one = ["statement", FEBRUARY, "--records", write(tmp_path, SCENARIO.records), "--as-of", "2026-06-30"]
    for ending, expected in begin.items():
        assert CliRunner().invoke(app, [*one, "--out", f"february.{ending}"]).exit_code == 0
        assert (tmp_path / f"february.{ending}").read_bytes().startswith(expected)
    refused = CliRunner().invoke(app, [*one, "--out", "february.doc"])
    assert "--out: found 'february.doc'; allowed: a name that ends in .json, .csv, .pdf, or --format" in str(
        refused.exception
    )
    assert CliRunner().invoke(app, [*one, "--out", "february.doc", "--format", "csv"]).exit_code == 0


@given(st.lists(st.text(min_size=1, max_size=60), min_size=2, max_size=2, unique=True))
def test_file_names_are_safe_and_never_the_same_for_two_partners(partners: list[str]) -> None:
    names = [file_name(f"next-technik:{partner}:2026-01-01:AUD", "pdf") for partner in partners]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"[A-Za-z0-9_~%. -]+\.pdf", name) and ".." not in name for name in names)
