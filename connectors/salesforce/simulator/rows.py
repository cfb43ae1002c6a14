"""The rows of the simulated org: ids, stamps, commits that come late, deletes, merges, lead conversion.

Stamps are whole seconds, so ties are normal. A change can be stamped now and become visible later
(``commit_delay_seconds``), as a long transaction does: that is what a reader's lag and overlap are for.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from connectors.salesforce.ids import full_id
from connectors.salesforce.simulator.numbering import new_ids
from connectors.salesforce.simulator.objects import CLOSED_LOST, CLOSED_WON
from connectors.salesforce.simulator.schema import FieldSpec, ObjectSpec
from connectors.salesforce.simulator.values import Row, coerced, stamp_of

_Commit = tuple[datetime, int, str, str, Row]


class NotThere(Exception):
    """No such row (or it is deleted)."""


class Rows:
    """All rows of one org, by object and id."""

    def __init__(
        self,
        objects: Mapping[str, ObjectSpec],
        now: Callable[[], datetime],
        happened: Callable[[str, str, str], None],
    ) -> None:
        self.objects = objects
        self.now = now
        self._happened = happened
        self.commit_delay_seconds = 0.0
        self._tables: dict[str, dict[str, Row]] = {name: {} for name in objects}
        self._ids: dict[str, Iterator[str]] = {name: new_ids(spec.prefix) for name, spec in objects.items()}
        self._by_prefix = {spec.prefix: name for name, spec in objects.items()}
        self._numbers: dict[str, int] = dict.fromkeys(objects, 0)
        self._sorted: dict[str, list[Row]] = {}
        self._keys: dict[tuple[str, str], dict[str, set[str]]] = {
            (spec.name, field.name): {}
            for spec in objects.values()
            for field in spec.fields.values()
            if field.external_id
        }
        self._pending: list[_Commit] = []
        self._count = 0
        self.user_id = ""
        self.user_id = self.insert(
            "User", {"Username": "integration@org.example", "LastName": "Integration", "IsActive": True}
        )

    # -- reading

    def object_of(self, record_id: str) -> str | None:
        """The object that an id belongs to, by its prefix."""
        return self._by_prefix.get(record_id[:3])

    def table(self, name: str) -> dict[str, Row]:
        """Visible rows of an object by id, deleted ones too."""
        self.commit_due()
        return self._tables[name]

    def find(self, name: str, record_id: str) -> Row | None:
        """The visible row with this 15- or 18-character id, deleted ones too."""
        complete = full_id(record_id)
        return self.table(name).get(complete) if complete else None

    def live(self, name: str, record_id: str) -> Row:
        """The row, not deleted. Raises: :class:`NotThere`."""
        row = self.find(name, record_id)
        if row is None or row["IsDeleted"]:
            raise NotThere(record_id)
        return row

    def by_key(self, name: str, field: str, value: str) -> list[Row]:
        """Live rows with this external id."""
        self.commit_due()
        spec = self.objects[name].fields[field]
        ids = self._keys[name, field].get(value if spec.case_sensitive else value.lower(), set())
        table = self._tables[name]
        return [row for row in (table[record_id] for record_id in sorted(ids)) if not row["IsDeleted"]]

    def in_stamp_order(self, name: str) -> list[Row]:
        """All rows by (SystemModstamp, Id); kept between queries."""
        self.commit_due()
        rows = self._sorted.get(name)
        if rows is None:
            rows = sorted(self._tables[name].values(), key=lambda row: (row["SystemModstamp"], row["Id"]))
            self._sorted[name] = rows
        return rows

    # -- changing

    def insert(self, name: str, fields: Mapping[str, Any], *, by: str | None = None, delay: bool = True) -> str:
        """Add a row and return its id; values are checked for type and length, not for permissions."""
        spec = self.objects[name]
        stamp, user = stamp_of(self.now()), by or self.user_id
        row: Row = {
            "Id": next(self._ids[name]), "IsDeleted": False, "CreatedDate": stamp, "CreatedById": user,
            "LastModifiedDate": stamp, "LastModifiedById": user, "SystemModstamp": stamp,
        }  # fmt: skip
        if "OwnerId" in spec.fields:
            row["OwnerId"] = user
        for field in spec.fields.values():
            if field.default is not None and field.name not in row:
                row[field.name] = field.default
        row |= self._coerced(name, fields)
        self._numbers[name] += 1
        self._numbered(name, row)
        return self._commit(name, row["Id"], row, delay)

    def update(
        self, name: str, record_id: str, fields: Mapping[str, Any], *, by: str | None = None, delay: bool = True
    ) -> None:
        """Change fields of a live row. Raises: :class:`NotThere`."""
        row = self.live(name, record_id)
        self._commit(name, row["Id"], self._coerced(name, fields) | self._touched(by), delay)

    def delete(self, name: str, record_id: str, *, by: str | None = None, delay: bool = True) -> None:
        """Move a row to the bin. Raises: :class:`NotThere`."""
        row = self.live(name, record_id)
        self._commit(name, row["Id"], {"IsDeleted": True} | self._touched(by), delay)

    def undelete(self, name: str, record_id: str) -> None:
        """Take a row out of the bin. Raises: :class:`NotThere` when it is not there."""
        row = self.find(name, record_id)
        if row is None or not row["IsDeleted"]:
            raise NotThere(record_id)
        changes: Row = {"IsDeleted": False} | self._touched(None)
        if self.objects[name].mergeable:
            changes["MasterRecordId"] = None
        self._commit(name, row["Id"], changes, True)

    def purge(self, name: str, record_id: str) -> None:
        """Empty the row from the bin: it is gone without a trace."""
        row = self._tables[name].pop(record_id)
        self._index(name, row, remove=True)
        self._sorted.pop(name, None)

    def merge(self, winner: str, loser: str) -> None:
        """Merge two rows of one object: the loser is deleted and names its master; its children move."""
        name = self.object_of(winner)
        if name is None or name != self.object_of(loser) or not self.objects[name].mergeable:
            raise ValueError("only two accounts, contacts or leads can be merged")
        self.live(name, winner)
        self.live(name, loser)
        self._commit(name, loser, {"IsDeleted": True, "MasterRecordId": winner} | self._touched(None), True)
        for child in self.objects.values():
            links = [f.name for f in child.fields.values() if name in f.references and f.updateable]
            for row in list(self._tables[child.name].values()):
                moved = {link: winner for link in links if row.get(link) == loser}
                if moved and not row["IsDeleted"]:
                    self._commit(child.name, row["Id"], moved | self._touched(None), True)

    def convert_lead(
        self, lead_id: str, account_id: str | None = None, opportunity: Mapping[str, Any] | None = None
    ) -> tuple[str, str, str | None]:
        """Convert a lead: (account, contact, opportunity or ``None``); the account is made unless given."""
        lead = self.live("Lead", lead_id)
        if account_id is None:
            website = lead.get("Website")
            account_id = self.insert("Account", {"Name": lead["Company"], "Website": website}, delay=False)
        names = {key: lead.get(key) for key in ("FirstName", "LastName", "Email", "Phone", "Title")}
        contact_id = self.insert("Contact", {"AccountId": account_id, **names}, delay=False)
        opportunity_id = None
        if opportunity is not None:
            filled = {"Name": f"{lead['Company']}-", "StageName": "Qualification", "AccountId": account_id}
            opportunity_id = self.insert("Opportunity", {**filled, **opportunity}, delay=False)
        self._commit(
            "Lead",
            lead["Id"],
            {
                "IsConverted": True, "Status": "Closed - Converted", "ConvertedDate": self.now().date().isoformat(),
                "ConvertedAccountId": account_id, "ConvertedContactId": contact_id,
                "ConvertedOpportunityId": opportunity_id, **self._touched(None),
            },
            True,
        )  # fmt: skip
        return account_id, contact_id, opportunity_id

    def commit_due(self) -> None:
        """Make visible what has been committed by now."""
        while self._pending and self._pending[0][0] <= self.now():
            _, _, name, record_id, changes = heapq.heappop(self._pending)
            self._apply(name, record_id, changes)

    def commit_all(self, name: str, record_id: str) -> None:
        """Make one row's own pending changes visible (a writer waits for the row's lock)."""
        for commit in sorted(item for item in self._pending if item[2:4] == (name, record_id)):
            self._pending.remove(commit)
            self._apply(name, record_id, commit[4])
        heapq.heapify(self._pending)

    def add_field(self, name: str, field: FieldSpec) -> None:
        """Give an object one more field."""
        spec = self.objects[name]
        spec.fields[field.name] = field
        spec.folded[field.name.lower()] = field.name
        if field.external_id:
            self._keys[name, field.name] = {}

    def oldest_pending(self) -> str | None:
        """Stamp of the oldest change that is not committed yet."""
        self.commit_due()
        stamps = [commit[4]["SystemModstamp"] for commit in self._pending]
        return min(stamps, default=None)

    def saved_state(self) -> tuple[Any, ...]:
        """All rows, to go back to when a transaction fails."""
        self.commit_due()
        return self._tables, self._keys

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to a copy of :meth:`saved_state`."""
        self._tables, self._keys = state
        self._sorted.clear()

    # -- inside

    def _coerced(self, name: str, fields: Mapping[str, Any]) -> Row:
        spec = self.objects[name]
        unknown = [key for key in fields if key not in spec.fields]
        if unknown:
            raise ValueError(f"{name} has no field {unknown[0]}")
        return {key: coerced(spec.fields[key], value) for key, value in fields.items()}

    def _touched(self, by: str | None) -> Row:
        stamp = stamp_of(self.now())
        return {"LastModifiedDate": stamp, "LastModifiedById": by or self.user_id, "SystemModstamp": stamp}

    def _commit(self, name: str, record_id: str, changes: Row, delay: bool) -> str:
        self.commit_all(name, record_id) if self._pending else None
        if delay and self.commit_delay_seconds:
            self._count += 1
            visible_at = self.now() + timedelta(seconds=self.commit_delay_seconds)
            heapq.heappush(self._pending, (visible_at, self._count, name, record_id, changes))
        else:
            self._apply(name, record_id, changes)
        return record_id

    def _apply(self, name: str, record_id: str, changes: Row) -> None:
        row = self._tables[name].setdefault(record_id, {})
        self._happened(name, record_id, _change_of(row, changes))
        if row:
            self._index(name, row, remove=True)
            if row.get("StageName") != changes.get("StageName", row.get("StageName")):
                row["LastStageChangeDate"] = changes["SystemModstamp"]
        row |= changes
        for key in [key for key, value in changes.items() if value is None]:
            del row[key]
        _derive(name, row)
        self._index(name, row, remove=False)
        self._sorted.pop(name, None)

    def _index(self, name: str, row: Row, *, remove: bool) -> None:
        for (object_name, field), index in self._keys.items():
            if object_name == name and (value := row.get(field)) is not None:
                key = value if self.objects[name].fields[field].case_sensitive else value.lower()
                ids = index.setdefault(key, set())
                ids.discard(row["Id"]) if remove else ids.add(row["Id"])

    def _numbered(self, name: str, row: Row) -> None:
        count = self._numbers[name]
        if name == "Case":
            row["CaseNumber"] = f"{count:08d}"
        elif name == "Contract":
            row["ContractNumber"] = f"{count:08d}"
        elif name.endswith("__c"):
            row["Name"] = f"{''.join(word[0] for word in name[:-3].split('_'))}-{count:06d}"


def _change_of(row: Row, changes: Row) -> str:
    """What change events call a commit."""
    if not row:
        return "CREATE"
    if changes.get("IsDeleted", row["IsDeleted"]) == row["IsDeleted"]:
        return "UPDATE"
    return "DELETE" if changes["IsDeleted"] else "UNDELETE"


def _derive(name: str, row: Row) -> None:
    if name in ("Lead", "Contact", "User"):
        row["Name"] = " ".join(filter(None, (row.get("FirstName"), row.get("LastName"))))
    elif name == "Opportunity":
        stage = row.get("StageName")
        row["IsWon"] = stage == CLOSED_WON
        row["IsClosed"] = stage in (CLOSED_WON, CLOSED_LOST)
        row["ForecastCategory"] = "Closed" if stage == CLOSED_WON else "Omitted" if stage == CLOSED_LOST else "Pipeline"
        row.setdefault("Probability", Decimal(100 if stage == CLOSED_WON else 0 if stage == CLOSED_LOST else 10))
    elif name == "Case":
        row["IsClosed"] = row.get("Status") == "Closed"
