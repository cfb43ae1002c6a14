"""How fast statements become documents: from a file of records to a folder of PDFs, settling included.

    python benchmarks/statements.py [--statements 1000] [--lines 10] [--format pdf]

Every partner has one statement with that many entries.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from jobs.report_file import pictures_of
from jobs.statement.document import statement_documents
from jobs.statement_file import statements_folder


def records(statements: int, lines: int) -> Iterator[bytes]:
    """Partners with one customer each, and that many paid invoices in one month."""
    for n in range(statements):
        rows = [
            {"type": "partner", "id": f"p{n}", "name": f"Partner {n} Advisers"},
            {"type": "enrollment", "id": f"e{n}", "partner": f"p{n}", "program": "next-technik", "role": "referral",
             "starts_on": "2025-01-01", "rate": "0.10"},
            {"type": "account", "id": f"a{n}", "name": f"Customer {n} Pty Ltd", "website": f"https://customer{n}.com"},
            {"type": "referral", "id": f"r{n}", "program": "next-technik", "partner": f"p{n}", "company": f"Customer {n}",
             "submitted_at": "2025-02-01T00:00:00Z", "channel": "portal", "website": f"https://customer{n}.com",
             "account": f"a{n}", "details": {"mobile_users": 5, "industry": "energy"}},
            {"type": "contract", "id": f"c{n}", "account": f"a{n}", "kind": "saas", "signed_on": "2025-03-01",
             "currency": "AUD", "value": "120000.00"},
            {"type": "review", "id": f"v{n}", "referral": f"r{n}", "at": "2025-03-05T00:00:00Z", "outcome": "approved",
             "by": "x"},
        ]  # fmt: skip
        for m in range(lines):
            day = (date(2026, 1, 2) + timedelta(days=m % 28)).isoformat()
            rows += [
                {"type": "invoice", "id": f"i{n}.{m}", "account": f"a{n}", "contract": f"c{n}", "issued_on": day,
                 "currency": "AUD", "lines": [{"kind": "saas", "amount": "1000.00"}], "tax": "100.00"},
                {"type": "payment", "id": f"y{n}.{m}", "invoice": f"i{n}.{m}", "received_on": day, "amount": "1100.00",
                 "currency": "AUD"},
            ]  # fmt: skip
        yield from map(orjson.dumps, rows)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1000)
    parser.add_argument("--lines", type=int, default=10)
    parser.add_argument("--format", choices=("pdf", "csv", "json"), default="pdf")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "records.jsonl"
        file.write_bytes(b"\n".join(records(asked.statements, asked.lines)))
        began = time.perf_counter()
        (picture,) = pictures_of(["next-technik"], str(file), "2026-02-15", [])
        count = sum(1 for _ in statement_documents(picture))
        settled = time.perf_counter() - began
        began = time.perf_counter()
        rows = statements_folder(
            ["next-technik"], str(file), "2026-02-15", [], out_dir=Path(folder) / "out", format=asked.format,
            partner=None, period_from=None, with_open=False, fonts=None, skip_bad=False,
        )  # fmt: skip
        whole = time.perf_counter() - began
        size = sum(path.stat().st_size for path in (Path(folder) / "out").iterdir())
    assert len(rows) == count == asked.statements
    made = max(whole - settled, 1e-9)
    print(f"{count} statements of {asked.lines} entries: reading and settling {settled:.1f} s")
    print(
        f"writing them as {asked.format}: {made:.1f} s, {count / made:.0f} a second, {size / count / 1000:.0f} kB each"
    )
    print(f"in all {whole:.1f} s")


if __name__ == "__main__":
    main()
