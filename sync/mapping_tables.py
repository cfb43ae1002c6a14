"""Tables of mapping versions: the text of every mapping that a run has used, and which run used which."""

from __future__ import annotations

from sqlalchemy import Column, Index, Text, UniqueConstraint

from sync.tables import Count, Instant, append_only, table

mapping_version = append_only(
    table(
        "mapping_version",
        Column("id", Count, primary_key=True),
        Column("connection", Text, nullable=False),
        Column("hash", Text, nullable=False, comment="of what the mapping says; comments and layout do not count"),
        Column("text", Text, nullable=False, comment="the file as it was when a run first used it"),
        UniqueConstraint("connection", "hash"),
    )
)

mapping_use = append_only(
    table(
        "mapping_use",
        Column("run_id", Count, primary_key=True, autoincrement=False),
        Column("version_id", Count, nullable=False),
        Column("used_at", Instant, nullable=False),
    ),
    prunable=True,
)
Index("ix_mapping_use_version", mapping_use.c.version_id)
