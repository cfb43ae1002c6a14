"""The table of fields as a system first described them to us, and of those that are paused since."""

from __future__ import annotations

from sqlalchemy import Column, Text

from sync.tables import Instant, table

described_field = table(
    "described_field",
    Column("connection", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("picks", Text, nullable=False, comment="JSON list of the active picklist values"),
    Column("paused_because", Text, comment="null: it is read"),
    Column("paused_at", Instant),
    with_rowid=False,
)
