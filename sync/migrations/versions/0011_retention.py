"""Old events of writes, plans and uses of mappings may go; they are still never changed."""

from __future__ import annotations

from alembic import op

from sync import tables

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

PRUNABLE = ("enqueued_plan", "mapping_use", "write_event")


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for name in PRUNABLE:
        if dialect == "sqlite":
            op.execute(f"DROP TRIGGER {name}_no_delete")
            continue
        op.execute(f"DROP TRIGGER {name}_append_only ON {name}")
        for statement in tables.append_only_statements(name, dialect, ("UPDATE",)):
            op.execute(statement)
