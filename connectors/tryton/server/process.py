"""Starts ``trytond`` from its own environment, on a database that is made with ``trytond-admin``."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

REQUIREMENTS = Path(__file__).with_name("trytond.txt")
MODULES = ("party", "company", "account_invoice", "account_product", "sale", "sale_opportunity", "commission")
ADMIN_PASSWORD = "admin-of-tests"
START_SECONDS = 180
_CONFIG = """[database]
uri = {uri}
path = {folder}
[web]
listen = 127.0.0.1:{port}
[session]
timeout = 86400
authentications = password
[attachment]
filestore = False
[queue]
worker = False
"""


class NotStarted(Exception):
    """The server did not come up, or a set-up step failed; the message holds the end of what it said."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server's environment and its database. ``uri`` is ``sqlite://`` or a PostgreSQL server's; files are in ``folder``."""

    environment: Path
    folder: Path
    database: str = "tryton"
    uri: str = "sqlite://"

    def create(self) -> None:
        """Make tables and activate the modules: about half a minute on SQLite. A PostgreSQL database must exist, empty."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.uri.startswith("sqlite"):
            (self.folder / f"{self.database}.sqlite").touch()
        secret = self.folder / "admin.pass"
        secret.write_text(ADMIN_PASSWORD + "\n")
        config = self._configured(0)
        admin = (self._command("trytond-admin"), "-c", config, "-d", self.database)
        for step in (("--all", "--email", "admin@example.test"), ("-u", *MODULES, "--activate-dependencies")):
            self._run((*admin, *step), {"TRYTONPASSFILE": str(secret)})

    @contextmanager
    def running(self, launcher: Path | None = None, **environment: str) -> Iterator[str]:
        """The server's address, while it runs. ``launcher``: a script of its own Python to run instead of ``trytond``."""
        port = _free_port()
        config = self._configured(port)
        command = [self._command("python"), launcher] if launcher else [self._command("trytond")]
        own = {"TRYTOND_CONFIG": str(config), "TRYTOND_DATABASE_NAMES": self.database, **environment}
        log = self.folder / f"trytond.{port}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "-c", config, "-d", self.database], env=self._environment(own), stdout=out, stderr=out
            )
            try:
                url = f"http://127.0.0.1:{port}"
                _wait_for(url, process, log)
                yield url
            finally:
                process.terminate()
                process.wait()

    def _configured(self, port: int) -> Path:
        config = self.folder / f"trytond.{port}.conf"
        config.write_text(_CONFIG.format(uri=self.uri, folder=self.folder, port=port))
        return config

    def _command(self, name: str) -> Path:
        return self.environment / "bin" / name

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        # Nothing of this machine's settings: no proxies, no other Python path.
        path = f"{self.environment / 'bin'}:{os.environ.get('PATH', '')}"
        return {"PATH": path, "HOME": str(self.folder), "LC_ALL": "C.UTF-8", **more}

    def _run(self, command: Sequence[str | Path], more: dict[str, str]) -> None:
        ended = subprocess.run(command, env=self._environment(more), capture_output=True, text=True)
        if ended.returncode:
            raise NotStarted(f"{Path(command[0]).name} ended with {ended.returncode}: {ended.stderr.strip()[-1500:]}")


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until it answers; nothing else says that a server listens."""
    until = time.monotonic() + START_SECONDS
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < until and process.poll() is None:
            try:
                body = {"id": 1, "method": "common.server.version", "params": []}
                if session.post(f"{url}/rpc/", json=body, timeout=5).ok:
                    return
            except requests.RequestException:
                time.sleep(0.05)
    raise NotStarted(f"trytond did not come up: {log.read_text(errors='replace').strip()[-1500:]}")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
