"""Notices are kept until they are sent: what somebody is to be told, once a key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "notice",
        sa.Column("key", sa.Text(), nullable=False, comment="program:kind:about:on:to, the same on every run"),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False, comment="a partner's id, vendor:ROLE or applicant:ID"),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("told_on", sa.Text(), nullable=False, comment="local date of the program"),
        sa.Column("due_on", sa.Text(), nullable=True),
        sa.Column("clauses", sa.Text(), nullable=False, comment="JSON list"),
        sa.Column("subject", sa.Text(), nullable=False, comment="the words as they were when it was taken in"),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, attempted, sent, failed or skipped"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it was skipped or failed, or what the last attempt met"),
        sa.Column("withdrawn", tables.Count(), server_default="0", nullable=False, comment="1: skipped as it stands no more"),
        sa.Column("attempts", tables.Count(), server_default="0", nullable=False),
        sa.Column("next_at", tables.Instant(), nullable=True, comment="not before; null: at once"),
        sa.Column("message_id", sa.Text(), nullable=True, comment="of the message that it goes out with; kept for a second try"),
        sa.Column("address", sa.Text(), nullable=True, comment="where that message goes"),
        sa.Column("created_at", tables.Instant(), nullable=False),
        sa.Column("updated_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_notice")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )  # fmt: skip
    waiting = sa.text("state IN ('pending', 'attempted')")
    op.create_index(
        "ix_notice_waiting", "notice", ["program", "recipient"], sqlite_where=waiting, postgresql_where=waiting
    )
    op.create_table(
        "notice_mark",
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("began_on", sa.Text(), nullable=False, comment="local date; what was to be told before is never sent"),
        sa.Column("fact_row", tables.Count(), nullable=False, comment="fact.id up to which notices were looked for"),
        sa.Column("as_of", sa.Text(), nullable=False, comment="local date up to which they were"),
        sa.Column("words", sa.Text(), nullable=False, comment="hash of the terms and texts that they were made from"),
        sa.Column("updated_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("program", name=op.f("pk_notice_mark")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )  # fmt: skip
