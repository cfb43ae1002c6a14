"""Job: the schedules of `referee.yaml` in one process: one run at a time a connection, missed runs caught up once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import structlog

from jobs.config import ConnectionSettings
from jobs.installation import Installation
from jobs.listening import listening
from jobs.problems import UserError
from jobs.prune import prune_daily
from jobs.sync import sync

log = structlog.get_logger("referee.schedule")


def run_schedules(here: Installation, *, once: bool = False) -> bool:
    """Run until told to stop (SIGTERM or Ctrl-C); a run in progress ends first. Returns whether no run of ``once`` failed.

    Meanwhile hints are taken in, where the settings ask for it, and followed early. Raises: ``UserError`` when no
    connection has a schedule.
    """
    planned = {name: each for name, each in here.settings.connections.items() if each.every or each.cron}
    if not planned:
        raise UserError('run: no connection has a schedule; give one `every: 15m` or `cron: "*/15 * * * *"`')
    if once:
        done = [_run(here, name) for name in planned]
        prune_daily(here)
        return all(done)
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler
    from apscheduler.triggers.interval import IntervalTrigger

    scheduler = BackgroundScheduler(
        timezone="UTC",
        executors={"default": ThreadPoolExecutor(len(planned) + 1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    for name, each in planned.items():
        scheduler.add_job(_run, trigger=_trigger(each), args=[here, name], id=name, next_run_time=here.clock())
    scheduler.add_job(
        prune_daily, trigger=IntervalTrigger(hours=1), args=[here], id=":prune", next_run_time=here.clock()
    )
    with until_stopped() as stopped, listening(here):
        scheduler.start()
        log.info("schedules_started", connections=sorted(planned))
        try:
            stopped.wait()
        finally:
            scheduler.shutdown(wait=True)
            log.info("schedules_stopped")
    return True


def run_listening(here: Installation) -> None:
    """Only take in hints and follow them early, until told to stop; the polls are run elsewhere.

    Raises: ``UserError`` when the settings name nothing to listen to.
    """
    with until_stopped() as stopped, listening(here) as names:
        if not names:
            raise UserError(
                "listen: no connection tells of changes; add `listen` to the settings with a webhook secret for a hubspot "
                "connection, or change_events: true to a salesforce one"
            )
        stopped.wait()


@contextmanager
def until_stopped() -> Iterator[threading.Event]:
    """An event that SIGTERM and Ctrl-C set while the block runs."""
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _trigger(each: ConnectionSettings) -> Any:
    from apscheduler.triggers.cron import CronTrigger
    from apscheduler.triggers.interval import IntervalTrigger

    if each.cron is not None:
        return CronTrigger.from_crontab(each.cron)
    interval = each.interval
    assert interval is not None
    return IntervalTrigger(seconds=int(interval.total_seconds()))


def _run(here: Installation, name: str) -> bool:
    """One scheduled sync; what fails is logged and tried again at the next time. Returns whether nothing failed."""
    try:
        result = sync(
            here.store, here.programs, here.open([name]), here.clock, notifier=here.notifier(), every=here.open
        )
    except Exception as error:
        log.exception("sync_failed", connection=name, error=type(error).__name__)
        return False
    for reason in result.failed + result.refused:
        log.error("sync_incomplete", connection=name, reason=reason)
    if result.failed or result.refused:
        return False
    log.info("sync_done", connection=name)
    return True
