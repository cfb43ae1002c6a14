"""Pictures for report tests: of a settled program, or of hand-made rows where only the report is under test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson

from jobs.report.picture import Picture
from jobs.report.tables import Asked
from jobs.report_file import report_document
from jobs.scenarios import scenario_files
from jobs.settle import settle_program
from rules.facts import Facts, read_facts
from rules.program import Program, load_program
from rules.tiers import Step, TierHistory
from sync.verdicts import Claim, Verdict

Row = dict[str, Any]


def scenarios(first: int) -> list[Path]:
    """A third of the worked examples of the shipped programs (0, 1 or 2), but those whose records are bad on purpose; which
    third an example is in hangs on its name alone, so that another one beside it moves none."""
    return [path for path in scenario_files() if crc32(path.stem.encode()) % 3 == first and not _is_bad(path)]


def _is_bad(path: Path) -> bool:
    return "rejected:" in path.read_text("utf-8")


def facts_of(records: Iterable[Row]) -> Facts:
    facts, rejected = read_facts([orjson.dumps(row) for row in records], file="test")
    assert not rejected, rejected[0]
    return facts


@cache
def _program(name: str) -> Program:
    return load_program(name)


def settled(program: str, records: Iterable[Row], as_of: str, **sets: str) -> Picture:
    facts = facts_of(records)
    return Picture.of(settle_program(_program(program).changed(sets), facts, date.fromisoformat(as_of)), facts)


def handmade(
    program: str,
    records: Iterable[Row],
    as_of: str,
    claims: Sequence[Row],
    entries: Sequence[Row] = (),
    statements: Sequence[Row] = (),
    tiers: Sequence[Row] = (),
    **sets: str,
) -> Picture:
    """A picture whose outcome is given: each claim as ``referral``, ``partner``, ``account``, and ``through``: its
    verdicts as (instant, state, won_on)."""
    made = {}
    for claim in claims:
        verdicts = [
            (
                datetime.fromisoformat(at),
                Verdict(
                    state,
                    1,
                    claim.get("account"),
                    (),
                    state,
                    won_on=date.fromisoformat(won_on) if won_on else None,
                    contracts=tuple(claim.get("contracts", ())) if won_on else (),
                ),
            )
            for at, state, won_on in claim["through"]
        ]
        made[claim["referral"]] = Claim(claim["referral"], claim["partner"], verdicts)
    loaded = _program(program).changed(sets)
    rows = {
        "claims": [claim.row(program) for claim in made.values()],
        "tiers": [{"program": program, "review_on": None, **tier} for tier in tiers],
        "entries": [entry(program, **each) for each in entries],
        "statements": [statement(program, **each) for each in statements],
        "support": [],
        "tasks": [],
    }
    posted_at = {row["key"]: loaded.calendar.start_of(date.fromisoformat(row["earned_on"])) for row in rows["entries"]}
    return Picture(loaded, date.fromisoformat(as_of), rows, made, posted_at, _tiers(loaded, tiers), facts_of(records))


def _tiers(program: Program, rows: Sequence[Row]) -> dict[str, TierHistory]:
    terms = program.versions[-1].tiers
    assert terms is not None or not rows
    return {
        row["partner"]: TierHistory(
            since, terms.levels, [(program.calendar.start_of(since), [Step(since, row["tier"])])], [], row["count"], None
        )
        for row in rows if terms is not None for since in [date.fromisoformat(row["since"])]
    }  # fmt: skip


def entry(program: str, **given: Any) -> Row:
    row = {
        "program": program, "kind": "commission", "contract": None, "basis": None, "rate": "0.10", "currency": "USD",
        "released_on": None, "due_on": None, "state": "accrued", "corrects": None, "clauses": [], "because": "made",
        "source": {"type": "contract", "id": given.get("contract")}, **given,
    }  # fmt: skip
    return {"key": f"{program}:{row['referral']}:{row['kind']}:contract:{row['contract']}:{given['amount']}", **row}


def statement(program: str, **given: Any) -> Row:
    row = {
        "program": program, "entries": [], "opening": "0.00", "total": given["payable"], "withheld": "0.00",
        "carried_forward": "0.00", "currency": "USD", "state": "issued", **given,
    }  # fmt: skip
    return {"id": f"{program}:{row['partner']}:{row['period_from']}:{row['currency']}", **row}


def report(name: str, picture: Picture, **asked: Any) -> dict[str, Any]:
    return report_document(name, [picture], picture.as_of, Asked(**asked))
