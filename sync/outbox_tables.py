"""Tables of the outbox: what is to be written, what was last agreed, and which plans were let through."""

from __future__ import annotations

from sqlalchemy import Column, Index, Text, text

from sync.tables import Count, Instant, append_only, table

intent = table(
    "intent",
    Column("id", Count, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("key_field", Text, nullable=False, comment="external-id field; empty: the key is the system's own id"),
    Column("key", Text, nullable=False),
    Column("action", Text, nullable=False, comment="create or update, as planned"),
    Column("payload", Text, nullable=False, comment="JSON of the fields to write"),
    Column("payload_hash", Text, nullable=False),
    Column("parent", Text, nullable=False, server_default="", comment="writes under one parent follow each other"),
    Column("rank", Count, nullable=False, comment="position of the object in its plan: what others need goes first"),
    Column("because", Text, nullable=False, server_default=""),
    Column("changes", Text, nullable=False, server_default="{}", comment="JSON: field → [before, after], as planned"),
    Column("state", Text, nullable=False, comment="pending, attempted, done, dead or superseded"),
    Column("attempts", Count, nullable=False, server_default="0"),
    Column("next_at", Instant, comment="not before; null: at once"),
    Column("failure", Text, comment="of a dead letter: data, permission, parent, lock, limit or schema"),
    Column("code", Text),
    Column("message", Text),
    Column("external_id", Text),
    Column("plan_hash", Text, nullable=False),
    Column("edited_by", Text, comment="who changed the payload of a dead letter"),
    Column(
        "shape", Text, nullable=False, server_default="", comment="hash of how its object and fields were described"
    ),
    Column("probes", Text, comment="JSON: failure and code of the dead letters that its success lets go"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)
_pending = intent.c.state == "pending"
_live = intent.c.state.in_(("pending", "attempted", "dead"))
Index(
    "uq_intent_pending", intent.c.connection, intent.c.object, intent.c.key_field, intent.c.key,
    unique=True, sqlite_where=_pending, postgresql_where=_pending,
)  # fmt: skip
Index("ix_intent_live", intent.c.connection, intent.c.state, intent.c.rank, intent.c.parent, intent.c.id, sqlite_where=_live, postgresql_where=_live)  # fmt: skip
LIVE = text("intent.state IN ('pending', 'attempted', 'dead')")
"""The condition of ``ix_intent_live`` in its own words: without it, SQLite sorts all that waits for each batch of writes."""
Index("ix_intent_key", intent.c.connection, intent.c.object, intent.c.key)

write_event = append_only(
    table(
        "write_event",
        Column("id", Count, primary_key=True),
        Column("intent_id", Count, nullable=False),
        Column("at", Instant, nullable=False),
        # Also: job, with a job's id as batch (sync.delivery). A column's comment is part of the database, so it stays.
        Column("event", Text, nullable=False, comment="sent, answered, read_back or unanswered"),
        Column("run_id", Count),
        Column("attempt", Count, nullable=False),
        Column("batch", Text, comment="of sent: rows that were handed to the writer together have the same"),
        Column("state", Text, comment="what the write became by it"),
        Column("code", Text),
        Column("message", Text),
        Column("external_id", Text),
        Column("calls", Text, comment="JSON: the API calls of the run that carried it"),
    ),
    prunable=True,
)
Index("ix_write_event_intent", write_event.c.intent_id)

agreed = table(
    "agreed",
    Column("connection", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("key_field", Text, primary_key=True, comment="empty: the key is the system's own id"),
    Column("key", Text, primary_key=True),
    Column("external_id", Text),
    Column("fields", Text, nullable=False, comment="JSON: the values that both sides last held"),
    Column("updated_at", Instant, nullable=False),
    with_rowid=False,
)
Index("ix_agreed_external_id", agreed.c.connection, agreed.c.object, agreed.c.external_id)

enqueued_plan = append_only(
    table(
        "enqueued_plan",
        Column("id", Count, primary_key=True),
        Column("connection", Text, nullable=False),
        Column("hash", Text, nullable=False),
        Column("summary", Text, nullable=False, comment="JSON: counts by object, calls"),
        Column("refused", Text, nullable=False, comment="JSON list: the brakes that it ran into"),
        Column("allowed_by", Text, comment="who let it through all the same"),
        Column("enqueued_at", Instant, nullable=False),
    ),
    prunable=True,
)
