"""Notices that are old and settled are let go; of each key a hash stays, so that it is never told again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "told_notice",
        sa.Column("key_hash", sa.LargeBinary(), nullable=False, comment="of the key of a notice that was let go: it never comes again"),
        sa.PrimaryKeyConstraint("key_hash", name=op.f("pk_told_notice")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )  # fmt: skip
