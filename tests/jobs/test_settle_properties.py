"""Whatever the history and the program: the books balance, the past stays, and nothing but the facts decides.

Wider searches: ``REFEREE_EXAMPLES=300 pytest tests/jobs/test_settle_properties.py`` tries so many histories of each.
"""

import os
import random
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from jobs.ledger import balances, verify
from jobs.settle import as_bytes
from jobs.stored import stored_outcome
from tests.jobs.histories import (
    END,
    PROGRAMS,
    START,
    Document,
    Row,
    balances_of,
    document_of,
    histories,
    history_of,
    program_of,
    settings_of,
    settled_of,
)
from tests.jobs.stored_days import LISTS, Shelf, bring, learned, live_through

EXAMPLES = int(os.environ.get("REFEREE_EXAMPLES", "15"))
PROFILE = settings(
    max_examples=EXAMPLES, derandomize=True, database=None,
    phases=[Phase.generate],  # a smaller seed gives no smaller history
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)  # fmt: skip
RESTORED = ("payment", "credit_note", "refund", "invoice", "contract")
FEW = settings(PROFILE, max_examples=max(4, EXAMPLES // 4))
DAYS = 400 if "REFEREE_EXAMPLES" in os.environ else 12
"""The most days on which a stored book is brought up to date."""
History = tuple[Row, ...]
CENT = Decimal("0.01")
every_program = pytest.mark.parametrize("program", PROGRAMS)


def of_row(row: Row, *names: str) -> list[Decimal]:
    return [Decimal(row[name]) for name in names]


@every_program
@PROFILE
@given(st.data())
def test_the_ledger_balances(program: str, data: st.DataObject) -> None:
    """Every currency sums to zero, and a partner's accounts hold just what its entries say of themselves."""
    records, setting = data.draw(histories(program)), data.draw(settings_of(program))
    settled = settled_of(program, records, setting=setting)
    sums: dict[str, Decimal] = {}
    accounts: dict[tuple[str, str], Decimal] = {}
    for each in settled.ledger.postings:
        assert each.at < program_of(program).calendar.end_of(END)
        for account, sign in ((each.debit, -1), (each.credit, 1)):
            accounts[account, each.currency] = accounts.get((account, each.currency), Decimal(0)) + sign * each.amount
    assert accounts == settled.ledger.balances()
    for (_, currency), balance in accounts.items():
        sums[currency] = sums.get(currency, Decimal(0)) + balance
    assert not any(sums.values())
    said: dict[tuple[str, str], Decimal] = {}
    for key, entry in settled.ledger.entries.items():
        state = settled.statements.standings[key].state
        account = ("cash" if state == "paid" else f"{state}:{entry.partner}", entry.currency)
        said[account] = said.get(account, Decimal(0)) + entry.amount
    own = {account: total for account, total in accounts.items() if account[0] != "expense" and total}
    assert own == {account: total for account, total in said.items() if total}


@every_program
@PROFILE
@given(st.data())
def test_nothing_is_paid_that_was_not_stated_and_nothing_stated_that_was_not_earned(
    program: str, data: st.DataObject
) -> None:
    records, setting = data.draw(histories(program)), data.draw(settings_of(program))
    document = document_of(program, records, setting=setting)
    entries = {entry["key"]: entry for entry in document["entries"]}
    assert len(entries) == len(document["entries"])
    assert len({task["key"] for task in document["tasks"]}) == len(document["tasks"])
    stated = [key for statement in document["statements"] for key in statement["entries"]]
    assert len(stated) == len(set(stated)), "an entry stands on one statement"
    accounts = {(row["partner"], row["currency"]) for row in document["statements"]}
    for partner, currency in accounts:
        own = [row for row in document["statements"] if (row["partner"], row["currency"]) == (partner, currency)]
        own.sort(key=lambda row: str(row["period_from"]))
        carried, paid, earned = Decimal(0), Decimal(0), Decimal(0)
        for statement in own:
            opening, total, payable, left = of_row(statement, "opening", "total", "payable", "carried_forward")
            assert opening == carried
            assert opening + total == payable + left
            assert payable >= 0
            assert not (payable and left), "a statement pays its whole balance or nothing"
            assert total == sum(Decimal(entries[key]["amount"]) for key in statement["entries"])
            for key in statement["entries"]:
                entry = entries[key]
                assert (entry["partner"], entry["currency"]) == (partner, currency)
                assert entry["earned_on"] <= statement["period_to"]
            carried, earned = left, earned + total
            paid += payable
            assert paid == earned - left
        by_state = [Decimal(row["payable"]) for row in own if row["state"] == "paid"]
        in_state = [
            Decimal(entry["amount"]) for entry in entries.values()
            if (entry["partner"], entry["currency"], entry["state"]) == (partner, currency, "paid") and entry["kind"] != "co_op"
        ]  # fmt: skip
        assert sum(by_state) == sum(in_state), "what is paid are the entries that the paid statements cover"


@every_program
@PROFILE
@given(st.data())
def test_what_an_entry_and_its_corrections_leave_is_the_rate_of_what_is_left(program: str, data: st.DataObject) -> None:
    """Of a commission never more is taken back than was given, and never more given than the rate of its basis."""
    records, setting = data.draw(histories(program)), data.draw(settings_of(program))
    document = document_of(program, records, setting=setting)
    entries = {entry["key"]: entry for entry in document["entries"]}
    chains: dict[str, list[Row]] = {}
    for entry in document["entries"]:
        first = entry
        while first["corrects"] is not None:
            assert (first["partner"], first["currency"]) == (entry["partner"], entry["currency"])
            first = entries[first["corrects"]]
        chains.setdefault(first["key"], []).append(entry)
    for key, chain in chains.items():
        chain = [entry for entry in chain if entry["key"].split(":")[3] != "dispute"]
        if entries[key]["kind"] != "commission":
            continue
        amounts, bases = [sum((Decimal(entry[name]) for entry in chain), Decimal(0)) for name in ("amount", "basis")]
        unit = CENT * len(chain)
        assert amounts >= 0, key
        assert bases >= -unit, key
        assert amounts <= max(Decimal(entry["rate"]) for entry in chain) * bases + unit, key
        assert amounts >= min(Decimal(entry["rate"]) for entry in chain) * bases - unit, key


@every_program
@PROFILE
@given(st.data(), st.integers(40, 400), st.integers(1, 120))
def test_the_past_stays_as_it_was(program: str, data: st.DataObject, first: int, more: int) -> None:
    records, setting = data.draw(histories(program)), data.draw(settings_of(program))
    early = document_of(program, records, START + timedelta(days=first), setting)
    late = document_of(program, records, START + timedelta(days=first + more), setting)
    fixed = ("key", "partner", "referral", "contract", "kind", "source", "basis", "rate", "amount", "currency", "earned_on",
             "corrects", "clauses", "because")  # fmt: skip
    then = {entry["key"]: entry for entry in late["entries"]}
    for entry in early["entries"]:
        again = then.get(entry["key"])
        assert again is not None, f"{entry['key']} is gone"
        assert {name: entry[name] for name in fixed} == {name: again[name] for name in fixed}
        if entry["released_on"] is not None and again["released_on"] is not None:  # null again while it is held
            assert (entry["released_on"], entry["due_on"]) == (again["released_on"], again["due_on"])
    stated = {statement["id"]: statement for statement in late["statements"]}
    order = ["open", "issued", "invoiced", "paid"]
    for statement in early["statements"]:
        if statement["state"] != "open":
            again = stated[statement["id"]]
            assert {**statement, "state": ""} == {**again, "state": ""}
            assert order.index(statement["state"]) <= order.index(again["state"])
    tasks = {task["key"]: task for task in late["tasks"]}
    for task in early["tasks"]:
        again = tasks.get(task["key"])
        assert again is not None, f"{task['key']} is gone"
        fixed = ("kind", "program", "subject", "opened_on", "clauses")
        assert {name: task[name] for name in fixed} == {name: again[name] for name in fixed}
        assert task["due_on"] == again["due_on"], task["key"]


@every_program
@PROFILE
@given(st.data(), st.integers(0, 2**32))
def test_the_order_of_lines_decides_nothing(program: str, data: st.DataObject, seed: int) -> None:
    """Equal timestamps among them: of two claims received at one instant no line of the input comes first (G-7)."""
    records, setting = list(data.draw(histories(program))), data.draw(settings_of(program))
    shuffled = records[:]
    random.Random(seed).shuffle(shuffled)
    assert as_bytes(document_of(program, records, setting=setting)) == as_bytes(
        document_of(program, shuffled, setting=setting)
    )


def renamed(records: History, names: dict[str, str]) -> list[Row]:
    """The records under other ids, those inside the ids that the program makes included."""

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: rename(each) for key, each in value.items()}
        if isinstance(value, list):
            return [rename(each) for each in value]
        if isinstance(value, str):
            return names.get(value) or ":".join(names.get(part, part) for part in value.split(":"))
        return value

    return [
        {
            **row,
            **{key: rename(row[key]) for key in row if key not in ("type", "name", "company", "website", "known_at")},
        }
        for row in records
    ]


def figures_of(document: Document, names: dict[str, str]) -> list[Any]:
    """What a history leads to, but for names; ``names`` leads back to the names that it is compared under."""

    def back(name: str | None) -> str | None:
        return None if name is None else names.get(name, name)

    claims = [
        (back(row["referral"]), back(row["partner"]), back(row["account"]), row["state"], row["rank"], row["won_on"],
         row["protected_from"], row["protected_until"], row["failed"])
        for row in document["claims"]
    ]  # fmt: skip
    entries = [
        (back(row["referral"]), back(row["partner"]), str(back(row["contract"])), row["kind"], row["source"]["type"],
         str(back(row["source"]["id"])), row["amount"], row["currency"], row["earned_on"], str(row["released_on"]),
         str(row["due_on"]), row["state"])
        for row in document["entries"]
    ]  # fmt: skip
    statements = [
        (back(row["partner"]), row["currency"], row["period_from"], row["opening"], row["total"], row["payable"],
         row["withheld"], row["carried_forward"], row["state"])
        for row in document["statements"]
    ]  # fmt: skip
    tasks = [
        (row["kind"], row["opened_on"], str(row["due_on"]), row["state"], row["clauses"]) for row in document["tasks"]
    ]
    support = [(back(row["account"]), back(row["partner"]), row["since"], row["until"]) for row in document["support"]]
    tiers = [
        (back(row["partner"]), row["tier"], row["count"], row["since"], row["review_on"]) for row in document["tiers"]
    ]
    return [sorted(each, key=str) for each in (claims, entries, statements, tasks, support, tiers)]


@every_program
@pytest.mark.parametrize("how", ["in_order", "reversed"])
@PROFILE
@given(st.data())
def test_ids_carry_no_meaning(program: str, how: str, data: st.DataObject) -> None:
    """Other ids, in the same order or the opposite one, change nothing but names.

    In the opposite order only where no two instants are equal: of equals the lower id goes first.
    """
    records = data.draw(histories(program, distinct=how == "reversed"))
    ids = sorted({row["id"] for row in records})
    order = range(len(ids)) if how == "in_order" else range(len(ids), 0, -1)
    names = {name: f"n{number:04}" for name, number in zip(ids, order, strict=True)}
    back = {other: name for name, other in names.items()}
    plain, other = document_of(program, records), document_of(program, renamed(records, names))
    assert figures_of(plain, {}) == figures_of(other, back)


@every_program
@PROFILE
@given(st.data(), st.integers(1, 99))
def test_a_payment_in_two_parts_earns_the_same(program: str, data: st.DataObject, share: int) -> None:
    """The parts of one payment, received on one day, leave the same balance: rounding is on the running total."""
    records = data.draw(histories(program))
    reversed_ids = {row.get("reverses") for row in records}
    counted = [row["id"] for row in records]
    parts: list[Row] = []
    for row in records:
        cents = int(Decimal(row["amount"]) * 100) if row["type"] == "payment" and "amount" in row else 0
        one = cents * share // 100
        if (
            0 < one < cents
            and row["id"] not in reversed_ids
            and counted.count(row["id"]) == 1
            and "reverses" not in row
        ):
            for name, part in (("", one), ("z", cents - one)):
                parts.append({**row, "id": row["id"] + name, "amount": str(Decimal(part).scaleb(-2))})
        else:
            parts.append(row)
    whole, split = document_of(program, records), document_of(program, parts)
    assert balances_of(whole) == balances_of(split)
    assert figures_of(whole, {})[0] == figures_of(split, {})[0]


@every_program
@PROFILE
@given(st.data(), st.integers(1, 99))
def test_an_invoice_line_in_two_parts_earns_the_same(program: str, data: st.DataObject, share: int) -> None:
    """Lines add up before anything is rounded, so the outcome is the same to the byte."""
    records = data.draw(histories(program))
    parts: list[Row] = []
    for row in records:
        if row["type"] == "invoice" and "lines" in row:
            lines = []
            for line in row["lines"]:
                one = (Decimal(line["amount"]) * share / 100).quantize(CENT)
                lines += [{**line, "amount": str(one)}, {**line, "amount": str(Decimal(line["amount"]) - one)}]
            row = {**row, "lines": [line for line in lines if Decimal(line["amount"])]}
        parts.append(row)
    assert as_bytes(document_of(program, records)) == as_bytes(document_of(program, parts))


@every_program
@PROFILE
@given(st.data(), st.randoms(use_true_random=False))
def test_a_fact_withdrawn_and_restored_leaves_the_same_balances(
    program: str, data: st.DataObject, chance: random.Random
) -> None:
    """But for the bonus of a threshold, which is kept once it was crossed, be it for the days in between (E38)."""
    records = data.draw(histories(program))
    counted = [row["id"] for row in records]
    candidates = [
        row for row in records
        if row["type"] in RESTORED and counted.count(row["id"]) == 1
    ]  # fmt: skip
    if not candidates:
        return
    row = chance.choice(candidates)
    gone = {"type": row["type"], "id": row["id"], "known_at": "2027-05-05T10:00:00Z", "deleted": True}
    back = {**row, "known_at": "2027-05-08T10:00:00Z"}
    plain, restored = document_of(program, records), document_of(program, [*records, gone, back])
    for document in (plain, restored):
        document["entries"] = [entry for entry in document["entries"] if entry["kind"] != "bonus"]
    assert balances_of(plain) == balances_of(restored)


@pytest.mark.parametrize("program", ["next-technik", "optimetriks"])
@PROFILE
@given(st.data())
def test_a_full_credit_of_every_invoice_leaves_nothing(program: str, data: st.DataObject) -> None:
    """Where money is earned by invoices alone."""
    records = data.draw(histories(program))
    last = {row["id"]: row for row in records if row["type"] == "invoice" and "lines" in row}
    credits = [
        {"type": "credit_note", "id": f"full{row['id']}", "invoice": row["id"], "issued_on": "2027-05-30",
         "amount": str(sum(Decimal(line["amount"]) for line in row["lines"])), "tax": row.get("tax", "0"),
         "currency": row["currency"]}
        for row in last.values()
    ]  # fmt: skip
    assert balances_of(document_of(program, [*records, *credits])) == {}


@every_program
@FEW
@given(data=st.data())
def test_settling_day_by_day_is_settling_once(program: str, data: st.DataObject, shelf: Shelf) -> None:
    """A stored book that is brought up to date on some days or on many holds what settling once says.

    Its journal, which is only ever added to, leaves on every account what the entries say of themselves.
    """
    records, setting = data.draw(histories(program)), data.draw(settings_of(program))
    terms = program_of(program, setting)
    numbers = data.draw(st.lists(st.integers(0, (END - START).days), max_size=DAYS, unique=True))
    days = [START + timedelta(days=number) for number in numbers]
    end = terms.calendar.end_of(END)
    coming = [(at, body) for at, body in learned(records, terms) if at < end]
    store = shelf.fresh()
    live_through(store, terms, coming, [*days, END])
    again = bring(store, terms, END)
    assert (again.new_entries, again.statements_cut) == (0, ())
    with store.reading() as db:
        found = stored_outcome(db, [terms], {program: END})
    expected = document_of(program, records, setting=setting)
    for name in LISTS:
        assert found[name] == expected[name], name
    assert verify(store)["ok"]
    held = {(row["account"], row["currency"]): Decimal(row["balance"]) for row in balances(store)}
    said: dict[tuple[str, str], Decimal] = {}
    for entry in expected["entries"]:
        account = "cash" if entry["state"] == "paid" else f"{entry['state']}:{entry['partner']}"
        name = (account, entry["currency"])
        said[name] = said.get(name, Decimal(0)) + Decimal(entry["amount"])
    assert {key: each for key, each in held.items() if each and key[0] != "expense"} == {
        key: each for key, each in said.items() if each
    }


SETTLE_ALL = """
import locale, sys
from datetime import date
from jobs.settle import as_bytes, outcome, settle
from rules.facts import read_facts
from rules.program import load_program
locale.setlocale(locale.LC_ALL, "")
for name in sys.argv[2:]:
    facts, bad = read_facts(open(f"{sys.argv[1]}/{name}.jsonl", "rb"), file=name)
    day = date(2027, 6, 30)
    sys.stdout.buffer.write(as_bytes(outcome(settle([load_program(name)], facts, day), day, bad)))
"""


@pytest.mark.parametrize(
    ("zone", "seed", "language"), [("Pacific/Kiritimati", "1", "C.UTF-8"), ("America/Adak", "2", "C")]
)
def test_the_machine_decides_nothing(zone: str, seed: str, language: str, tmp_path: Path) -> None:
    """The same bytes under another local time zone, hash seed and locale."""
    records = {name: [row for seed in range(3) for row in numbered(history_of(name, seed), seed)] for name in PROGRAMS}
    for name in PROGRAMS:
        (tmp_path / f"{name}.jsonl").write_bytes(b"\n".join(orjson.dumps(row) for row in records[name]))
    run = subprocess.run(
        [sys.executable, "-c", SETTLE_ALL, str(tmp_path), *PROGRAMS], capture_output=True, check=True,
        env={**os.environ, "TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": language},
    )  # fmt: skip
    assert run.stdout == b"".join(as_bytes(document_of(name, records[name])) for name in PROGRAMS)


def numbered(records: History, number: int) -> list[Row]:
    """The records under ids of their own, so that several histories can stand side by side."""
    return renamed(records, {row["id"]: f"{row['id']}s{number}" for row in records})
