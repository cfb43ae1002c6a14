"""Job: the files that an installation starts from: settings, mappings, programs, their first scenarios, names of secrets."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from connectors.registry import load
from jobs.problems import UserError
from rules.program import SHIPPED

SYSTEMS = ("salesforce", "netsuite", "hubspot", "tryton", "files")


def write_start(folder: Path, *, force: bool = False) -> list[Path]:
    """Write the files into a folder, which is made when it is not there; returns their paths.

    Raises: ``UserError`` naming a file that is there already (nothing is written then) or cannot be written.
    """
    texts = {folder / name: text for name, text in _texts().items()}
    there = [path for path in texts if path.exists()]
    if there and not force:
        raise UserError(f"{there[0]}: is there already; allowed: an empty folder, or --force to overwrite its files")
    for path, text in texts.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None
    return list(texts)


def _texts() -> dict[str, str]:
    start, programs = files("jobs") / "start", files("rules") / "programs"
    texts = {
        "referee.yaml": (start / "referee.yaml").read_text("utf-8"),
        ".env.example": (start / "env.example").read_text("utf-8"),
        ".gitignore": (start / "gitignore").read_text("utf-8"),
    }
    for system in SYSTEMS:
        shipped = load(system).mapping
        assert shipped is not None, f"{system} ships a mapping"
        texts[f"mappings/{system}.yaml"] = shipped.read_text("utf-8")
    for scenario in sorted((start / "scenarios").iterdir(), key=lambda each: each.name):
        if scenario.name.endswith(".yaml"):
            texts[f"programs/scenarios/next-technik/{scenario.name}"] = scenario.read_text("utf-8")
    for name in SHIPPED:
        texts[f"programs/{name}.yaml"] = (programs / f"{name}.yaml").read_text("utf-8")
    return texts
