"""Job: run scenario files as tests of a program, and tell what is not as they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from jobs.problems import UserError
from jobs.scenarios import FOLDER, Scenario, check_scenario, load_scenario, scenario_files
from jobs.show import console
from rules.errors import ProgramError

HERE = Path("programs") / "scenarios"
"""Where an admin's own scenarios are, below the folder of referee.yaml; `referee init` puts the first ones there."""


def run_scenarios(path: Path | None) -> list[dict[str, Any]]:
    """Run a scenario file, or every one below a folder; without a path those of this installation.

    ``shipped`` as path: the scenarios of the shipped programs. Every file is read before the first one runs.
    Raises: ``UserError`` for a path or file that cannot be used, ``ProgramError`` for its program.
    """
    scenarios = [(each, load_scenario(each)) for each in _files(path or HERE)]
    return [_run(each, scenario) for each, scenario in scenarios]


def _files(path: Path) -> list[Path]:
    if path == Path("shipped"):
        path = FOLDER
    if path.is_file():
        return [path]
    found = scenario_files(path) if path.is_dir() else []
    if not found:
        raise UserError(
            f"test: found no scenario at {str(path)!r}; allowed: a scenario file, a folder of them, or `shipped`; "
            "`referee init` writes three to start from"
        )
    return found


def _run(path: Path, scenario: Scenario) -> dict[str, Any]:
    try:
        differences = check_scenario(scenario)
    except ProgramError as error:
        raise ProgramError(f"{path}: {error}") from None
    return {
        "path": str(path),
        "name": scenario.name,
        "clauses": list(scenario.clauses),
        "steps": len(scenario.steps),
        "passed": not differences,
        "differences": [asdict(difference) for difference in differences],
    }


def show_results(results: Sequence[Mapping[str, Any]]) -> None:
    """Print each failed scenario with its differences, expected before found, and a last line that counts."""
    out = console()
    failed = [result for result in results if not result["passed"]]
    for result in failed:
        named = escape(f"{result['path']}: {result['name']} ({', '.join(result['clauses'])})")
        out.print(f"[red]FAILED[/] {named}", soft_wrap=True)
        for one in result["differences"]:
            out.print(f"  as of {one['as_of']}, {one['where']}: {one['text']}", markup=False, soft_wrap=True)
            for name, expected, found in one["fields"]:
                out.print(f"    {name}", markup=False)
                out.print(f"      - {expected}  expected", markup=False, style="green", soft_wrap=True)
                out.print(f"      + {found}  found", markup=False, style="red", soft_wrap=True)
    steps = sum(result["steps"] for result in results)
    passed = len(results) - len(failed)
    out.print(f"{passed} of {len(results)} scenarios passed ({steps} dates settled); {len(failed)} failed")
