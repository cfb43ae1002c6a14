"""Where keys and reasons of commissions stand: attachments of the agent, since the commission has no text field.

An attachment is named by the key, links to the commission and holds the reason. It is made before the commission, so
that one whose answer was lost is found again: it is ours, of that agent, not older than the attachment, and linked by none.
So is a commission that a network had made twice of one request: it equals one that is linked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from connectors.tryton.rpc import Rpc
from connectors.tryton.values import instant_of, plain

AGENT = "commission.agent,"
COMMISSION = "commission,"
DOUBLED_WITHIN = timedelta(days=2)
"""A second copy of a request that a network delivers later than this is not looked for."""
_SAME = ("agent", "product", "base_amount", "amount")
"""What two commissions of one request have in common, whatever has become of the first one since."""
_FIELDS = ("name", "link", "description", "resource", "create_date")


@dataclass(frozen=True, slots=True)
class Entry:
    """One attachment; ``commission`` is ``None`` while its commission is not known to exist."""

    id: int
    key: str
    agent: int
    commission: int | None
    reason: str | None
    created_at: str | None


class Register:
    """The attachments of all agents that this connection may see. ``user`` is our login."""

    def __init__(self, rpc: Rpc, user: str) -> None:
        self._rpc = rpc
        self._user = user

    def by_keys(self, keys: Sequence[str]) -> dict[str, Entry]:
        """The entries of these keys; of several with one key that which has a commission, else the oldest."""
        entries = list(self._read(self._agents(), ["name", "in", list(dict.fromkeys(keys))]))
        linked = [entry.commission for entry in entries if entry.commission is not None]
        there = set()
        for start in range(0, len(linked), self._rpc.page_size):
            few = linked[start : start + self._rpc.page_size]
            there |= set(self._rpc.call("commission", "search", [["id", "in", few]], 0, len(few), None))
        found: dict[str, Entry] = {}
        for entry in entries:
            if entry.commission not in there:
                entry = replace(entry, commission=None)  # deleted meanwhile, or not made yet
            earlier = found.get(entry.key)
            if earlier is None or (earlier.commission is None and entry.commission is not None):
                found[entry.key] = entry
        return found

    def of(self, commissions: Mapping[int, int]) -> dict[int, tuple[str, str | None]]:
        """Key and reason of commissions (their id and their agent's)."""
        links = ["link", "in", [f"{COMMISSION}{number}" for number in commissions]]
        entries = self._read(sorted(set(commissions.values())), links)
        return {entry.commission: (entry.key, entry.reason) for entry in entries if entry.commission is not None}

    def open(self, key: str, agent: int) -> Entry:
        """Note that a commission is about to be made."""
        values = {"name": key, "type": "link", "resource": f"{AGENT}{agent}"}
        [number] = self._rpc.call("ir.attachment", "create", [values], idempotent=False)
        return Entry(number, key, agent, None, None, None)

    def link(self, entry: Entry, commission: int, reason: str | None) -> None:
        """Note that the commission is made, and why."""
        values = {"link": f"{COMMISSION}{commission}", "description": reason}
        self._rpc.call("ir.attachment", "write", [entry.id], values)

    def orphan(self, entry: Entry) -> int | None:
        """A commission that was made for an entry without its answer having arrived."""
        domain = [
            ["agent", "=", entry.agent],
            ["create_uid.login", "=", self._user],
            ["create_date", ">=", instant_of(entry.created_at)],
        ]
        after = 0
        while True:
            made = self._rpc.search_read(
                "commission", [*domain, ["id", ">", after]], self._rpc.page_size, [("id", "ASC")], ["id"]
            )
            taken = self.of({row["id"]: entry.agent for row in made})
            if orphans := [int(row["id"]) for row in made if row["id"] not in taken]:
                return orphans[0]
            if len(made) < self._rpc.page_size:
                return None
            after = made[-1]["id"]

    def doubled(self) -> dict[int, Entry]:
        """Commissions of the last days that stand beside one that is linked, with that one's entry.

        An agent with an entry whose commission is not known waits: what is loose may be that one.
        """
        since = self._rpc.now() - DOUBLED_WITHIN
        ours = [["create_uid.login", "=", self._user], ["create_date", ">=", since]]
        made = {int(row["id"]): row for row in self._pages("commission", ours, (*_SAME, "create_date"))}
        taken = self.of({number: int(row["agent"]) for number, row in made.items()})
        loose = {number: row for number, row in made.items() if number not in taken}
        if not loose:
            return {}
        agents = sorted({int(row["agent"]) for row in loose.values()})
        entries = list(self._read(agents, ["create_date", ">=", since - DOUBLED_WITHIN]))
        settled = {entry.key for entry in entries if entry.commission is not None}
        waiting = {entry.agent for entry in entries if entry.key not in settled}
        links = [entry.commission for entry in entries if entry.commission is not None]
        kept = {int(row["id"]): row for row in self._pages("commission", [["id", "in", links]], _SAME)}
        found = {}
        for number, row in loose.items():
            twins = [
                entry
                for entry in entries
                if entry.commission in kept and all(kept[entry.commission][name] == row[name] for name in _SAME)
            ]
            if twins and row["agent"] not in waiting:
                found[number] = twins[-1]
        return found

    def _pages(self, model: str, domain: Sequence[Any], fields: Sequence[str]) -> Iterable[Mapping[str, Any]]:
        after, more = 0, True
        while more:
            order = [("id", "ASC")]
            rows = self._rpc.search_read(
                model, [*domain, ["id", ">", after]], self._rpc.page_size, order, ["id", *fields]
            )
            yield from map(plain, rows)
            more = len(rows) == self._rpc.page_size
            after = rows[-1]["id"] if rows else after

    def _agents(self) -> list[int]:
        return [int(row["id"]) for row in self._pages("commission.agent", [], [])]

    def _read(self, agents: Sequence[int], condition: Sequence[Any]) -> Iterable[Entry]:
        for start in range(0, len(agents), self._rpc.page_size):
            few = [f"{AGENT}{number}" for number in agents[start : start + self._rpc.page_size]]
            # Attachments may be searched by their resource only: all agents, rather than all attachments.
            yield from map(_entry, self._pages("ir.attachment", [["resource", "in", few], condition], _FIELDS))


def _entry(row: Mapping[str, Any]) -> Entry:
    link = str(row["link"] or "")
    commission = int(link.removeprefix(COMMISSION)) if link.startswith(COMMISSION) else None
    agent = int(str(row["resource"]).removeprefix(AGENT))
    return Entry(row["id"], row["name"], agent, commission, row["description"], row["create_date"])
