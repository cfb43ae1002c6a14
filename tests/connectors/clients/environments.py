"""Programs that others wrote, each in an environment of its own, pointed at a simulator.

An environment is made once per locked requirements file, in ``.cache/clients`` of the project, and kept.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from connectors.environments import NotInstalled, made

__all__ = ["CACHE", "HERE", "NotInstalled", "Program", "installed"]

HERE = Path(__file__).parent
CACHE = HERE.parents[2] / ".cache" / "clients"
RUN_SECONDS = 120


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
            "SIMULATOR_URL": simulator, "HOME": str(self.folder),
        }  # fmt: skip
        call = [str(self.folder / "bin" / command), *map(str, arguments)]
        ended = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=RUN_SECONDS)
        assert ended.returncode == 0, (
            f"{command} ended with {ended.returncode}: {(ended.stdout + ended.stderr)[-4000:]}"
        )
        return ended.stdout


def installed(name: str) -> Program:
    """The client locked in ``NAME.txt``. Raises: :class:`NotInstalled`."""
    return Program(made(HERE / f"{name}.txt", CACHE))
