"""What the project promises as a whole: what a wheel holds, locked requirements, documents, and quiet tests."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from connectors.registry import BUILTIN, load

ROOT = Path(__file__).parents[1]
PACKAGES = ("connectors", "jobs", "rules", "sync")
FOLDERS = (*PACKAGES, "benchmarks", "cassettes", "docs", "tests")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REQUIREMENTS = ("requirements.txt", "requirements-test.txt")
LOCKED = (*REQUIREMENTS, "connectors/tryton/server/trytond.txt")


def files_of(folder: str) -> Iterator[Path]:
    for path in (ROOT / folder).rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


def texts() -> Iterator[tuple[str, str]]:
    """Every text file of the project."""
    paths = [path for folder in (*FOLDERS, ".ci") for path in files_of(folder)]
    for path in (*paths, *(path for path in ROOT.iterdir() if path.is_file())):
        try:
            yield str(path.relative_to(ROOT)), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel as it is installed: its files, and nothing of the source tree."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    (wheel,) = folder.glob("referee-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def run_installed(unpacked: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; sys.path.pop(0); from jobs.cli import main; main()"
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


def test_a_wheel_holds_every_file_of_the_packages_and_no_other_import_name(unpacked: Path) -> None:
    wanted = {str(path.relative_to(ROOT)) for folder in PACKAGES for path in files_of(folder)}
    found = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert wanted <= found
    assert {path.split("/")[0] for path in found} == {*PACKAGES, f"referee-{PROJECT['project']['version']}.dist-info"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= found


def test_an_installed_referee_settles_from_any_folder(unpacked: Path, tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text(
        json.dumps({"type": "partner", "id": "p1", "name": "Alder Advisers"}) + "\n"
    )
    done = run_installed(
        unpacked, tmp_path, "settle", "-p", "next-technik", "-r", "records.jsonl", "--as-of", "2026-03-31", "--json"
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["entries"] == []


def test_an_installed_referee_is_whole(unpacked: Path, tmp_path: Path) -> None:
    done = run_installed(unpacked, tmp_path, "doctor", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    places = {one["check"]: one["found"] for one in json.loads(done.stdout)}
    assert places["import name rules"] == str(unpacked / "rules")
    assert run_installed(unpacked, tmp_path, "init", "start").returncode == 0


def requirements_in(name: str) -> list[str]:
    return (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines()


@pytest.mark.parametrize("name", LOCKED)
def test_requirements_are_locked_with_hashes_and_name_no_address(name: str) -> None:
    for line in requirements_in(name):
        wanted, *hashes = line.split(" --hash=")
        assert [one.operator for one in Requirement(wanted).specifier] == ["=="], wanted
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", value) for value in hashes), wanted
        assert "/" not in line and " @ " not in line and not line.startswith("-"), wanted


def test_requirements_hold_what_pyproject_asks_for() -> None:
    project, groups = PROJECT["project"], PROJECT["dependency-groups"]
    runtime = project["dependencies"] + project["optional-dependencies"]["postgres"] + groups["build"]
    everything = runtime + [one for one in groups["test"] if isinstance(one, str)]
    for name, asked in zip(REQUIREMENTS, (runtime, everything), strict=True):
        locked = {one.name: one for line in requirements_in(name) if (one := Requirement(line.split(" --hash=")[0]))}
        for wanted in map(Requirement, asked):
            (pin,) = locked[wanted.name.lower().replace(".", "-")].specifier
            assert wanted.specifier.contains(pin.version), f"{name}: {wanted} is locked at {pin}; run .ci/lock"


def test_every_folder_says_what_belongs_there() -> None:
    systems = [f"connectors/{name}" for name in BUILTIN]
    missing = [folder for folder in (*FOLDERS, *systems) if not (ROOT / folder / "README.md").is_file()]
    assert missing == []


@pytest.mark.parametrize("folder", PACKAGES)
def test_the_index_of_a_folder_names_each_of_its_modules_and_no_other(folder: str) -> None:
    rows = re.findall(r"^\| `.*", (ROOT / folder / "README.md").read_text("utf-8"), re.M)
    named = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}
    assert {path.name for path in (ROOT / folder).glob("*.py")} - {"__init__.py"} <= named
    assert named <= {path.name for path in files_of(folder)}


def test_links_between_documents_lead_somewhere() -> None:
    broken = []
    for name, text in texts():
        if name.endswith(".md"):
            targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text)
            broken += [f"{name}: {target}" for target in targets if not (ROOT / name).parent.joinpath(target).exists()]
    assert broken == []


def test_the_readme_shows_the_two_commands_that_ci_runs() -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.M | re.S)
    demo, tests = (block.strip() for block in blocks)
    assert demo.endswith("referee demo") and "\n" not in demo
    assert tests == "bash .ci/test"


def test_the_readme_names_every_command() -> None:
    from typer.main import get_command

    from jobs.cli import app

    table = (ROOT / "README.md").read_text("utf-8").partition("## Commands")[2].partition("\n## ")[0]
    named = set(re.findall(r"[a-z][a-z-]+", " ".join(re.findall(r"`([^`]+)`", table))))
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(commands) <= named


def test_each_system_is_kept_apart_by_the_import_contracts() -> None:
    (contract,) = [one for one in PROJECT["tool"]["importlinter"]["contracts"] if one["type"] == "independence"]
    assert sorted(contract["modules"]) == sorted(f"connectors.{name}" for name in BUILTIN)


def test_every_shipped_mapping_is_beside_its_connector() -> None:
    for name in BUILTIN:
        mapping = load(name).mapping
        assert mapping is None or mapping == ROOT / "connectors" / name / "mapping.yaml" and mapping.is_file()


def test_the_project_stands_on_its_own() -> None:
    outside = ("../" + "shared", "/work" + "/", "/tmp" + "/w/", "/root" + "/")
    named = [f"{name}: {place}" for name, text in texts() for place in outside if place in text]
    assert named == []


def test_test_modules_have_names_of_their_own_and_no_packages() -> None:
    names = Counter(path.name for path in files_of("tests") if path.name.startswith("test_"))
    assert [name for name, count in names.items() if count > 1] == []
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_the_network_is_out_of_reach_of_tests() -> None:
    with pytest.raises(Exception, match="tests may call 127.0.0.1 only"):
        socket.create_connection(("192.0.2.1", 443), timeout=1)
    with pytest.raises(Exception, match="tests may call 127.0.0.1 only"):
        socket.getaddrinfo("example.com", 443)
