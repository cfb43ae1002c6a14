"""Changes to records as people, scripts and imports make them: stamped, indexed by external id, and deletable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from connectors.netsuite.simulator.database import Database, Row
from connectors.netsuite.simulator.schema import RECORD_TYPES, RecordType

_BY_NAME = {kind.name.lower(): kind for kind in RECORD_TYPES}
_RECORD_TYPE_IDS = {
    "customer": 1,
    "contact": 2,
    "partner": 3,
    "employee": 4,
    "supportcase": 5,
    "transaction": 6,
}


class Rows:
    """Inserts, updates, deletes and merges by record type (``invoice``, ``customer``, ``customrecord_x``)."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def kind(self, name: str) -> RecordType:
        """The record type of a name in any case. Raises: ``KeyError``."""
        found = _BY_NAME.get(name.lower())
        if found is None and name.lower() in self.database.tables and not self.database.tables[name.lower()].lines:
            found = RecordType(name.lower(), name.lower(), name)
        if found is None:
            raise KeyError(f"no record type {name!r}")
        return found

    def find(self, name: str, record_id: int) -> Row | None:
        """One row as it is visible now."""
        kind = self.kind(name)
        found = self.database.rows(kind.table, id=record_id, **({"type": kind.code} if kind.code else {}))
        return found[0] if found else None

    def by_external_id(self, name: str, external_id: str) -> Row | None:
        """The row with this external id, unique within a record type."""
        kind = self.kind(name)
        found = self.database.rows(
            kind.table,
            externalid=external_id,
            **({"type": kind.code} if kind.code else {}),
        )
        return found[0] if found else None

    def insert(self, name: str, fields: Mapping[str, Any]) -> int:
        """Add a row and return its id. Raises: ``KeyError`` for unknown fields, ``ValueError`` for bad values."""
        kind, record_id = self.kind(name), self.database.new_id()
        self.insert_many(kind.name, [{"id": record_id, **fields}])
        return record_id

    def insert_many(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows that carry their ids; what they leave out is filled in as on a new record."""
        kind = self.kind(name)
        table = self.database.tables[kind.table]
        stamp = self.database.stamp()
        common: Row = {name: "F" for name in ("isinactive", "voided") if name in table.columns}
        if kind.code:
            common["type"] = kind.code
        common |= {column: stamp for column in (table.created, table.modified) if column}
        ready = [{**common, **{key.lower(): value for key, value in row.items()}} for row in rows]
        for row in ready:
            if "entityid" in table.columns:
                row.setdefault("entityid", row.get("companyname") or f"{kind.label} {row['id']}")
            if kind.table == "transaction":
                row.setdefault("tranid", f"{kind.code}{row['id']}")
        self.database.commit(lambda: self.database.insert(kind.table, ready))

    def update(
        self,
        name: str,
        record_id: int,
        fields: Mapping[str, Any],
        *,
        touch: bool = True,
    ) -> None:
        """Change a row; with ``touch=False`` without a new stamp, as some of the vendor's own changes do."""
        kind = self.kind(name)
        table = self.database.tables[kind.table]
        changed: Row = {key.lower(): value for key, value in fields.items()}
        if touch and table.modified:
            changed[table.modified] = self.database.stamp()
        self.database.commit(lambda: self.database.update(kind.table, {"id": record_id}, changed))

    def delete(self, name: str, record_id: int, *, tracked: bool = True) -> None:
        """Remove a row; ``tracked`` leaves a row in ``deletedrecord`` (not every deletion does)."""
        kind, stamp = self.kind(name), self.database.stamp()

        def gone() -> None:
            self.database.remove(kind.table, id=record_id)
            if kind.table == "transaction":
                self.database.remove("transactionline", transaction=record_id)
                self.database.remove("nexttransactionlinelink", nextdoc=record_id)
                self.database.remove("nexttransactionlinelink", previousdoc=record_id)
            if tracked:
                self.database.insert("deletedrecord", [self._tombstone(kind, record_id, stamp)])

        self.database.commit(gone)

    def _tombstone(self, kind: RecordType, record_id: int, stamp: str) -> Row:
        custom = kind.table.startswith("customrecord")
        return {
            "recordid": record_id,
            "recordtypeid": _RECORD_TYPE_IDS.get(kind.table, 100),
            "scriptid": kind.name.lower(),
            "type": kind.label,
            "deleteddate": stamp,
            "deletedby": -5,
            "iscustomrecord": "T" if custom else "F",
        }

    def merge(self, name: str, winner: int, loser: int) -> None:
        """Merge duplicates as the vendor does: children move to the winner, the loser is deleted, no pointer is left."""
        for table, column in (
            ("transaction", "entity"),
            ("contact", "company"),
            ("supportcase", "company"),
        ):
            for row in self.database.rows(table, **{column: loser}):
                kind = next(
                    (k.name for k in RECORD_TYPES if k.code and k.code == row.get("type")),
                    table,
                )
                self.update(kind, row["id"], {column: winner})
        self.delete(name, loser)
