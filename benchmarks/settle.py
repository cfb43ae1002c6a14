"""How fast facts settle: invoice lines a second on one core, from records in memory, every entry with its reason.

    python benchmarks/settle.py [--invoices 100000] [--lines 3] [--programs next-technik]
    python benchmarks/settle.py --invoices 1000000 --lines 1 --programs all

Prints the rate of settling alone, and of reading the same records from JSON Lines first. With several programs every
customer belongs to one of them, in turn.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import orjson

from jobs.settle import as_bytes, outcome, settle, uncollected
from rules.facts import read_facts
from rules.program import SHIPPED, load_program

ROLES = {
    "next-technik": ("referral", "AUD", "saas", "saas"),
    "one-network": ("referral", "USD", "saas", "saas"),
    "code-ninety": ("agency", "PKR", "retainer", "retainer"),
    "technology-consultant": ("independent_consultant", "USD", "project", "project"),
    "optimetriks": ("referral", "EUR", "plan", "plan"),
}
DETAILS = {
    "next-technik": {"mobile_users": 5, "industry": "energy"},
    "code-ninety": {
        "description": "x", "estimated_value": "100000", "estimated_timeline": "q2", "services": ["x"],
        "decision_timeline": "soon",
    },
    "technology-consultant": {"service_type": "cybersecurity", "needs": "x"},
}  # fmt: skip


def customer(n: int, turn: int, program: str, partners: int) -> Iterator[dict[str, Any]]:
    """A partner (for the first of its customers), an account, its referral, its contract.

    ``turn`` counts the program's customers, ``partners`` are the program's.
    """
    role, currency, kind, _ = ROLES[program]
    partner = f"p{turn % partners}-{program}"
    if turn < partners:
        rate = {} if program == "code-ninety" else {"rate": "0.05"}
        yield {"type": "partner", "id": partner, "name": f"Partner {n}"}
        yield {"type": "enrollment", "id": f"e{n}", "partner": partner, "program": program, "role": role,
               "starts_on": "2020-01-01", **rate}  # fmt: skip
    yield {"type": "account", "id": f"a{n}", "name": f"Customer {n}", "website": f"https://customer{n}.com"}
    yield {"type": "referral", "id": f"r{n}", "program": program, "partner": partner, "company": f"Customer {n}",
           "submitted_at": "2020-02-01T00:00:00Z", "channel": "portal", "website": f"https://customer{n}.com",
           "account": f"a{n}", "contact": {"name": "x", "title": "x", "email": "x@x.example", "phone": "1"},
           "details": DETAILS.get(program, {})}  # fmt: skip
    reviewed = "2020-03-05" if program == "next-technik" else "2020-02-02"
    yield {"type": "review", "id": f"v{n}", "referral": f"r{n}", "at": f"{reviewed}T00:00:00Z", "outcome": "approved",
           "by": "x"}  # fmt: skip
    yield {"type": "introduction", "id": f"t{n}", "referral": f"r{n}", "at": "2020-02-03T00:00:00Z", "name": "x",
           "decision_maker": True}  # fmt: skip
    yield {"type": "contract", "id": f"c{n}", "account": f"a{n}", "kind": kind, "signed_on": "2020-03-01",
           "commenced_on": "2020-03-02", "value": "500000.00", "currency": currency}  # fmt: skip


def records(invoices: int, lines: int, programs: Sequence[str]) -> Iterator[bytes]:
    """A vendor with a customer for every 200 invoices and a partner for every 20 customers; every invoice is paid, one
    in 20 credited."""
    deals = max(invoices // 200, len(programs))
    each = len(programs)
    partners = max(deals // 20 // each, 1)
    for n in range(deals):
        yield from map(orjson.dumps, customer(n, n // each, programs[n % each], partners))
    start = date(2020, 3, 10)
    for n in range(invoices):
        deal, day = n % deals, start + timedelta(days=(n // deals) * 10)
        _, currency, _, line = ROLES[programs[deal % len(programs)]]
        yield orjson.dumps(
            {"type": "invoice", "id": f"i{n}", "account": f"a{deal}", "contract": f"c{deal}", "issued_on": day.isoformat(),
             "currency": currency, "tax": "33.00",
             "lines": [{"kind": line, "amount": f"{110 + i}.10"} for i in range(lines)]}
        )  # fmt: skip
        total = sum(11010 + 100 * i for i in range(lines)) + 3300
        yield orjson.dumps(
            {"type": "payment", "id": f"y{n}", "invoice": f"i{n}", "received_on": (day + timedelta(days=9)).isoformat(),
             "amount": f"{total / 100:.2f}", "currency": currency}
        )  # fmt: skip
        if n % 20 == 0:
            yield orjson.dumps(
                {"type": "credit_note", "id": f"n{n}", "invoice": f"i{n}", "issued_on": (day + timedelta(days=20)).isoformat(),
                 "amount": "10.00", "currency": currency}
            )  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--invoices", type=int, default=100_000)
    options.add_argument("--lines", type=int, default=3)
    options.add_argument("--programs", default="next-technik", help="names separated by commas, or all")
    given = options.parse_args()
    names = SHIPPED if given.programs == "all" else tuple(given.programs.split(","))
    programs = [load_program(name) for name in names]
    # The list of public suffixes is read once a process; that is no part of the rate.
    settle(programs, read_facts(records(1, 1, names), file="benchmark")[0], date(2026, 1, 1))
    # As a file would give them; a list of what orjson returns would keep the room each line was written in, several times its length.
    rows = BytesIO()
    rows.writelines(line + b"\n" for line in records(given.invoices, given.lines, names))
    rows.seek(0)
    started = time.process_time()
    with uncollected():
        facts, bad = read_facts(rows, file="benchmark")
    read = time.process_time() - started
    assert not bad, bad[:3]
    del rows
    started = time.process_time()
    settled = settle(programs, facts, date(2026, 1, 1))
    took = time.process_time() - started
    started = time.process_time()
    written = len(as_bytes(outcome(settled, date(2026, 1, 1))))
    wrote = time.process_time() - started
    lines = given.invoices * given.lines
    entries = sum(len(each.ledger.entries) for each in settled)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"invoice lines {lines:,}; entries {entries:,}; outcome {written / 1e6:,.1f} MB; peak memory {peak:,.0f} MB")
    print(f"settle, records in memory  {lines / took:>12,.0f} lines/s  ({took:.2f} s)")
    print(
        f"read + settle + write      {lines / (read + took + wrote):>12,.0f} lines/s  ({read:.2f} + {took:.2f} + {wrote:.2f} s)"
    )


if __name__ == "__main__":
    main()
