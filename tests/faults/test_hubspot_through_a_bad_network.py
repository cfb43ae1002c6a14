"""Whole syncs with a HubSpot portal through the proxy: each ends as over a good network.

python -m pytest -s -m "" tests/faults/test_hubspot_through_a_bad_network.py       # -s prints the figures
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from jobs.config import load_settings
from tests.faults.proxy import TROUBLES, FaultProxy, Trouble, bad_network
from tests.jobs.hubspot_world import Place, placed

RUNS: list[tuple[tuple[Trouble, ...], int]] = [(TROUBLES, 1)]
SOAK: list[tuple[tuple[Trouble, ...], int]] = [
    *(((kind,), seed) for kind in TROUBLES for seed in (1, 2)), *((TROUBLES, seed) for seed in range(2, 6))
]  # fmt: skip


def writes(request: bytes) -> bool:
    """Whether a request changes the portal: searches and reads by id are posted too."""
    line = request.partition(b"\r\n")[0]
    return not line.startswith(b"GET ") and not any(part in line for part in (b"/search", b"/read", b"/oauth/"))


def standing(place: Place) -> dict[str, Any]:
    """What stands in the end, here and there; without the stamps of when."""
    rows = {
        kind: sorted(
            (row["hs_object_id"], sorted((k, v) for k, v in row.items() if not k.startswith("hs_") and "date" not in k))
            for row in place.portal.all_rows(kind)
        )
        for kind in ("referral", "companies", "deals")
    }
    return {"claims": place.claims(), **rows}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with placed(tmp_path_factory.mktemp("calm")) as place:
        assert place.sync().failed == []
        return standing(place)


def point_at(place: Place, url: str) -> None:
    """Let the connection go to this address."""
    yaml, config = YAML(), place.here.settings.folder / "referee.yaml"
    body = yaml.load(config.read_text("utf-8"))
    body["connections"]["crm"]["settings"]["url"] = url
    with config.open("w", encoding="utf-8") as out:
        yaml.dump(body, out)
    place.here.settings = load_settings(config)


@pytest.mark.parametrize(
    ("kinds", "seed"),
    [*RUNS, *(pytest.param(*run, marks=pytest.mark.soak) for run in SOAK)],
    ids=lambda value: ("all" if len(value) > 1 else value[0]) if isinstance(value, tuple) else str(value),
)
def test_a_portal_behind_a_bad_network_ends_as_behind_a_good_one(
    tmp_path: Path, calm: dict[str, Any], kinds: tuple[Trouble, ...], seed: int
) -> None:
    with placed(tmp_path) as place:
        choose = bad_network(kinds, random.Random(seed), writes)
        good = place.portal.url
        with FaultProxy(int(good.rpartition(":")[2]), choose) as proxy:
            point_at(place, proxy.url)
            syncs, whole = 0, False
            while not whole:
                ran, syncs = place.sync(), syncs + 1
                whole = ran.failed == [] and place.waiting() == 0
                assert whole or syncs < 20, "never whole"
                place.later(minutes=15)
            proxy.deliver_late()
        point_at(place, good)
        place.later(hours=2)
        place.sync()
        done = len(place.portal.journal.writes())
        place.later(hours=2)
        again = place.sync()
        assert again.failed == [] and all(plan.empty for plan in again.plans.values())
        assert len(place.portal.journal.writes()) == done
        assert standing(place) == calm
        assert place.here.store.quarantine() == []
    requests, trouble = proxy.hit.total(), proxy.hit.total() - proxy.hit["none"]
    name = "all kinds" if len(kinds) > 1 else kinds[0]
    print(f"\nHubSpot, {name}, seed {seed}: {trouble} of {requests} requests in trouble, {syncs} syncs, 0 violations")
    assert trouble > 0
