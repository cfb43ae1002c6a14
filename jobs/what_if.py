"""Job: replay history under other terms and say what would be different; nothing is written anywhere.

The other terms are the program with some settings changed, or those of another program file. With ``since`` they are a
version of their own from that day on, so that deals pinned before keep theirs (G-1); without it all history is replayed
under them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

import orjson

from jobs.installation import Installation
from jobs.problems import UserError
from jobs.settle import outcome, settle
from jobs.settle_file import settled_program
from jobs.show import console, table
from rules.facts import Facts, read_facts
from rules.money import ZERO, text
from rules.program import Program, load_program
from rules.terms import Terms

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class OtherTerms:
    """What is asked: settings to change, or a program file, and the day from which they hold."""

    sets: Mapping[str, str]
    program_file: str | None
    since: date | None

    def of(self, program: Program) -> Program:
        """The program under the other terms. Raises: ``UserError``, ``ProgramError``."""
        if bool(self.sets) == (self.program_file is not None):
            raise UserError(
                "what-if: found no other terms, or both kinds; allowed: --set key=value, or --program-file FILE"
            )
        other = load_program(self.program_file) if self.program_file else program.changed(self.sets)
        if other.time_zone != program.time_zone or other.currency != program.currency:
            raise UserError(
                f"--program-file: found {other.time_zone}, {other.currency}; allowed: the time zone and currency of "
                f"{program.id}, {program.time_zone}, {program.currency}"
            )
        versions = other.versions if self.since is None else _from(self.since, program, other)
        body = program.model_dump(mode="json") | {
            "roles": other.roles,
            "versions": [version.model_dump(mode="json") for version in versions],
        }
        return Program.model_validate_json(orjson.dumps(body))


def what_if_of_file(program: Program, other: OtherTerms, facts: Facts, as_of: date, *, file: str) -> dict[str, Any]:
    """What other terms would change in what is settled from a file. Raises: ``UserError``, ``ProgramError``."""
    _, before = settled_program(program, facts, as_of, file=file)
    return _compared(program, other, facts, as_of, before)


def what_if_of_store(here: Installation, name: str | None, other: OtherTerms, as_of: date | None) -> dict[str, Any]:
    """The same over everything the store knows; read only. Raises: ``UserError``, ``ProgramError``."""
    known = {program.id: program for program in here.programs}
    if name is None and len(known) == 1:
        name = next(iter(known))
    if name not in known:
        raise UserError(f"--program: found {name or 'nothing'}; allowed: one of {', '.join(known)}")
    program = known[name]
    facts, _ = read_facts(here.store.fact_lines(), file="store")
    day = as_of or program.calendar.date_of(here.clock())
    before = outcome(settle([program], facts, day), day)
    return _compared(program, other, facts, day, before)


def _from(since: date, program: Program, other: Program) -> tuple[Terms, ...]:
    """The program's versions before a day, then the other's terms from that day on."""
    kept = [version for version in program.versions if version.effective_from < since]
    first = other.on(since).model_copy(update={"effective_from": since})
    later = [version for version in other.versions if version.effective_from > since]
    return (*kept, first, *later)


def _compared(
    program: Program, asked: OtherTerms, facts: Facts, as_of: date, before: Mapping[str, Any]
) -> dict[str, Any]:
    other = asked.of(program)
    after = outcome(settle([other], facts, as_of), as_of)
    return {
        "as_of": as_of.isoformat(),
        "program": program.id,
        "terms": {
            "before": [version.effective_from.isoformat() for version in program.versions],
            "after": [version.effective_from.isoformat() for version in other.versions],
        },
        "partners": _partners(before, after),
        "clauses": _clauses(before["entries"], after["entries"]),
        "entries": _rows(before, after, "entries", "key", ("amount", "currency", "state", "due_on")),
        "statements": _rows(
            before, after, "statements", "id", ("total", "payable", "carried_forward", "due_on", "pay_by")
        ),
        "claims": _rows(before, after, "claims", "referral", ("state", "rank", "protected_until", "won_on", "failed")),
        "tiers": _rows(before, after, "tiers", "partner", ("tier", "count", "since", "review_on")),
        "tasks": _rows(before, after, "tasks", "key", ("state", "due_on")),
    }


def _partners(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Row]:
    """For each partner and currency: what it earned, and what its statements pay, before and after; only differences."""
    rows = []
    earned = [_sums(each["entries"], "amount") for each in (before, after)]
    payable = [_sums(each["statements"], "payable") for each in (before, after)]
    for partner, currency in sorted({key for sums in (*earned, *payable) for key in sums}):
        key = (partner, currency)
        row: Row = {"partner": partner, "currency": currency}
        for name, (old, new) in (("entries", earned), ("payable", payable)):
            row[name] = _change(old.get(key, ZERO), new.get(key, ZERO), currency)
        if any(Decimal(row[name]["difference"]) for name in ("entries", "payable")):
            rows.append(row)
    return rows


def _clauses(before: Iterable[Row], after: Iterable[Row]) -> list[Row]:
    """For each clause and currency: the sum of the entries that name it; only differences. Clauses share entries."""
    old, new = ({}, {})  # type: tuple[dict[tuple[str, str], Decimal], dict[tuple[str, str], Decimal]]
    for sums, entries in ((old, before), (new, after)):
        for entry in entries:
            for clause in entry["clauses"]:
                key = (clause, entry["currency"])
                sums[key] = sums.get(key, ZERO) + Decimal(entry["amount"])
    return [
        {"clause": clause, "currency": currency, **_change(old.get((clause, currency), ZERO), new.get((clause, currency), ZERO), currency)}
        for clause, currency in sorted({*old, *new})
        if old.get((clause, currency), ZERO) != new.get((clause, currency), ZERO)
    ]  # fmt: skip


def _sums(rows: Iterable[Row], name: str) -> dict[tuple[str, str], Decimal]:
    sums: dict[tuple[str, str], Decimal] = {}
    for row in rows:
        key = (row["partner"], row["currency"])
        sums[key] = sums.get(key, ZERO) + Decimal(row[name])
    return sums


def _change(before: Decimal, after: Decimal, currency: str) -> dict[str, str]:
    return {
        "before": text(before, currency),
        "after": text(after, currency),
        "difference": text(after - before, currency),
    }


def _rows(before: Mapping[str, Any], after: Mapping[str, Any], name: str, key: str, fields: Sequence[str]) -> list[Row]:
    """Rows that are there on one side only (the other is ``null``) or whose fields differ."""
    old, new = ({row[key]: row for row in each[name]} for each in (before, after))
    return [
        {key: each, "before": _part(old.get(each), fields), "after": _part(new.get(each), fields)}
        for each in sorted({*old, *new})
        if _part(old.get(each), fields) != _part(new.get(each), fields)
    ]


def _part(row: Row | None, fields: Sequence[str]) -> Row | None:
    return None if row is None else {name: row[name] for name in fields}


def other_terms(sets: Sequence[str], program_file: str | None, since: date | None) -> OtherTerms:
    """Read the options. Raises: ``UserError``."""
    chosen: dict[str, str] = {}
    for each in sets:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set: found {each!r}; allowed: key=value")
        chosen[key.strip()] = value.strip()
    return OtherTerms(chosen, program_file, since)


def show_what_if(found: Mapping[str, Any]) -> None:
    """Print the differences as tables."""
    out = console()
    parts = ("partners", "clauses", "claims", "tiers", "statements", "entries", "tasks")
    out.print(f"[bold]{found['program']}[/] as of {found['as_of']}, replayed under other terms; nothing was changed")
    if not any(found[name] for name in parts):
        out.print("no difference")
        return
    rows = [
        (row["partner"], row["currency"], *(row[name][side] for name in ("entries", "payable") for side in ("before", "after", "difference")))
        for row in found["partners"]
    ]  # fmt: skip
    money = ("earned before", "after", "difference", "payable before", "after", "difference")
    out.print(table("partners", ("partner", "currency", *money), rows, right=money))
    clauses = [(r["clause"], r["currency"], r["before"], r["after"], r["difference"]) for r in found["clauses"]]
    sides = ("before", "after", "difference")
    out.print(
        table("clauses (an entry counts for each that it names)", ("clause", "currency", *sides), clauses, right=sides)
    )
    for name in parts[2:]:
        if found[name]:
            key = next(iter(found[name][0]))
            changes = [
                (row[key], _told(row["before"], row["after"]), _told(row["after"], row["before"]))
                for row in found[name]
            ]
            out.print(table(name, (key, "before", "after"), changes))


def _told(row: Row | None, other: Row | None) -> str:
    """What a side says where it differs from the other."""
    if row is None:
        return "not there"
    return ", ".join(f"{name} {value}" for name, value in row.items() if other is None or other[name] != value)
