"""A tap and a target made with singer-sdk, as small as they can be, for `pull.py`: leads into a SQLite file by their Id.

Both use the SDK's msgspec messages and its bulk insert (as an upsert), and the target validates nothing: the fastest
that the SDK offers.

    python benchmarks/singer.py tap URL | python benchmarks/singer.py target FILE
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import sqlalchemy as sa
from pull import lead, pages
from singer_sdk import Stream, Tap
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecReader, MsgSpecWriter
from singer_sdk.sql import SQLConnector, SQLSink, SQLTarget
from sqlalchemy.dialects.sqlite import insert

_TYPES = {bool: th.BooleanType, int: th.IntegerType}
FIELDS = {name: value for name, value in lead(1).items() if name != "attributes"}


class Leads(Stream):
    """The leads of the benchmark's server, read by requests and orjson."""

    name = "lead"
    primary_keys: ClassVar[tuple[str, ...]] = ("Id",)
    schema = th.PropertiesList(
        *(th.Property(name, _TYPES.get(type(value), th.StringType)()) for name, value in FIELDS.items())
    ).to_dict()

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[dict[str, Any]]:
        """Every row, without what Salesforce adds to it."""
        for rows in pages(self.config["url"]):
            for row in rows:
                del row["attributes"]
                yield row


class LeadTap(Tap):
    """Reads leads."""

    name = "tap-leads"
    message_writer_class = MsgSpecWriter
    config_jsonschema = th.PropertiesList(th.Property("url", th.StringType, required=True)).to_dict()

    def discover_streams(self) -> list[Stream]:
        """The one stream."""
        return [Leads(self)]


class UpsertSink(SQLSink[SQLConnector]):
    """Bulk inserts that replace a row with the same Id."""

    connector_class = SQLConnector

    def generate_insert_statement(self, full_table_name: Any, schema: dict[str, Any]) -> Any:
        """The SDK's own statement, as an upsert."""
        names = list(self.conform_schema(schema)["properties"])
        table = sa.Table("lead", sa.MetaData(), *(sa.Column(name) for name in names))
        statement = insert(table)
        return statement.on_conflict_do_update(
            index_elements=["id"], set_={name: statement.excluded[name] for name in names if name != "id"}
        )


class LeadTarget(SQLTarget):
    """Writes leads into a SQLite file."""

    name = "target-leads"
    message_reader_class = MsgSpecReader
    default_sink_class = UpsertSink
    config_jsonschema = th.PropertiesList(th.Property("sqlalchemy_url", th.StringType, required=True)).to_dict()


def main() -> None:
    """Run the tap, or the target."""
    logging.disable(logging.WARNING)
    part, where = sys.argv[1:]
    if part == "tap":
        LeadTap(config={"url": where}).sync_all()
    else:
        settings = {
            "sqlalchemy_url": f"sqlite:///{where}", "validate_records": False, "add_record_metadata": False,
        }  # fmt: skip
        LeadTarget(config=settings).listen(sys.stdin)


if __name__ == "__main__":
    main()
