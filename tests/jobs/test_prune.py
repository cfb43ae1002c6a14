"""`referee prune`: shows before it deletes, says what stays, and is done once a day by `referee run`."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jobs.cli import app
from jobs.config import load_settings
from jobs.installation import installation
from jobs.problems import UserError
from jobs.prune import prune_daily

SETTINGS = """\
store: sqlite:///book.db
programs: [next-technik]
connections:
  crm: {system: memory, settings: {path: crm.json}}
"""


def test_what_is_old_is_shown_first_then_deleted_once_a_day(tmp_path: Path) -> None:
    path = tmp_path / "referee.yaml"
    path.write_text(SETTINGS, "utf-8")
    now = [datetime(2024, 1, 1, tzinfo=UTC)]
    with installation(path, clock=lambda: now[0]) as here:
        for _ in range(5):
            run = here.store.start_run("pull", "crm", at=now[0])
            here.store.finish_run(run, "ok", {"Lead": {"records": {"new": 0, "unchanged": 9}}}, at=now[0])
            now[0] += timedelta(days=1)

        def told(*more: str) -> dict[str, object]:
            ran = CliRunner().invoke(app, ["prune", "--config", str(path), "--json", *more])
            assert ran.exit_code == 0, ran.output
            return dict(json.loads(ran.stdout))

        shown = told("--plan")
        assert (shown["pruned"], shown["rows"]["run"]) == (False, 4)  # type: ignore[index]
        assert shown["days"] == {"writes": 400, "runs": 400, "calls": 400, "notices": 400}
        assert len(here.store.runs(job="pull")) == 5
        text = " ".join(CliRunner().invoke(app, ["prune", "--config", str(path), "--plan"]).output.split())
        assert "runs that brought nothing" in text and "for ever" in text and "next: `referee prune`" in text

        now[0] += timedelta(days=401)
        prune_daily(here)
        assert len(here.store.runs(job="pull")) == 1
        (done,) = here.store.runs(job="prune")
        assert done.counts["rows"]["run"] == 4
        prune_daily(here)
        assert told()["rows"]["run"] == 0  # type: ignore[index]
        assert len(here.store.runs(job="prune")) == 1, "nothing was old: no run is noted"


def test_days_that_are_too_few_are_refused_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "referee.yaml"
    path.write_text(SETTINGS + "retention: {writes: 7}\n", "utf-8")
    with pytest.raises(
        UserError, match=r"referee\.yaml:5: retention\.writes: found 7; allowed: greater than or equal to 35"
    ):
        load_settings(path, {})
