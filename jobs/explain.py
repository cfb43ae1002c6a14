"""Job: explain a row of the outcome, down to the records, their versions and the clauses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import orjson

from jobs.installation import Installation
from jobs.problems import UserError
from jobs.show import console, table
from jobs.stored import stored_outcome
from rules.clauses import statements
from sync import fact_reading

_NAMES = {"claims": "referral", "entries": "key", "statements": "id", "support": "account", "tasks": "key"}


def explain_key(here: Installation, key: str) -> dict[str, Any]:
    """Everything the outcome says about a key, and the facts it stands on.

    Raises: ``UserError`` when nothing has that key.
    """
    now = here.clock()
    with here.store.reading() as db:
        outcome = stored_outcome(db, here.programs, {p.id: p.calendar.date_of(now) for p in here.programs})
    rows = list(rows_about(outcome, key))
    if not rows:
        known = sorted({row[field] for name, field in _NAMES.items() for row in outcome[name]})
        near = get_close_matches(key, known, 3)
        raise UserError(
            f"explain: found nothing with the key {key!r}; allowed: an entry or task key, a referral, statement or account id, "
            f"or, for a record of a system, `referee trace CONNECTION:OBJECT:ID`{'; did you mean ' + ' or '.join(near) + '?' if near else ''}"
        )
    keys = sorted({name for _, row in rows for name in _ids_in(row)} | {key})
    clauses = [clause for _, row in rows for name in ("clauses", "failed") for clause in row.get(name, ())]
    return {
        "key": key,
        "rows": [{"list": name, **row} for name, row in rows],
        "clauses": statements(clauses),
        "facts": _facts(here, keys),
    }


def rows_about(outcome: Mapping[str, Any], key: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """The rows of the outcome that are about a key, each with the name of its list."""
    for name, field in _NAMES.items():
        for row in outcome[name]:
            if (
                row[field] == key
                or (name == "claims" and row["account"] == key)
                or (name == "tasks" and row["subject"] == key)
            ):
                yield name, row
            elif name == "entries" and key in (row["referral"], row["contract"], row["source"]["id"]):
                yield name, row
            elif name == "statements" and key in row["entries"]:
                yield name, row


def _ids_in(row: Mapping[str, Any]) -> Iterable[str]:
    """Ids of records that a row stands on."""
    for name in ("referral", "contract", "account", "subject"):
        if isinstance(row.get(name), str):
            yield row[name]
    source = row.get("source")
    if isinstance(source, dict):
        yield source["id"]


def _facts(here: Installation, ids: list[str]) -> list[dict[str, Any]]:
    """Every version of the facts with these ids, and of what hangs on them, in the order they became known."""
    with here.store.reading() as db:
        found = [orjson.loads(line) for line in fact_reading.named(db, ids)]
    return sorted(found, key=lambda fact: (fact["known_at"], fact["type"], fact["id"]))


def show_explanation(found: Mapping[str, Any]) -> None:
    """Print an explanation as text."""
    out = console()
    out.print(f"[bold]{found['key']}[/]")
    for row in found["rows"]:
        out.print(f"\n[bold]{row['list']}[/]")
        for name, value in row.items():
            if name != "list" and value not in (None, [], ""):
                out.print(f"  {name:16} {_shown(value)}", markup=False)
    if found["clauses"]:
        out.print()
        out.print(table("clauses", ("clause", "says"), list(found["clauses"].items())))
    if found["facts"]:
        rows = [(f["known_at"][:19], f["type"], f["id"], _rest(f)) for f in found["facts"]]
        out.print()
        out.print(
            table("stands on these facts (in the order they became known)", ("known", "type", "id", "content"), rows)
        )


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items() if part is not None)
    return str(value)


def _rest(fact: Mapping[str, Any]) -> str:
    shown = {k: v for k, v in fact.items() if k not in ("type", "id", "known_at") and v is not None}
    return ", ".join(f"{k}={_shown(v)}" for k, v in sorted(shown.items()))
