"""The demo's two months: what everybody earned, what was paid, and what stands in the CRM in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

import jobs.demo
from jobs.demo import run_demo
from jobs.demo_story import World
from jobs.problems import UserError


@pytest.mark.slow
def test_the_demo_settles_the_contested_company_to_the_cent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    worlds: list[World] = []
    made = jobs.demo._world

    @contextmanager
    def kept() -> Iterator[World]:
        with made() as world:
            worlds.append(world)
            yield world

    monkeypatch.setattr(jobs.demo, "_world", kept)
    figures = run_demo(tmp_path / "demo", json=True)
    outcome = orjson.loads(capfdbinary.readouterr().out)["outcome"]
    (world,) = worlds
    names = {identity: name for name, identity in world.ids.items()}

    earned: dict[str, list[str]] = {}
    for entry in sorted(outcome["entries"], key=lambda each: (each["earned_on"], each["key"])):
        earned.setdefault(names[entry["partner"]], []).append(entry["amount"])
    assert earned == {"Northline": ["250.00", "250.00"], "Brightfield": ["240.00", "-48.00"], "Dunmore": ["810.00"]}
    cut = [each for each in outcome["statements"] if each["state"] != "open"]
    assert len(cut) == 4
    assert [each["state"] for each in cut if names[each["partner"]] == "Northline" and each["payable"] == "250.00"][
        0
    ] == "paid"
    assert figures["problems"] == []
    assert figures["syncs"] == 62

    held = {
        row["Sync_Key__c"]: (row["Partner__c"], Decimal(row["Amount__c"]), row["State__c"])
        for row in world.crm.all_rows("Commission__c")
    }
    assert held == {
        each["key"]: (each["partner"], Decimal(each["amount"]), each["state"]) for each in outcome["entries"]
    }
    assert set(world.crm.journal.count_by_key().values()) == set(world.erp.journal.count_by_key().values()) == {1}

    account: dict[str, Any] = world.crm.get("Account", world.ids["Harbour"])
    assert account["Support_Contact_Email__c"] == "mia.tran@northlineadvisory.com.au"
    assert account["Referral_Partner__c"] == account["Support_Partner__c"] == world.ids["Northline"]
    assert account["Billing_Contact_Email__c"] == "accounts@harbourlift.com.au"
    assert not any("Billing" in field for write in world.crm.journal.writes() for field in write.fields)

    assert (tmp_path / "demo" / "referee.yaml").exists()
    with pytest.raises(UserError, match="was not made by the demo"):
        run_demo(tmp_path)
