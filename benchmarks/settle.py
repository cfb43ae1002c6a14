"""How fast facts settle: invoice lines a second on one core, from records in memory, every entry with its reason.

    python benchmarks/settle.py [--invoices 100000] [--lines 3]

Prints the rate of settling alone, and of reading the same records from JSON Lines first.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Iterator
from datetime import date, timedelta
from io import BytesIO

import orjson

from jobs.settle import as_bytes, outcome, settle
from rules.facts import read_facts
from rules.program import load_program


def records(invoices: int, lines: int) -> Iterator[bytes]:
    """A vendor with a partner and a customer for every 200 invoices; every invoice paid, one in 20 credited."""
    deals = max(invoices // 200, 1)
    for n in range(deals):
        yield orjson.dumps({"type": "partner", "id": f"p{n}", "name": f"Partner {n}"})
        yield orjson.dumps(
            {"type": "enrollment", "id": f"e{n}", "partner": f"p{n}", "program": "next-technik", "role": "referral",
             "starts_on": "2020-01-01", "rate": "0.10"}
        )  # fmt: skip
        yield orjson.dumps(
            {"type": "account", "id": f"a{n}", "name": f"Customer {n}", "website": f"https://customer{n}.com"}
        )
        yield orjson.dumps(
            {"type": "referral", "id": f"r{n}", "program": "next-technik", "partner": f"p{n}", "company": f"Customer {n}",
             "submitted_at": "2020-02-01T00:00:00Z", "channel": "portal", "website": f"https://customer{n}.com",
             "account": f"a{n}", "details": {"mobile_users": 5, "industry": "energy"}}
        )  # fmt: skip
        yield orjson.dumps(
            {
                "type": "contract",
                "id": f"c{n}",
                "account": f"a{n}",
                "kind": "saas",
                "signed_on": "2020-03-01",
                "currency": "AUD",
            }
        )
        yield orjson.dumps(
            {
                "type": "review",
                "id": f"v{n}",
                "referral": f"r{n}",
                "at": "2020-03-05T00:00:00Z",
                "outcome": "approved",
                "by": "x",
            }
        )
    start = date(2020, 3, 10)
    for n in range(invoices):
        deal, day = n % deals, start + timedelta(days=(n // deals) * 10)
        yield orjson.dumps(
            {"type": "invoice", "id": f"i{n}", "account": f"a{deal}", "contract": f"c{deal}", "issued_on": day.isoformat(),
             "currency": "AUD", "tax": "33.00",
             "lines": [{"kind": "saas", "amount": f"{110 + i}.10"} for i in range(lines)]}
        )  # fmt: skip
        total = sum(11010 + 100 * i for i in range(lines)) + 3300
        yield orjson.dumps(
            {"type": "payment", "id": f"y{n}", "invoice": f"i{n}", "received_on": (day + timedelta(days=9)).isoformat(),
             "amount": f"{total / 100:.2f}", "currency": "AUD"}
        )  # fmt: skip
        if n % 20 == 0:
            yield orjson.dumps(
                {"type": "credit_note", "id": f"n{n}", "invoice": f"i{n}", "issued_on": (day + timedelta(days=20)).isoformat(),
                 "amount": "10.00", "currency": "AUD"}
            )  # fmt: skip


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--invoices", type=int, default=100_000)
    options.add_argument("--lines", type=int, default=3)
    given = options.parse_args()
    program = load_program("next-technik")
    # The list of public suffixes is read once a process; that is no part of the rate.
    settle([program], read_facts(records(1, 1), file="benchmark")[0], date(2026, 1, 1))
    # As a file would give them; a list of what orjson returns would keep the room each line was written in, several times its length.
    rows = BytesIO()
    rows.writelines(line + b"\n" for line in records(given.invoices, given.lines))
    rows.seek(0)
    started = time.process_time()
    facts, bad = read_facts(rows, file="benchmark")
    read = time.process_time() - started
    assert not bad, bad[:3]
    del rows
    started = time.process_time()
    settled = settle([program], facts, date(2026, 1, 1))
    took = time.process_time() - started
    started = time.process_time()
    written = len(as_bytes(outcome(settled, date(2026, 1, 1))))
    wrote = time.process_time() - started
    lines = given.invoices * given.lines
    entries = len(settled[0].ledger.entries)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"invoice lines {lines:,}; entries {entries:,}; outcome {written / 1e6:,.1f} MB; peak memory {peak:,.0f} MB")
    print(f"settle, records in memory  {lines / took:>12,.0f} lines/s  ({took:.2f} s)")
    print(
        f"read + settle + write      {lines / (read + took + wrote):>12,.0f} lines/s  ({read:.2f} + {took:.2f} + {wrote:.2f} s)"
    )


if __name__ == "__main__":
    main()
