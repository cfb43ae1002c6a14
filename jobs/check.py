"""Job: check a set-up: can we log in, does every field of the mapping exist, fit, and let itself be written?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from connectors.errors import ConnectorError
from jobs.installation import Installation
from jobs.show import console, table
from sync.contained import contained
from sync.mapping_check import check


def check_connections(here: Installation, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Check connections against what they say of themselves; a connection that fails is a problem, not an exception."""
    found = []
    for each in here.open(names):
        problems: list[dict[str, Any]] = []
        usage = None
        try:
            with contained(each.name, "what it says of itself"):
                probe = getattr(each.connector, "probe", None)
                if probe is not None:
                    problems += [asdict(problem) for problem in probe().problems]
                problems += [asdict(problem) for problem in check(each.mapping, each.connector)]
                usage = asdict(each.connector.usage())
        except ConnectorError as error:
            problems.append(
                {"where": f"connection {each.name}", "found": str(error), "allowed": "a connection that answers",
                 "hint": "mend the login, permission or address in the settings", "level": "error"}
            )  # fmt: skip
        found.append(
            {"connection": each.name, "system": each.plugin.name, "mapping": each.mapping.name,
             "objects": [one.kind for one in each.mapping.objects], "usage": usage, "problems": problems}
        )  # fmt: skip
    return found


def show_check(found: list[dict[str, Any]]) -> None:
    """Print the report and what to do next."""
    out = console()
    for one in found:
        errors = sum(problem["level"] == "error" for problem in one["problems"])
        warnings = len(one["problems"]) - errors
        verdict = "fits" if not errors else f"{errors} thing{'s' if errors > 1 else ''} to mend"
        out.print(
            f"[bold]{one['connection']}[/] ({one['system']}): {len(one['objects'])} objects; {verdict}; {warnings} warnings"
        )
        usage = one["usage"]
        if usage and usage["allowed"]:
            out.print(f"  API calls used today: {usage['used']:,} of {usage['allowed']:,}")
        if one["problems"]:
            rows = [(p["level"], p["where"], p["found"], p["allowed"], p["hint"]) for p in one["problems"]]
            out.print(table("", ("level", "where", "found", "allowed", "hint"), rows))
    if not any(problem["level"] == "error" for one in found for problem in one["problems"]):
        out.print("next: `referee sync --plan-only` pulls and shows what would be written, without writing")
