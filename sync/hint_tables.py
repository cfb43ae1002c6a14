"""The tables of hints: records to look at before the next poll, and how far streams of hints were heard."""

from __future__ import annotations

from sqlalchemy import Column, Text

from sync.tables import Count, Instant, table

hint = table(
    "hint",
    Column("connection", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="as the system calls the object; empty: the whole connection"),
    Column("external_id", Text, primary_key=True, comment="empty: the whole object"),
    Column("occurred_at", Instant, comment="the latest, by the system's own clock"),
    Column("received_at", Instant, nullable=False),
    Column("times", Count, nullable=False, comment="grows with each arrival, so that one during a read is not lost"),
    with_rowid=False,
)

hint_stream = table(
    "hint_stream",
    Column("connection", Text, primary_key=True),
    Column("cursor", Text, nullable=False, comment="from which listening goes on; moves with the hints before it"),
    Column("heard_at", Instant, nullable=False),
    with_rowid=False,
)
