"""A process that pulls a small, always equal system, and kills itself where it is told to.

POINT is a crash point of ``sync.pull`` or ``statement`` (before the COUNTth statement of SQL), or ``never``.
"""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import event

from connectors.base import Description, Field
from connectors.memory.connector import MemoryConfig, MemoryConnector
from connectors.memory.system import MemorySystem
from sync.mapping import load_mapping
from sync.pull import pull
from sync.store import Store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAPPING = """
system: memory
objects:
  - object: Customer
    record: account
    fields: {name: {field: Name, required: true}}
  - object: Person
    record: contact
    fields:
      account: {lookup: {field: Customer, object: Customer, get: Code}, required: true}
      name: Name
"""


def system() -> MemorySystem:
    fields = {"Customer": ("Name", "Code"), "Person": ("Customer", "Name")}
    described = {
        kind: Description(kind, kind, {n: Field(n, n, "string") for n in names}) for kind, names in fields.items()
    }
    made = MemorySystem(described, lambda: NOW)
    for number in range(40):
        name = None if number % 10 == 0 else f"customer {number}"
        customer = made.create("Customer", {"Name": name, "Code": f"C{number}"})
        made.create("Person", {"Customer": customer if number % 7 else "nobody", "Name": f"person {number}"})
        if number % 13 == 5:
            made.delete("Customer", customer)
    return made


def pull_until(url: str, point: str, count: int) -> None:
    """Pull into the store at ``url``."""
    left = {point: count}

    def step(name: str) -> None:
        if name in left:
            left[name] -= 1
            if left[name] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    store = Store.open(url)

    @event.listens_for(store.engine, "before_cursor_execute")
    def _statement(*_: Any) -> None:
        step("statement")

    reader = MemoryConnector(MemoryConfig(page_size=3), system())
    mapping = load_mapping("mapping.yaml", MAPPING)
    pull(store, "crm", reader, mapping, now=lambda: NOW, run_id=1, crashpoint=step)
