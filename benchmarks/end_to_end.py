"""One sync of many records from nothing to what was written back: how fast each step is, and how much memory it takes.

    python benchmarks/end_to_end.py [--records 100000 1000000]

A server process hands out invented records the way a Salesforce org and a NetSuite account do, a page at a time, and
keeps what is written to it. A second process runs ``jobs.sync.sync`` over both connections with the shipped mappings
and the program *next-technik*, into a SQLite file: pull, land, settle, plan, apply, and all of it once more with
nothing new. Of 1,000 records 100 are accounts, 50 each leads, opportunities, contracts, reviews and customers, 400
invoices and 250 payments; a partner has 100 leads. The peak of each step is that of its own: the kernel's mark is set back
in between.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from servers import FrontServer, Said, forwarded

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NOW = datetime(2026, 1, 2, 9, tzinfo=UTC)
OLDEST = datetime(2025, 1, 1, tzinfo=UTC)
SIGNED = date(2025, 3, 1)
PER_CUSTOMER = 20
"""Records that come with one customer: ``INVOICES``, ``PAYMENTS`` and seven more."""
INVOICES, PAYMENTS = 8, 5
PER_PARTNER = 100
"""Leads of one partner."""
PAGE = 2000
KEYS = re.compile(r"(\w+) IN \(([^)]*)\)")


def _stamp(number: int) -> str:
    return (OLDEST + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def _id(prefix: str, number: int) -> str:
    """An 18-character id; its check letters tell of the one capital that a prefix may end with."""
    return f"{prefix}{number:012d}{'EAA' if prefix[2].isupper() else 'AAA'}"


class Org:
    """The rows of the Salesforce org, by number."""

    def __init__(self, customers: int) -> None:
        self.partners = max(customers // PER_PARTNER, 1)
        self.counts = {
            "Account": self.partners + 2 * customers, "Program_Enrollment__c": self.partners, "Lead": customers,
            "Referral_Review__c": customers, "Opportunity": customers, "Contract": customers,
        }  # fmt: skip

    def row(self, name: str, number: int) -> dict[str, Any]:
        """One row with what its object has; every field that is not there is null."""
        prefix = {"Account": "001", "Lead": "00Q", "Opportunity": "006", "Contract": "800"}.get(name, "a00")
        own = {"Id": _id(prefix, number), "SystemModstamp": _stamp(number), "IsDeleted": False}
        return {**own, "CreatedDate": _stamp(number), "CurrencyIsoCode": "AUD", **getattr(self, name)(number)}

    def Account(self, number: int) -> dict[str, Any]:
        if number < self.partners:
            return {"Name": f"Partner {number}", "IsPartner": True, "BillingCountryCode": "AU"}
        return {**_company(number - self.partners), "Name": _company(number - self.partners)["Company"], "IsPartner": False,
                "BillingCountryCode": "AU"}  # fmt: skip

    def Program_Enrollment__c(self, number: int) -> dict[str, Any]:
        return {"Partner__c": _id("001", number), "Program__c": "next-technik", "Role__c": "referral", "Rate__c": 0.05,
                "Starts_On__c": "2020-01-01", "Certified__c": True}  # fmt: skip

    def Lead(self, number: int) -> dict[str, Any]:
        return {
            **_company(2 * number), "CountryCode": "AU", "Referral_Program__c": "next-technik",
            "Referral_Partner__c": _id("001", number % self.partners), "Referral_Submitted_At__c": "2025-02-01T00:00:00.000+0000",
            "Referral_Channel__c": "portal", "Name": f"Jordan Example {number}", "Title": "Manager",
            "Email": f"jordan@{_host(2 * number)}", "Phone": "+61 2 5550 1234", "Mobile_Users__c": 5,
            "Referral_Industry__c": "energy", "IsConverted": False,
            "ConvertedAccountId": self.account(number) if number % 2 else None,
        }  # fmt: skip

    def Referral_Review__c(self, number: int) -> dict[str, Any]:
        return {"Referral__c": _id("00Q", number), "Reviewed_At__c": "2025-03-05T00:00:00.000+0000",
                "Outcome__c": "approved", "Reviewed_By__c": "Sam Reviewer", "Override__c": False}  # fmt: skip

    def Opportunity(self, number: int) -> dict[str, Any]:
        return {"AccountId": self.account(number), "Name": f"Deal {number}", "StageName": "Closed Won", "Amount": 12000.0,
                "CloseDate": "2025-03-01", "IsClosed": True, "IsWon": True, "Referral__c": _id("00Q", number)}  # fmt: skip

    def Contract(self, number: int) -> dict[str, Any]:
        return {"AccountId": self.account(number), "Referral__c": _id("00Q", number), "Contract_Kind__c": "saas",
                "Signed_On__c": SIGNED.isoformat(), "Commenced_On__c": "2025-03-02", "StartDate": "2025-03-02",
                "Contract_Value__c": 12000.0}  # fmt: skip

    def account(self, customer: int) -> str:
        """The id of a customer's account."""
        return _id("001", self.partners + 2 * customer)


def _host(number: int) -> str:
    return f"harbour{number}field.com.au"


def _company(number: int) -> dict[str, Any]:
    return {
        "Company": f"{_word(number)} {_word(number // 97 + 11)} {number} Pty Ltd",
        "Website": f"https://{_host(number)}",
    }


_WORDS = (
    "Harbour",
    "Summit",
    "Alder",
    "Field",
    "Cobalt",
    "Meridian",
    "Juniper",
    "Delta",
    "Quarry",
    "Lantern",
    "Orchard",
)


def _word(number: int) -> str:
    return _WORDS[number % len(_WORDS)] + _WORDS[number // 11 % len(_WORDS)].lower()


class Books:
    """The rows of the NetSuite account, by number; ids count from 1 within each kind, apart by the first digits."""

    SPANS: Mapping[str, int] = {"customer": 1, "CustInvc": 10_000_000, "CustPymt": 20_000_000}

    def __init__(self, customers: int, org: Org) -> None:
        self._org = org
        self.counts = {"customer": customers, "CustInvc": INVOICES * customers, "CustPymt": PAYMENTS * customers}

    def rows(self, kind: str, behind: int, limit: int) -> tuple[list[dict[str, Any]], bool]:
        """Rows behind an id, and whether there are more."""
        first = self.SPANS[kind]
        start = max(behind - first + 1, 0)
        end = min(start + limit, self.counts[kind])
        return [getattr(self, kind)(n, str(first + n)) for n in range(start, end)], end < self.counts[kind]

    def customer(self, n: int, identity: str) -> dict[str, Any]:
        return {"id": identity, "externalid": self._org.account(n), "companyname": _company(2 * n)["Company"],
                "entityid": f"C{n}", "isinactive": "F", **_moments(n)}  # fmt: skip

    def CustInvc(self, n: int, identity: str) -> dict[str, Any]:
        return {**_document(identity, n, self._day(n)), "entity": str(1 + n // INVOICES), "foreigntotal": "1210"}

    def CustPymt(self, n: int, identity: str) -> dict[str, Any]:
        return {**_document(identity, n, self._paid(n)), "entity": str(1 + n // PAYMENTS), "foreigntotal": "1210"}

    def lines(self, invoice: int) -> list[dict[str, Any]]:
        """Two lines and one of tax."""
        return [
            {"id": str(n), "transaction": str(invoice), "foreignamount": amount, "taxline": "T" if tax else "F",
             "itemtype": "TaxItem" if tax else "Service", **({} if tax else {"custcol_kind": "saas"})}
            for n, (amount, tax) in enumerate((("-900", False), ("-200", False), ("-110", True)), 1)
        ]  # fmt: skip

    def link(self, payment: int) -> dict[str, Any]:
        """What a payment pays: the first invoices of its customer."""
        n = payment - self.SPANS["CustPymt"]
        invoice = self.SPANS["CustInvc"] + n // PAYMENTS * INVOICES + n % PAYMENTS
        return {"nextdoc": str(payment), "nextline": "0", "previousdoc": str(invoice), "previousline": "0",
                "previoustype": "CustInvc", "foreignamount": "1210"}  # fmt: skip

    def _day(self, n: int) -> date:
        return SIGNED + timedelta(days=9 + 30 * (n % INVOICES))

    def _paid(self, n: int) -> date:
        return SIGNED + timedelta(days=18 + 30 * (n % PAYMENTS))


def _moments(n: int) -> dict[str, str]:
    stamp = (OLDEST + timedelta(seconds=n)).strftime("%Y-%m-%d %H:%M:%S")
    return {"lastmodifieddate": stamp, "datecreated": stamp, "createddate": stamp}


def _document(identity: str, n: int, day: date) -> dict[str, Any]:
    return {"id": identity, "trandate": day.isoformat(), "currency": "1", "voided": "F", **_moments(n)}


class _Server(FrontServer):
    """Answers what is about many rows; the rest is the empty simulator's behind it."""

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Said:
        """What the rows give, or the simulator."""
        import orjson

        found = self.rows(method, path, body)
        if found is not None:
            status, kind, content = 200, "application/json", orjson.dumps(found)
        else:
            status, given, content = self.passed_on(method, path, forwarded(headers), body)
            kind = given.get("Content-Type", "")
        return status, {"Date": format_datetime(NOW, usegmt=True), **({"Content-Type": kind} if kind else {})}, content

    def rows(self, method: str, path: str, body: bytes) -> Any:
        """The answer as JSON values, or ``None`` for what is not about rows."""
        raise NotImplementedError


class SalesforceServer(_Server):
    """Queries by page and by key, and collections of writes, which are kept and read again."""

    def __init__(self, simulator: Any, org: Org) -> None:
        super().__init__(simulator.url)
        self._org, self._asked = org, {}  # type: ignore[var-annotated]
        self._written: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}

    def rows(self, method: str, path: str, body: bytes) -> Any:
        import orjson

        parts = urlsplit(path)
        if method == "PATCH" and "/composite/sobjects" in parts.path:
            return self._write(parts.path, orjson.loads(body)["records"])
        if "/query" not in parts.path or "/jobs/" in parts.path:
            return None
        named = parts.path.rpartition("/rows-")[2].split("-")
        if len(named) == 2:
            return self._page(named[0], int(named[1]))
        query = parse_qs(parts.query)["q"][0]
        names, _, rest = query.removeprefix("SELECT ").partition(" FROM ")
        name = rest.partition(" ")[0]
        keys = KEYS.search(rest)
        if keys is not None:
            return self._by_key(name, names.split(","), keys[1], [k.strip("'") for k in keys[2].split(",")])
        self._asked[name] = [one.strip() for one in names.split(",")]
        if name not in self._org.counts or "SystemModstamp >=" in rest:
            return {"totalSize": 0, "done": True, "records": []}
        return self._page(name, 0)

    def _page(self, name: str, start: int) -> dict[str, Any]:
        count = self._org.counts[name]
        end = min(start + PAGE, count)
        found = [self._chosen(name, self._asked[name], self._org.row(name, n)) for n in range(start, end)]
        more = {"nextRecordsUrl": f"/services/data/v62.0/query/rows-{name}-{end}"} if end < count else {}
        return {"totalSize": count, "done": not more, "records": found, **more}

    def _by_key(self, name: str, names: list[str], column: str, keys: list[str]) -> dict[str, Any]:
        kept = self._written.get((name, column), {})
        rows = []
        for key in keys:
            held = kept.get(key)
            if column == "Id":
                rows.append({**self._org.row(name, int(key[3:15])), **(held or {})})
            elif held is not None:
                rows.append({**held, column: key})
        return {"totalSize": len(rows), "done": True, "records": [self._chosen(name, names, row) for row in rows]}

    def _chosen(self, name: str, names: list[str], row: dict[str, Any]) -> dict[str, Any]:
        return {"attributes": {"type": name}, **{one: row.get(one) for one in names if "." not in one}}

    def _write(self, path: str, records: list[dict[str, Any]]) -> list[dict[str, Any]]:
        column = path.partition("/composite/sobjects")[2].rpartition("/")[2] or "Id"
        done = []
        for record in records:
            name = record.pop("attributes")["type"]
            kept = self._written.setdefault((name, column), {})
            key = record.pop("id" if column == "Id" else column)
            is_new = column != "Id" and key not in kept
            row = kept.setdefault(key, {})
            if is_new:
                row |= {
                    "Id": _id("a01", len(kept)),
                    "SystemModstamp": _stamp(0),
                    "CreatedDate": _stamp(0),
                    "IsDeleted": False,
                }
            row |= record
            done.append({"id": row.get("Id", key), "success": True, "errors": [], "created": is_new})
        return done


class NetSuiteServer(_Server):
    """SuiteQL over documents, their lines and links."""

    def __init__(self, simulator: Any, books: Books) -> None:
        super().__init__(simulator.url)
        self._books = books

    def rows(self, method: str, path: str, body: bytes) -> Any:
        import orjson

        if not path.startswith("/services/rest/query/v1/suiteql"):
            return None
        asked = orjson.loads(body)
        text, params = asked["q"], asked.get("params", [])
        limit = int(parse_qs(urlsplit(path).query)["limit"][0])
        if "SYSDATE" in text:
            return _items([{"now": NOW.strftime("%Y-%m-%d %H:%M:%S")}])
        table = text.partition(" FROM ")[2].partition(" ")[0]
        if table == "currency":
            return _items([] if " > ?" in text else [{"id": "1", "symbol": "AUD"}])
        if table in ("transactionline", "nexttransactionlinelink"):
            return self._parts(table, text, params, limit)
        kind = params[0] if table == "transaction" else table
        if (
            kind not in self._books.counts
            or "IS NULL" in text
            or ">=" in text.partition(f"({table}")[0]
            and len(params) < 5
        ):
            return _items([])
        return _items(*self._books.rows(kind, int(params[-1]) if str(params[-1]).isdigit() else 0, limit))

    def _parts(self, table: str, text: str, params: list[Any], limit: int) -> Any:
        count = text.partition(" IN (")[2].partition(")")[0].count("?")
        ids = [int(one) for one in params[:count]]
        if table == "transactionline":
            rows = [line for invoice in ids for line in self._books.lines(invoice)]
            place = [(int(row["transaction"]), int(row["id"])) for row in rows]
        else:
            rows = [self._books.link(payment) for payment in ids]
            place = [(int(row["nextdoc"]), 0) for row in rows]
        after = params[count + 1 :]
        start = 0
        if after:
            at = (int(after[0]), int(after[3])) if table == "transactionline" else (int(after[0]), 0)
            start = sum(each <= at for each in place)
        return _items(rows[start : start + limit], start + limit < len(rows))


def _items(rows: list[dict[str, Any]], more: bool = False) -> dict[str, Any]:
    return {"items": rows, "hasMore": more, "count": len(rows), "offset": 0}


def serve(records: int) -> None:
    """Answer until the process is ended; prints the settings of both connections."""
    from connectors.registry import load

    customers = max(records // PER_CUSTOMER, 1)
    org = Org(customers)
    behind = [load(name).simulator(now=lambda: NOW) for name in ("salesforce", "netsuite")]  # type: ignore[misc]
    for simulator in behind:
        simulator.__enter__()
    servers = [SalesforceServer(behind[0], org), NetSuiteServer(behind[1], Books(customers, org))]
    settings = []
    for simulator, server in zip(behind, servers, strict=True):
        Thread(target=server.serve_forever, daemon=True).start()
        simulator.public_url = server.url
        found = simulator.settings()
        settings.append({**found, **({"url": server.url} if "url" in found else {"base_url": server.url})})
    print(json.dumps(settings), flush=True)
    sys.stdin.read()


class Steps:
    """What each step took: seconds, processor seconds, and the most memory while it lasted."""

    def __init__(self) -> None:
        self.done: list[dict[str, Any]] = []
        self._begin()

    def end(self, name: str, records: int) -> None:
        """The step so called ends here, the next begins."""
        wall, used = time.perf_counter() - self._wall, _used() - self._used
        step = {"step": name, "records": records, "seconds": wall, "processor": used, "megabytes": _peak()}
        self.done.append(step)
        print(json.dumps(step), file=sys.stderr, flush=True)
        self._begin()

    def _begin(self) -> None:
        self._wall, self._used = time.perf_counter(), _used()
        Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now


def _used() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _peak() -> float:
    """The most memory that this process held since its mark was set back, in MB."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def run(settings: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """Two syncs, the second with nothing new."""
    from jobs.config import load_settings
    from jobs.connections import open_connection
    from jobs.sync import sync
    from rules.program import load_program
    from sync.store import Store

    crm, books = settings
    file = folder / "referee.yaml"
    connections = {
        "crm": {"system": "salesforce", "settings": {**crm, "bulk_read_rows": None, "bulk_write_rows": None}},
        "books": {"system": "netsuite", "write": False, "settings": books},
    }
    file.write_text(
        json.dumps({"store": f"sqlite:///{folder}/bench.db", "programs": ["next-technik"], "connections": connections})
    )
    chosen = load_settings(file)
    store = Store.open(chosen.store_url)
    store.migrate()
    program = load_program("next-technik")
    steps = Steps()
    for again in ("", ", nothing new"):
        opened = [open_connection(chosen, name, store, lambda: NOW, lambda seconds: None) for name in connections]
        counts: dict[tuple[str, str], int] = {}

        def progress(name: str, page: Any, counts: dict[tuple[str, str], int] = counts) -> None:
            counts[name, page.kind] = page.records.new + page.records.unchanged

        pulled = iter(connections)

        def at(
            point: str, again: str = again, counts: dict[tuple[str, str], int] = counts, pulled: Iterator[str] = pulled
        ) -> None:
            if point == "before_complete":
                each = next(pulled)
                steps.end(f"pull {each}{again}", sum(n for (name, _), n in counts.items() if name == each))
            elif point == "after_settle":
                steps.end(f"settle{again}", sum(counts.values()))
            elif point == "after_enqueue":
                steps.end(f"plan{again}", 0)

        result = sync(store, [program], opened, lambda: NOW, allow="bench", progress=progress, crashpoint=at)
        if result.failed or result.refused:
            raise SystemExit(f"the sync failed: {result.failed or result.refused}")
        plan = result.plans["crm"]
        (sent,) = result.written["crm"]
        steps.done[-1]["records"] = len(plan.items)
        steps.end(f"apply{again}", sent.done)
        if sent.waiting or sent.dead:
            raise SystemExit(f"not all was written: {sent}")
        del result, plan, opened
    store.close()
    return steps.done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--folder", help="where the databases are kept (default: a temporary folder)")
    parser.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve)
        return
    if given.case:
        print(json.dumps(run(json.loads(given.case), Path(given.folder))))
        return
    found = []
    for records in given.records:
        command = [sys.executable, __file__, "--serve", str(records)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert server.stdout is not None
        try:
            with tempfile.TemporaryDirectory(dir=given.folder) as folder:
                case = [sys.executable, __file__, "--case", server.stdout.readline(), "--folder", folder]
                done = subprocess.run(case, stdout=subprocess.PIPE, text=True, check=True)
            found.append(json.loads(done.stdout.splitlines()[-1]))
        finally:
            server.kill()
    first = found[0]
    for records, steps in zip(given.records, found, strict=True):
        print(f"\n{records:,} records")
        print(f"{'step':24} {'records':>10} {'records/s':>10} {'CPU µs':>8} {'peak MB':>8} {'of the first':>13}")
        for one, step in zip(first, steps, strict=True):
            count = max(step["records"], 1)
            print(
                f"{step['step']:24} {step['records']:10,} {count / step['seconds']:10,.0f} "
                f"{1e6 * step['processor'] / count:8.1f} {step['megabytes']:8.0f} {step['megabytes'] / one['megabytes']:13.2f}"
            )


if __name__ == "__main__":
    main()
