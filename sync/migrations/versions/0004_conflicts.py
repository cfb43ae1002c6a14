"""Conflicts are kept: fields that both sides hold differently, and whose value was taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "conflict",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("key_field", sa.Text(), nullable=False, comment="empty: the key is the system's own id"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("theirs", sa.Text(), nullable=False, comment="JSON: {value}, as the system held it"),
        sa.Column("ours", sa.Text(), nullable=False, comment="JSON: {value}, as we wanted it"),
        sa.Column("last", sa.Text(), nullable=True, comment="JSON: {value} that both last held; null: nothing was agreed"),
        sa.Column("theirs_at", tables.Instant(), nullable=True, comment="when their record was last changed, by their clock"),
        sa.Column("ours_at", tables.Instant(), nullable=True, comment="since when our value holds, where the mapping says so"),
        sa.Column("changed_by", sa.Text(), nullable=True, comment="who changed their record last, where the system tells it"),
        sa.Column("state", sa.Text(), nullable=False, comment="open, theirs or ours (taken), past (it does not stand any more)"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("settled_by", sa.Text(), nullable=True, comment="the name of a person, or policy"),
        sa.Column("found_at", tables.Instant(), nullable=False),
        sa.Column("settled_at", tables.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflict")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )  # fmt: skip
    standing = sa.text("state != 'past'")
    op.create_index(
        "uq_conflict_standing", "conflict", ["connection", "object", "key_field", "key", "field"], unique=True,
        sqlite_where=standing, postgresql_where=standing,
    )  # fmt: skip
