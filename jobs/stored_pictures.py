"""Pictures of the stored facts: what reports of a file are made from, of everything that the store knows now.

All facts are read and settled anew, in memory: what it costs grows with history (benchmarks/README.md, *Settle*). So only
what needs claims through time asks for it: notices, and leads that are written to a partner's own CRM.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from jobs.report.picture import Picture
from jobs.settle import settle_program, uncollected
from rules.facts import read_facts
from rules.program import Program
from sync.store import Store


def stored_pictures(store: Store, programs: Sequence[Program], now: datetime) -> list[Picture]:
    """Each program as it stands now, from all stored facts. Raises: nothing that a stored fact can cause."""
    with uncollected():
        facts, _ = read_facts(store.fact_lines(), file="store")
        until = now + timedelta(microseconds=1)
        return [
            Picture.of(settle_program(program, facts, program.calendar.date_of(now), until), facts)
            for program in programs
        ]
