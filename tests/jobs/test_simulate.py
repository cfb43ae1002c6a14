"""`referee simulate` as a person uses it: started, connected to with what it printed, ended with Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson
import pytest
from ruamel.yaml import YAML

from jobs.clock import wall_clock
from jobs.config import load_settings
from jobs.connections import open_connection
from jobs.problems import UserError
from jobs.simulate import serve
from sync.store import Store

ROOT = Path(__file__).parents[2]


@contextmanager
def simulated(system: str, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running command and what it printed."""
    command = [sys.executable, "-m", "jobs.cli", "simulate", system, "--companies", "20", *options]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, "".join(_until_blank_lines(process.stdout, 2))
    finally:
        process.kill()
        process.communicate()


def _until_blank_lines(out: IO[str], wanted: int) -> Iterator[str]:
    """The address, a blank line, the settings, a blank line."""
    while wanted and (line := out.readline()):
        wanted -= line == "\n"
        yield line


@pytest.mark.parametrize("system", ["salesforce", "netsuite", "hubspot"])
def test_what_it_prints_connects(system: str, tmp_path: Path) -> None:
    with simulated(system) as (process, printed):
        block = YAML(typ="safe").load(printed.partition("\n\n")[2])
        tree = {"store": "sqlite:///referee.db", "programs": ["next-technik"], **block}
        YAML(typ="safe").dump(tree, tmp_path / "referee.yaml")
        settings = load_settings(tmp_path / "referee.yaml")
        store = Store.open(settings.store_url)
        store.migrate()
        connector = open_connection(settings, system, store, wall_clock).connector
        assert len(connector.kinds()) > 3
        store.close()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0
        assert "requests answered" in told and "Traceback" not in told


@pytest.mark.parametrize("system", ["salesforce", "hubspot"])
def test_the_first_sync_finds_the_same_companies_in_both_systems(system: str, tmp_path: Path) -> None:
    with simulated(system) as (_, crm), simulated("netsuite", "--crm", system) as (_, erp):
        yaml = YAML(typ="safe")
        blocks = [yaml.load(printed.partition("\n\n")[2])["connections"] for printed in (crm, erp)]
        tree = {"programs": ["next-technik"], "connections": {**blocks[0], **blocks[1]}}
        yaml.dump(tree, tmp_path / "referee.yaml")
        command = [sys.executable, "-m", "jobs.cli", "sync", "--json", "--config", str(tmp_path / "referee.yaml")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        found = orjson.loads(done.stdout)
    store = Store.open(f"sqlite:///{tmp_path}/referee.db")
    facts = [orjson.loads(line) for line in store.fact_lines()]
    store.close()
    accounts = {fact["id"] for fact in facts if fact["type"] == "account"}
    invoices = [fact for fact in facts if fact["type"] == "invoice"]
    assert len(invoices) > 10 and {invoice["account"] for invoice in invoices} <= accounts
    assert found["failed"] == [] and found["pulled"]["netsuite"]["quarantined"] == 0


def test_a_port_that_is_taken() -> None:
    with simulated("salesforce") as (_, printed):
        port = int(printed.split("127.0.0.1:")[1].split()[0])
        with pytest.raises(UserError, match=f"--port: found {port}.*0 takes a free one"):
            serve("salesforce", port=port, seed=1, companies=0)


def test_only_systems_with_a_simulator() -> None:
    with pytest.raises(UserError, match="found 'memory'; allowed: hubspot, netsuite, salesforce"):
        serve("memory", port=0, seed=1, companies=1)
    with pytest.raises(UserError, match="--crm: found 'netsuite'; allowed: hubspot, salesforce"):
        serve("netsuite", port=0, seed=1, companies=1, crm="netsuite")


@pytest.mark.parametrize(("option", "port", "companies"), [("--port", 70_000, 1), ("--companies", 0, -1)])
def test_options_out_of_range(option: str, port: int, companies: int) -> None:
    with pytest.raises(UserError, match=f"{option}: found .*; allowed: 0 to "):
        serve("salesforce", port=port, seed=1, companies=companies)
