"""A stored book finds what belongs to a claim wherever it stands: deals and bills of accounts that no claim is tied to,
records that move from one account, contract or invoice to another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from jobs.scenarios import load_scenario, scenario_files
from jobs.settle import outcome, settle
from jobs.stored import stored_outcome
from rules.facts import read_facts
from rules.program import Program, load_program
from tests.jobs.stored_days import LISTS, OLDEST, Shelf, bring, learned, live_through

Records = list[dict[str, Any]]
Born = Callable[[dict[str, Any]], datetime]
"""When a record became known."""

ANOTHER = {"type": "account", "id": "zz", "name": "Zyxwen Holding"}


def billed_to_another_company(records: Records, born: Born) -> Records:
    bills = [r for r in records if r["type"] == "invoice" and r.get("contract")]
    return [ANOTHER, *({**r, "account": "zz"} if r in bills else r for r in records)] if bills else []


def tied_to_nobody(records: Records) -> Records:
    """The companies of the CRM are called otherwise than those that partners wrote."""
    spelled = ("name", "website", "tax_id")
    return [
        {**{key: value for key, value in r.items() if key not in spelled}, "name": f"Qwxel {r['id']} Zyzx"}
        if r["type"] == "account" and not r.get("deleted") else r
        for r in records
    ]  # fmt: skip


def a_referral_of(records: Records) -> str | None:
    return next((r["id"] for r in records if r["type"] == "referral"), None)


def named_by_the_contract(records: Records, born: Born) -> Records:
    referral = a_referral_of(records)
    named = [{**r, "referral": referral} if r["type"] == "contract" else r for r in tied_to_nobody(records)]
    return named if referral else []


def named_by_the_opportunity(records: Records, born: Born) -> Records:
    referral = a_referral_of(records)
    found = []
    for r in tied_to_nobody(records):
        if r["type"] == "contract" and "account" in r and not r.get("opportunity"):
            r = {**r, "opportunity": f"deal-{r['id']}"}
            found.append({"type": "opportunity", "id": r["opportunity"], "account": r["account"], "stage": "won",
                          "created_at": "2020-01-01T00:00:00Z", "referral": referral})  # fmt: skip
        found.append(r)
    return found if referral else []


def moving(kind: str, *needs: str, **moved: Callable[[Records], str]) -> Callable[[Records, Born], Records]:
    """Records of one kind are corrected a day after they became known."""

    def move(records: Records, born: Born) -> Records:
        names = [r["id"] for r in records if r["type"] == kind]
        if any(other not in {r["type"] for r in records} for other in needs):
            return []
        later = [
            {**r, **{name: choose(records) for name, choose in moved.items()},
             "known_at": (born(r) + timedelta(days=1)).isoformat()}
            for r in records if r["type"] == kind and names.count(r["id"]) == 1 and "known_at" not in r
        ]  # fmt: skip
        return [ANOTHER, *records, *later] if later else []

    move.__name__ = f"{kind}_moves"
    return move


def last_of(kind: str) -> Callable[[Records], str]:
    return lambda records: [r["id"] for r in records if r["type"] == kind][-1]


CHANGES = (
    billed_to_another_company,
    named_by_the_contract,
    named_by_the_opportunity,
    moving("contract", account=lambda _: "zz"),
    moving("invoice", "contract", account=lambda _: "zz", contract=last_of("contract")),
    moving("payment", "invoice", invoice=last_of("invoice")),
)
SOME = {"nt_16_partner_invoice_exact", "nt_24_certification_late", "on_v3_paid", "cn_22_accrues_as_billed"}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    shelf = Shelf.at(tmp_path_factory.mktemp("elsewhere"))
    yield shelf
    shelf.store.close()


@cache
def program_named(name: str) -> Program:
    return load_program(name)


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=f"{path.parent.name}-{path.stem}", marks=() if path.stem in SOME else pytest.mark.soak)
        for path in scenario_files()
    ],
)
def test_what_belongs_to_a_claim_is_found_wherever_it_stands(path: Path, shelf: Shelf) -> None:
    scenario = load_scenario(path)
    day = scenario.steps[-1].as_of
    program = program_named(scenario.program).changed({**scenario.settings, **scenario.steps[-1].set})
    if read_facts([orjson.dumps(row) for row in scenario.records], file=scenario.name)[1]:
        pytest.skip("records that are refused never reach the store")
    known = {(body["type"], body["id"]): at for at, body in reversed(learned(scenario.records, program))}
    for change in CHANGES:
        records = change([*scenario.records], lambda r: max(known[r["type"], r["id"]], OLDEST))
        facts, rejected = read_facts([orjson.dumps(row) for row in records], file=scenario.name)
        if not records or rejected:
            continue
        expected = outcome(settle([program], facts, day), day)
        end = program.calendar.end_of(day)
        coming = [(at, body) for at, body in learned(records, program) if at < end]
        book = shelf.fresh()
        live_through(
            book, program, coming, {day, *(program.calendar.date_of(at) for at, _ in coming), date(1990, 1, 1)}
        )
        with book.reading() as db:
            found = stored_outcome(db, [program], {program.id: day})
        for name in LISTS:
            assert found[name] == expected[name], f"{change.__name__}: {name}"


def test_a_book_of_an_earlier_version_is_settled_anew(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier ones noted neither who is billed elsewhere nor which contracts belong to an opportunity."""
    path = next(path for path in scenario_files() if path.stem == "nt_16_partner_invoice_exact")
    scenario = load_scenario(path)
    day, program = scenario.steps[-1].as_of, program_named(scenario.program)
    records = named_by_the_opportunity([*scenario.records], lambda _: OLDEST)
    facts, _ = read_facts([orjson.dumps(row) for row in records], file=scenario.name)
    expected = outcome(settle([program], facts, day), day)
    book = shelf.fresh()
    monkeypatch.setattr("jobs.stored._NOTES", 1)
    live_through(book, program, learned(records, program), [day])
    with book.transaction() as db:
        db.exec_driver_sql("DELETE FROM fact_subject WHERE subject LIKE 'opportunity:%'")
    monkeypatch.undo()
    bring(book, program, day)
    with book.reading() as db:
        found = stored_outcome(db, [program], {program.id: day})
    assert {name: found[name] for name in LISTS} == {name: expected[name] for name in LISTS}
    assert found["entries"]
