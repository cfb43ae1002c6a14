"""Runs in Tryton's own environment: trytond as it is, but with a clock that tests move.

Only the time is touched: the database's CURRENT_TIMESTAMP and the Date header are those of this machine plus the seconds
in the file ``CLOCK_OFFSET``. Sessions, whose age Tryton compares with this machine's time, last for years.
"""

import argparse
import datetime as dt
import os
from email.utils import format_datetime
from pathlib import Path

from sql.functions import CurrentTimestamp, Function
from trytond import config

OFFSET = Path(os.environ["CLOCK_OFFSET"])


def seconds():
    return float(OFFSET.read_text() or 0)


class MovedTimestamp(Function):
    """The PostgreSQL server's transaction time, moved."""

    __slots__ = ()
    _function = "CURRENT_TIMESTAMP"

    def __str__(self):
        return f"(CURRENT_TIMESTAMP + INTERVAL '{seconds():.6f} seconds')"


def move_the_database_clock():
    from trytond.backend.postgresql.database import Database
    from trytond.backend.sqlite import database as sqlite

    Database.flavor.function_mapping[CurrentTimestamp] = MovedTimestamp
    own = sqlite.now
    sqlite.now = lambda: (dt.datetime.fromisoformat(own()) + dt.timedelta(seconds=seconds())).isoformat(" ")


if __name__ == "__main__":
    options = argparse.ArgumentParser()
    options.add_argument("-c")
    options.add_argument("-d")
    given = options.parse_args()
    config.update_etc(given.c)
    config.set("session", "max_age", str(10 * 365 * 86400))
    move_the_database_clock()

    from trytond.application import app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    class Handler(WSGIRequestHandler):
        def date_time_string(self, timestamp=None):
            """The Date header."""
            now = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds())
            return format_datetime(now, usegmt=True)

        def log_request(self, *arguments):
            """Nothing to tell."""

    host, port = config.get("web", "listen").split(":")
    run_simple(host, int(port), app, threaded=True, request_handler=Handler)
