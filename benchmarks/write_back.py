"""How fast commissions are written to Salesforce, side by side with simple-salesforce and drt-core, in one run.

    python benchmarks/write_back.py [--records 20000] [--cases raw,connector,outbox,jobs,collections,one_by_one,drt]

A server process answers upserts (one record, a collection of 200, a Bulk API 2.0 job) without looking at the values; each
contestant runs in a process of its own. ``outbox`` is the whole of ours: what is there is asked for, a plan is made, every
write is journaled before its first try, sent in collections, answered and noted as agreed; ``jobs`` the same by Bulk API 2.0
jobs, whose waits are left out. The others only send. ``drt`` is the bulk
destination of drt-core alone, without its source and state.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from plain_client import simple_salesforce_client

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

API = "/services/data/v62.0"
OBJECT, KEY = "Commission__c", "Sync_Key__c"
CALLS = 200
"""Records in a collection; the vendor's limit."""
FIELDS = (
    "Program__c",
    "Kind__c",
    "State__c",
    "Amount__c",
    "Basis__c",
    "Rate__c",
    "Earned_On__c",
    "Due_On__c",
    "Because__c",
)


def commission(number: int) -> dict[str, Any]:
    """An invented commission."""
    return {
        "Program__c": "next-technik",
        "Kind__c": "commission",
        "State__c": "payable",
        "Amount__c": f"{number % 900}.25",
        "Basis__c": f"{number % 9000}.00",
        "Rate__c": "0.10",
        "Earned_On__c": "2026-03-01",
        "Due_On__c": "2026-04-30",
        "Because__c": f"10% of {number % 9000}.00 AUD: net of invoice {number} x paid in full; rate from the enrollment",
    }


def key_of(number: int) -> str:
    """Its key."""
    return f"next-technik:referral-{number}:commission:payment:{number}:1"


def serve() -> None:
    """Answer until the process is ended; prints the port."""
    import orjson

    jobs: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = 65_536

        def do_GET(self) -> None:
            if self.path.endswith("/successfulResults"):
                head, *rows = jobs[self.path.split("/")[6]].splitlines()
                done = [b"sf__Id,sf__Created," + head, *(b"a01%015d,true," % n + row for n, row in enumerate(rows))]
                self._answer(b"\n".join(done))
            elif "/jobs/ingest/" in self.path:
                name = self.path.split("/")[6]
                self._answer(self._job(name, "JobComplete"))
            elif "/query" in self.path:
                self._answer({"totalSize": 0, "done": True, "records": []})
            elif self.path.endswith("/limits/"):
                self._answer({"DailyApiRequests": {"Max": 1_000_000, "Remaining": 999_000}})
            else:
                self._answer({})

        def do_POST(self) -> None:
            self._body()
            if self.path.endswith("/token"):
                host = f"http://{self.headers['Host']}"
                self._answer({"access_token": "bench", "instance_url": host, "token_type": "Bearer"})
            else:
                jobs[f"job{len(jobs)}"] = b""
                self._answer(self._job(f"job{len(jobs) - 1}", "Open"))

        def do_PUT(self) -> None:
            jobs[self.path.split("/")[6]] = self._body()
            self._answer(None, 201)

        def do_PATCH(self) -> None:
            body = self._body()
            if "/jobs/ingest/" in self.path:
                self._answer(self._job(self.path.split("/")[6], "UploadComplete"))
            elif "/composite/" in self.path:
                records = orjson.loads(body)["records"]
                self._answer(
                    [
                        {"id": f"a01{n:015d}", "success": True, "errors": [], "created": True}
                        for n in range(len(records))
                    ]
                )
            else:
                self._answer({"id": "a01000000000001AAA", "success": True, "errors": [], "created": True}, 201)

        def _job(self, name: str, state: str) -> dict[str, Any]:
            done = jobs[name].count(b"\n") - 1 if state == "JobComplete" else 0
            made = datetime.now(UTC).isoformat()
            return {
                "id": name, "state": state, "createdDate": made, "numberRecordsProcessed": done, "numberRecordsFailed": 0
            }  # fmt: skip

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, body: Any, status: int = 200) -> None:
            content = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            self.wfile.flush()

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


Taken = tuple[float, float]
"""Seconds on the clock and of the processor."""


def _now() -> Taken:
    return time.perf_counter(), time.process_time()


def _since(begin: Taken) -> Taken:
    return time.perf_counter() - begin[0], time.process_time() - begin[1]


def raw(url: str, records: int) -> Taken:
    """requests + orjson, collections of 200, answers parsed: the yardstick."""
    import orjson
    import requests

    session = requests.Session()
    begin = _now()
    for start in range(0, records, CALLS):
        rows = [
            {"attributes": {"type": OBJECT}, KEY: key_of(n), **commission(n)}
            for n in range(start, min(start + CALLS, records))
        ]
        body = orjson.dumps({"allOrNone": False, "records": rows})
        answer = session.patch(f"{url}{API}/composite/sobjects/{OBJECT}/{KEY}", data=body)
        assert all(one["success"] for one in orjson.loads(answer.content))
    return _since(begin)


def connector(url: str, records: int) -> Taken:
    """Our connector, without outbox or store."""
    from connectors.base import Change

    writer = _connected(url)
    changes = [Change(OBJECT, KEY, key_of(n), commission(n)) for n in range(records)]
    begin = _now()
    assert {one.state for one in writer.write(changes)} == {"done"}
    return _since(begin)


def outbox(url: str, records: int, *, by_jobs: bool = False) -> Taken:
    """All of ours: plan, journal, send, settle, in a SQLite file."""
    from sync.outbox import Outbox
    from sync.plan import make_plan
    from sync.store import Store
    from sync.write_maps import Desired

    writer = _connected(url, by_jobs=by_jobs)
    rows = [Desired(OBJECT, KEY, key_of(n), commission(n), None, "bench") for n in range(records)]
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{folder}/bench.db")
        store.migrate()
        box, now = Outbox(store), datetime.now(UTC)
        begin = _now()
        plan = make_plan(
            rows, writer, box.agreed("crm"), connection="crm", writer=writer, usage=writer.usage(), allow="bench"
        )
        box.enqueue(plan, at=now)
        done = box.apply("crm", writer, writer, clock=lambda: now)
        taken = _since(begin)
        assert (done.done, done.waiting) == (records, 0), done
        store.close()
    return taken


def jobs(url: str, records: int) -> Taken:
    """All of ours, by jobs of 10,000 records (2,000 at least)."""
    return outbox(url, records, by_jobs=True)


def _connected(url: str, *, by_jobs: bool = False) -> Any:
    from connectors.salesforce import SalesforceConfig, connect

    least = SalesforceConfig.model_fields["bulk_write_rows"].default if by_jobs else None
    config = SalesforceConfig(
        url=url, client_id="bench", client_secret="bench", allow_loopback=True, bulk_write_rows=least
    )
    return connect(config, sleep=lambda seconds: None)


def collections(url: str, records: int) -> Taken:
    """simple-salesforce, collections of 200."""
    client = simple_salesforce_client(url)
    begin = _now()
    for start in range(0, records, CALLS):
        rows = [
            {"attributes": {"type": OBJECT}, KEY: key_of(n), **commission(n)}
            for n in range(start, min(start + CALLS, records))
        ]
        answer = client.restful(
            f"composite/sobjects/{OBJECT}/{KEY}", method="PATCH", json={"allOrNone": False, "records": rows}
        )
        assert all(one["success"] for one in answer)
    return _since(begin)


def one_by_one(url: str, records: int) -> Taken:
    """simple-salesforce, one upsert a record."""
    kind = getattr(simple_salesforce_client(url), OBJECT)
    begin = _now()
    for n in range(records):
        kind.upsert(f"{KEY}/{key_of(n)}", commission(n))
    return _since(begin)


def drt(url: str, records: int) -> Taken:
    """drt-core's Salesforce destination: one job of the Bulk API."""
    from drt.config.models import SalesforceBulkDestinationConfig, SyncOptions
    from drt.destinations.salesforce_bulk import SalesforceBulkDestination

    names = {f"{name}_env": f"BENCH_{name.upper()}" for name in ("client_id", "client_secret", "username", "password")}
    os.environ.update(dict.fromkeys(names.values(), "bench"))
    config = SalesforceBulkDestinationConfig(
        type="salesforce_bulk", instance_url=url, object_name=OBJECT, operation="upsert", external_id_field=KEY, **names
    )
    destination, options = SalesforceBulkDestination(), SyncOptions()
    rows = [{KEY: key_of(n), **commission(n)} for n in range(records)]
    begin = _now()
    destination.stage(rows, config, options)
    assert destination.finalize(config, options).success == records
    return _since(begin)


CASES: Mapping[str, Callable[[str, int], Taken]] = {
    "raw": raw,
    "connector": connector,
    "outbox": outbox,
    "jobs": jobs,
    "collections": collections,
    "one_by_one": one_by_one,
    "drt": drt,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--drt-python", default=sys.executable, help="interpreter that has drt-core")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve()
        return
    if given.case:
        taken = CASES[given.case](given.url, given.records)
        print(json.dumps([*taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
        return
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    yardstick = 0.0
    print(f"{'case':12} {'records/s':>10} {'of raw':>7} {'CPU µs':>7} {'peak MB':>8}")
    try:
        for case in given.cases.split(","):
            python = given.drt_python if case == "drt" else sys.executable
            command = [python, __file__, "--case", case, "--url", url, "--records", str(given.records)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{case:12} left out: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
                continue
            seconds, processor, megabytes = json.loads(done.stdout.splitlines()[-1])
            rate = given.records / seconds
            yardstick = yardstick or rate
            print(
                f"{case:12} {rate:10,.0f} {rate / yardstick:7.2f} {1e6 * processor / given.records:7.1f} {megabytes:8.0f}",
                flush=True,
            )
    finally:
        server.kill()


if __name__ == "__main__":
    main()
