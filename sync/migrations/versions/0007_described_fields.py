"""Fields as a system first described them are kept, so that what changes there is noticed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "described_field",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("picks", sa.Text(), nullable=False, comment="JSON list of the active picklist values"),
        sa.Column("paused_because", sa.Text(), nullable=True, comment="null: it is read"),
        sa.Column("paused_at", tables.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("connection", "object", "field", name=op.f("pk_described_field")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
