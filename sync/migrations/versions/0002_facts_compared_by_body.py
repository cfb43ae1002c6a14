"""A fact is compared with its latest version by its body, which is read anyway: the hash in its head is not needed."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_column("fact_head", "content_hash")
