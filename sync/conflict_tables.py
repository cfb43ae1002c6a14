"""The table of conflicts: values of one field that differ on both sides, and whose was taken."""

from __future__ import annotations

from sqlalchemy import Column, Index, Text

from sync.tables import Count, Instant, table

conflict = table(
    "conflict",
    Column("id", Count, primary_key=True),
    Column("connection", Text, nullable=False),
    Column("object", Text, nullable=False),
    Column("key_field", Text, nullable=False, comment="empty: the key is the system's own id"),
    Column("key", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("external_id", Text),
    Column("theirs", Text, nullable=False, comment="JSON: {value}, as the system held it"),
    Column("ours", Text, nullable=False, comment="JSON: {value}, as we wanted it"),
    Column("last", Text, comment="JSON: {value} that both last held; null: nothing was agreed"),
    Column("theirs_at", Instant, comment="when their record was last changed, by their clock"),
    Column("ours_at", Instant, comment="since when our value holds, where the mapping says so"),
    Column("changed_by", Text, comment="who changed their record last, where the system tells it"),
    Column("state", Text, nullable=False, comment="open, theirs or ours (taken), past (it does not stand any more)"),
    Column("reason", Text, nullable=False),
    Column("settled_by", Text, comment="the name of a person, or policy"),
    Column("found_at", Instant, nullable=False),
    Column("settled_at", Instant),
)
_standing = conflict.c.state != "past"
Index(
    "uq_conflict_standing", conflict.c.connection, conflict.c.object, conflict.c.key_field, conflict.c.key,
    conflict.c.field, unique=True, sqlite_where=_standing, postgresql_where=_standing,
)  # fmt: skip
