"""`referee test` runs an admin's scenarios, and says what differs as a unit test does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.init import write_start
from jobs.problems import UserError
from jobs.scenarios import scenario_files
from rules.errors import ProgramError

FIRST = "1_first_referral_is_paid.yaml"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as `referee init` leaves it, and where the command is called."""
    write_start(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "programs" / "scenarios" / "next-technik"


def test_what_init_writes_passes(place: Path) -> None:
    done = CliRunner().invoke(app, ["test"])
    assert (done.exit_code, done.stdout) == (0, "3 of 3 scenarios passed (4 dates settled); 0 failed\n")
    body = json.loads(CliRunner().invoke(app, ["test", str(place / FIRST), "--json"]).stdout)
    assert [(one["passed"], one["steps"], one["differences"]) for one in body] == [(True, 1, [])]


def test_what_differs_is_told_by_field_with_the_row_that_came_nearest(place: Path) -> None:
    path = place / FIRST
    path.write_text(path.read_text("utf-8").replace('payable: "100.00"', 'payable: "90.00"'), "utf-8")
    done = CliRunner().invoke(app, ["test"])
    assert done.exit_code == 1
    assert f"FAILED programs/scenarios/next-technik/{FIRST}: The first partner" in done.stdout
    assert '    payable\n      - "90.00"  expected\n      + "100.00"  found\n' in done.stdout
    assert done.stdout.endswith("2 of 3 scenarios passed (4 dates settled); 1 failed\n")
    (failed,) = [one for one in json.loads(CliRunner().invoke(app, ["test", "--json"]).stdout) if not one["passed"]]
    (difference,) = failed["differences"]
    assert (difference["where"], difference["fields"]) == ("statements", [["payable", '"90.00"', '"100.00"']])


def test_scenarios_are_run_against_the_program_file_beside_them(place: Path) -> None:
    path = place.parents[1] / "next-technik.yaml"
    path.write_text(path.read_text("utf-8").replace("due_business_day: 10", "due_business_day: 9"), "utf-8")
    done = CliRunner().invoke(app, ["test"])
    assert done.exit_code == 1
    assert '- "2026-02-13"  expected' in done.stdout and '+ "2026-02-12"  found' in done.stdout


def test_the_shipped_scenarios_can_be_run(place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("jobs.trial.FOLDER", place)
    assert CliRunner().invoke(app, ["test", "shipped"]).exit_code == 0
    assert len(scenario_files()) > 50


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (("program: ../../next-technik.yaml", "program: ../nowhere.yaml"), "nowhere.yaml"),
        (("as_of: 2026-02-01", "as_of: soon"), "steps.0.as_of"),
        (("clauses: [NT-7", "clause: [NT-7"), "clause"),
        (("records:", "uses: [partners]\nrecords:"), "_shared.yaml: cannot be read"),
        (("steps:", "settings: {rounding: upwards}\nsteps:"), "allowed: half_even"),
    ],
)
def test_a_scenario_that_cannot_be_run_is_told_with_its_file(place: Path, break_it: tuple[str, str], told: str) -> None:
    path = place / FIRST
    path.write_text(path.read_text("utf-8").replace(*break_it), "utf-8")
    done = CliRunner().invoke(app, ["test"])
    assert isinstance(done.exception, UserError | ProgramError)
    assert FIRST in str(done.exception) and told in str(done.exception)
    assert done.stdout == ""


def test_no_scenario_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="found no scenario at 'programs/scenarios'.*referee init"):
        CliRunner().invoke(app, ["test"], catch_exceptions=False)
