"""The schedules of a settings file: what is due runs at the start, a stop lets the run in progress end."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors.simulation import Fault, SimRequest
from jobs.problems import UserError
from jobs.schedule import run_schedules
from tests.jobs.sync_world import ROOT, office, write_settings


def test_without_a_schedule_it_says_what_to_write(tmp_path: Path) -> None:
    with office(tmp_path / "office") as place, pytest.raises(UserError, match="every: 15m"):
        run_schedules(place.here, once=True)


def test_started_it_syncs_at_once_and_a_stop_ends_it_in_peace(tmp_path: Path) -> None:
    with office(tmp_path / "office") as place:
        place.morning(1)
        write_settings(place, {}, every="1h")
        asked = threading.Event()

        def note(request: SimRequest) -> bool:
            if "/composite/" in request.path and request.method == "PATCH":
                asked.set()
            return False

        place.world.crm.faults.add(Fault(match=note, times=None, kind="drop"))
        command = [sys.executable, "-m", "jobs.cli", "run", "--config", str(place.config)]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
            assert asked.wait(timeout=60), "no write came within a minute"
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        lead: Any = place.world.crm.get("Lead", place.world.ids["lead Harbour by Northline"])
        assert lead["Referral_Status__c"] == "expired", "the story's claims are long over by the clock of this machine"
        assert [run.state for run in place.here.store.runs(job="pull", connection="crm")] == ["ok"]
