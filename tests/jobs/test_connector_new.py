"""The page about writing a connector, what `referee connector new` writes, and a connector from another package in use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.new_connector import rendered, write_connector
from jobs.problems import UserError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "connectors.md").read_text("utf-8")
BLOCK = re.compile(r"^`([^`\n]+)`\n\n```[a-z]+\n(.*?)^```$", re.M | re.S)


def test_the_page_shows_the_files_that_are_written() -> None:
    files = rendered("acme")
    shown = dict(BLOCK.findall(PAGE))
    assert shown == {path: text for path, text in files.items() if path != "README.md"}


def test_the_connector_of_the_page_has_less_than_120_lines() -> None:
    files = rendered("acme")
    connector = [text for path, text in files.items() if path != "README.md" and not path.startswith("tests/")]
    lines = [
        line for text in connector for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")
    ]
    assert len(lines) < 120


@pytest.mark.parametrize("name", ["Acme", "a", "9lives", "two words", "../up", "x" * 31, "class", "none"])
def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="small letters and digits"):
        write_connector(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_or_a_folder_that_is_taken_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="which referee has already"):
        write_connector("salesforce", tmp_path)
    write_connector("harbour", tmp_path)
    with pytest.raises(UserError, match="is there already"):
        write_connector("harbour", tmp_path)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which a new connector is installed as its owner would install it."""
    folder = tmp_path_factory.mktemp("third-party")
    write_connector("harbour", folder)
    install = [
        sys.executable,
        "-m",
        "uv",
        "pip",
        "install",
        "--quiet",
        "--offline",
        "--no-deps",
        "--no-build-isolation",
    ]
    package = folder / "referee-harbour"
    target = folder / "site"
    subprocess.run([*install, "--python", sys.executable, "--target", str(target), str(package)], check=True)
    return target


def run(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def test_a_new_connector_passes_the_acceptance_suite_as_it_is(site: Path) -> None:
    ran = run(site, site.parent / "referee-harbour", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    reasons = re.findall(r"^SKIPPED \[\d+\] .*?: (.*)$", ran.stdout, re.M)
    assert sorted(reasons) == [
        "the driver says that this system does not merge records",
        "the driver says that this system has no late commits",
    ]


def test_an_installed_connector_is_found_and_used_without_a_change_here(site: Path, tmp_path: Path) -> None:
    listed = run(site, tmp_path, "-m", "jobs.cli", "connector", "list", "--json")
    assert listed.returncode == 0, listed.stderr
    assert {one["name"]: one["owner"] for one in json.loads(listed.stdout)}["harbour"] == "referee-harbour"
    (tmp_path / "referee.yaml").write_text(
        "programs: [next-technik]\nconnections:\n  crm:\n    system: harbour\n"
        "    settings: {url: 'http://127.0.0.1:9', token: made-up, allow_loopback: true}\n"
    )
    checked = run(site, tmp_path, "-m", "jobs.cli", "check", "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    (found,) = json.loads(checked.stdout)
    assert (found["system"], found["objects"], found["problems"]) == ("harbour", ["companies"], [])


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (None, "ModuleNotFoundError: No module named 'acme_broken'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def", "SyntaxError"),
    ],
)
def test_a_connector_that_cannot_be_loaded_is_told_with_the_reason(
    tmp_path: Path, module: str | None, why: str
) -> None:
    broken = tmp_path / "site"
    info = broken / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[referee.connectors]\nbroken = acme_broken:PLUGIN\n")
    if module is not None:
        (broken / "acme_broken.py").write_text(module + "\n")
    listed = run(broken, tmp_path, "-m", "jobs.cli", "connector", "list", "--json")
    assert listed.returncode == 1
    found = {one["name"]: one["problem"] for one in json.loads(listed.stdout)}
    told = "cannot be loaded from acme_broken:PLUGIN: " + why
    assert told in found["broken"] and found["memory"] is None
    (tmp_path / "referee.yaml").write_text(
        "programs: [next-technik]\nconnections: {crm: {system: broken, settings: {}}}\n"
    )
    every = (("check",), ("doctor", "--json"), ("sync",))
    for command in every if module == "1 / 0" else every[:1]:
        ran = run(broken, tmp_path, "-m", "jobs.cli", *command)
        assert ran.returncode and "Traceback" not in ran.stderr
        assert told in " ".join((ran.stdout + ran.stderr).split())


def test_a_connector_that_breaks_is_told_by_every_command_and_stops_no_other_connection(tmp_path: Path) -> None:
    broken = tmp_path / "site"
    info = broken / "broken-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[referee.connectors]\nbroken = acme_broken:PLUGIN\n")
    (broken / "acme_broken.py").write_text(
        "from pydantic import BaseModel\nfrom connectors.registry import Plugin\n\n\nclass Config(BaseModel):\n    pass\n\n\nclass Broken:\n"
        + "".join(
            f"    def {name}(self, *args, **named):\n        return {{'a secret of theirs': 1}}['{name}']\n\n"
            for name in ("changes", "fetch", "kinds", "describe", "usage")
        )
        + "\nPLUGIN = Plugin('broken', Config, lambda config, **named: Broken(), None, sources='none')\n"
    )
    fields = "objects: [{object: partners, record: partner, fields: {name: Name, currency: Currency}}]\n"
    (tmp_path / "broken.yaml").write_text("system: broken\n" + fields)
    (tmp_path / "lists.yaml").write_text("system: files\n" + fields)
    (tmp_path / "partners.csv").write_text("Partner,Name,Currency\nP1,Northline,AUD\n")
    (tmp_path / "referee.yaml").write_text(
        "programs: [next-technik]\nconnections:\n"
        "  crm: {system: broken, mapping: broken.yaml, settings: {}}\n"
        "  lists: {system: files, mapping: lists.yaml, settings: {folder: ., objects: {partners: {file: partners.csv, id: Partner}}}}\n"
    )
    for command in (("sync",), ("check", "--json"), ("mapping", "preview", "crm"), ("mapping", "suggest", "crm")):
        ran = run(broken, tmp_path, "-m", "jobs.cli", *command)
        said = " ".join((ran.stdout + ran.stderr).split())
        assert ran.returncode == 1 and "Traceback" not in said
        assert "crm: its connector broke" in said and "KeyError in acme_broken.py" in said
    ran = run(broken, tmp_path, "-m", "jobs.cli", "status", "--json")
    states = {one["connection"]: one["last_run"]["state"] for one in json.loads(ran.stdout)["connections"]}
    assert states == {"crm": "failed", "lists": "ok"}
