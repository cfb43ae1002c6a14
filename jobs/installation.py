"""An installation in use: settings, store, programs and connections, opened once for a command."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.clock import Clock, wall_clock
from jobs.config import Settings, load_settings
from jobs.connections import Open, budget_of, open_connection
from jobs.logs import set_up_logs
from jobs.problems import UserError
from rules.program import SHIPPED, Program, load_program
from sync.budgets import ApiBudget
from sync.mapping import Mapping
from sync.pull import Progress
from sync.store import Store

if TYPE_CHECKING:
    from jobs.notifying import Notifier

Reported = Callable[[str, Progress], None]


@dataclass(slots=True)
class Installation:
    """Everything a job needs."""

    settings: Settings
    store: Store
    programs: list[Program]
    clock: Clock
    sleep: Callable[[float], None]
    budgets: dict[tuple[str, float, int | None], ApiBudget] = field(default_factory=dict)
    """One for each connection, however often it is opened: what one run reserved and did not use, the next one has."""

    def open(self, names: Sequence[str] | None = None) -> list[Open]:
        """Open connections (all, or these). Raises: ``UserError`` for a name that is not in the settings."""
        known = self.settings.connections
        for name in names or ():
            if name not in known:
                raise UserError(f"--connection: found {name!r}; allowed: {', '.join(known)}")
        return [self.connection(name) for name in names or known]

    def connection(self, name: str, mapping: Mapping | None = None) -> Open:
        """Open one connection of the settings, with its own mapping unless another is given."""
        chosen = self.settings.connections[name]
        key = name, chosen.quota_share, chosen.concurrency
        if key not in self.budgets:
            self.budgets[key] = budget_of(chosen, name, self.store, self.clock, self.sleep)
        return open_connection(
            self.settings, name, self.store, self.clock, self.sleep, mapping=mapping, budget=self.budgets[key]
        )

    def writing(self, names: Sequence[str] | None = None) -> list[Open]:
        """The connections that something is written to."""
        return [each for each in self.open(names) if each.settings.write and each.mapping.writes]

    def notifier(self) -> Notifier | None:
        """What tells people, when the settings have `notifications`."""
        from jobs.notifying import Notifier  # mail and reports, which most commands do without

        chosen = self.settings.notifications
        return Notifier(self.settings, chosen, self.programs, self.store, self.clock) if chosen else None

    @contextmanager
    def progress(self, *, quiet: bool = False) -> Iterator[Reported | None]:
        """Show how far pulling is, on standard error, when that is a terminal."""
        if quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress as Bar
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        with Bar(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        ) as bar:
            task = bar.add_task("connecting", total=None)

            def tell(connection: str, page: Progress) -> None:
                seen = page.records
                total = seen.new + seen.changed + seen.unchanged + seen.deleted
                bar.update(task, description=f"{connection}: {page.kind}, {total:,} records in {page.pages} pages")

            yield tell


def known_connection(here: Installation, name: str) -> None:
    """Raises: ``UserError`` for a connection that is not in the settings."""
    if name not in here.settings.connections:
        raise UserError(f"found the connection {name!r}; allowed: {', '.join(here.settings.connections)}")


@contextmanager
def installation(
    config: Path, *, clock: Clock = wall_clock, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Installation]:
    """Open the installation of a settings file; the store's tables are brought up to date."""
    settings = load_settings(config)
    set_up_logs(
        settings.log.format, settings.log.level, [each.get_secret_value().strip() for each in settings.resolved]
    )
    programs = [load_program(name if name in SHIPPED else str(settings.path(name))) for name in settings.programs]
    store = Store.open(settings.store_url)
    try:
        store.migrate()
        here = Installation(settings, store, programs, clock, sleep)
        yield here
        for budget in here.budgets.values():
            budget.give_back()
    finally:
        store.close()
