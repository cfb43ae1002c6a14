"""Job: after a mapping was changed, make the facts anew from the stored raw records, and settle what that changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.markup import escape

from jobs.installation import Installation
from jobs.mapping_again import counts_of, finish_remap
from jobs.mapping_history import mapping_for
from jobs.problems import UserError
from jobs.show import console, table
from jobs.sync import settle_stored
from sync import mapping_versions, runs
from sync.drift import by_the_rest, paused_fields
from sync.pull import remap, unread
from sync.replay import Difference, Replayed, read_by, replay


def remap_connections(
    here: Installation, names: Sequence[str] | None, *, allow: str | None = None
) -> list[dict[str, Any]]:
    """Replay changed mappings over what is stored; returns counts, what a brake refused and fields that were never read,
    by connection and object. ``allow`` names the person who lets it past the brakes.
    """
    found = []
    for each in here.open(names):
        run = here.store.start_run("remap", each.name, at=here.clock())
        with here.store.transaction() as db:
            mapping_versions.use(db, each.name, each.mapping, run, here.clock())
        done = remap(here.store, each.name, each.mapping, now=here.clock, run_id=run, limits=each.brakes, allow=allow)
        held = finish_remap(here.store, run, done, here.clock)
        missing = unread(here.store, each.name, each.mapping)
        found.append(
            {
                "connection": each.name,
                "objects": {kind: counts_of(one) for kind, one in done.items()},
                "refused": held,
                "unread": {kind: list(n) for kind, n in missing.items()},
            }
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
        for why in one["refused"].values():
            out.print(f"{one['connection']}: {why}", markup=False)
        for kind, names in one["unread"].items():
            out.print(
                f"{one['connection']}: {kind} stays as it was: never read {', '.join(names)}; `referee sync` reads it first"
            )
        if not rows and not one["unread"]:
            out.print(f"{one['connection']}: the mapping is the one that made the facts; nothing to do")
    out.print("next: `referee plan` shows what that changes in your systems")


def differences(
    here: Installation, names: Sequence[str] | None, wanted: str | None, run: int | None
) -> list[dict[str, Any]]:
    """What a mapping would make of what is stored (or of what a run read), beside what was made of it. Writes nothing.

    ``wanted``: a version or a file, for one connection; otherwise each connection's mapping as its file says it now.
    Raises: ``UserError``.
    """
    names = list(names or here.settings.connections)
    if run is not None:
        with here.store.reading() as db:
            known = runs.named(db, [run]).get(run)
            if known is None or not read_by(db, run):
                raise UserError(
                    f"--run: found {run}, which read no records; allowed: the number of a pull, as `referee trace` shows it"
                )
        names = [name for name in names if name == known.connection]
    if wanted is not None and len(names) != 1:
        raise UserError("--mapping: found several connections; allowed: one, named by --connection")
    found = []
    for name in names:
        mapping = mapping_for(here, name, wanted)
        streams = {stream.kind: stream for stream in here.store.streams(name)}
        paused = paused_fields(here.store, name)
        with here.store.reading() as db:
            objects = [
                replay(db, streams[plan.kind], by_the_rest(plan, paused), run)
                for plan in mapping.objects
                if plan.kind in streams and plan.records
            ]
        found.append(
            {
                "connection": name,
                "mapping": mapping.hash,
                "run": run,
                "objects": {one.kind: _replayed(one) for one in objects},
            }
        )
    return found


def _replayed(one: Replayed) -> dict[str, Any]:
    return {
        "records": one.records, "same": one.same, "counts": one.counts, "unread": list(one.unread),
        "differences": [_difference(each) for each in one.differences],
    }  # fmt: skip


def _difference(one: Difference) -> dict[str, Any]:
    reject = one.reject
    return {
        "id": one.external_id, "version": one.version, "became": one.became,
        "fact": None if one.fact is None else {"type": one.fact[0], "id": one.fact[1]},
        "fields": [{"name": name, "before": before, "after": after} for name, before, after in one.fields],
        "reject": None if reject is None else {"field": reject.field, "found": reject.found, "allowed": reject.allowed},
    }  # fmt: skip


def show_differences(found: list[dict[str, Any]], *, most: int = 20) -> None:
    """Print them, the first ones field by field."""
    out = console()
    total = 0
    for one in found:
        for kind, object in one["objects"].items():
            counts = ", ".join(f"{count} {became}" for became, count in object["counts"].items()) or "no difference"
            out.print(
                f"[bold]{one['connection']}: {escape(kind)}[/]: {object['records']:,} records by mapping {one['mapping']}: {counts}"
            )
            if object["unread"]:
                out.print(
                    f"  never read: {', '.join(object['unread'])}; here they are absent; `referee sync` reads them first"
                )
            for each in object["differences"][:most]:
                fact = each["fact"]
                named = f"{fact['type']} {fact['id']}" if fact else ""
                out.print(f"  {each['became']}: {each['id']} ({each['version']}) {named}", markup=False)
                for field in each["fields"] if each["became"] == "changed" else ():
                    out.print(f"      {field['name']}: {field['before']} → {field['after']}", markup=False)
                if each["reject"]:
                    told = each["reject"]
                    out.print(f"      {told['field']}: found {told['found']}; allowed: {told['allowed']}", markup=False)
            if len(object["differences"]) > most:
                out.print(f"  … and {len(object['differences']) - most} more (all of them with --json)")
            total += len(object["differences"])
    out.print("next: `referee remap` carries this out" if total else "nothing would change")
