"""The registry: finding a system, and saying what is wrong with one that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, PathDistribution
from pathlib import Path

import pytest

from connectors.memory import PLUGIN
from connectors.registry import BUILTIN, TwoOwners, UnknownSystem, load, names

REPOSITORY = Path(__file__).parents[2]


def declared(folder: Path, distribution: str, name: str, value: str) -> EntryPoint:
    """An entry point as an installed distribution declares it."""
    info = folder / f"{distribution}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[referee.connectors]\n{name} = {value}\n")
    [point] = PathDistribution(info).entry_points
    return point


def test_what_is_shipped_is_found_and_loads() -> None:
    assert set(BUILTIN) <= set(names())
    assert load("memory") is PLUGIN


def test_another_distribution_adds_a_system(tmp_path: Path) -> None:
    point = declared(tmp_path, "referee-acme", "acme", "connectors.memory:PLUGIN")
    assert "acme" in names([point])
    with pytest.raises(UnknownSystem, match="connectors.memory:PLUGIN of referee-acme is not a Plugin named 'acme'"):
        load("acme", [point])


def test_two_owners_of_a_name_are_both_named(tmp_path: Path) -> None:
    ours = declared(tmp_path, "referee-acme", "acme", "acme:PLUGIN")
    theirs = declared(tmp_path, "other-acme", "acme", "acme2:PLUGIN")
    with pytest.raises(TwoOwners, match="referee-acme .acme:PLUGIN. and by other-acme .acme2:PLUGIN."):
        names([ours, theirs])
    shadow = declared(tmp_path, "evil", "memory", "evil:PLUGIN")
    with pytest.raises(TwoOwners, match=r"referee .* and by evil"):
        load("memory", [shadow])


def test_an_unknown_or_broken_system_is_explained(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownSystem,
        match="there is no connector 'salesfroce'; there are files, hubspot, memory, netsuite, salesforce",
    ):
        load("salesfroce", [])
    missing = declared(tmp_path, "referee-acme", "acme", "no_such_module:PLUGIN")
    with pytest.raises(UnknownSystem, match="'acme' of referee-acme cannot be loaded from no_such_module:PLUGIN"):
        load("acme", [missing])


def test_looking_up_names_imports_no_system() -> None:
    """Starting the command line must not cost the import of every vendor library."""
    code = (
        "import sys; from connectors.registry import names; names(); "
        "print([m for m in sys.modules if m.startswith(('connectors.', 'requests', 'simple_salesforce'))])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert shown.stdout.strip() == "['connectors.base', 'connectors.errors', 'connectors.registry']"
