"""The API calls that brought a page and carried a write are kept with them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "read_page",
        sa.Column("first_version", tables.Count(), autoincrement=False, nullable=False, comment="record_version.id"),
        sa.Column(
            "last_version",
            tables.Count(),
            nullable=False,
            comment="of the versions that the page brought; all between are its own",
        ),
        sa.Column("read_at", tables.Instant(), nullable=False),
        sa.Column("calls", sa.Text(), nullable=False, comment="JSON: the API calls of the run that brought it"),
        sa.PrimaryKeyConstraint("first_version", name=op.f("pk_read_page")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.add_column(
        "write_event",
        sa.Column("calls", sa.Text(), nullable=True, comment="JSON: the API calls of the run that carried it"),
    )
