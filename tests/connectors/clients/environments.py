"""Programs that others wrote, each in an environment of its own, pointed at a simulator.

An environment is made once per locked requirements file, in ``.cache/clients`` of the project, and kept.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache" / "clients"
INSTALL_SECONDS = 300
RUN_SECONDS = 120


class NotInstalled(Exception):
    """The packages could not be installed; the message says which step failed and how."""


@dataclass(frozen=True)
class Program:
    """An installed client."""

    folder: Path

    def run(self, command: str, *arguments: str | Path, simulator: str) -> str:
        """What a command of the environment prints, with the vendor's hosts answered by ``simulator``.

        Raises: ``AssertionError`` with the end of its messages when it fails.
        """
        # No proxies and no settings of this machine: the client sees an address, a path and nothing else.
        environment = {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(HERE / "loopback"),
            "SIMULATOR_URL": simulator, "HOME": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        call = [str(self.folder / "bin" / command), *map(str, arguments)]
        ended = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS)
        assert ended.returncode == 0, (
            f"{command} ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-4000:]}"
        )
        return ended.stdout


def installed(name: str) -> Program:
    """The client locked in ``NAME.txt``. Raises: :class:`NotInstalled`."""
    locked = HERE / f"{name}.txt"
    stamp = hashlib.sha256(locked.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = CACHE / f"{name}-{stamp}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _alone(CACHE / f"{name}.lock"):
        if not (folder / "complete").exists():
            for older in CACHE.glob(f"{name}-*"):
                shutil.rmtree(older)
            for step in _steps(folder, locked):
                _carry_out(step)
            (folder / "complete").touch()
    return Program(folder)


def _steps(folder: Path, locked: Path) -> Sequence[Sequence[str | Path]]:
    python = folder / "bin" / "python"
    beside = Path(sys.executable).with_name("uv")
    uv = beside if beside.exists() else shutil.which("uv")
    if uv:
        return (
            (uv, "venv", "--quiet", "--no-project", "--python", sys.executable, folder),
            (uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", locked),
        )
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes")
    return ((sys.executable, "-m", "venv", folder), (*pip, "--no-deps", "--requirement", locked))


def _carry_out(step: Sequence[str | Path]) -> None:
    text = " ".join(map(str, step))
    try:
        ended = subprocess.run(step, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalled(f"{text}: {error}") from error
    if ended.returncode:
        raise NotInstalled(f"{text} ended with {ended.returncode}: {ended.stderr.strip()[-500:]}")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """One process at a time makes an environment; the others wait and find it ready."""
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
