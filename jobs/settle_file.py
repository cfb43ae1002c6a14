"""Job: `referee settle`, from a file of records to the outcome on standard output. No clock, network or database."""

from __future__ import annotations

import codecs
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

from jobs.problems import UserError
from jobs.settle import Settled, as_bytes, outcome, settle, uncollected, unknown_statements
from rules.errors import ProgramError
from rules.facts import Facts, Rejected, read_facts, without
from rules.program import Program, load_program


def settle_file(
    programs: Sequence[str],
    records: str,
    as_of: str,
    sets: Sequence[str],
    *,
    skip_bad: bool = False,
    format: str | None = None,
) -> None:
    """Read, settle, print. Raises: ``UserError`` with every bad record named; then nothing is printed."""
    if format not in (None, "json", "table"):
        raise UserError(f"--format: found {format!r}; allowed: json, table")
    loaded = load_programs(programs, sets)
    day = date_option("--as-of", as_of)
    facts, rejected = read_records(records, skip_bad)
    document = settled_document(loaded, facts, day, rejected, file=records, skip_bad=skip_bad)
    if format == "table" or (format is None and sys.stdout.isatty()):
        from jobs.show import show_outcome

        show_outcome(document)
    else:
        sys.stdout.buffer.write(as_bytes(document))
        sys.stdout.buffer.flush()


def settled_document(
    programs: Sequence[Program], facts: Facts, as_of: date, rejected: list[Rejected], *, file: str, skip_bad: bool
) -> dict[str, Any]:
    """Settle and return the outcome. Raises: ``UserError`` when a record turns out to point at nothing."""
    settled, late = settled_programs(programs, facts, as_of, file=file, skip_bad=skip_bad)
    return outcome(settled, as_of, sorted([*rejected, *late], key=lambda bad: (bad.line, bad.field)))


def settled_programs(
    programs: Sequence[Program], facts: Facts, as_of: date, *, file: str, skip_bad: bool
) -> tuple[list[Settled], list[Rejected]]:
    """Settle; also the records that turned out to point at nothing, which are taken out. Raises: ``UserError``."""
    settled = settle(programs, facts, as_of)
    late = [bad for each in settled for bad in unknown_statements(each, facts, shown_name(file))]
    if late and not skip_bad:
        raise bad_records(late)
    if late:
        without(facts, late)
        settled = settle(programs, facts, as_of)
    return settled, late


def load_programs(names: Sequence[str], sets: Sequence[str]) -> list[Program]:
    """Load programs with overrides. Raises: ``UserError`` or ``ProgramError``."""
    overrides: dict[str, str] = {}
    for each in sets:
        key, equals, value = each.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set: found {each!r}; allowed: key=value")
        overrides[key.strip()] = value.strip()
    if overrides and len(names) > 1:
        raise UserError(f"--set: found with {len(names)} programs; allowed: with one --program only")
    programs = [load_program(name, overrides) for name in names]
    ids = [program.id for program in programs]
    if len(set(ids)) < len(ids):
        raise ProgramError(f"--program: found {', '.join(ids)}; allowed: each program once")
    return programs


def date_option(name: str, text: str) -> date:
    """Read a date option. Raises: ``UserError``."""
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{name}: found {text!r}; allowed: a real date, YYYY-MM-DD") from None


def bad_records(rejected: Iterable[Rejected]) -> UserError:
    """All bad records in one error, a line each."""
    lines = [str(bad) for bad in rejected]
    shown = lines[:50] + ([f"… and {len(lines) - 50} more"] if len(lines) > 50 else [])
    hint = "nothing was settled; mend these records, or leave them out with --skip-bad"
    return UserError("\n".join([f"{len(lines)} bad record{'s' if len(lines) > 1 else ''}", *shown, hint]))


def settled_program(program: Program, facts: Facts, as_of: date, *, file: str) -> tuple[Settled, dict[str, Any]]:
    """One program settled, and its outcome. Raises: ``UserError`` when a record turns out to point at nothing."""
    (settled,), _ = settled_programs([program], facts, as_of, file=file, skip_bad=False)
    return settled, outcome([settled], as_of)


def shown_name(records: str) -> str:
    """What a file of records is called in messages."""
    return "<stdin>" if records == "-" else records


def _unmarked(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, the first without the mark by which some programs say that a file is UTF-8: nobody sees it."""
    every = iter(lines)
    for first in every:
        yield first.removeprefix(codecs.BOM_UTF8)
        break
    yield from every


def read_records(records: str, skip_bad: bool = False) -> tuple[Facts, list[Rejected]]:
    """Read a file of records (``-``: standard input). Raises: ``UserError`` with every bad record named."""
    name = shown_name(records)
    try:
        with uncollected(), nullcontext(sys.stdin.buffer) if records == "-" else Path(records).open("rb") as lines:
            facts, rejected = read_facts(_unmarked(lines), file=name)
    except OSError as error:
        raise UserError(f"--records: {records}: {error.strerror or error}") from None
    if rejected and not skip_bad:
        raise bad_records(rejected)
    return facts, rejected
