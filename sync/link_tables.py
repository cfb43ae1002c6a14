"""The table of links: records of one connection that a person accepted to be the same as what another one holds."""

from __future__ import annotations

from sqlalchemy import Column, Text

from sync.tables import Instant, table

link = table(
    "link",
    Column("connection", Text, primary_key=True),
    Column("type", Text, primary_key=True, comment="account or partner"),
    Column("id", Text, primary_key=True, comment="as the connection names it"),
    Column("other", Text, nullable=False, comment="id of the same company elsewhere: it is named instead"),
    Column("rule", Text, nullable=False, comment="what tied them, or by hand"),
    Column("evidence", Text, nullable=False),
    Column("linked_by", Text, nullable=False),
    Column("linked_at", Instant, nullable=False),
    with_rowid=False,
)
