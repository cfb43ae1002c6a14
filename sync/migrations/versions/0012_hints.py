"""Hints of changes wait in the store, each record once, until an early pull has looked at them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "hint",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="as the system calls the object; empty: the whole connection"
        ),
        sa.Column("external_id", sa.Text(), nullable=False, comment="empty: the whole object"),
        sa.Column("occurred_at", tables.Instant(), nullable=True, comment="the latest, by the system's own clock"),
        sa.Column("received_at", tables.Instant(), nullable=False),
        sa.Column(
            "times",
            tables.Count(),
            nullable=False,
            comment="grows with each arrival, so that one during a read is not lost",
        ),
        sa.PrimaryKeyConstraint("connection", "kind", "external_id", name=op.f("pk_hint")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hint_stream",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "cursor", sa.Text(), nullable=False, comment="from which listening goes on; moves with the hints before it"
        ),
        sa.Column("heard_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_hint_stream")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
