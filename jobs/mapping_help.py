"""Job: help with writing a mapping: a first one suggested, and a few real records shown through one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping as Map
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from connectors.base import Describer, Reader, Record
from connectors.registry import load
from jobs.connections import Open
from jobs.installation import Installation, known_connection
from jobs.problems import UserError
from jobs.show import console, table
from sync.contained import contained, sound
from sync.mapping import Mapping, ObjectMap, load_mapping
from sync.mapping_suggest import RecordSuggestion, as_yaml, likely_objects, suggest
from sync.record_shapes import record_types
from sync.replay import lacking


def suggest_mapping(here: Installation, name: str, objects: Sequence[str]) -> tuple[list[RecordSuggestion], str]:
    """Suggestions for a connection and the file they make; ``objects`` are ``Object`` or ``Object=record``.

    Raises: ``UserError`` for an unknown connection, object or record, or a system that does not describe itself.
    """
    describer, system = _describer(here, name)
    with contained(name, "its objects"):
        kinds = describer.kinds()
    chosen: dict[str, str] = {}
    named: list[str] = []
    for one in objects:
        kind, equals, record = one.partition("=")
        if kind not in kinds:
            near = difflib.get_close_matches(kind, kinds, 3)
            raise UserError(
                f"--object: found {kind!r}; allowed: an object that {name} can see"
                + (f", such as {', '.join(near)}" if near else "")
            )
        if equals and record not in record_types():
            raise UserError(f"--object: found {one!r}; allowed: {kind}= one of {', '.join(record_types())}")
        named.append(kind)
        if equals:
            chosen[kind] = record
    likely = named or list(dict.fromkeys(kind for kind, _ in likely_objects(kinds).values()))
    with contained(name, "its objects and fields"):
        described = [seen for kind in likely if (seen := describer.describe(kind)) is not None]
    found = suggest(described, chosen)
    return found, as_yaml(system, found)


def _describer(here: Installation, name: str) -> tuple[Describer, str]:
    """The connection's describer; its mapping is not read, since there may be none yet."""
    known_connection(here, name)
    plugin = load(here.settings.connections[name].system)
    connector = here.connection(name, _NOTHING).connector
    if not isinstance(connector, Describer):
        raise UserError(
            f"mapping suggest: {plugin.name} does not describe itself; write the mapping by docs/mapping.md"
        )
    return connector, plugin.name


_NUMBERS = re.compile(r"\.[0-9]+(?=\.|$)")
"""Positions in a list, within the name of a field."""
_NOTHING = Mapping("", "", (), (), "", "")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises: ``UserError``."""
    if path.exists():
        raise UserError(f"--write: found {path}, which is there already; allowed: a new file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None


def suggestion_report(found: Sequence[RecordSuggestion], text: str) -> dict[str, Any]:
    """The suggestions as JSON values."""
    return {"records": [{**asdict(one), "missing": one.missing} for one in found], "mapping": text}


def show_suggestion(found: Sequence[RecordSuggestion], text: str, target: Path | None) -> None:
    """Print the file, or say where it was written."""
    out = console()
    if target is None:
        out.print(text, markup=False, end="", soft_wrap=True)
        return
    whole = [one for one in found if not one.missing]
    out.print(
        f"wrote {target}: {len(whole)} records suggested, {len(found) - len(whole)} left out as comments", markup=False
    )
    out.print(
        "next: read every line, name the file under `mapping:` in referee.yaml, then `referee check` and `referee mapping preview`"
    )


def preview(
    here: Installation, name: str, kind: str | None, count: int, file: Path | None = None
) -> list[dict[str, Any]]:
    """Real records of each object through the mapping: what came in, what goes out, and what is refused, field by field.

    They come from the store, or, where it has none or lacks a field, from the system (one page; nothing is stored).
    Raises: ``UserError``; ``ConnectorError`` kinds when the system has to be asked.
    """
    known_connection(here, name)
    each = here.open([name])[0]
    mapping = load_mapping(file) if file is not None else each.mapping
    if kind is not None and kind not in [one.kind for one in mapping.objects]:
        raise UserError(f"--object: found {kind!r}; allowed: {', '.join(one.kind for one in mapping.objects)}")
    found = []
    for plan in mapping.objects:
        if kind in (None, plan.kind) and plan.records:
            records, source = _some_records(here, each, plan, count)
            answers = plan.facts(records, here.store.lookups(name))
            rows = [_row(plan, record, answer) for record, answer in zip(records, answers, strict=True)]
            found.append({"connection": name, "object": plan.kind, "from": source, "records": rows})
    return found


def _some_records(here: Installation, each: Open, plan: ObjectMap, count: int) -> tuple[list[Record], str]:
    streams = [stream for stream in here.store.streams(each.name) if stream.kind == plan.kind]
    held = [
        one
        for stream in streams
        for one in here.store.records(stream, here.store.record_ids(stream, after=None, limit=count))
    ]
    if held and not lacking(plan.query.fields, {name for one in held for name in one.fields}):
        return held, "store"
    reader: Reader = each.connector
    records: list[Record] = []
    with closing(sound(each.name, plan.kind, partial(reader.changes, plan.query, since=None))) as pages:
        for page in pages:
            records += [record for record in page.records if not record.deleted]
            if len(records) >= count:
                break
    return records[:count], "system"


def _row(plan: ObjectMap, record: Record, answer: Any) -> dict[str, Any]:
    """One record: each field that the mapping reads, beside what it became."""
    facts = [dict(fact) for fact in answer.facts]
    reject = answer.reject
    fields: list[dict[str, Any]] = []
    placed = False
    for use in plan.uses:
        if use.target in ("", "when", "each"):
            continue
        wrong = reject is not None and _NUMBERS.sub("", reject.field) in (use.target, use.target.rpartition(".")[0])
        placed |= wrong
        became = [value for fact in facts for value in _reached(fact, use.target)]
        shown = {
            "source": use.path,
            "raw": _one(_reached(record.fields, use.path)),
            "target": use.target,
            "value": _one([value for number, value in enumerate(became) if value not in became[:number]]),
            "error": {"found": reject.found, "allowed": reject.allowed} if wrong else None,
        }
        if shown not in fields:  # an account and a partner take the same name of one record
            fields.append(shown)
    return {
        "id": record.external_id, "facts": facts, "fields": fields,
        "reject": None if reject is None else {"code": reject.code, "field": reject.field, "found": reject.found,
                                               "allowed": reject.allowed, "in_place": placed},
    }  # fmt: skip


def _reached(value: Any, path: str) -> list[Any]:
    """The values at a dotted name, in every element of the lists on the way."""
    if isinstance(value, list):
        return [found for one in value for found in _reached(one, path)]
    if not path:
        return [] if value is None else [value]
    if not isinstance(value, Map):
        return []
    if path in value:
        return _reached(value[path], "")
    head, _, rest = path.partition(".")
    return _reached(value.get(head), rest)


def _one(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values or None


def show_preview(found: Sequence[Map[str, Any]]) -> None:
    """Print records side by side with what becomes of them."""
    out = console()
    for one in found:
        out.print(
            f"[bold]{one['connection']}: {escape(one['object'])}[/] ({len(one['records'])} records from the {one['from']})"
        )
        for row in one["records"]:
            reject = row["reject"]
            verdict = "refused" if reject else f"gives {', '.join(fact['type'] for fact in row['facts']) or 'nothing'}"
            rows = []
            for field in row["fields"]:
                error = field["error"]
                after = f"✗ found {error['found']}; allowed: {error['allowed']}" if error else _shown(field["value"])
                rows.append((field["source"], _shown(field["raw"]), field["target"], after))
            out.print(
                table(
                    escape(f"{row['id']}: {verdict}"),
                    ("field", "as it is there", "record field", "as it becomes"),
                    rows,
                )
            )
            if reject and not reject["in_place"]:
                out.print(f"  ✗ {reject['field']}: found {reject['found']}; allowed: {reject['allowed']}", markup=False)
    refused = sum(row["reject"] is not None for one in found for row in one["records"])
    out.print(f"{refused} refused" if refused else "every one of them is taken")
    out.print(
        "next: change the mapping and look again; `referee check` compares it with the system; `referee sync --plan-only`"
    )


def _shown(value: Any) -> str:
    shown = "" if value is None else str(value)
    return shown if len(shown) <= 60 else shown[:59] + "…"
