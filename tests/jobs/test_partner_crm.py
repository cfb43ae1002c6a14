"""A partner's own CRM as one more connection: its leads are written there, and nobody else's (CN-78)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from connectors.hubspot.simulator import HubSpotSimulator
from connectors.hubspot.simulator.schema import PropertySpec
from jobs.installation import installation
from jobs.sync import Synced, sync
from tests.jobs.test_notifying import PARTNERS, START, approved, lead

MAPPING: dict[str, Any] = {
    "system": "hubspot",
    "name": "Leads of Alder Advisers",
    "objects": [],
    "write": [
        {
            "object": "deals",
            "rows": "leads",
            "key": "referee_lead",
            "when": {"row": "partner", "is": "p1"},
            "fields": {
                "dealname": "company",
                "amount": {"row": "value", "null": "clear"},
                "pipeline": "status",
                "referral_id": {"row": "contact.email"},
            },
        }
    ],
}


def test_leads_reach_the_partners_own_crm_once_and_follow_their_status(tmp_path: Path) -> None:
    """CN-78: the partner's HubSpot gets its leads, filled in with what the vendor knows; of other partners nothing."""
    moment = [START]
    portal = HubSpotSimulator(now=lambda: moment[0])
    portal.limits.burst = portal.limits.searches = None
    portal.add_property("deals", PropertySpec("referee_lead", unique=True))
    with portal:
        body = {
            "programs": ["code-ninety"], "log": {"level": "error"},
            "connections": {"alder": {"system": "hubspot", "mapping": "alder.yaml", "settings": portal.settings()}},
        }  # fmt: skip
        for name, content in (("referee.yaml", body), ("alder.yaml", MAPPING)):
            with (tmp_path / name).open("w", encoding="utf-8") as out:
                YAML().dump(content, out)
        with installation(tmp_path / "referee.yaml", clock=lambda: moment[0], sleep=lambda seconds: None) as here:

            def run() -> Synced:
                return sync(here.store, here.programs, here.open(), here.clock)

            here.store.put_facts([*PARTNERS, *lead(1), *lead(2), *lead(3, "p2")], known_at=moment[0], run_id=0)
            first = run()
            assert first.failed == [] and first.refused == []
            deals = {row["referee_lead"]: row for row in portal.all_rows("deals")}
            assert {key: row["dealname"] for key, row in deals.items()} == {
                "r1": "Client 1 Works",
                "r2": "Client 2 Works",
            }
            assert deals["r1"]["amount"] == "900000.00" and deals["r1"]["referral_id"] == "kim@client.example"
            here.store.put_facts([approved(1, "2026-01-05T13:00:00+05:00")], known_at=moment[0], run_id=0)
            run()
            assert {row["referee_lead"]: row["pipeline"] for row in portal.all_rows("deals")} == {
                "r1": "qualified", "r2": "submitted",
            }  # fmt: skip
            assert run().plans["alder"].empty and len(portal.all_rows("deals")) == 2
    assert portal.crashes == []
