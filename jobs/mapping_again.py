"""Job: stored records mapped once more, because what they had followed was taken back, and what is kept of such a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from jobs.clock import Clock
from jobs.connections import Open
from sync import runs
from sync.pull import StreamResult, map_again
from sync.store import Store


def map_records_again(
    store: Store, connections: Sequence[Open], records: Mapping[int, set[str]], clock: Clock, *, allow: str | None
) -> list[str]:
    """Make the facts of these records (ids by stream) anew, by the mappings of their connections.

    Returns what the brake on emptied fields held, in words; ``allow`` names who lets it through.
    """
    held: list[str] = []
    streams = store.streams()
    for each in connections:
        mine = {one.kind: records[one.id] for one in streams if one.connection == each.name and one.id in records}
        if not mine:
            continue
        run = store.start_run("remap", each.name, at=clock())
        done = map_again(store, each.name, each.mapping, mine, now=clock, run_id=run, limits=each.brakes, allow=allow)
        held += [f"{each.name}: {why}" for why in finish_remap(store, run, done, clock).values()]
    return held


def finish_remap(store: Store, run: int, done: Mapping[str, StreamResult], clock: Clock) -> dict[str, str]:
    """Keep what a run did that mapped records again, which counts for the brakes of all; returns what they held, by object."""
    held = {kind: str(one.why) for kind, one in done.items() if one.refused}
    is_whole = not any(one.replayed.quarantined for one in done.values())
    state: runs.State = "failed" if held else "ok" if is_whole else "partial"
    counts = {kind: counts_of(one) for kind, one in done.items()}
    store.finish_run(run, state, counts, at=clock(), note="; ".join(held.values()) or None)
    return held


def counts_of(one: StreamResult) -> dict[str, Any]:
    """What became of the records of an object, as plain JSON."""
    return {**asdict(one.replayed), "emptied": one.emptied, "allowed_by": one.allowed_by}
