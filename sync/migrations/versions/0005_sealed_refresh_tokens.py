"""Refresh tokens that change with every use are kept, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "kept_token",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column(
            "sealed",
            sa.Text(),
            nullable=False,
            comment="encrypted: the token, its connection, what its chain began with",
        ),
        sa.Column("updated_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_kept_token")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
