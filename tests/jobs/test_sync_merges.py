"""People merge leads and accounts in the CRM: no claim loses its rank, and money follows the surviving account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.jobs.sync_world import Office, office, outcome


@pytest.fixture
def place(tmp_path: Path) -> Any:
    with office(tmp_path / "office") as made:
        made.morning(1)
        assert not made.sync().failed
        yield made


def test_merging_the_first_lead_away_keeps_its_claim_and_rank(place: Office) -> None:
    """E41."""
    ids = place.world.ids
    first, second = ids["lead Harbour by Northline"], ids["lead Harbour by Brightfield"]
    place.world.crm.merge(second, first)
    place.later(hours=1)
    assert not place.sync().failed
    claims = {claim["referral"]: claim for claim in outcome(place)["claims"]}
    assert (claims[first]["rank"], claims[first]["state"]) == (1, "active")
    assert (claims[second]["rank"], claims[second]["state"]) == (2, "conflict")


def test_an_invoice_that_knows_the_customer_by_a_merged_account_still_pays_the_partner(place: Office) -> None:
    """E41."""
    world = place.world
    old = world.ids["Harbour"]
    twin = world.crm.insert("Account", {"Name": "Harbour Lift Services Pty Ltd", "CurrencyIsoCode": "AUD"})
    place.morning(9)
    world.crm.merge(twin, old)
    place.morning(20)
    place.later(hours=1)
    assert not place.sync().failed
    place.later(days=1)
    assert not place.sync().failed
    found = outcome(place)
    claim = next(c for c in found["claims"] if c["referral"] == world.ids["lead Harbour by Northline"])
    assert (claim["state"], claim["account"]) == ("won", twin)
    paid = [e["amount"] for e in found["entries"] if e["referral"] == claim["referral"]]
    assert paid == ["250.00"]
