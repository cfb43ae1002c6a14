"""Changes that are sent or looked up together: which go together, in what order, and what becomes of each.

For writers. A record that comes again in one write is changed in the order given: its later change
goes into a later call, and waits for the next write when the outcome of the earlier one is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from connectors.base import Change, Written
from connectors.calls import noted
from connectors.errors import ConnectorError


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes of one object and key field that one call carries; ``places`` are their places in the caller's list.

    ``single``: one change that must go alone.
    """

    kind: str
    key_field: str | None
    places: tuple[int, ...]
    single: bool = False

    def parts(self, size: int) -> Iterator[Batch]:
        """Batches of at most so many changes each."""
        for start in range(0, len(self.places), size):
            yield replace(self, places=self.places[start : start + size])


def batches(
    changes: Sequence[Change], size: int, *, goes_alone: Callable[[Change], bool] = lambda change: False
) -> list[Batch]:
    """The calls to make: at most ``size`` changes of one object and key field each, a record once a call.

    Records of one parent are neighbours, since their rows lock it together.
    """
    seen: dict[tuple[str, str | None, str], int] = {}
    groups: dict[tuple[int, str, str | None], list[int]] = {}
    singles: list[tuple[int, int]] = []
    for place, change in enumerate(changes):
        identity = _identity(change)
        turn = seen[identity] = seen.get(identity, -1) + 1
        if goes_alone(change):
            singles.append((turn, place))
        else:
            groups.setdefault((turn, change.kind, change.key_field), []).append(place)
    found = [
        (turn, Batch(changes[place].kind, changes[place].key_field, (place,), single=True)) for turn, place in singles
    ]
    for (turn, kind, key_field), places in groups.items():
        places.sort(key=lambda place: changes[place].parent or "")
        for start in range(0, len(places), size):
            found.append((turn, Batch(kind, key_field, tuple(places[start : start + size]))))
    return [batch for _, batch in sorted(found, key=lambda item: item[0])]


def write_in_order(
    changes: Sequence[Change],
    calls: Sequence[Batch],
    refused: Mapping[int, Written],
    send: Callable[[Batch, dict[int, Written]], None],
) -> list[Written]:
    """What became of each change after ``send`` was given every batch, and noted the results by place.

    ``refused`` are changes that cannot be sent. When the connection fails, what was written before is not lost with
    the exception: the changes without a result get ``retry``, and the next write raises it.

    Raises: the ``ConnectorError`` of ``send``, when nothing was written before it.
    """
    results = dict(refused)
    for batch in calls:
        batch = _still_to_send(batch, changes, results)
        try:
            with noted() as made:
                if batch.places:
                    send(batch, results)
        except ConnectorError as error:
            if not any(result.state == "done" for result in results.values()):
                raise
            for place, change in enumerate(changes):
                results.setdefault(place, failed(change, "retry", error))
            break
        for place in batch.places:
            if not results[place].calls:
                results[place] = replace(results[place], calls=tuple(made))
    return [results[place] for place in range(len(changes))]


def failed(change: Change, state: Literal["rejected", "retry", "unknown"], error: ConnectorError) -> Written:
    """The result of a change that met an error."""
    return Written(change.key, state, code=error.code or type(error).__name__, message=str(error))


def without(
    batch: Batch, guilty: Sequence[int], changes: Sequence[Change], results: dict[int, Written], error: ConnectorError
) -> Batch:
    """The batch without the changes for which a system refused it whole; these are rejected. It may be empty."""
    for place in guilty:
        results[place] = failed(changes[place], "rejected", error)
    return replace(batch, places=tuple(place for place in batch.places if place not in guilty))


def halves(
    batch: Batch, changes: Sequence[Change], results: dict[int, Written], error: ConnectorError
) -> tuple[Batch, ...]:
    """Two smaller batches, to find the one change for which a system refused a whole call; none when it is found: then it
    is rejected."""
    if len(batch.places) == 1:
        without(batch, batch.places, changes, results, error)
        return ()
    middle = len(batch.places) // 2
    return replace(batch, places=batch.places[:middle]), replace(batch, places=batch.places[middle:])


def _still_to_send(batch: Batch, changes: Sequence[Change], results: dict[int, Written]) -> Batch:
    """The batch without what is refused already, and without changes to records whose earlier change is still open:
    repeated later, that one would overtake them."""
    open_ = {_identity(changes[place]) for place, result in results.items() if result.state in ("retry", "unknown")}
    held = [place for place in batch.places if open_ and _identity(changes[place]) in open_]
    for place in held:
        why = "WAITS: an earlier change of this record is not settled yet"
        results[place] = Written(changes[place].key, "retry", code="WAITS", message=why)
    return replace(batch, places=tuple(place for place in batch.places if place not in results))


def _identity(change: Change) -> tuple[str, str | None, str]:
    return change.kind, change.key_field, change.key
