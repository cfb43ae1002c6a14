"""`referee doctor`: a healthy installation passes; each ailment is named with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connectors.registry import load
from jobs.doctor import NAMES, examine, show_examination
from sync.store import Store
from tests.sync.empty_store import empty_store

ROOT = Path(__file__).parents[2]
SETTINGS = """\
store: sqlite:///referee.db
programs: [next-technik]
connections:
  crm:
    system: salesforce
    settings: {url: "https://acme.my.salesforce.com", client_id: someone, client_secret: hidden-word}
"""


def ailing(found: list[dict[str, Any]]) -> dict[str, str]:
    return {one["check"]: f"{one['found']} | {one['hint']}" for one in found if not one["ok"]}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "referee.yaml"
    path.write_text(SETTINGS)
    return path


@pytest.fixture
def store(config: Path) -> Store:
    return Store.open(empty_store(config.parent / "referee.db"))


def test_a_fresh_machine_is_well_and_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = examine(tmp_path / "referee.yaml")
    assert ailing(found) == {}
    assert any("referee init" in one["hint"] for one in found)
    assert list(tmp_path.iterdir()) == []
    show_examination(found)
    assert "everything is well" in capsys.readouterr().out


def test_a_whole_installation_is_well(config: Path, store: Store) -> None:
    store.finish_run(
        store.start_run("pull", None, at=datetime(2026, 5, 1, tzinfo=UTC)),
        "ok",
        {},
        at=datetime(2026, 5, 2, tzinfo=UTC),
    )
    store.close()
    found = examine(config, clock=lambda: datetime(2026, 5, 3, tzinfo=UTC))
    assert ailing(found) == {}
    checks = [one["check"] for one in found]
    assert [f"import name {name}" for name in NAMES] == checks[:4]
    assert "connection crm" in checks and any(check.startswith("store sqlite") for check in checks)
    assert "hidden-word" not in json.dumps(found)


def test_a_store_that_is_not_there_yet_is_not_made(config: Path) -> None:
    assert ailing(examine(config)) == {}
    assert not (config.parent / "referee.db").exists()


@pytest.mark.parametrize(
    ("change", "check", "said"),
    [
        (
            "UPDATE alembic_version SET version_num = '9999_later'",
            "store",
            "install the version of referee that made them",
        ),
        ("DELETE FROM alembic_version", "store", "brings them up to date"),
    ],
)
def test_tables_of_another_version(config: Path, store: Store, change: str, check: str, said: str) -> None:
    with store.transaction() as database:
        database.execute(text(change))
    store.close()
    (name, told), *others = ailing(examine(config)).items()
    assert name.startswith(check) and said in told and not others


def test_a_file_that_is_no_store(config: Path) -> None:
    (config.parent / "referee.db").write_text("a shopping list, long enough to be taken for a database" * 99)
    (name, told), *others = ailing(examine(config)).items()
    assert name.startswith("store") and "not a database" in told and not others


def test_a_database_server_that_does_not_answer(config: Path) -> None:
    config.write_text(
        SETTINGS.replace("sqlite:///referee.db", "postgresql+psycopg://me:hidden-word@127.0.0.1:1/ledger")
    )
    found = examine(config)
    (name, told), *others = ailing(found).items()
    assert name == "store postgresql+psycopg://me:***@127.0.0.1:1/ledger"
    assert "refused" in told and "start the database" in told and not others
    assert "hidden-word" not in json.dumps(found)


@pytest.mark.parametrize(
    ("old", "new", "check", "said"),
    [
        ("system: salesforce", "system: acme", "settings", "allowed: a known system"),
        ("client_id: someone", "klient: someone", "connection crm", "connections.crm.settings.client_id"),
        ("    settings:", "    mapping: mine.yaml\n    settings:", "connection crm", "mine.yaml"),
    ],
)
def test_settings_that_do_not_fit(config: Path, old: str, new: str, check: str, said: str) -> None:
    config.write_text(SETTINGS.replace(old, new))
    (name, told), *others = ailing(examine(config)).items()
    assert name.startswith(check) and said in told and not others


def test_a_clock_behind_the_last_run(config: Path, store: Store) -> None:
    store.start_run("pull", None, at=datetime(2026, 5, 1, tzinfo=UTC))
    store.close()
    assert list(ailing(examine(config, clock=lambda: datetime(2026, 4, 1, tzinfo=UTC)))) == ["clock"]
    assert ailing(examine(config, clock=lambda: datetime(2026, 4, 30, 23, 58, tzinfo=UTC))) == {}


def foreign(folder: Path) -> Path:
    """A distribution of somebody else that brings an import package ``rules``."""
    info = folder / "policy_engine-3.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: policy-engine\nVersion: 3.1\n")
    (info / "top_level.txt").write_text("rules\n")
    (info / "RECORD").write_text("rules/__init__.py,,\n")
    (folder / "rules").mkdir()
    (folder / "rules" / "__init__.py").write_text("")
    return folder


def referee(folder: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    """`referee doctor --json` with these folders in front."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [
        sys.executable,
        "-c",
        "import sys; sys.path.pop(0); from jobs.cli import main; main()",
        "doctor",
        "--json",
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_another_distribution_that_claims_a_name_is_found(tmp_path: Path) -> None:
    done = referee(tmp_path, ROOT, foreign(tmp_path / "site"))
    (name, told), *others = ailing(json.loads(done.stdout)).items()
    assert done.returncode == 1
    assert name == "import name rules" and not others
    assert "claimed by policy-engine" in told and "uninstall policy-engine" in told


def test_another_distribution_that_is_imported_in_our_place_stops_every_command(tmp_path: Path) -> None:
    other = foreign(tmp_path / "site")
    done = referee(tmp_path, other, ROOT)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"import name rules: found {other / 'rules'}; claimed by policy-engine" in done.stderr
    assert "uninstall policy-engine" in done.stderr


def test_a_dependency_that_is_too_old_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "rich-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rich\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    (name, told), *others = ailing(examine(tmp_path / "referee.yaml")).items()
    assert name == "dependencies" and "rich 1.0 (needs >=13.9)" in told and not others


def test_every_shipped_connector_loads(tmp_path: Path) -> None:
    checked = {one["check"] for one in examine(tmp_path / "none.yaml")}
    assert {f"connector {load(name).name}" for name in ("memory", "netsuite", "salesforce")} <= checked
