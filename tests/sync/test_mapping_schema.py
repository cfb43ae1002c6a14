"""The schema that editors use agrees with the loader on the files that load, and is the one that is shipped."""

from __future__ import annotations

import re
from pathlib import Path

import jsonschema
import pytest

from sync.mapping import load_mapping
from sync.mapping_schema import mapping_schema, schema_text
from sync.yaml_nodes import read_yaml

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "mapping.md").read_text(encoding="utf-8")
EXAMPLE = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[0]
SHIPPED = sorted(ROOT.glob("connectors/*/mapping.yaml"))


def test_the_shipped_schema_is_current() -> None:
    shipped = (ROOT / "docs" / "mapping.schema.json").read_text(encoding="utf-8")
    assert shipped == schema_text(), "write sync.mapping_schema.schema_text() to docs/mapping.schema.json"


@pytest.mark.parametrize("text", [EXAMPLE, *(path.read_text(encoding="utf-8") for path in SHIPPED)])
def test_what_loads_is_valid(text: str) -> None:
    load_mapping("mapping.yaml", text)
    jsonschema.Draft202012Validator.check_schema(mapping_schema())
    jsonschema.validate(read_yaml("mapping.yaml", text).plain, mapping_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("record: referral", "record: referal"),
        ("      channel:\n", "      chanel:\n"),
        ("rows: entries", "rows: entrys"),
        ("    when: IsPartner", "    wehn: IsPartner"),
        ("transform: {truncate: 255}", "transform: {truncate: 0}"),
        ("    key: Sync_Key__c", "    note: Sync_Key__c"),
    ],
)
def test_an_editor_underlines_common_slips(old: str, new: str) -> None:
    broken = read_yaml("mapping.yaml", EXAMPLE.replace(old, new, 1)).plain
    assert not jsonschema.Draft202012Validator(mapping_schema()).is_valid(broken)
