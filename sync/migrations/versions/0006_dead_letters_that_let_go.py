"""A write keeps how its object was described, and which dead letters its success lets go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "intent",
        sa.Column(
            "shape",
            sa.Text(),
            nullable=False,
            server_default="",
            comment="hash of how its object and fields were described",
        ),
    )
    op.add_column(
        "intent",
        sa.Column(
            "probes",
            sa.Text(),
            nullable=True,
            comment="JSON: failure and code of the dead letters that its success lets go",
        ),
    )
