"""Job: explain a row of the outcome, down to the records, their versions and the clauses."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, select

from jobs.derivation.sources import Sources, from_facts, from_lines
from jobs.derivation.tree import Derivations, Node
from jobs.installation import Installation
from jobs.problems import UserError
from jobs.settle_file import date_option, load_programs, read_records, settled_program
from jobs.stored import stored_outcome
from rules.clauses import statements
from rules.ledger import Entry
from sync import fact_reading
from sync.book_ledger import entry_of
from sync.book_tables import entry_head

FORMATS = ("text", "json", "html", "mermaid", "png", "svg")
KEYS = {
    "claims": "referral", "entries": "key", "statements": "id", "tiers": "partner", "support": "account", "tasks": "key",
}  # fmt: skip
"""What names a row of each list of the outcome."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything the outcome says about a key: its rows, and the tree of each."""

    key: str
    rows: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    trees: list[Node] = field(default_factory=list)
    facts: list[dict[str, Any]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The explanation as plain values."""
        clauses = [clause for _, row in self.rows for name in ("clauses", "failed") for clause in row.get(name, ())]
        return {
            "key": self.key,
            "rows": [{"list": name, **row} for name, row in self.rows],
            "clauses": statements(clauses),
            "facts": self.facts,
            "derivations": [tree.as_json() for tree in self.trees],
        }


def explain_file(key: str, programs: Sequence[str], records: str, as_of: str, sets: Sequence[str]) -> Explanation:
    """Explain a key of what `referee settle` says of a file. Raises: ``UserError``, ``ProgramError``."""
    loaded = load_programs(programs, sets)
    day = date_option("--as-of", as_of)
    facts, _ = read_records(records)
    found, known = Explanation(key), set()
    for program in loaded:
        settled, document = settled_program(program, facts, day, file=records)
        rows = _about(document, key)
        known |= _keys(document)
        if rows:
            sources = Sources(from_facts(facts, program.calendar, day))
            derivations = Derivations(program, document, sources, settled.ledger.entries)
            found.rows.extend(rows)
            found.trees.extend(derivations.of(name, row) for name, row in rows)
    if not found.rows:
        raise _nothing(
            key, known, "an entry or task key, or a referral, statement, account, contract, source or partner id"
        )
    return found


def explain_key(here: Installation, key: str) -> Explanation:
    """Explain a key of the stored outcome. Raises: ``UserError`` when nothing has that key."""
    now = here.clock()
    with here.store.reading() as db:
        outcome = stored_outcome(db, here.programs, {p.id: p.calendar.date_of(now) for p in here.programs})
        rows = _about(outcome, key)
        if not rows:
            allowed = "an entry or task key, a referral, statement or account id, or CONNECTION:OBJECT:ID"
            raise _nothing(key, _keys(outcome), allowed)
        facts = _facts(db, sorted({name for _, row in rows for name in _ids_in(row)} | {key}))
        posted = _posted(db, [row["key"] for name, row in rows if name == "entries"])
    sources = Sources(from_lines(facts))
    derivations = {p.id: Derivations(p, outcome, sources, posted) for p in here.programs}
    default = here.programs[0].id
    trees = [derivations[row.get("program", default)].of(name, row) for name, row in rows]
    return Explanation(key, rows, trees, facts)


def _nothing(key: str, known: Iterable[str], allowed: str) -> UserError:
    near = get_close_matches(key, sorted(known), 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return UserError(f"explain: found nothing with the key {key!r}; allowed: {allowed}{hint}")


def _keys(outcome: Mapping[str, Any]) -> set[str]:
    return {row[name] for each, name in KEYS.items() for row in outcome[each]}


def _about(outcome: Mapping[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    """The entry, statement or task of that key; else every row about what the key names."""
    for name in ("entries", "statements", "tasks"):
        own = [(name, row) for row in outcome[name] if row[KEYS[name]] == key]
        if own:
            return own
    return list(rows_about(outcome, key))


def rows_about(outcome: Mapping[str, Any], key: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of the outcome about what a key names, each with the name of its list."""
    for name, named in KEYS.items():
        for row in outcome[name]:
            if (
                row[named] == key
                or (name == "claims" and row["account"] == key)
                or (name == "tasks" and row["subject"] == key)
                or (
                    name == "entries"
                    and key in (row["referral"], row["contract"], row["source"]["id"], row["corrects"])
                )
                or (name == "statements" and key == row["partner"])
            ):
                yield name, row


def _ids_in(row: Mapping[str, Any]) -> Iterator[str]:
    """Ids of records that a row stands on."""
    for name in ("referral", "contract", "account", "subject", "partner"):
        if isinstance(row.get(name), str):
            yield row[name]
    source = row.get("source")
    if isinstance(source, dict):
        yield source["id"]


def _facts(db: Connection, ids: list[str]) -> list[dict[str, Any]]:
    """Every version of the facts with these ids, of what hangs on them, and of the invoices these name, as they became known."""
    found = [orjson.loads(line) for line in fact_reading.named(db, ids)]
    invoices = sorted({fact["invoice"] for fact in found if fact.get("invoice")} - set(ids))
    if invoices:
        more = [orjson.loads(line) for line in fact_reading.named(db, invoices)]
        found += [fact for fact in more if fact not in found]
    return sorted(found, key=lambda fact: (fact["known_at"], fact["type"], fact["id"]))


def _posted(db: Connection, keys: list[str]) -> dict[str, Entry]:
    """These entries as they were posted."""
    found = db.execute(select(entry_head.c.key, entry_head.c.body).where(entry_head.c.key.in_(keys)))
    return {row.key: entry_of(orjson.loads(row.body)) for row in found}


def show_explanation(found: Explanation, form: str = "text", output: Path | None = None) -> None:
    """Write an explanation in one of ``FORMATS``, to a file or standard output. Raises: ``UserError``."""
    if form == "text" and output is None:
        _show_text(found)
        return
    made = rendered(found, form)
    if output is not None:
        try:
            output.write_bytes(made)
        except OSError as error:
            raise UserError(f"--output: {output}: cannot be written: {error.strerror}") from None
        return
    if form == "png" and sys.stdout.isatty():
        raise UserError("--format: found png on a terminal; allowed: with --output FILE, or into a pipe")
    sys.stdout.buffer.write(made)
    sys.stdout.buffer.flush()


def rendered(found: Explanation, form: str) -> bytes:
    """An explanation in one of ``FORMATS``. Raises: ``UserError``."""
    if form == "json":
        return orjson.dumps(found.as_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE, default=str)
    if form == "text":
        from jobs.derivation.text import as_text

        return as_text(found.trees).encode()
    if form == "html":
        from jobs.derivation.html import as_html

        return as_html(found.key, found.trees).encode()
    if form == "mermaid":
        from jobs.derivation.mermaid import as_mermaid

        return as_mermaid(found.trees).encode()
    if form in ("png", "svg"):
        from jobs.derivation.drawing import as_picture

        return as_picture(found.trees, form)
    raise UserError(f"--format: found {form!r}; allowed: {', '.join(FORMATS)}")


def _show_text(found: Explanation) -> None:
    from jobs.derivation.text import show

    show(found.trees)
