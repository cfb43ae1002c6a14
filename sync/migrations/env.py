"""How Alembic reaches the database: through the engine that ``sync.migrate`` hands over."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from sync.schema import metadata


def _spelled(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Our own column types by their names in ``sync.tables``."""
    if kind == "type" and type(item).__module__ == "sync.tables":
        return f"tables.{type(item).__name__}()"
    return False


with context.config.attributes["engine"].connect() as connection:
    connection = connection.execution_options(referee_writes=True)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_item=_spelled,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
