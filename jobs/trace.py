"""Job: the whole life of one external record: seen, mapped, decided, planned, written, answered, read back, with both ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from rich.markup import escape

from connectors.registry import load
from jobs.connections import mapping_of
from jobs.explain import KEYS, rows_about
from jobs.installation import Installation
from jobs.problems import UserError
from jobs.show import console, table
from jobs.stored import stored_outcome
from sync import mapping_versions, runs
from sync.plan_items import Ref
from sync.tracing import Trace, Write, writes

_OWN = ("type", "id")
"""Members of a fact's body that are told apart from its fields."""


def names_a_record(here: Installation, text: str) -> bool:
    """Whether a text names a record of a system: it begins with a connection or a system, and has three parts."""
    return text.count(":") >= 2 and bool(_connections(here, text.partition(":")[0]))


def trace_record(here: Installation, record: str) -> dict[str, Any]:
    """Everything that happened to one external record, in order. Raises: ``UserError`` for another form or an unknown one."""
    parts = record.split(":", 2)
    names = _connections(here, parts[0])
    if len(parts) < 3 or len(names) != 1:
        held = [
            f"{stream.connection}:{stream.kind}:{record}"
            for stream in here.store.streams()
            if stream.connection in here.settings.connections and here.store.live(stream, [record])
        ]
        several = f", of which {parts[0]} are several" if len(names) > 1 else ""
        raise UserError(
            f"trace: found {record!r}; allowed: CONNECTION:OBJECT:ID with one of "
            f"{', '.join(here.settings.connections)}{several}{', such as ' + ' or '.join(held) if held else ''}"
        )
    name, kind, external_id = names[0], parts[1], parts[2]
    found = here.store.trace(name, kind, external_id)
    facts = list(dict.fromkeys((fact.type, fact.id) for fact in found.facts))
    rows = _decided(here, facts)
    written = list(_written(here, rows, name, (kind, external_id)))
    if not (found.versions or found.quarantine or written):
        raise UserError(f"trace: {record} was never seen; run `referee sync`, or look at the id")
    mappings = _mappings(here)
    numbers = {one.run_id for one in found.versions} | {one.run_id for one in found.facts}
    numbers |= {event.run_id for _, one in written for event in one.events if event.run_id is not None}
    with here.store.reading() as db:
        known = runs.named(db, numbers)
    events = [*_seen(found, mappings), *_mapped(found, mappings, known), *_refused(found)]
    events += [event for _, one in written for event in _of_write(_, one)]
    return {
        "key": f"{name}:{kind}:{external_id}",
        "facts": [{"type": type, "id": identity} for type, identity in facts],
        "elsewhere": [
            {"connection": to, "object": one.ref.object, "key_field": one.ref.key_field, "key": one.ref.key,
             "id": one.external_id, "state": one.state}
            for to, one in _latest(written)
        ],
        "events": sorted(events, key=lambda event: (event["at"], _ORDER.index(event["what"]))),
        "decided": [{"list": which, **row} for which, row in rows],
        "runs": [
            {"run": number, "job": run.job, "connection": run.connection, "state": run.state,
             "started_at": run.started_at.isoformat(), "calls": _calls(run.counts), "mapping": mappings.get(number)}
            for number, run in known.items()
        ],
    }  # fmt: skip


_ORDER = (
    "seen",
    "mapped",
    "refused",
    "taken",
    "planned",
    "sent",
    "job",
    "unanswered",
    "answered",
    "read_back",
    "superseded",
)


def _connections(here: Installation, prefix: str) -> list[str]:
    """The connections that a prefix may mean: the one of that name, or those to the system of that name."""
    known = here.settings.connections
    return [prefix] if prefix in known else [name for name, one in known.items() if one.system == prefix]


def _decided(here: Installation, facts: Iterable[tuple[str, str]]) -> list[tuple[str, dict[str, Any]]]:
    """The rows of the outcome, as it stands, that are about these facts, and the statements that their entries are on."""
    now = here.clock()
    with here.store.reading() as db:
        outcome = stored_outcome(db, here.programs, {p.id: p.calendar.date_of(now) for p in here.programs})
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for _, identity in facts:
        for which, row in rows_about(outcome, identity):
            found[which, row[KEYS[which]]] = row
    entries = {key for which, key in found if which == "entries"}
    for row in outcome["statements"]:
        if entries & set(row["entries"]):
            found["statements", row["id"]] = row
    return [
        (which, row)
        for (which, _), row in sorted(found.items(), key=lambda item: (list(KEYS).index(item[0][0]), item[0][1]))
    ]


def _written(
    here: Installation, rows: Iterable[tuple[str, Mapping[str, Any]]], name: str, about: tuple[str, str]
) -> Iterator[tuple[str, Write]]:
    """The writes of these rows to any connection, and those to the record itself."""
    outcome: dict[str, list[Mapping[str, Any]]] = {}
    for which, row in rows:
        outcome.setdefault(which, []).append(row)
    for to in here.settings.connections:
        mapping = mapping_of(here.settings, to, load(here.settings.connections[to].system))
        refs = {Ref(one.object, one.key_field, one.key) for part in mapping.writes for one in part.desired(outcome, [])}
        with here.store.reading() as db:
            yield from ((to, one) for one in writes(db, to, refs, about if to == name else None))


def _latest(written: Iterable[tuple[str, Write]]) -> list[tuple[str, Write]]:
    """Of each record that was written the last write that says its id, else the last."""
    found: dict[tuple[str, Ref], tuple[str, Write]] = {}
    for to, one in written:
        before = found.get((to, one.ref))
        if before is None or one.external_id or not before[1].external_id:
            found[to, one.ref] = (to, one)
    return list(found.values())


def _mappings(here: Installation) -> dict[int, str]:
    with here.store.reading() as db:
        return {
            run: name for to in here.settings.connections for run, name in mapping_versions.hashes_of(db, to).items()
        }


def _seen(found: Trace, mappings: Mapping[int, str]) -> Iterator[dict[str, Any]]:
    before: Mapping[str, Any] = {}
    for one in found.versions:
        yield {
            "at": one.seen_at.isoformat(), "what": "seen", "run": one.run_id, "mapping": mappings.get(one.run_id),
            "version": one.version, "deleted": one.deleted, "merged_into": one.merged_into, "calls": list(one.calls),
            "changes": [] if one.deleted else _differences(before, one.fields),
        }  # fmt: skip
        before = before if one.deleted else one.fields


def _mapped(found: Trace, mappings: Mapping[int, str], known: Mapping[int, runs.Run]) -> Iterator[dict[str, Any]]:
    seen = {(one.run_id, one.seq): one.seen_at for one in found.versions}
    before: dict[tuple[str, str], Mapping[str, Any]] = {}
    for one in found.facts:
        run = known.get(one.run_id)
        at: datetime = seen.get((one.run_id, one.record_seq or 0)) or (run.started_at if run else one.known_at)
        key = (one.type, one.id)
        deleted = bool(one.body.get("deleted"))
        yield {
            "at": at.isoformat(), "what": "mapped", "run": one.run_id, "mapping": mappings.get(one.run_id),
            "fact": f"{one.type} {one.id}", "known_at": one.known_at.isoformat(), "withdrawn": deleted,
            "changes": [] if deleted else _differences(before.get(key, {}), one.body),
        }  # fmt: skip
        before[key] = one.body


def _refused(found: Trace) -> Iterator[dict[str, Any]]:
    held = found.quarantine
    if held is not None:
        yield {
            "at": held.first_seen.isoformat(), "what": "refused", "version": held.version, "code": held.code, "field": held.field,
            "found": held.found, "allowed": held.allowed, "state": held.state, "attempts": held.attempts,
        }  # fmt: skip
        if held.state == "released":
            yield {"at": held.last_seen.isoformat(), "what": "taken", "attempts": held.attempts}


def _of_write(to: str, one: Write) -> Iterator[dict[str, Any]]:
    named = {"connection": to, "object": one.ref.object, "key": one.ref.key, "write": one.number}
    yield {
        "at": one.planned_at.isoformat(), "what": "planned", **named, "action": one.action, "plan": one.plan, "because": one.because,
        "changes": [{"field": name, "before": before, "after": after} for name, before, after in one.changes],
    }  # fmt: skip
    for event in one.events:
        told = {
            key: value
            for key, value in asdict(event).items()
            if key not in ("at", "event", "run_id", "calls") and value is not None
        }
        yield {
            "at": event.at.isoformat(),
            "what": event.event,
            **named,
            "run": event.run_id,
            **told,
            "calls": list(event.calls),
        }
    if one.state == "superseded":
        yield {"at": one.updated_at.isoformat(), "what": "superseded", **named, "message": one.message}


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    names = [name for name in (*before, *(name for name in after if name not in before)) if name not in _OWN]
    return [
        {"field": name, "before": before.get(name), "after": after.get(name)}
        for name in names
        if before.get(name) != after.get(name)
    ]


def _calls(counts: Mapping[str, Any]) -> int | None:
    """API calls of a run, where it counted them."""
    if isinstance(counts.get("calls"), int):
        return int(counts["calls"])
    each = [one["calls"] for one in counts.values() if isinstance(one, dict) and "calls" in one]
    return sum(each) if each else None


def show_trace(found: Mapping[str, Any]) -> None:
    """Print it in the order in which it happened, then how things stand."""
    out = console()
    facts = ", ".join(f"{one['type']} {one['id']}" for one in found["facts"])
    out.print(f"[bold]{escape(found['key'])}[/]" + (f" is here {escape(facts)}" if facts else ""))
    happened = [
        (one["at"][:19].replace("T", " "), one["what"], one.get("run"), _with_calls(one)) for one in found["events"]
    ]
    decided = [
        (one["list"], one[KEYS[one["list"]]], one.get("state"), one.get("because") or one.get("reason"))
        for one in found["decided"]
    ]
    tables: tuple[tuple[str, tuple[str, ...], list[tuple[Any, ...]]], ...] = (
        ("what happened", ("at", "what", "run", ""), [*happened]),
        ("runs", ("run", "job", "connection", "state", "API calls", "mapping"), _cells(found["runs"], "run job connection state calls mapping")),
        ("decided, as it stands", ("list", "key", "state", "because"), [*decided]),
        ("written because of it", ("connection", "object", "our key", "id there", "state"),
         _cells(found["elsewhere"], "connection object key id state")),
    )  # fmt: skip
    for title, columns, rows in tables:
        if rows:
            out.print()
            out.print(table(title, columns, rows))
    out.print("next: `referee explain KEY` says why; `referee remap --diff --run RUN` maps what a run read once more")


def _cells(rows: Iterable[Mapping[str, Any]], names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names.split()) for row in rows]


def _with_calls(event: Mapping[str, Any]) -> str:
    """What is told of an event, and under it the API calls that carried it, by their number in the run."""
    lines = [_told(event)]
    for call in event.get("calls", ()):
        answer = "no answer" if call["status"] is None else f"HTTP {call['status']}"
        more = "".join(f", {call[name]}" for name in ("answered_at", "request_id") if call[name])
        lines.append(f"call {call['number']}: {call['method']} {call['path']} ({answer}{more})")
    return "\n".join(lines)


def _told(event: Mapping[str, Any]) -> str:
    changes = "; ".join(
        f"{one['field']}: {_short(one['before'])} → {_short(one['after'])}" for one in event.get("changes", ())
    )
    match event["what"]:
        case "seen":
            gone = (
                f"merged into {event['merged_into']}" if event["merged_into"] else "deleted" if event["deleted"] else ""
            )
            return f"version {event['version']}: {gone or changes}"
        case "mapped":
            return f"{event['fact']}: {'withdrawn' if event['withdrawn'] else changes}"
        case "refused":
            return f"{event['field']}: found {event['found']}; allowed: {event['allowed']} ({event['state']})"
        case "taken":
            return f"no longer refused, after {event['attempts']} attempts"
        case "planned":
            return f"{event['action']} {event['connection']} {event['object']} {event['key']}: {changes or event['because']}"
        case _:
            told = [f"attempt {event['attempt']}"] if "attempt" in event else []
            told += [str(event[name]) for name in ("state", "external_id", "code", "message") if event.get(name)]
            return f"{event['connection']} {event['object']} {event['key']}: {', '.join(told)}"


def _short(value: Any) -> str:
    shown = "nothing" if value is None or value == "" else str(value)
    return shown if len(shown) <= 40 else shown[:39] + "…"
