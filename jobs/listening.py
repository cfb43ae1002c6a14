"""Job: while `referee run` or `referee listen` runs: take in hints (webhooks, streams of changes) and pull early on them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import structlog

from connectors.base import Hint
from connectors.errors import ConnectorError, RetryLater
from connectors.registry import Receive, load
from jobs.connections import connector_config
from jobs.early import Early, EarlyPulls, pull_early
from jobs.installation import Installation
from jobs.problems import UserError
from jobs.receiver import Receiver
from sync import hints

log = structlog.get_logger("referee.listening")

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 5.0, 600.0
"""Before listening again after the connection was lost; twice as long after each vain attempt."""


def receivers(here: Installation) -> dict[str, Receive]:
    """The connections to which their systems may post, with what judges the requests."""
    found = {}
    for name, each in here.settings.connections.items():
        plugin = load(each.system)
        receive = plugin.receiver(connector_config(here.settings, name, plugin))
        if receive is not None:
            found[name] = receive
    return found


def listened_to(here: Installation) -> list[str]:
    """The connections whose systems keep a connection open on which they tell of changes."""
    found = []
    for name, each in here.settings.connections.items():
        plugin = load(each.system)
        if plugin.listens(connector_config(here.settings, name, plugin)):
            found.append(name)
    return found


@contextmanager
def listening(here: Installation) -> Iterator[list[str]]:
    """Take in hints, and pull early, while the block runs; gives the names of the connections that have any.

    Raises: ``UserError`` for an address that cannot be listened on, or when nothing could be received there.
    """
    listen = here.settings.listen
    receive = receivers(here) if listen is not None else {}
    if listen is not None and not receive:
        raise UserError(
            f"{here.settings.place('listen')}: found no connection that receives webhooks; give one its webhook secret "
            "(hubspot: webhook_secret), or take `listen` out"
        )
    streams = listened_to(here)
    early = {name: _early(here, name) for name in dict.fromkeys((*receive, *streams))}
    ended = threading.Event()
    with ExitStack() as stack:
        for name, pulls in early.items():
            thread = threading.Thread(target=pulls.run, name=f"early {name}", daemon=True)
            thread.start()
            stack.callback(thread.join)
            stack.callback(pulls.end)
        for name in streams:
            # Not waited for: a stream may be silent for minutes, and what it told of is kept with its place.
            threading.Thread(
                target=listen_for_ever, args=(here, name, early[name], ended), name=f"hear {name}", daemon=True
            ).start()
        stack.callback(ended.set)
        if listen is not None:
            try:
                stack.enter_context(open_receiver(here, receive, early))
            except OSError as error:
                where = here.settings.place("listen", "address")
                raise UserError(
                    f"{where}: found {listen.address}, which cannot be listened on ({error.strerror}); choose another"
                ) from None
            for name in receive:
                log.warning("webhooks_received_at", connection=name, address=f"{listen.public_url}/{name}")
        yield list(early)


def open_receiver(here: Installation, receive: Mapping[str, Receive], early: Mapping[str, EarlyPulls]) -> Receiver:
    """The receiver of `listen`; hints are kept, then the connection's early pull is woken."""

    def keep(name: str, found: Sequence[Hint]) -> None:
        hints.keep(here.store, name, found, at=here.clock())
        early[name].wake()

    listen = here.settings.listen
    assert listen is not None, "only with `listen` in the settings"
    return Receiver(listen.bind, listen.public_url, receive, keep, here.clock)


def _early(here: Installation, name: str) -> EarlyPulls:
    def pull() -> Early:
        try:
            return pull_early(here, name)
        except Exception as error:  # noqa: BLE001 - the thread lives on; the schedule's sync tells what is wrong
            log.warning("early_pull_failed", connection=name, error=type(error).__name__)
            return Early()

    return EarlyPulls(pull, here.settings.connections[name].pause, here.clock)


def listen_for_ever(here: Installation, name: str, early: EarlyPulls, ended: threading.Event) -> None:
    """Listen to one connection, again whenever it is lost: later each time, and not before it says that it has room."""
    wait = FIRST_WAIT_SECONDS
    while not ended.is_set():
        try:
            (each,) = here.open([name])
            for _ in hear(here, name, each.connector, early):
                wait = FIRST_WAIT_SECONDS
                if ended.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - polls go on without it
            code = error.code if isinstance(error, ConnectorError) else type(error).__name__
            if isinstance(error, RetryLater):
                wait = max(wait, error.retry_after_seconds)
            log.warning("listening_lost", connection=name, code=code, again_in_seconds=wait)
        if ended.wait(wait):
            return
        wait = min(2 * wait, LONGEST_WAIT_SECONDS)


def hear(here: Installation, name: str, connector: Any, early: EarlyPulls) -> Iterator[int]:
    """Keep what a connection tells of, step by step, each with its place; yields the number of hints of a step."""
    last = hints.heard_until(here.store, name)
    for heard in connector.listen(last):
        if heard.hints or heard.cursor != last:
            hints.keep(here.store, name, heard.hints, at=here.clock(), cursor=heard.cursor)
            last = heard.cursor
        if heard.hints:
            early.wake()
        yield len(heard.hints)
