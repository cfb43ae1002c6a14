"""Every table of the service in one place: importing this module puts all of them on :data:`metadata`."""

from __future__ import annotations

import sync.book_tables
import sync.conflict_tables
import sync.drift_tables
import sync.hint_tables
import sync.kept_tokens
import sync.link_tables
import sync.mapping_tables
import sync.notice_tables
import sync.outbox_tables  # noqa: F401  (imported for its tables)
from sync.tables import APPEND_ONLY, append_only_statements, metadata

__all__ = ["APPEND_ONLY", "append_only_statements", "metadata"]
