"""Environments of their own for programs that others wrote: made once from locked requirements, and kept."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

INSTALL_SECONDS = 300
_COMPLETE = "complete"


class NotInstalled(Exception):
    """The packages could not be installed; the message says which step failed and how."""


def environment_of(locked: Path, cache: Path) -> Path:
    """The folder of the environment for a locked requirements file and this Python, made or not."""
    stamp = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()[:12]
    return cache / f"{locked.stem}-{stamp}"


def is_made(environment: Path) -> bool:
    """Whether everything has been installed there."""
    return (environment / _COMPLETE).exists()


def made(locked: Path, cache: Path) -> Path:
    """The environment, installed when it is not there yet, from the hashes of ``locked`` only.

    Uses uv when it is at hand, else pip; both reach packages as this machine is set up to. Raises: :class:`NotInstalled`.
    """
    environment = environment_of(locked, cache)
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / f"{locked.stem}.lock"):
        if not is_made(environment):
            for older in cache.glob(f"{locked.stem}-*"):
                shutil.rmtree(older)
            for step in _steps(environment, locked):
                _carry_out(step)
            (environment / _COMPLETE).touch()
    return environment


def _steps(environment: Path, locked: Path) -> Sequence[Sequence[str | Path]]:
    python = environment / "bin" / "python"
    beside = Path(sys.executable).with_name("uv")
    uv = beside if beside.exists() else shutil.which("uv")
    if uv:
        return (
            (uv, "venv", "--quiet", "--no-project", "--python", sys.executable, environment),
            (uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", locked),
        )
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    return ((sys.executable, "-m", "venv", environment), (*pip, "--no-deps", "--requirement", locked))


def _carry_out(step: Sequence[str | Path]) -> None:
    text = " ".join(map(str, step))
    try:
        ended = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{text}: {error}") from error
    if ended.returncode:
        raise NotInstalled(f"{text} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")


@contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time does what follows; the others wait and find it done."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
