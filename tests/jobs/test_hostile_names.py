"""A name is a name: whatever a system or a partner calls itself, no output runs it, breaks on it, or lets it move the cursor."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from jobs.cli import app
from jobs.scenarios import load_scenario, scenario_files
from jobs.sheets import read_cell
from jobs.show import console, table

SCENARIO = load_scenario(next(path for path in scenario_files() if path.stem == "e17_negative_balance"))
AS_OF = str(SCENARIO.steps[-1].as_of)
NAMES = {
    "a formula and a script": '=HYPERLINK("http://bad.example","x")<script>alert(1)</script>',
    "a terminal's and a console's commands": "\x1b[2J\x1b]0;owned\x07\x9b1m[/bold][red][link=http://bad.example]",
    "a page's commands, and a path": '../../../etc/passwd #let x = 1 $y$ _z_ *w* @ref ] " \\',
    "a header": "a\r\nBcc: x@bad.example\r\n\r\n<b>hello</b>",
    "no character": "be\x00fore \u202egpj.exe",
    "very long": "y" * 100_000,
}
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def named(record: dict[str, Any], name: str) -> dict[str, Any]:
    """The record with this name wherever it holds words of somebody's own."""
    words = {key: name for key in ("name", "company", "reason", "subject", "by") if isinstance(record.get(key), str)}
    contact = {"contact": {**record["contact"], "name": name}} if isinstance(record.get("contact"), dict) else {}
    return {**record, **words, **contact}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_and_nothing_more(name: str, tmp_path: Path) -> None:
    records = tmp_path / "facts.jsonl"
    records.write_bytes(b"\n".join(orjson.dumps(named(row, NAMES[name])) for row in SCENARIO.records))
    asked = ["--records", str(records), "--as-of", AS_OF]

    def run(*arguments: str) -> Result:
        done = CliRunner().invoke(app, [*arguments, *asked])
        assert done.exit_code == 0, (arguments, done.output[-500:], done.exception)
        return done

    program = ("--program", SCENARIO.program)
    outcome = json.loads(run("settle", *program).stdout)
    entry, statement = outcome["entries"][0]["key"], outcome["statements"][0]["id"]
    for arguments in (
        ("settle", *program, "--format", "table"), ("report", "dashboard", "--format", "table"),
        ("explain", entry, *program), ("explain", entry, *program, "--format", "mermaid"),
        ("explain", entry, *program, "--format", "html"), ("notifications", "--format", "table"),
    ):  # fmt: skip
        text = run(*arguments).stdout
        assert text and not CONTROLS.search(text), arguments
        assert arguments[-1] != "html" or "<script" not in text
    told = json.loads(run("notifications", "--format", "json").stdout)["notifications"]
    assert not CONTROLS.search(run("notifications", "--preview", told[0]["key"]).stdout)

    for row in csv.reader(io.StringIO(run("statement", statement, "--format", "csv").stdout, newline="")):
        assert not any(cell.startswith(("=", "@", "+")) for cell in row)
        assert all(read_cell(cell) == NAMES[name] for cell in row if NAMES[name] in cell)
    assert run("statement", statement, "--format", "pdf").stdout_bytes.startswith(b"%PDF-")
    assert run("statements", "--out-dir", str(tmp_path / "out")).exit_code == 0
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path, tmp_path / "out"}


def test_a_console_shows_control_characters_and_obeys_none() -> None:
    made = io.StringIO()
    evil = "".join(name for name in NAMES.values() if len(name) < 1000)
    console(made, wide=2000).print(table("t", ("name",), [[evil]]), evil.replace("[/bold]", ""))
    assert "gpj.exe" in made.getvalue() and not CONTROLS.search(made.getvalue())
