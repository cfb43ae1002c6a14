"""Processes that a test kills: forked from one that has imported everything, so that each is there at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["tests.sync.pulling_child", "tests.sync.test_outbox_kill"])


def ended(work: Callable[..., Any], *arguments: Any) -> int:
    """Do some work in a process of its own; returns how it ended: 0, 1 (it raised) or less: the signal."""
    process = _SERVER.Process(target=work, args=arguments)
    process.start()
    process.join(timeout=120)
    assert process.exitcode is not None, "it never ended"
    return process.exitcode
