"""The text of each mapping that a run used, what happened to each write, and the fields that its plan showed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

APPEND_ONLY = ("mapping_version", "mapping_use", "write_event")


def upgrade() -> None:
    op.create_table(
        "mapping_version",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "hash", sa.Text(), nullable=False, comment="of what the mapping says; comments and layout do not count"
        ),
        sa.Column("text", sa.Text(), nullable=False, comment="the file as it was when a run first used it"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mapping_version")),
        sa.UniqueConstraint("connection", "hash", name=op.f("uq_mapping_version_connection_hash")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "mapping_use",
        sa.Column("run_id", tables.Count(), autoincrement=False, nullable=False),
        sa.Column("version_id", tables.Count(), nullable=False),
        sa.Column("used_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", name=op.f("pk_mapping_use")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_mapping_use_version", "mapping_use", ["version_id"], unique=False)
    op.create_table(
        "write_event",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("intent_id", tables.Count(), nullable=False),
        sa.Column("at", tables.Instant(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False, comment="sent, answered, read_back or unanswered"),
        sa.Column("run_id", tables.Count(), nullable=True),
        sa.Column("attempt", tables.Count(), nullable=False),
        sa.Column(
            "batch",
            sa.Text(),
            nullable=True,
            comment="of sent: rows that were handed to the writer together have the same",
        ),
        sa.Column("state", sa.Text(), nullable=True, comment="what the write became by it"),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_write_event")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_write_event_intent", "write_event", ["intent_id"], unique=False)
    op.add_column(
        "intent",
        sa.Column(
            "changes",
            sa.Text(),
            server_default="{}",
            nullable=False,
            comment="JSON: field → [before, after], as planned",
        ),
    )
    dialect = op.get_bind().dialect.name
    for name in APPEND_ONLY:
        for statement in tables.append_only_statements(name, dialect):
            op.execute(statement)
