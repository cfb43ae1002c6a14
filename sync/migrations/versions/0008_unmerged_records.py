"""A merge can be taken back: the redirect stays known, and says when it ended and when its facts were moved back."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    ended = "when the loser was there again; null: the merge holds"
    op.add_column("redirect", sa.Column("ended_at", tables.Instant(), nullable=True, comment=ended))
    restored = "when the facts that had followed were moved back"
    op.add_column("redirect", sa.Column("restored_at", tables.Instant(), nullable=True, comment=restored))
