"""Bringing a database to the tables of this version, step by step (Alembic)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

FOLDER = Path(__file__).parent / "migrations"


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Run the steps that this database has not seen, up to this one; each is one transaction."""
    command.upgrade(_config(engine), revision)


def write_revision(engine: Engine, message: str, revision: str) -> None:
    """Draft the next step from how the tables of the code differ from those of an up-to-date database.

    Read the draft: it does not know triggers, nor that a column was renamed.
    """
    command.revision(_config(engine), message=message, autogenerate=True, rev_id=revision)


def _config(engine: Engine) -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["engine"] = engine
    return config
