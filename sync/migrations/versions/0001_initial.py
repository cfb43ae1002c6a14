"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from sync import tables

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


APPEND_ONLY = ("record_version", "fact", "journal", "enqueued_plan")
_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION '% is append-only: add a new row that corrects the old one', TG_TABLE_NAME; END $$
"""
_POSTGRESQL = """
CREATE TRIGGER {name}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {name} EXECUTE FUNCTION refuse_change()
"""
_SQLITE = """
CREATE TRIGGER {name}_no_{what} BEFORE {verb} ON {name}
BEGIN SELECT RAISE(ABORT, '{name} is append-only: add a new row that corrects the old one'); END
"""


def _refuse_changes(name: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(_FUNCTION)
        op.execute(_POSTGRESQL.format(name=name))
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(_SQLITE.format(name=name, what=verb.lower(), verb=verb))


def upgrade() -> None:
    op.create_table(
        "account_prospect",
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("prospect", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("program", "account", name=op.f("pk_account_prospect")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "agreed",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("key_field", sa.Text(), nullable=False, comment="empty: the key is the system's own id"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("fields", sa.Text(), nullable=False, comment="JSON: the values that both sides last held"),
        sa.Column("updated_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "object", "key_field", "key", name=op.f("pk_agreed")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_agreed_external_id", "agreed", ["connection", "object", "external_id"], unique=False)
    op.create_table(
        "api_budget",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("window_start", tables.Instant(), nullable=False),
        sa.Column("spent", tables.Count(), nullable=False, comment="calls that we reserved in this window"),
        sa.Column("used", tables.Count(), nullable=True, comment="calls of all applications, as the system last said"),
        sa.Column("allowed", tables.Count(), nullable=True, comment="calls that the system allows in the window"),
        sa.PrimaryKeyConstraint("connection", name=op.f("pk_api_budget")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "api_slot",
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("number", tables.Count(), autoincrement=False, nullable=False),
        sa.Column("token", tables.Count(), nullable=False),
        sa.Column("expires_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "number", name=op.f("pk_api_slot")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "book",
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("terms", sa.Text(), nullable=False, comment="hash of the program's terms that settled it"),
        sa.Column("fact_row", tables.Count(), nullable=False, comment="fact.id up to which facts are settled"),
        sa.Column("as_of", sa.Text(), nullable=False, comment="local date up to which it is settled"),
        sa.Column("settled_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("program", name=op.f("pk_book")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "enqueued_plan",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False, comment="JSON: counts by object, calls"),
        sa.Column("refused", sa.Text(), nullable=False, comment="JSON list: the brakes that it ran into"),
        sa.Column("allowed_by", sa.Text(), nullable=True, comment="who let it through all the same"),
        sa.Column("enqueued_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enqueued_plan")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "entry_head",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("prospect", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("referral", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("amount_minor", tables.Minor(), nullable=False),
        sa.Column("states_on", sa.Text(), nullable=True),
        sa.Column("releases_on", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False, comment="accrued, held, payable, stated or paid"),
        sa.Column("released_on", sa.Text(), nullable=True),
        sa.Column("statement", sa.Text(), nullable=True, comment="id of the cut statement it stands on"),
        sa.Column(
            "replaces",
            sa.Text(),
            nullable=True,
            comment="key of the entry whose recomputed amount this adjustment brings about",
        ),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON of the entry, as in the journal"),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_entry_head")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_entry_head_prospect", "entry_head", ["program", "prospect"], unique=False)
    op.create_index("ix_entry_head_statement", "entry_head", ["statement"], unique=False)
    op.create_index(
        "ix_entry_head_unstated",
        "entry_head",
        ["program", "partner", "currency"],
        unique=False,
        sqlite_where=sa.text("statement IS NULL"),
        postgresql_where=sa.text("statement IS NULL"),
    )
    op.create_index(
        "ix_entry_head_waiting",
        "entry_head",
        ["program", "releases_on"],
        unique=False,
        sqlite_where=sa.text("state = 'accrued'"),
        postgresql_where=sa.text("state = 'accrued'"),
    )
    op.create_table(
        "fact",
        sa.Column("id", tables.Count(), autoincrement=False, nullable=False, comment="ascending in order of commit"),
        sa.Column("previous", tables.Count(), nullable=True, comment="id of the version before"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fact_id", sa.Text(), nullable=False),
        sa.Column("seq", tables.Count(), nullable=False),
        sa.Column("known_at", tables.Instant(), nullable=False),
        sa.Column("account", sa.Text(), nullable=True, comment="the account it is about, when it names one"),
        sa.Column(
            "parent_type",
            sa.Text(),
            nullable=True,
            comment="type of the fact through which its account is found otherwise",
        ),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON of docs/records.md without known_at"),
        sa.Column("deleted", tables.Flag(), nullable=False),
        sa.Column(
            "stream_id", tables.Count(), nullable=True, comment="null: stated in this service, not read from a system"
        ),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("record_seq", tables.Count(), nullable=True),
        sa.Column("run_id", tables.Count(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_fact")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_fact_account",
        "fact",
        ["account"],
        unique=False,
        sqlite_where=sa.text("account IS NOT NULL"),
        postgresql_where=sa.text("account IS NOT NULL"),
    )
    op.create_index(
        "ix_fact_parent",
        "fact",
        ["parent_type", "parent_id"],
        unique=False,
        sqlite_where=sa.text("parent_type IS NOT NULL"),
        postgresql_where=sa.text("parent_type IS NOT NULL"),
    )
    op.create_index(
        "ix_fact_unscoped",
        "fact",
        ["type"],
        unique=False,
        sqlite_where=sa.text("account IS NULL AND parent_type IS NULL"),
        postgresql_where=sa.text("account IS NULL AND parent_type IS NULL"),
    )
    op.create_table(
        "fact_head",
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fact_id", sa.Text(), nullable=False),
        sa.Column("row_id", tables.Count(), nullable=False, comment="fact.id of the current version"),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False, comment="of its body"),
        sa.PrimaryKeyConstraint("type", "fact_id", name=op.f("pk_fact_head")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fact_subject",
        sa.Column("subject", sa.Text(), nullable=False, comment="partner:ID, about:ID or referral:ID"),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("fact_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "type", "fact_id", name=op.f("pk_fact_subject")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "intent",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column(
            "key_field", sa.Text(), nullable=False, comment="external-id field; empty: the key is the system's own id"
        ),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False, comment="create or update, as planned"),
        sa.Column("payload", sa.Text(), nullable=False, comment="JSON of the fields to write"),
        sa.Column("payload_hash", sa.Text(), nullable=False),
        sa.Column(
            "parent", sa.Text(), server_default="", nullable=False, comment="writes under one parent follow each other"
        ),
        sa.Column(
            "rank",
            tables.Count(),
            nullable=False,
            comment="position of the object in its plan: what others need goes first",
        ),
        sa.Column("because", sa.Text(), server_default="", nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, attempted, done, dead or superseded"),
        sa.Column("attempts", tables.Count(), server_default="0", nullable=False),
        sa.Column("next_at", tables.Instant(), nullable=True, comment="not before; null: at once"),
        sa.Column(
            "failure",
            sa.Text(),
            nullable=True,
            comment="of a dead letter: data, permission, parent, lock, limit or schema",
        ),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("plan_hash", sa.Text(), nullable=False),
        sa.Column("edited_by", sa.Text(), nullable=True, comment="who changed the payload of a dead letter"),
        sa.Column("created_at", tables.Instant(), nullable=False),
        sa.Column("updated_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_intent")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_intent_key", "intent", ["connection", "object", "key"], unique=False)
    op.create_index(
        "ix_intent_live",
        "intent",
        ["connection", "state", "rank", "parent", "id"],
        unique=False,
        sqlite_where=sa.text("state IN ('pending', 'attempted', 'dead')"),
        postgresql_where=sa.text("state IN ('pending', 'attempted', 'dead')"),
    )
    op.create_index(
        "uq_intent_pending",
        "intent",
        ["connection", "object", "key_field", "key"],
        unique=True,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "journal",
        sa.Column("seq", tables.Count(), autoincrement=False, nullable=False, comment="from 1, without gaps"),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="entry, posting or statement"),
        sa.Column("subject", sa.Text(), nullable=False, comment="entry key or statement id"),
        sa.Column("body", sa.Text(), nullable=False, comment="JSON, as hashed"),
        sa.Column("hash", sa.Text(), nullable=False, comment="SHA-256 of the row before and this body"),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_journal_subject", "journal", ["subject"], unique=False)
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column(
            "token", tables.Count(), nullable=False, comment="grows with every acquisition; the fence of stale holders"
        ),
        sa.Column("expires_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "outcome_row",
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("list", sa.Text(), nullable=False, comment="claims, support or tasks"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column(
            "owner", sa.Text(), nullable=False, comment="prospect, partner or statement whose settling replaces it"
        ),
        sa.Column("row", sa.Text(), nullable=False, comment="JSON row of the outcome"),
        sa.PrimaryKeyConstraint("program", "list", "key", name=op.f("pk_outcome_row")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_outcome_row_owner", "outcome_row", ["program", "owner"], unique=False)
    op.create_table(
        "prospect",
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("prospect", sa.Text(), nullable=False),
        sa.Column("accounts", sa.Text(), nullable=False, comment="JSON: known [[instant, account], ...], trees"),
        sa.Column(
            "wake_on", sa.Text(), nullable=True, comment="the next date on which it changes by the passing of time"
        ),
        sa.PrimaryKeyConstraint("program", "prospect", name=op.f("pk_prospect")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_prospect_wake", "prospect", ["program", "wake_on"], unique=False)
    op.create_table(
        "record",
        sa.Column("stream_id", tables.Count(), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("version_id", tables.Count(), nullable=False, comment="record_version.id of the current version"),
        sa.Column("content_hash", sa.LargeBinary(), nullable=False, comment="of the payload, deletion and merge"),
        sa.Column(
            "modified_at",
            tables.Instant(),
            nullable=True,
            comment="the latest stamp that the record came with, also without a change",
        ),
        sa.Column(
            "facts",
            sa.Text(),
            nullable=True,
            comment="JSON list of the facts it ever gave: [type, id], or type when the id is its own",
        ),
        sa.PrimaryKeyConstraint("stream_id", "external_id", name=op.f("pk_record")),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "record_version",
        sa.Column("id", tables.Count(), autoincrement=False, nullable=False),
        sa.Column("previous", tables.Count(), nullable=True, comment="id of the version before"),
        sa.Column("stream_id", tables.Count(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("seq", tables.Count(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False, comment="the system's change token"),
        sa.Column("payload", sa.Text(), nullable=False, comment="the system's own fields as JSON"),
        sa.Column("deleted", tables.Flag(), nullable=False),
        sa.Column("merged_into", sa.Text(), nullable=True),
        sa.Column("created_at", tables.Instant(), nullable=True),
        sa.Column("modified_at", tables.Instant(), nullable=True),
        sa.Column("run_id", tables.Count(), nullable=False),
        sa.Column("seen_at", tables.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record_version")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "run",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("job", sa.Text(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False, comment="running, ok, partial or failed"),
        sa.Column("counts", sa.Text(), server_default="{}", nullable=False, comment="JSON"),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("started_at", tables.Instant(), nullable=False),
        sa.Column("ended_at", tables.Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_run")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_run_job", "run", ["job", "id"], unique=False)
    op.create_table(
        "statement_head",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("period_from", sa.Text(), nullable=False),
        sa.Column("payable_minor", tables.Minor(), nullable=False),
        sa.Column("carried_minor", tables.Minor(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="open, issued, invoiced or paid"),
        sa.Column("cut", tables.Flag(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False, comment="JSON row of the outcome"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_statement_head")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_statement_head_partner", "statement_head", ["program", "partner", "currency", "period_from"], unique=False
    )
    op.create_table(
        "stream",
        sa.Column("id", tables.Count(), nullable=False),
        sa.Column("connection", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True, comment="where the read in progress stopped; null: at its start"),
        sa.Column(
            "watermark", sa.Text(), nullable=True, comment="from where the next read starts; null: from the beginning"
        ),
        sa.Column("reading", sa.Text(), server_default="changes", nullable=False, comment="changes or backfill"),
        sa.Column(
            "complete",
            tables.Flag(),
            server_default=sa.false(),
            nullable=False,
            comment="the first full read has ended",
        ),
        sa.Column(
            "query_hash",
            sa.Text(),
            nullable=True,
            comment="fields and filter that were read; a change asks for a backfill",
        ),
        sa.Column(
            "mapping_hash",
            sa.Text(),
            nullable=True,
            comment="mapping by which the facts were made; a change asks for a replay",
        ),
        sa.Column("last_run", tables.Count(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_stream")),
        sa.UniqueConstraint("connection", "kind", name=op.f("uq_stream_connection_kind")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_table(
        "tie",
        sa.Column("program", sa.Text(), nullable=False),
        sa.Column("referral", sa.Text(), nullable=False),
        sa.Column("prospect", sa.Text(), nullable=False),
        sa.Column("partner", sa.Text(), nullable=False),
        sa.Column("ties", sa.Text(), nullable=False, comment="JSON list: at, prospect, rule, evidence, unsure, part"),
        sa.Column("ruleset", sa.Text(), nullable=False, comment="version of the matching rules that decided"),
        sa.PrimaryKeyConstraint("program", "referral", name=op.f("pk_tie")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index("ix_tie_partner", "tie", ["program", "partner"], unique=False)
    op.create_index("ix_tie_prospect", "tie", ["program", "prospect"], unique=False)
    op.create_table(
        "quarantine",
        sa.Column("stream_id", tables.Count(), autoincrement=False, nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("seq", tables.Count(), nullable=False, comment="record_version.seq that was rejected"),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("found", sa.Text(), nullable=False),
        sa.Column("allowed", sa.Text(), nullable=False),
        sa.Column("waits_for_kind", sa.Text(), nullable=True),
        sa.Column("waits_for_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False, comment="open or released"),
        sa.Column("first_seen", tables.Instant(), nullable=False),
        sa.Column("last_seen", tables.Instant(), nullable=False),
        sa.Column("attempts", tables.Count(), nullable=False),
        sa.ForeignKeyConstraint(["stream_id"], ["stream.id"], name=op.f("fk_quarantine_stream_id")),
        sa.PrimaryKeyConstraint("stream_id", "external_id", name=op.f("pk_quarantine")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["stream_id", "code"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "redirect",
        sa.Column("stream_id", tables.Count(), autoincrement=False, nullable=False),
        sa.Column("loser", sa.Text(), nullable=False),
        sa.Column("winner", sa.Text(), nullable=False),
        sa.Column("seen_at", tables.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["stream_id"], ["stream.id"], name=op.f("fk_redirect_stream_id")),
        sa.PrimaryKeyConstraint("stream_id", "loser", name=op.f("pk_redirect")),
        sqlite_strict=True,
        sqlite_with_rowid=True,
    )
    for name in APPEND_ONLY:
        _refuse_changes(name)
