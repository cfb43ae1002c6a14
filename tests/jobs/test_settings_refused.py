"""What is wrong with settings, store or key is told on standard error, with exit 2 and nothing on standard output."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from jobs.config import load_settings
from jobs.doctor import examine
from jobs.installation import installation
from jobs.problems import UserError
from sync.errors import SyncError
from sync.store import Store

GOOD = """\
store: sqlite:///book.db
programs: [next-technik]
connections:
  crm:
    system: memory
    every: 15m
    settings: {path: crm.json}
"""
NO_DATABASE = "found .*; allowed: a database of ours or an empty one"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (GOOD.replace("every: 15m", "every: 15 minutes"), "2.yaml:6: connections.crm.every: found '15 minutes'; allowed: a whole"),
        (GOOD.replace("every: 15m", 'cron: "99 * * * *"'), "2.yaml:6: connections.crm.cron: found '99 * * * *'; allowed: five cron"),
        (GOOD.replace("every: 15m", "evry: 15m"), "2.yaml:6: connections.crm.evry: found '15m'; allowed: one of system, mapping"),
        (GOOD.replace("every: 15m", "evry: 15m"), "did you mean every?"),
        (GOOD.replace("system: memory", "system: memroy"), "2.yaml:5: connections.crm.system: found 'memroy'; allowed: a known"),
        (GOOD.replace("book.db", "${NOWHERE_SET}"), "2.yaml:1: store: the environment variable NOWHERE_SET is not set"),
        (GOOD.replace("crm.json", "'${file:nowhere}'"), "connections.crm.settings.path: found file nowhere, which is not there"),
        (GOOD.replace("programs: [next-technik]\n", ""), "programs: found nothing; allowed: field required"),
        (GOOD + "log: {levl: debug}\n", "2.yaml:8: log.levl: found 'debug'; allowed: one of format, level; did you mean level?"),
        (GOOD + "    loops: {tims: 3}\n", "2.yaml:8: connections.crm.loops.tims: found 3; allowed: one of times, days; did you mean times?"),
        (GOOD + "    loops: {times: 1}\n", "2.yaml:8: connections.crm.loops.times: found 1; allowed: greater than or equal to 2"),
        (GOOD + "store: x\n", 'not YAML: found duplicate key "store"'),
        ("", "programs: found nothing"),
        ("- 1", "found a list; allowed: keys with values"),
        ("store: [", "not YAML"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_are_told_with_their_place(wrong: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "2.yaml"
    path.write_text(wrong, "utf-8")
    with pytest.raises(UserError) as error:
        load_settings(path, {})
    assert told in str(error.value)
    assert str(error.value).startswith(str(path))


def test_a_connectors_own_setting_is_told_with_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "referee.yaml"
    path.write_text(GOOD.replace("system: memory", "system: salesforce"), "utf-8")
    with installation(path) as here, pytest.raises(UserError, match=r"referee\.yaml:7: connections\.crm\.settings"):
        here.open()


def test_a_mapping_of_another_system_is_refused(tmp_path: Path) -> None:
    (tmp_path / "erp.yaml").write_text("system: netsuite\nobjects: []\n", "utf-8")
    path = tmp_path / "referee.yaml"
    path.write_text(GOOD.replace("every: 15m", "mapping: erp.yaml").replace("path: crm.json", ""), "utf-8")
    with (
        installation(path) as here,
        pytest.raises(UserError, match=r"referee\.yaml:6: .*a mapping for netsuite; allowed: .*memory"),
    ):
        here.open()


def test_brakes_of_an_object_that_is_not_mapped_are_refused(tmp_path: Path) -> None:
    """A misspelt one would hold nothing, and the default would count without a word."""
    (tmp_path / "crm.yaml").write_text(
        "system: memory\nobjects: [{object: Account, record: account, fields: {name: Name}}]\n", "utf-8"
    )
    path = tmp_path / "referee.yaml"
    good = GOOD.replace(
        "every: 15m", "mapping: crm.yaml\n    brakes:\n      Account: {max_deleted_share: 0.1}"
    ).replace("path: crm.json", "")
    path.write_text(good, "utf-8")
    with installation(path) as here:
        assert here.open()[0].brakes["Account"].max_deleted_share == 0.1
    path.write_text(good.replace("Account:", "Acount:"), "utf-8")
    with (
        installation(path) as here,
        pytest.raises(
            UserError, match=r"referee\.yaml:8: connections\.crm\.brakes\.Acount: found .*; allowed: Account"
        ),
    ):
        here.open()


def test_an_output_that_is_full_is_told_in_a_line() -> None:
    root = Path(__file__).parents[2]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "jobs.cli", "schema", "records"], cwd=root, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "referee: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    ("store", "told"),
    [
        ("sqlite:////nowhere/at/all.db", NO_DATABASE),
        ("sqlite:///referee.yaml", NO_DATABASE),
        ("postgresql://ann:secret-word@127.0.0.1:9/x", NO_DATABASE),
        ("mysql://ann:secret-word@127.0.0.1/x", r"allowed: sqlite:///PATH or postgresql://"),
        ("postgresql://127.0.0.1:9/x?user=ann&password=secret-word", NO_DATABASE),
        ("postgresql://ann:secret-word@127.0.0.1:port/x", r"cannot be read; allowed: sqlite:///PATH or postgresql://"),
        ("secret-word", r"cannot be read; allowed: sqlite:///PATH or postgresql://"),
    ],
)
def test_a_store_that_cannot_be_opened_is_told_without_its_password(store: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "referee.yaml"
    path.write_text(GOOD.replace("sqlite:///book.db", store), "utf-8")
    with pytest.raises(SyncError, match=told) as error, installation(path):
        pass
    assert "secret-word" not in str(error.value)
    assert "secret-word" not in str(examine(path))


def test_a_read_only_store_is_no_traceback(tmp_path: Path) -> None:
    with pytest.raises(SyncError, match="found"):
        Store.open(f"sqlite:///{tmp_path}").migrate()  # a folder


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["explain", "nothing"], "found nothing with the key 'nothing'"),
        (["trace", "nothing"], "allowed: CONNECTION:OBJECT:ID with one of crm"),
        (["dead-letters", "retry", "7"], "found 7; allowed: none"),
        (["check", "--connection", "erp"], "--connection: found 'erp'; allowed: crm"),
        (["status", "--config", "nowhere.yaml"], "nowhere.yaml: not there; run `referee init`"),
        (["schema", "shapes"], "found 'shapes'; allowed: program, records"),
    ],
)
def test_a_command_that_cannot_be_carried_out_says_so_and_prints_nothing(
    command: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "referee.yaml").write_text(GOOD, "utf-8")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", *command],
        cwd=tmp_path, env={"PYTHONPATH": str(root), "PATH": ""}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
