"""Tables of notices: what somebody is to be told, kept once a key until it is sent, and up to where that was looked for."""

from __future__ import annotations

from hashlib import blake2b

from sqlalchemy import Column, Index, LargeBinary, Text

from sync.tables import Count, Instant, table

notice = table(
    "notice",
    Column("key", Text, primary_key=True, comment="program:kind:about:on:to, the same on every run"),
    Column("program", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("recipient", Text, nullable=False, comment="a partner's id, vendor:ROLE or applicant:ID"),
    Column("about", Text, nullable=False),
    Column("told_on", Text, nullable=False, comment="local date of the program"),
    Column("due_on", Text),
    Column("clauses", Text, nullable=False, comment="JSON list"),
    Column("subject", Text, nullable=False, comment="the words as they were when it was taken in"),
    Column("body", Text, nullable=False),
    Column("state", Text, nullable=False, comment="pending, attempted, sent, failed or skipped"),
    Column("reason", Text, comment="why it was skipped or failed, or what the last attempt met"),
    Column("withdrawn", Count, nullable=False, server_default="0", comment="1: skipped as it stands no more"),
    Column("attempts", Count, nullable=False, server_default="0"),
    Column("next_at", Instant, comment="not before; null: at once"),
    Column("message_id", Text, comment="of the message that it goes out with; kept for a second try"),
    Column("address", Text, comment="where that message goes"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    with_rowid=False,
)
_waiting = notice.c.state.in_(("pending", "attempted"))
Index("ix_notice_waiting", notice.c.program, notice.c.recipient, sqlite_where=_waiting, postgresql_where=_waiting)

told_notice = table(
    "told_notice",
    Column(
        "key_hash",
        LargeBinary,
        primary_key=True,
        comment="of the key of a notice that was let go: it never comes again",
    ),
    with_rowid=False,
)

notice_mark = table(
    "notice_mark",
    Column("program", Text, primary_key=True),
    Column("began_on", Text, nullable=False, comment="local date; what was to be told before is never sent"),
    Column("fact_row", Count, nullable=False, comment="fact.id up to which notices were looked for"),
    Column("as_of", Text, nullable=False, comment="local date up to which they were"),
    Column("words", Text, nullable=False, comment="hash of the terms and texts that they were made from"),
    Column("updated_at", Instant, nullable=False),
    with_rowid=False,
)


def hash_of_key(key: str) -> bytes:
    """What is left of a notice that is old and settled: enough to know its key again."""
    return blake2b(key.encode(), digest_size=16).digest()
