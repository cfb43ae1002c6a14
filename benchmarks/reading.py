"""How fast each connector reads, beside a bare client that sends the same requests, and what it costs in API calls.

    python benchmarks/reading.py [--companies 3000] [--systems salesforce,netsuite,hubspot]

The first read of everything that the shipped mapping names goes to the simulator once, through a recorder. Then a server
of its own gives the recorded answers to two processes: ``bare`` (requests + orjson, the same requests in the same order,
answers parsed and dropped) and ours (connector, mapping, versions, facts and cursor, into a SQLite file).
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

from servers import AnsweringServer, FrontServer, Said, forwarded

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
Exchange = tuple[str, str, dict[str, str], bytes, int, dict[str, str], bytes]
"""Method, path and query, headers and body of a request; status, headers and body of its answer."""
KEPT = ("Content-Type", "Date", "Sforce-Limit-Info", "X-HubSpot-RateLimit-Remaining")


def _key(method: str, path: str, body: bytes) -> tuple[str, str, bytes]:
    """What a request is known by; a login's body holds the time."""
    return method, path, b"" if "/token" in path else body


class _Recorder(FrontServer):
    """Passes requests on to a simulator and keeps what was said."""

    def __init__(self, behind: str) -> None:
        super().__init__(behind)
        self.said: list[Exchange] = []

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Said:
        """The simulator's answer."""
        sent = forwarded(headers)
        status, given, content = self.passed_on(method, path, sent, body)
        kept = {name: given[name] for name in KEPT if name in given}
        self.said.append((method, path, sent, body, status, kept, content))
        return status, kept, content


class _Replayer(AnsweringServer):
    """Gives the recorded answers."""

    def __init__(self, port: int, said: list[Exchange]) -> None:
        self._answers = {_key(one[0], one[1], one[3]): one[4:] for one in said}
        super().__init__(port)

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Said:
        """The recorded answer, or an error that says what was not recorded."""
        found = self._answers.get(_key(method, path, body))
        return found or (501, {}, f"not recorded: {method} {path}".encode())


def _pull(system: str, settings: dict[str, Any], folder: str) -> dict[str, float]:
    """Everything that the shipped mapping reads, into a store of its own."""
    from connectors.registry import load
    from sync.mapping import load_mapping
    from sync.pull import pull
    from sync.store import Store

    plugin = load(system)
    assert plugin.mapping is not None
    mapping = load_mapping(plugin.mapping)
    store = Store.open(f"sqlite:///{folder}/bench.db")
    store.migrate()
    connector = plugin.connect(plugin.config.model_validate(settings), clock=lambda: NOW)
    run_id = store.start_run("pull", "bench", at=NOW)
    begin, processor = time.perf_counter(), time.process_time()
    result = pull(store, "bench", connector, mapping, now=lambda: NOW, run_id=run_id)
    taken, used = time.perf_counter() - begin, time.process_time() - processor
    store.close()
    if result.state != "ok":
        raise SystemExit(f"{system}: the pull was {result.state}: {result.counts()}")
    records = result.records.new + result.records.changed + result.records.unchanged
    return {"seconds": taken, "processor": used, "records": records, "calls": result.calls}


def _bare(url: str, said: list[Exchange]) -> dict[str, float]:
    """The same requests, and nothing kept of their answers."""
    import orjson
    import requests

    session = requests.Session()
    begin, processor = time.perf_counter(), time.process_time()
    for method, path, headers, body, *_ in said:
        orjson.loads(session.request(method, url + path, headers=headers, data=body).content or b"null")
    return {"seconds": time.perf_counter() - begin, "processor": time.process_time() - processor}


def record(system: str, companies: int) -> tuple[int, dict[str, Any], list[Exchange]]:
    """Fill a simulator, read it once through the recorder: its port, the settings, what was said."""
    from connectors.registry import load

    plugin = load(system)
    assert plugin.simulator is not None
    simulator = plugin.simulator(now=lambda: NOW - timedelta(hours=1))
    if system == "hubspot":
        simulator.limits.burst = simulator.limits.searches = None  # the clock stands still
    simulator.seed(1, companies)
    simulator.now = lambda: NOW
    with simulator, tempfile.TemporaryDirectory() as folder, _Recorder(simulator.url) as recorder:
        Thread(target=recorder.serve_forever, daemon=True).start()
        simulator.public_url = recorder.url
        _pull(system, settings := simulator.settings(), folder)
        recorder.shutdown()
        return recorder.server_address[1], settings, recorder.said


def _child(case: str, system: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--case", case, "--systems", system, "--recording", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{system}, {case}: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--companies", type=int, default=3000)
    parser.add_argument("--systems", default="salesforce,netsuite,hubspot")
    parser.add_argument("--case", choices=("bare", "ours", "serve"), help=argparse.SUPPRESS)
    parser.add_argument("--recording", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case:
        port, settings, said = pickle.loads(given.recording.read_bytes())  # written by this program a moment ago
        if given.case == "serve":
            with _Replayer(port, said) as server:
                print("ready", flush=True)
                server.serve_forever()
        if given.case == "bare":
            figures = _bare(f"http://127.0.0.1:{port}", said)
        else:
            with tempfile.TemporaryDirectory() as folder:
                figures = _pull(given.systems, settings, folder)
        figures["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(figures))
        return
    print(
        f"{'system':11} {'records':>8} {'records/s':>10} {'of bare':>8} {'CPU µs':>7} {'peak MB':>8} {'calls/1,000':>12}"
    )
    for system in given.systems.split(","):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "recording"
            file.write_bytes(pickle.dumps(record(system, given.companies)))
            server = subprocess.Popen(
                [sys.executable, __file__, "--case", "serve", "--recording", str(file)],
                stdout=subprocess.PIPE,
                text=True,
            )
            try:
                assert server.stdout is not None and server.stdout.readline()
                bare, ours = _child("bare", system, file), _child("ours", system, file)
            finally:
                server.kill()
        records = ours["records"]
        print(
            f"{system:11} {records:8,.0f} {records / ours['seconds']:10,.0f} {bare['seconds'] / ours['seconds']:8.2f} "
            f"{1e6 * ours['processor'] / records:7.1f} {ours['megabytes']:8.0f} {1000 * ours['calls'] / records:12.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
