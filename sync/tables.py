"""Tables of the store, the same on SQLite and PostgreSQL, and the column types that keep money and instants exact.

Two rules run through all of them. What was said or decided is appended and never changed (:func:`append_only`
makes the database refuse); what is *current* lives in small head tables that can be rebuilt from the versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    event,
    false,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = 2**63 - 1

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables of the service; modules that add tables put them on this object."""

Verb = Literal["UPDATE", "DELETE"]
APPEND_ONLY: dict[str, tuple[Verb, ...]] = {}
"""Tables whose rows the database refuses to change or delete, in the order they were declared, with what it refuses."""


def micros(at: datetime) -> int:
    """An aware instant as whole microseconds since 1970-01-01 UTC. Raises: ``ValueError`` for a naive one."""
    if at.tzinfo is None:
        raise ValueError(f"instant without a time zone: {at.isoformat()}; allowed: an aware datetime")
    return (at - EPOCH) // _MICROSECOND


def instant(value: int) -> datetime:
    """The UTC instant that :func:`micros` wrote."""
    return EPOCH + timedelta(microseconds=value)


class Count(TypeDecorator[int]):
    """A 64-bit whole number (``INTEGER`` is the only spelling that a strict SQLite table knows)."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())


class Minor(Count):
    """Money in minor units (see ``rules.money.Money.minor``): whole numbers only, nothing is ever rounded.

    Raises: ``ValueError`` for a float, a fraction, or more than 64 bits.
    """

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        if value is None:
            return None
        if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or abs(value) > _LARGEST:
            raise ValueError(f"money: found {value!r}; allowed: a whole number of minor units within 64 bits")
        return value


class Instant(TypeDecorator[datetime]):
    """An aware instant, kept as microseconds since 1970 UTC: exact, in order, the same on both databases.

    Raises: ``ValueError`` for a naive instant.
    """

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else BigInteger())

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else micros(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else instant(value)


class Flag(TypeDecorator[bool]):
    """True or false (0 or 1 on SQLite)."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Integer() if dialect.name == "sqlite" else Boolean())

    def process_bind_param(self, value: Any, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


def table(name: str, *parts: Any, with_rowid: bool = True) -> Table:
    """A table on :data:`metadata`: ``STRICT`` on SQLite, and optionally clustered on its primary key there."""
    return Table(name, metadata, *parts, sqlite_strict=True, sqlite_with_rowid=with_rowid)


_REFUSE_CHANGE = (
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '% is append-only: add a new row that corrects the old one', TG_TABLE_NAME; END $$"
)


def append_only_statements(name: str, dialect: str, verbs: Sequence[Verb] = ("UPDATE", "DELETE")) -> list[str]:
    """Statements that make the database refuse to change or delete rows of a table."""
    message = f"{name} is append-only: add a new row that corrects the old one"
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            for verb in verbs
        ]
    return [
        _REFUSE_CHANGE,
        f"CREATE TRIGGER {name}_append_only BEFORE {' OR '.join(verbs)} OR TRUNCATE ON {name} EXECUTE FUNCTION refuse_change()",
    ]


def append_only(target: Table, *, prunable: bool = False) -> Table:
    """Declare a table append-only: its triggers are made with it (and written out in the migrations).

    ``prunable``: rows are never changed, and may go when they are old (``sync.retention``).
    """
    verbs: tuple[Verb, ...] = ("UPDATE",) if prunable else ("UPDATE", "DELETE")
    APPEND_ONLY[target.name] = verbs
    for dialect in ("sqlite", "postgresql"):
        for statement in append_only_statements(target.name, dialect, verbs):
            escaped = statement.replace("%", "%%")
            ddl = DDL(escaped)  # type: ignore[no-untyped-call]
            event.listen(target, "after_create", ddl.execute_if(dialect=dialect))
    return target


# Foreign keys are left out of the four tables that take a row for every record: their rows are written only by
# put_page, which makes them in the transaction that found their stream, and the check costs every one of them.

stream = table(
    "stream",
    Column("id", Count, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("cursor", Text, comment="where the read in progress stopped; null: at its start"),
    Column("watermark", Text, comment="from where the next read starts; null: from the beginning"),
    Column("reading", Text, nullable=False, server_default="changes", comment="changes or backfill"),
    Column("complete", Flag, nullable=False, server_default=false(), comment="the first full read has ended"),
    Column("query_hash", Text, comment="fields and filter that were read; a change asks for a backfill"),
    Column("mapping_hash", Text, comment="mapping by which the facts were made; a change asks for a replay"),
    Column("last_run", Count),
    UniqueConstraint("connection", "kind"),
)

record = table(
    "record",
    Column("stream_id", Count, primary_key=True, autoincrement=False),
    Column("external_id", Text, primary_key=True),
    Column("version_id", Count, nullable=False, comment="record_version.id of the current version"),
    Column("content_hash", LargeBinary, nullable=False, comment="of the payload, deletion and merge"),
    Column("modified_at", Instant, comment="the latest stamp that the record came with, also without a change"),
    Column("facts", Text, comment="JSON list of the facts it ever gave: [type, id], or type when the id is its own"),
    with_rowid=False,
)

record_version = append_only(
    table(
        "record_version",
        Column("id", Count, primary_key=True, autoincrement=False),
        Column("previous", Count, comment="id of the version before"),
        Column("stream_id", Count, nullable=False),
        Column("external_id", Text, nullable=False),
        Column("seq", Count, nullable=False),
        Column("version", Text, nullable=False, comment="the system's change token"),
        Column("payload", Text, nullable=False, comment="the system's own fields as JSON"),
        Column("deleted", Flag, nullable=False),
        Column("merged_into", Text),
        Column("created_at", Instant),
        Column("modified_at", Instant),
        Column("run_id", Count, nullable=False),
        Column("seen_at", Instant, nullable=False),
    )
)

read_page = table(
    "read_page",
    Column("first_version", Count, primary_key=True, autoincrement=False, comment="record_version.id"),
    Column(
        "last_version", Count, nullable=False, comment="of the versions that the page brought; all between are its own"
    ),
    Column("read_at", Instant, nullable=False),
    Column("calls", Text, nullable=False, comment="JSON: the API calls of the run that brought it"),
)

fact = append_only(
    table(
        "fact",
        Column("id", Count, primary_key=True, autoincrement=False, comment="ascending in order of commit"),
        Column("previous", Count, comment="id of the version before"),
        Column("type", Text, nullable=False),
        Column("fact_id", Text, nullable=False),
        Column("seq", Count, nullable=False),
        Column("known_at", Instant, nullable=False),
        Column("account", Text, comment="the account it is about, when it names one"),
        Column("parent_type", Text, comment="type of the fact through which its account is found otherwise"),
        Column("parent_id", Text),
        Column("body", Text, nullable=False, comment="JSON of docs/records.md without known_at"),
        Column("deleted", Flag, nullable=False),
        Column("stream_id", Count, comment="null: stated in this service, not read from a system"),
        Column("external_id", Text),
        Column("record_seq", Count),
        Column("run_id", Count, nullable=False),
    )
)


def _some(name: str, *columns: Column[Any], where: ColumnElement[bool]) -> Index:
    """An index over the rows that satisfy ``where`` only."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


_some("ix_fact_account", fact.c.account, where=fact.c.account.is_not(None))
_some("ix_fact_parent", fact.c.parent_type, fact.c.parent_id, where=fact.c.parent_type.is_not(None))
_some("ix_fact_unscoped", fact.c.type, where=fact.c.account.is_(None) & fact.c.parent_type.is_(None))

fact_head = table(
    "fact_head",
    Column("type", Text, primary_key=True),
    Column("fact_id", Text, primary_key=True),
    Column("row_id", Count, nullable=False, comment="fact.id of the current version"),
    with_rowid=False,
)

quarantine = table(
    "quarantine",
    Column("stream_id", Count, ForeignKey("stream.id"), primary_key=True, autoincrement=False),
    Column("external_id", Text, primary_key=True),
    Column("seq", Count, nullable=False, comment="record_version.seq that was rejected"),
    Column("code", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("found", Text, nullable=False),
    Column("allowed", Text, nullable=False),
    Column("waits_for_kind", Text),
    Column("waits_for_id", Text),
    Column("state", Text, nullable=False, comment="open or released"),
    Column("first_seen", Instant, nullable=False),
    Column("last_seen", Instant, nullable=False),
    Column("attempts", Count, nullable=False),
)
_some("ix_quarantine_open", quarantine.c.stream_id, quarantine.c.code, where=quarantine.c.state == "open")

redirect = table(
    "redirect",
    Column("stream_id", Count, ForeignKey("stream.id"), primary_key=True, autoincrement=False),
    Column("loser", Text, primary_key=True),
    Column("winner", Text, nullable=False),
    Column("seen_at", Instant, nullable=False),
    Column("ended_at", Instant, comment="when the loser was there again; null: the merge holds"),
    Column("restored_at", Instant, comment="when the facts that had followed were moved back"),
)

run = table(
    "run",
    Column("id", Count, primary_key=True),
    Column("job", Text, nullable=False),
    Column("connection", Text),
    Column("state", Text, nullable=False, comment="running, ok, partial or failed"),
    Column("counts", Text, nullable=False, server_default="{}", comment="JSON"),
    Column("note", Text),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
)
Index("ix_run_job", run.c.job, run.c.id)

lease = table(
    "lease",
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", Count, nullable=False, comment="grows with every acquisition; the fence of stale holders"),
    Column("expires_at", Instant, nullable=False),
)

api_budget = table(
    "api_budget",
    Column("connection", Text, primary_key=True),
    Column("window_start", Instant, nullable=False),
    Column("spent", Count, nullable=False, comment="calls that we reserved in this window"),
    Column("used", Count, comment="calls of all applications, as the system last said"),
    Column("allowed", Count, comment="calls that the system allows in the window"),
)

api_slot = table(
    "api_slot",
    Column("connection", Text, primary_key=True),
    Column("number", Count, primary_key=True, autoincrement=False),
    Column("token", Count, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
