"""`referee demo --real`: installs nothing unasked, and on a real server the ledger and Tryton agree to the cent."""

from __future__ import annotations

import json
import warnings
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.environments import NotInstalled, made
from connectors.tryton.server.process import REQUIREMENTS
from jobs.cli import app
from jobs.demo_real import run_real_demo
from jobs.problems import UserError
from tests.connectors.clients.environments import CACHE


def test_nothing_is_installed_unasked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(UserError, match="packages, about 100 MB.*Nothing was installed.*--install"):
        run_real_demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_installing_goes_with_a_real_server_only() -> None:
    ended = CliRunner().invoke(app, ["demo", "--install"])
    assert ended.exit_code == 2 and "--real" in ended.output


@pytest.mark.slow
def test_what_tryton_holds_is_what_the_ledger_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    try:
        made(REQUIREMENTS, CACHE)
    except NotInstalled as reason:
        warnings.warn(f"the real demo was not played, its packages could not be installed: {reason}", stacklevel=2)
        pytest.skip(str(reason))
    (tmp_path / "referee").symlink_to(CACHE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    run_real_demo(tmp_path / "demo", json=True)
    figures = json.loads(capfdbinary.readouterr().out)
    assert figures["problems"] == []
    earned = [
        entry["amount"] for entry in sorted(figures["entries"], key=lambda entry: (entry["earned_on"], entry["key"]))
    ]
    assert earned == ["250.00", "250.00", "-30.00", "-30.00"]
    owed = {
        entry["key"]: (Decimal(entry["amount"]), entry["released_on"], entry["because"]) for entry in figures["entries"]
    }
    held = {one["key"]: (Decimal(one["amount"]), one["date"], one["reason"]) for one in figures["commissions"]}
    assert held == owed
    assert len([one for one in figures["statements"] if one["state"] != "open"]) == 2
    assert (tmp_path / "demo" / "referee.yaml").exists()
