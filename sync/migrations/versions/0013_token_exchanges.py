"""A refresh token that is on its way is noted before it is sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token_exchange",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("token", sa.Text(), nullable=False, comment="digest of the refresh token that was sent"),
        sa.Column("sent_at", tables.Instant(), nullable=False, comment="when it was first sent without a known answer"),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_token_exchange")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
