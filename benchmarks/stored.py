"""What one changed invoice costs in the stored ledger, with little and with much history behind it.

    python benchmarks/stored.py [--small 10000] [--large 1000000] [--store /tmp/referee-benchmark]

Fills two stores with invoice lines (three a invoice, 600 a customer), settles them, then states one changed invoice and
one payment at a time and times bringing the book up to date. Prints medians and their ratio, and what it costs to look
for what is to be told (all facts are replayed).
"""

from __future__ import annotations

import argparse
import statistics
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from settle import records

from jobs.notification.notifications import notifications
from jobs.stored import bring_up_to_date
from jobs.stored_pictures import stored_pictures
from rules.program import load_program
from sync.store import Store

LINES = 3
NOW = datetime(2026, 1, 1, tzinfo=UTC)
OLDEST = datetime(1990, 1, 1, tzinfo=UTC)


def filled(url: str, lines: int) -> tuple[Store, int]:
    """A store with that much settled history."""
    Path(url.removeprefix("sqlite:///")).unlink(missing_ok=True)
    store = Store.open(url)
    store.migrate()
    run = store.start_run("benchmark", None, at=OLDEST)
    program = load_program("next-technik")
    started = time.monotonic()
    batch: dict[datetime, list[dict[str, Any]]] = {}
    count = 0
    for line in records(lines // LINES, LINES, ("next-technik",)):
        body = orjson.loads(line)
        batch.setdefault(_known(body), []).append(body)
        count += 1
        if count % 50_000 == 0:
            _put(store, batch, run)
            batch = {}
    _put(store, batch, run)
    stated = time.monotonic() - started
    started = time.monotonic()
    with store.transaction() as db:
        done = bring_up_to_date(db, program, NOW)
    took = time.monotonic() - started
    print(
        f"{lines:>9,} lines: stated in {stated:.1f} s; first settling {took:.1f} s ({lines / took:,.0f} lines/s), {done.new_entries:,} entries"
    )
    return store, run


def _known(body: dict[str, Any]) -> datetime:
    for name in ("submitted_at", "signed_on", "at", "issued_on", "received_on"):
        if name in body:
            text = body[name]
            return datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00+00:00")
    return OLDEST


def _put(store: Store, batch: dict[datetime, list[dict[str, Any]]], run: int) -> None:
    for known_at in sorted(batch):
        store.put_facts(batch[known_at], known_at=known_at, run_id=run)


def changed(store: Store, run: int, rounds: int) -> list[float]:
    """Seconds of each settling after one invoice changed or was paid once more."""
    program = load_program("next-technik")
    took = []
    for number in range(rounds):
        at = NOW + timedelta(minutes=number + 1)
        body = {
            "type": "invoice", "id": f"i{number}", "account": f"a{number % 16}", "contract": f"c{number % 16}",
            "issued_on": "2020-03-10", "currency": "AUD", "tax": "33.00",
            "lines": [{"kind": "saas", "amount": f"{120 + number}.10"}, {"kind": "saas", "amount": "90.00"}],
        }  # fmt: skip
        store.put_facts([body], known_at=at, run_id=run)
        started = time.perf_counter()
        with store.transaction() as db:
            done = bring_up_to_date(db, program, at)
        took.append(time.perf_counter() - started)
        assert done.prospects == 1, done
    return took


def looked(store: Store) -> float:
    """Processor time of replaying everything and finding what is to be told."""
    started = time.process_time()
    for picture in stored_pictures(store, [load_program("next-technik")], NOW + timedelta(days=1)):
        notifications(picture)
    return time.process_time() - started


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser()
    options.add_argument("--small", type=int, default=10_000)
    options.add_argument("--large", type=int, default=1_000_000)
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--store", default="/tmp/referee-benchmark")
    given = options.parse_args()
    medians = []
    for lines in (given.small, given.large):
        store, run = filled(f"sqlite:///{given.store}-{lines}.db", lines)
        took = changed(store, run, given.rounds)
        medians.append(statistics.median(took))
        print(
            f"{lines:>9,} lines: one changed invoice costs {medians[-1] * 1000:.1f} ms (of {len(took)}: {min(took) * 1000:.1f} to {max(took) * 1000:.1f})"
        )
        print(f"{lines:>9,} lines: looking for what is to be told takes {looked(store):.1f} s of processor time")
        store.close()
    print(f"ratio {medians[1] / medians[0]:.2f}")


if __name__ == "__main__":
    main()
