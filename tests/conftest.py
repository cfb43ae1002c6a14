"""For every test: no network but this machine's loopback, logs as they were, and property tests that repeat in CI."""

from __future__ import annotations

import gc
import ipaddress
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import settings

# No deadlines: how long an example takes says how busy the machine is.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command that a test runs in this process sets logs up; the next test shall not notice."""
    yield
    structlog.reset_defaults()


class NetworkBlocked(Exception):
    """A test called something outside this machine. No ``OSError``, so that no retry takes it for an outage."""


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse sockets and name look-ups that leave the machine (an audit hook: nothing of Python is replaced)."""
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None  # a path: a socket file
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host and not _is_loopback(host):
        raise NetworkBlocked(f"a test called {host}; tests may call 127.0.0.1 only, such as a simulator")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


sys.addaudithook(_guard)


def pytest_collection_finish() -> None:
    """What was imported stays to the end: the garbage collector need not look at it again and again."""
    gc.collect()
    gc.freeze()
