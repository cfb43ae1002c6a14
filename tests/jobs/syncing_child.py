"""Forks a process for each order on standard input; it syncs an installation and kills itself where it is told to.

An order is a line of JSON: the settings file, the instant that its clock shows, and where to die: at the count-th crash
point of a name (``statement``: of SQL), or after so many seconds. An order with ``arguments`` runs that ``referee``
command instead. The answers are the process id and, once it has ended, its exit status (negative: the signal).
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from datetime import datetime
from pathlib import Path
from typing import Any

import time_machine
from sqlalchemy import event

from jobs import cli
from jobs.installation import installation
from jobs.sync import sync as run_sync

# Imported here, once, rather than in every fork.
for _name in ("check", "explain", "ledger", "letters", "remap", "reports", "status"):
    importlib.import_module(f"jobs.{_name}")
for _name in ("connectors.netsuite.connector", "connectors.salesforce.connector", "sync.migrate"):
    importlib.import_module(_name)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def work(order: dict[str, Any]) -> int:
    """Sync once, or die on the way; 1 when something failed, 2 when another run held a connection."""
    now = datetime.fromisoformat(order["now"])
    left = {order["point"]: order["count"]}

    def step(name: str) -> None:
        if name in left:
            left[name] -= 1
            if left[name] == 0:
                die()

    if order["seconds"] is not None:
        watch = threading.Timer(order["seconds"], die)
        watch.daemon = True
        watch.start()
    with installation(Path(order["config"]), clock=lambda: now, sleep=lambda _seconds: None) as here:
        event.listen(here.store.engine, "before_cursor_execute", lambda *_: step("statement"))
        result = run_sync(here.store, here.programs, here.open(), here.clock, crashpoint=step)
    for reason in result.failed:
        print(reason, file=sys.stderr)
    return 1 if result.failed else 2 if result.busy else 0


def command(order: dict[str, Any]) -> int:
    """Run a command of ``referee`` with its output going to files; returns its exit code."""
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(Path(order["config"]).with_name(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    sys.argv = ["referee", *order["arguments"], "--config", order["config"]]
    code = 0
    with time_machine.travel(datetime.fromisoformat(order["now"])):
        try:
            cli.main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            order, code = json.loads(line), 70
            try:
                code = command(order) if "arguments" in order else work(order)
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(code)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
