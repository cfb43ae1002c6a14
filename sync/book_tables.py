"""Tables of the stored outcome: the chained journal, and heads that say how things stand now.

The journal is the truth and append-only: every entry, posting and statement, each with the hash of the row before it.
The head tables can be rebuilt from it and exist to be asked.
"""

from __future__ import annotations

from sqlalchemy import Column, Index, Text

from sync.tables import Count, Flag, Instant, Minor, append_only, table

journal = append_only(
    table(
        "journal",
        Column("seq", Count, primary_key=True, autoincrement=False, comment="from 1, without gaps"),
        Column("program", Text, nullable=False),
        Column("kind", Text, nullable=False, comment="entry, posting or statement"),
        Column("subject", Text, nullable=False, comment="entry key or statement id"),
        Column("body", Text, nullable=False, comment="JSON, as hashed"),
        Column("hash", Text, nullable=False, comment="SHA-256 of the row before and this body"),
    )
)
Index("ix_journal_subject", journal.c.subject)

book = table(
    "book",
    Column("program", Text, primary_key=True),
    Column("terms", Text, nullable=False, comment="hash of the program's terms that settled it"),
    Column("fact_row", Count, nullable=False, comment="fact.id up to which facts are settled"),
    Column("as_of", Text, nullable=False, comment="local date up to which it is settled"),
    Column("settled_at", Instant, nullable=False),
)

prospect = table(
    "prospect",
    Column("program", Text, primary_key=True),
    Column("prospect", Text, primary_key=True),
    Column("accounts", Text, nullable=False, comment="JSON: known [[instant, account], ...], trees"),
    Column("wake_on", Text, comment="the next date on which it changes by the passing of time"),
)
Index("ix_prospect_wake", prospect.c.program, prospect.c.wake_on)

tie = table(
    "tie",
    Column("program", Text, primary_key=True),
    Column("referral", Text, primary_key=True),
    Column("prospect", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("ties", Text, nullable=False, comment="JSON list: at, prospect, rule, evidence, unsure, part"),
    Column("ruleset", Text, nullable=False, comment="version of the matching rules that decided"),
)
Index("ix_tie_prospect", tie.c.program, tie.c.prospect)
Index("ix_tie_partner", tie.c.program, tie.c.partner)

fact_subject = table(
    "fact_subject",
    Column("subject", Text, primary_key=True, comment="partner:ID, about:ID or referral:ID"),
    Column("type", Text, primary_key=True),
    Column("fact_id", Text, primary_key=True),
    with_rowid=False,
)

account_prospect = table(
    "account_prospect",
    Column("program", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("prospect", Text, nullable=False),
)

entry_head = table(
    "entry_head",
    Column("key", Text, primary_key=True),
    Column("program", Text, nullable=False),
    Column("prospect", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("referral", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("amount_minor", Minor, nullable=False),
    Column("states_on", Text),
    Column("releases_on", Text),
    Column("state", Text, nullable=False, comment="accrued, held, payable, stated or paid"),
    Column("released_on", Text),
    Column("statement", Text, comment="id of the cut statement it stands on"),
    Column("replaces", Text, comment="key of the entry whose recomputed amount this adjustment brings about"),
    Column("body", Text, nullable=False, comment="JSON of the entry, as in the journal"),
)
Index("ix_entry_head_prospect", entry_head.c.program, entry_head.c.prospect)
Index(
    "ix_entry_head_unstated",
    entry_head.c.program, entry_head.c.partner, entry_head.c.currency,
    sqlite_where=entry_head.c.statement.is_(None), postgresql_where=entry_head.c.statement.is_(None),
)  # fmt: skip
Index(
    "ix_entry_head_waiting",
    entry_head.c.program, entry_head.c.releases_on,
    sqlite_where=entry_head.c.state == "accrued", postgresql_where=entry_head.c.state == "accrued",
)  # fmt: skip
Index("ix_entry_head_statement", entry_head.c.statement)

statement_head = table(
    "statement_head",
    Column("id", Text, primary_key=True),
    Column("program", Text, nullable=False),
    Column("partner", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period_from", Text, nullable=False),
    Column("payable_minor", Minor, nullable=False),
    Column("carried_minor", Minor, nullable=False),
    Column("state", Text, nullable=False, comment="open, issued, invoiced or paid"),
    Column("cut", Flag, nullable=False),
    Column("row", Text, nullable=False, comment="JSON row of the outcome"),
)
Index("ix_statement_head_partner", statement_head.c.program, statement_head.c.partner, statement_head.c.currency,
      statement_head.c.period_from)  # fmt: skip

outcome_row = table(
    "outcome_row",
    Column("program", Text, primary_key=True),
    Column("list", Text, primary_key=True, comment="claims, support or tasks"),
    Column("key", Text, primary_key=True),
    Column("owner", Text, nullable=False, comment="prospect, partner or statement whose settling replaces it"),
    Column("row", Text, nullable=False, comment="JSON row of the outcome"),
    with_rowid=False,
)
Index("ix_outcome_row_owner", outcome_row.c.program, outcome_row.c.owner)
