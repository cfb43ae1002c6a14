"""A company's database, made once for each set of packages and year, and copied from then on."""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from connectors.environments import alone
from connectors.tryton.server import company
from connectors.tryton.server.process import MODULES, REQUIREMENTS, Server


def build(server: Server, years: range) -> None:
    """Make the tables and the company, its books open in these years."""
    server.create()
    with server.running() as url:
        company.set_up(url, server.database, name="Vendor Pty Ltd", years=years)


def is_prepared(cache: Path, kind: str = "sqlite") -> bool:
    """Whether :func:`prepared` has nothing to make."""
    return (_place(cache, kind) / "complete").exists()


def prepared(cache: Path, make: Callable[[Path, range], None], kind: str = "sqlite") -> Path:
    """The folder with a company's database: books of last, this and next year are open. To be copied, not used.

    ``make`` puts it into an empty folder, when it is not there; two processes do not make it at once.
    Raises: what ``make`` raises.
    """
    folder = _place(cache, kind)
    cache.mkdir(parents=True, exist_ok=True)
    with alone(cache / f"{kind}.lock"):
        if not is_prepared(cache, kind):
            for older in cache.glob(f"{kind}-*"):
                shutil.rmtree(older)
            folder.mkdir()
            year = datetime.now(UTC).year
            make(folder, range(year - 1, year + 2))
            (folder / "complete").touch()
    return folder


def _place(cache: Path, kind: str) -> Path:
    steps = (REQUIREMENTS.read_bytes(), Path(str(company.__file__)).read_bytes(), repr(MODULES).encode())
    stamp = hashlib.sha256(b"".join((*steps, sys.version.encode()))).hexdigest()[:12]
    return cache / f"{kind}-{datetime.now(UTC).year}-{stamp}"
