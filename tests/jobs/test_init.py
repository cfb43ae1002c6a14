"""`referee init`: what it writes loads as it is, once the secrets are there; nobody's file is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.registry import load
from jobs.config import load_settings
from jobs.connections import connector_config, mapping_of
from jobs.init import write_start
from jobs.problems import UserError
from rules.program import load_program

ROOT = Path(__file__).parents[2]


def filled(folder: Path) -> None:
    """Fill in the secrets, as a person would."""
    lines = (folder / ".env.example").read_text().splitlines()
    (folder / ".env").write_text("\n".join(f"{line}made-up" if line.endswith("=") else line for line in lines))
    (folder / "netsuite-key.pem").write_text("made up")


def test_the_files_load_as_they_are(tmp_path: Path) -> None:
    written = write_start(tmp_path / "new" / "place")
    folder = tmp_path / "new" / "place"
    filled(folder)
    settings = load_settings(folder / "referee.yaml", environment={})
    assert {name: one.system for name, one in settings.connections.items()} == {"crm": "salesforce", "erp": "netsuite"}
    for name, connection in settings.connections.items():
        mapping = mapping_of(settings, name, load(connection.system))
        assert mapping.objects, name
    assert [load_program(str(settings.path(name))).id for name in settings.programs] == ["next-technik"]
    assert sorted(written) == sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in (".env", "netsuite-key.pem")
    )


def test_the_lists_that_stand_commented_out_can_be_switched_on(tmp_path: Path) -> None:
    write_start(tmp_path)
    filled(tmp_path)
    file = tmp_path / "referee.yaml"
    head, _, rest = file.read_text().partition("  # lists:\n")
    block, _, end = rest.partition("\nlog:")
    lines = ["  lists:", *(line.replace("  # ", "  ", 1) for line in block.splitlines())]
    file.write_text(head + "\n".join(lines) + "\n\nlog:" + end)
    settings = load_settings(file, environment={})
    plugin = load("files")
    config = connector_config(settings, "lists", plugin)
    assert config.folder == tmp_path / "lists"
    known = {one.kind for one in mapping_of(settings, "lists", plugin).objects}
    assert set(config.objects) <= known


def test_without_the_secrets_the_missing_one_is_named(tmp_path: Path) -> None:
    write_start(tmp_path)
    with pytest.raises(
        UserError, match=r"referee\.yaml:\d+: connections\.crm\.settings\.url: .*SALESFORCE_URL is not set"
    ):
        load_settings(tmp_path / "referee.yaml", environment={})


@pytest.mark.parametrize(
    "name", ["referee.yaml", ".env.example", "mappings/netsuite.yaml", "programs/next-technik.yaml"]
)
def test_a_file_that_is_there_stays_unless_forced(tmp_path: Path, name: str) -> None:
    mine = tmp_path / name
    mine.parent.mkdir(exist_ok=True)
    mine.write_text("mine")
    with pytest.raises(UserError, match="is there already.*--force") as refused:
        write_start(tmp_path)
    assert str(mine) in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"
    write_start(tmp_path, force=True)
    assert mine.read_text() != "mine"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/referee\.yaml: cannot be written"):
        write_start(tmp_path / "file")


def test_the_example_of_the_project_is_what_init_writes() -> None:
    assert (ROOT / ".env.example").read_text() == (ROOT / "jobs" / "start" / "env.example").read_text()
