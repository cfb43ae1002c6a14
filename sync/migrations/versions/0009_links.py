"""Links between companies of two connections are kept: what a person accepted in the first matching."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "link",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False, comment="account or partner"),
        sa.Column("id", sa.Text(), nullable=False, comment="as the connection names it"),
        sa.Column("other", sa.Text(), nullable=False, comment="id of the same company elsewhere: it is named instead"),
        sa.Column("rule", sa.Text(), nullable=False, comment="what tied them, or by hand"),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("linked_by", sa.Text(), nullable=False),
        sa.Column("linked_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "type", "id", name=op.f("pk_link")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
