"""An installation on a folder beside two simulated systems in which people act; the clock moves only when a test moves it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from sqlalchemy import text

from connectors.registry import load
from connectors.simulation import SimRequest
from jobs.config import load_settings
from jobs.demo_story import World, story
from jobs.installation import Installation, installation
from jobs.stored import stored_outcome
from jobs.sync import Synced, sync
from rules.program import load_program
from sync.outbox import Outbox
from sync.store import Store
from tests.sync.empty_store import empty_store

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("syncing_child.py")


@dataclass
class Office:
    """One vendor's Salesforce and NetSuite, and its installation of Referee."""

    world: World
    folder: Path
    here: Installation
    waits: list[float] = field(default_factory=list)
    day: int = 0

    @property
    def config(self) -> Path:
        return self.folder / "referee.yaml"

    @property
    def requests(self) -> int:
        """Requests that both systems have received."""
        return int(self.world.crm.total_requests + self.world.erp.total_requests)

    def sync(self, **options: Any) -> Synced:
        """One sync of every connection, opened anew as each command does."""
        return sync(self.here.store, self.here.programs, self.here.open(), self.here.clock, **options)

    def morning(self, day: int) -> None:
        """Let people do what the story says, up to and including this day, and half an hour pass."""
        for act_day, act in story():
            if self.day <= act_day <= day:
                start = act_day * timedelta(days=1)
                self.world.moment = max(self.world.moment, World(None, None).moment + start)
                act(self.world)
                self.world.moment += timedelta(minutes=1)
        self.day = day + 1
        self.world.moment += timedelta(minutes=30)

    def later(self, **time: float) -> None:
        """Let time pass."""
        self.world.moment += timedelta(**time)

    def change_mapping(self, before: str, after: str) -> None:
        """Give the Salesforce connection a mapping of its own: the shipped one with some text replaced."""
        shipped = load("salesforce").mapping
        assert shipped is not None
        lines = Path(shipped).read_text("utf-8")
        assert before in lines
        (self.folder / "crm.yaml").write_text(lines.replace(before, after), "utf-8")
        yaml = YAML()
        body = yaml.load(self.config.read_text("utf-8"))
        body["connections"]["crm"]["mapping"] = "crm.yaml"
        with self.config.open("w", encoding="utf-8") as out:
            yaml.dump(body, out)
        self.here.settings = load_settings(self.config)

    def journals(self) -> list[tuple[str, ...]]:
        """What both systems carried out for us, without the order (and so without the ids that NetSuite gave by it)."""
        return sorted(
            (name, write.object, write.key or write.external_id, write.action, str(sorted(write.fields.items())))
            for name, system in (("crm", self.world.crm), ("erp", self.world.erp))
            for write in system.journal.writes()
        )

    def waiting(self) -> int:
        """Writes that are still to be sent."""
        counts = [Outbox(self.here.store).counts(name) for name in ("crm", "erp")]
        return sum(count.get("pending", 0) + count.get("attempted", 0) for count in counts)

    def dump(self) -> dict[str, list[tuple[Any, ...]]]:
        """What the store holds, without the numbers of rows and runs."""
        return dump(self.here.store)

    def doubled(self) -> int:
        """Writes too many: records created twice for a key, and updates that repeat the one before."""
        twice = 0
        last: dict[tuple[Any, str], Any] = {}
        for name, system in (("crm", self.world.crm), ("erp", self.world.erp)):
            twice += sum(count - 1 for count in system.journal.count_by_key().values())
            for write in system.journal.writes():
                place = (name, write.object, write.external_id)
                changed = {key: value for key, value in write.fields.items() if last.get((place, key), "?") != value}
                twice += not changed
                last.update({(place, key): value for key, value in write.fields.items()})
        return twice


def outcome(place: Office) -> dict[str, Any]:
    """What the store holds as settled, as of now."""
    here = place.here
    with here.store.reading() as db:
        return stored_outcome(db, here.programs, {p.id: p.calendar.date_of(here.clock()) for p in here.programs})


@contextmanager
def office(folder: Path, **settings: Any) -> Iterator[Office]:
    """An office with empty systems; ``settings`` go into the Salesforce connection's own settings."""
    world = World(None, None)
    crm, erp = load("salesforce"), load("netsuite")
    assert crm.simulator is not None and erp.simulator is not None
    folder.mkdir(parents=True, exist_ok=True)
    with crm.simulator(now=world.now) as world.crm, erp.simulator(now=world.now) as world.erp:
        made = Office(world, folder, None)  # type: ignore[arg-type]
        write_settings(made, settings)
        empty_store(folder / "referee.db")
        with installation(made.config, clock=world.now, sleep=made.waits.append) as made.here:
            yield made
    assert world.crm.crashes == [] and world.erp.crashes == []


def write_settings(made: Office, crm: dict[str, Any], **connection: Any) -> None:
    """Write the settings file; ``connection`` are keys of the Salesforce connection beside its own settings."""
    program = load_program("next-technik", {"claim_expiry": "P45D"})
    (made.folder / "next-technik.json").write_text(program.model_dump_json())
    body = {
        "store": "sqlite:///referee.db",
        "programs": ["next-technik.json"],
        "log": {"level": "error"},
        "connections": {
            "crm": {"system": "salesforce", **connection, "settings": {**made.world.crm.settings(), **crm}},
            "erp": {"system": "netsuite", "settings": made.world.erp.settings()},
        },
    }
    with made.config.open("w", encoding="utf-8") as out:
        YAML().dump(body, out)


def writes(request: SimRequest) -> bool:
    """Whether a request changes records."""
    return request.method in ("POST", "PATCH", "PUT", "DELETE") and not (
        any(part in request.path for part in ("/oauth2/", "/suiteql")) or request.path.endswith("/composite")
    )


CONTENT = {
    # Of a finished read the next one needs its end; what it covered says how often we ran.
    "streams": """SELECT connection, kind, cursor, json_remove(watermark, '$.low', '$.at'), reading, complete, query_hash,
        mapping_hash FROM stream""",
    "records": """SELECT s.connection, s.kind, r.external_id, v.seq, v.payload, v.deleted, v.merged_into, r.facts
        FROM record r JOIN stream s ON s.id = r.stream_id JOIN record_version v ON v.id = r.version_id""",
    "record versions": """SELECT s.connection, s.kind, v.external_id, v.seq, v.version, v.payload, v.deleted
        FROM record_version v JOIN stream s ON s.id = v.stream_id""",
    "facts": "SELECT type, fact_id, seq, known_at, body, deleted FROM fact",
    "current facts": "SELECT h.type, h.fact_id, f.body FROM fact_head h JOIN fact f ON f.id = h.row_id",
    "quarantine": "SELECT s.kind, q.external_id, q.seq, q.code, q.field, q.state FROM quarantine q JOIN stream s ON s.id = q.stream_id",
    "journal": "SELECT seq, program, kind, subject, body, hash FROM journal",
    "entries": "SELECT * FROM entry_head",
    "statements": "SELECT * FROM statement_head",
    "outcome": "SELECT * FROM outcome_row",
    "prospects": "SELECT * FROM prospect",
    "ties": "SELECT * FROM tie",
    "book": "SELECT program, terms, as_of FROM book",
    "outbox": "SELECT connection, object, key_field, key, action, payload, state FROM intent",
    # A plan over a record that is there also notes which of its fields both sides hold empty.
    "agreed": "SELECT connection, object, key_field, key, json_patch('{}', fields) FROM agreed",
}


def dump(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    """What a store holds, table by table, in an order of its own."""
    with store.reading() as db:
        return {
            name: sorted((tuple(row) for row in db.execute(text(query))), key=repr) for name, query in CONTENT.items()
        }


def differences(found: dict[str, list[Any]], wanted: dict[str, list[Any]]) -> str:
    """Rows that are missing (-) and rows that are too many (+), table by table; empty when there are none."""
    lines = []
    for name in wanted:
        lines += [f"- {name}: {row}" for row in wanted[name] if row not in found[name]]
        lines += [f"+ {name}: {row}" for row in found[name] if row not in wanted[name]]
    return "\n".join(lines)


@dataclass(frozen=True)
class Ran:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Killable:
    """Processes that sync an office and die where they are told to: forked from one that has imported everything."""

    def __init__(self) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, str(CHILD)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        self.pid = 0

    def start(self, place: Office, point: str = "never", count: int = 1, seconds: float | None = None) -> None:
        """Begin a sync that kills itself at the count-th ``point``, or after so many seconds."""
        self._order(place, point=point, count=count, seconds=seconds)

    def _order(self, place: Office, **what: Any) -> None:
        order = {"config": str(place.config), "now": place.world.moment.isoformat(), **what}
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        self.pid = int(self._parent.stdout.readline())

    def status(self) -> int:
        """How the process ended: 0, 1 (something failed), 2 (another run held a connection) or less: the signal."""
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())

    def wait(self) -> bool:
        """Whether the process was killed; raises when it ended otherwise than whole or killed."""
        status = self.status()
        assert status in (0, -signal.SIGKILL), f"the child ended with {status}"
        return status != 0

    def referee(self, place: Office, *arguments: str) -> Ran:
        """Run a command of ``referee`` at the office's time."""
        self._order(place, arguments=arguments)
        code = self.status()
        return Ran(code, (place.folder / "out").read_text("utf-8"), (place.folder / "err").read_text("utf-8"))

    def run(self, place: Office, point: str = "never", count: int = 1, seconds: float | None = None) -> bool:
        """:meth:`start` and :meth:`wait`."""
        self.start(place, point, count, seconds)
        return self.wait()

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        assert self._parent.wait(timeout=60) == 0


@contextmanager
def killable() -> Iterator[Killable]:
    """Processes to kill; ended with the block."""
    made = Killable()
    try:
        yield made
    finally:
        made.close()


def counting(into: dict[str, int]) -> Callable[[str], None]:
    """A crash point that only counts."""

    def step(name: str) -> None:
        into[name] = into.get(name, 0) + 1

    return step
