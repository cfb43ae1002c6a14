"""Bad input of every kind and program: exit 2, what and where on standard error, nothing on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from codecs import BOM_UTF8
from collections.abc import Callable
from importlib.resources import files
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import orjson
import pytest
from ruamel.yaml import YAML

from jobs.cli import main
from jobs.settle_file import read_records
from rules.program import SHIPPED, load_program
from rules.settings import CATALOGUE
from tests.rules.test_records import CORPUS, GOOD

ROOT = Path(__file__).parents[2]
PROGRAMS: dict[str, list[dict[str, Any]]] = YAML(typ="safe").load(
    (ROOT / "tests" / "rules" / "bad" / "programs.yaml").read_text("utf-8").replace(": 2024-", ": !!str 2024-")
)
Refused = Callable[..., str]


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Refused:
    """Run a command that must be refused; returns what it said on standard error."""

    def run(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["referee", *arguments])
        with pytest.raises(SystemExit) as done:
            main()
        said = capfd.readouterr()
        assert (done.value.code, said.out) == (2, "")
        assert "Traceback" not in said.err
        return said.err

    return run


@pytest.fixture
def records(tmp_path: Path) -> Path:
    path = tmp_path / "facts.jsonl"
    path.write_bytes(b"\n".join(orjson.dumps(row) for row in GOOD))
    return path


@pytest.mark.parametrize("number", range(len(CORPUS)), ids=lambda number: CORPUS[number]["name"])
def test_a_bad_record_settles_nothing(number: int, records: Path, refused: Refused) -> None:
    case = CORPUS[number]
    lines = [line if isinstance(line, str) else json.dumps(line) for line in case["lines"]]
    with records.open("a", encoding="utf-8") as file:
        file.write("".join(f"\n{line}" for line in lines))
    program = SHIPPED[number % len(SHIPPED)]
    said = refused("settle", "-p", program, "-r", str(records), "--as-of", "2026-03-31")
    place = len(GOOD) + case.get("line", len(lines))
    assert said.startswith(f"referee: 1 bad record\n{records}:{place}")
    assert f"{case['field'] or 'record'}: found " in said and case["allowed"] in said
    assert "--skip-bad" in said


def broken(program: str, case: dict[str, Any]) -> tuple[str, list[str]]:
    """The program's file as indented JSON, which is YAML, with one place changed; and the keys of that place."""
    text = (files("rules") / "programs" / f"{program}.yaml").read_text("utf-8")
    body = YAML(typ="safe").load(text.replace("effective_from: ", "effective_from: !!str "))
    path = _keys(case["path"])
    node = body
    for part in path[:-1]:
        node = node[int(part)] if isinstance(node, list) else node[part]
    last: Any = int(path[-1]) if isinstance(node, list) else path[-1]
    if case.get("gone"):
        del node[last]
    else:
        node[last] = case["set"]
    return json.dumps(body, indent=1), path


def _keys(path: str) -> list[str]:
    """The keys of a dotted path; the one setting whose name holds a dot is one key."""
    parts = path.replace("tier_uplift.silver", "tier_uplift/silver").split(".")
    named = ["versions", "0", *parts[1:]] if parts[0] == "v" else parts
    return [part.replace("/", ".") for part in named]


@pytest.mark.parametrize(
    ("program", "number"), [(name, number) for name, cases in PROGRAMS.items() for number in range(len(cases))],
    ids=lambda value: str(value),
)  # fmt: skip
def test_a_bad_program_is_told_with_its_line(
    program: str, number: int, records: Path, tmp_path: Path, refused: Refused
) -> None:
    case = PROGRAMS[program][number]
    text, path = broken(program, case)
    file = tmp_path / "mine.yaml"
    file.write_text(text, "utf-8")
    said = refused("settle", "-p", str(file), "-r", str(records), "--as-of", "2026-03-31")
    assert case["told"] in said
    assert said.startswith(f"referee: {file}:"), said
    line = int(said.removeprefix(f"referee: {file}:").partition(":")[0])
    near = text.splitlines()[line - 1]
    named = [key for key in path if not key.isdigit()]
    assert case.get("gone") or "versions" in path or named[-1] in near
    assert line > 1 or len(path) == 1


SETTINGS = [(name, key) for name in SHIPPED for key in load_program(name).versions[-1].settings]


@pytest.mark.parametrize(("program", "key"), SETTINGS)
def test_a_setting_that_cannot_be_is_told_with_what_is_allowed(
    program: str, key: str, records: Path, refused: Refused
) -> None:
    said = refused("settle", "-p", program, "-r", str(records), "--as-of", "2026-03-31", "--set", f"{key}=banana")
    assert f"--set: setting {key}: found 'banana'; allowed: " in said
    narrowed = load_program(program).versions[-1].settings[key].allowed
    assert (", ".join(narrowed) in said) if narrowed and "banana" in narrowed else CATALOGUE[key].allowed in said


@pytest.mark.parametrize("program", SHIPPED)
def test_a_setting_of_another_program_is_told_with_those_there_are(
    program: str, records: Path, refused: Refused
) -> None:
    own = load_program(program).versions[-1].settings
    for key in [key for key in CATALOGUE if key not in own][:6]:
        said = refused("settle", "-p", program, "-r", str(records), "--as-of", "2026-03-31", "--set", f"{key}=none")
        assert f"setting {key}: not a setting of this program" in said
        assert all(name in said for name in own)


NT = ("-p", "next-technik")
DAY = ("--as-of", "2026-03-31")
OPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "no_command_of_that_name": (("setle",), "setle"),
    "no_program": (("settle", "-r", "{}", *DAY), "--program"),
    "no_records": (("settle", *NT, *DAY), "--records"),
    "no_day": (("settle", *NT, "-r", "{}"), "--as-of"),
    "an_option_that_is_not_there": (("settle", *NT, "-r", "{}", *DAY, "--fast"), "--fast"),
    "a_program_that_is_not_there": (("settle", "-p", "next-tecknik", "-r", "{}", *DAY), "found 'next-tecknik'; allowed: next-technik"),
    "a_program_twice": (("settle", *NT, *NT, "-r", "{}", *DAY), "each program once"),
    "records_that_are_not_there": (("settle", *NT, "-r", "nowhere.jsonl", *DAY), "--records: nowhere.jsonl: No such file"),
    "records_that_are_a_folder": (("settle", *NT, "-r", ".", *DAY), "--records: .: Is a directory"),
    "a_day_in_words": (("settle", *NT, "-r", "{}", "--as-of", "today"), "--as-of: found 'today'; allowed: a real date"),
    "a_day_that_is_none": (("settle", *NT, "-r", "{}", "--as-of", "2026-02-30"), "--as-of: found '2026-02-30'"),
    "a_day_short": (("settle", *NT, "-r", "{}", "--as-of", "2026-3-1"), "--as-of: found '2026-3-1'"),
    "a_day_without_hyphens": (("settle", *NT, "-r", "{}", "--as-of", "20260331"), "--as-of: found '20260331'"),
    "an_instant": (("settle", *NT, "-r", "{}", "--as-of", "2026-03-31T00:00:00Z"), "--as-of: found"),
    "a_format": (("settle", *NT, "-r", "{}", *DAY, "--format", "csv"), "--format: found 'csv'; allowed: json, table"),
    "a_set_without_a_value": (("settle", *NT, "-r", "{}", *DAY, "--set", "rounding"), "--set: found 'rounding'; allowed: key=value"),
    "a_set_without_a_key": (("settle", *NT, "-r", "{}", *DAY, "--set", "=up"), "--set: found '=up'"),
    "a_set_of_two_programs": (("settle", *NT, "-p", "optimetriks", "-r", "{}", *DAY, "--set", "rounding=up"), "with one --program only"),
    "a_set_misspelt": (("settle", *NT, "-r", "{}", *DAY, "--set", "cadense=monthly"), "did you mean cadence?"),
    "explain_nothing": (("explain", "r9", *NT, "-r", "{}", *DAY), "found nothing with the key 'r9'; allowed: "),
    "explain_without_a_key": (("explain", *NT, "-r", "{}", *DAY), "Missing argument"),
    "explain_without_a_program": (("explain", "r1", "-r", "{}", *DAY), "--program: found nothing; allowed: with --records also --program"),
    "explain_without_a_day": (("explain", "r1", *NT, "-r", "{}"), "--as-of: found nothing"),
    "explain_a_day_without_records": (("explain", "r1", *DAY), "--as-of: found without --records"),
    "explain_a_program_without_records": (("explain", "r1", *NT), "--program: found without --records"),
    "explain_in_a_form": (("explain", "r1", *NT, "-r", "{}", *DAY, "--format", "gif"), "--format: found 'gif'"),
    "what_if_of_nothing": (("what-if", *NT, "-r", "{}", *DAY), "found no other terms"),
    "what_if_since_some_day": (("what-if", *NT, "-r", "{}", *DAY, "--set", "rounding=up", "--since", "May"), "--since: found 'May'"),
    "what_if_of_a_setting": (("what-if", *NT, "-r", "{}", *DAY, "--set", "rounding=sideways"), "setting rounding: found 'sideways'"),
    "what_if_of_a_file": (("what-if", *NT, "-r", "{}", *DAY, "--program-file", "nowhere.yaml"), "found 'nowhere.yaml'"),
    "what_if_of_another_zone": (("what-if", *NT, "-r", "{}", *DAY, "--program-file", "code-ninety"), "the time zone and currency of next-technik"),
    "test_of_nothing": (("test", "nowhere"), "found no scenario at 'nowhere'"),
    "test_of_an_empty_folder": (("test", "."), "found no scenario at '.'"),
    "program_check_of_nothing": (("program", "check", "nowhere.yaml"), "found 'nowhere.yaml', which cannot be read"),
    "program_check_without_a_file": (("program", "check"), "Missing argument"),
    "program_diff_of_one": (("program", "diff", "next-technik"), "Missing argument"),
    "program_diff_of_nothing": (("program", "diff", "next-technik", "nowhere.yaml"), "found 'nowhere.yaml'"),
    "schema_of_something": (("schema", "facts"), "found 'facts'; allowed: program, records"),
    "store_that_is_not_set_up": (("status", "--config", "nowhere.yaml"), "nowhere.yaml: not there; run `referee init`"),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_a_command_that_cannot_be_carried_out_says_what_and_what_is_allowed(
    name: str, records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    arguments, told = OPTIONS[name]
    assert told in refused(*(str(records) if each == "{}" else each for each in arguments))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("program", b"\xff\xfe\x00", "cannot be read as UTF-8"),
        ("program", b"id: [", "mine.yaml:1: not YAML"),
        ("program", b"- 1\n", "mine.yaml:1: found a list"),
        ("program", b"", "mine.yaml:1: found nothing"),
        ("program", b"a: &a [*a]\n", "mine.yaml"),
        ("records", b"\xff\xfe{}", "facts.jsonl:1"),
        ("records", b'{"type": "partner", "id": "p1", "name": "Fern"', "facts.jsonl:1"),
        ("records", b"[" * 100_000, "facts.jsonl:1"),
        ("scenario", b"name: x\n", "one.yaml: clauses"),
        ("scenario", b"name: [", "one.yaml: cannot be read"),
    ],
)
def test_a_file_that_is_no_such_file_is_told_by_a_real_process(
    name: str, content: bytes, told: str, records: Path, tmp_path: Path
) -> None:
    program = "next-technik"
    if name == "records":
        records.write_bytes(content)
    elif name == "program":
        (tmp_path / "mine.yaml").write_bytes(content)
        program = "mine.yaml"
    arguments = ["settle", "-p", program, "-r", "facts.jsonl", *DAY]
    if name == "scenario":
        (tmp_path / "one.yaml").write_bytes(content)
        arguments = ["test", "one.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments],
        cwd=tmp_path, env={"PYTHONPATH": str(ROOT), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert told in done.stderr and "Traceback" not in done.stderr


def test_a_mark_that_says_utf_8_and_lines_of_windows_are_no_part_of_the_records(tmp_path: Path) -> None:
    rows = [{"type": "partner", "id": "p1", "name": "Fern"}, {"type": "account", "id": "a1", "name": "Harbour"}]
    path = tmp_path / "facts.jsonl"
    path.write_bytes(BOM_UTF8 + b"\r\n".join(map(orjson.dumps, rows)) + b"\r\n")
    facts, rejected = read_records(str(path))
    assert rejected == [] and len(facts) == 2
    path.write_bytes(b"")
    assert len(read_records(str(path))[0]) == 0


def test_a_statement_that_never_is_gets_the_name_of_standard_input(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    payout = {
        "type": "payout", "id": "never", "statement": "optimetriks:p1:2026-01-01:EUR", "paid_on": "2026-02-20",
        "amount": "1.00", "currency": "EUR",
    }  # fmt: skip
    rows = [{"type": "partner", "id": "p1", "name": "Kivu Partners"}, payout]
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"\n".join(orjson.dumps(row) for row in rows))))
    said = refused("settle", "-p", "optimetriks", "-r", "-", "--as-of", "2026-03-31")
    assert '<stdin>:2 (payout never): statement: found "optimetriks:p1:2026-01-01:EUR"' in said
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(orjson.dumps(rows[0]))))
    said = refused("report", "dashboard", "-p", "optimetriks", "-r", "-", "--as-of", "2026-03-31", "--partner", "p9")
    assert "--partner: found 'p9'; allowed: the id of a partner record of <stdin>" in said


def test_the_corpus_is_large_and_spreads_over_all_programs() -> None:
    programs = {name: len(cases) for name, cases in PROGRAMS.items()}
    assert set(programs) == set(SHIPPED) and min(programs.values()) >= 20
    assert len(CORPUS) + sum(programs.values()) + len(SETTINGS) + len(OPTIONS) >= 400
