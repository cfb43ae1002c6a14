"""Job: after a mapping was changed, make the facts anew from the stored raw records, and settle what that changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from jobs.installation import Installation
from jobs.show import console, table
from jobs.sync import settle_stored
from sync import mapping_versions
from sync.pull import remap, unread


def remap_connections(here: Installation, names: Sequence[str] | None) -> list[dict[str, Any]]:
    """Replay changed mappings over what is stored; returns counts and fields that were never read, by connection and object."""
    found = []
    for each in here.open(names):
        run = here.store.start_run("remap", each.name, at=here.clock())
        with here.store.transaction() as db:
            mapping_versions.use(db, each.name, each.mapping, run, here.clock())
        counts = {
            kind: asdict(result)
            for kind, result in remap(here.store, each.name, each.mapping, now=here.clock, run_id=run).items()
        }
        refused = any(count["quarantined"] for count in counts.values())
        here.store.finish_run(run, "partial" if refused else "ok", counts, at=here.clock())
        missing = unread(here.store, each.name, each.mapping)
        found.append(
            {"connection": each.name, "objects": counts, "unread": {kind: list(n) for kind, n in missing.items()}}
        )
    settle_stored(here.store, here.programs, here.clock())
    return found


def show_remap(found: list[dict[str, Any]]) -> None:
    """Print what changed."""
    out = console()
    for one in found:
        rows = [(kind, c["facts"], c["quarantined"]) for kind, c in one["objects"].items()]
        if rows:
            out.print(
                table(
                    one["connection"],
                    ("object", "new fact versions", "refused"),
                    rows,
                    right=("new fact versions", "refused"),
                )
            )
        for kind, names in one["unread"].items():
            out.print(
                f"{one['connection']}: {kind} stays as it was: never read {', '.join(names)}; `referee sync` reads it first"
            )
        if not rows and not one["unread"]:
            out.print(f"{one['connection']}: the mapping is the one that made the facts; nothing to do")
    out.print("next: `referee plan` shows what that changes in your systems")
