"""Lanes and windows: whenever reads happen, every instant is searched when it is fresh and again when it has settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.config import HubSpotConfig
from connectors.hubspot.cursors import Manner, Place, finished, parts_of, place_of, window_of

BEGAN = 1_772_442_000_000
SECOND = 1000
PLAIN = Manner()


@given(
    waits=st.lists(st.integers(-600, 3 * 86_400), min_size=1, max_size=12),
    instant=st.integers(0, 4 * 86_400),
    lag=st.integers(0, 600),
    settle=st.integers(0, 7200),
    overlap=st.integers(0, 600),
)
def test_no_instant_is_left_out(waits: list[int], instant: int, lag: int, settle: int, overlap: int) -> None:
    """Also when a clock goes back between two reads."""
    config = HubSpotConfig.model_validate(
        {
            "access_token": "x",
            "lag_seconds": lag,
            "settle_seconds": settle,
            "overlap_seconds": overlap,
            "sweep_hours": 0,
        }
    )
    stamp = BEGAN + instant * SECOND
    place, now, latest = finished(Place("whole", BEGAN, None), config, PLAIN), BEGAN, 0
    fresh = settled = False
    for wait in waits:
        now += wait * SECOND
        latest = max(latest, now)
        place = Place("done", now, place_of(place.cursor).marks)
        for part in parts_of(place, config, PLAIN):
            window = window_of(part, config) if part.part in ("settled", "fresh") else None
            if window is not None and window[0] <= stamp <= window[1]:
                fresh = fresh or now >= stamp + lag * SECOND
                settled = settled or now >= stamp + settle * SECOND
        place = finished(place, config, PLAIN)
    age = (latest - stamp) // SECOND
    assert fresh or settled or age < min(lag, settle), "a change was never searched"
    assert settled or age < settle, "a change was not searched again after its index had settled"


def test_marks_never_go_back() -> None:
    config = HubSpotConfig.model_validate({"access_token": "x"})
    first = finished(Place("whole", BEGAN, None), config, PLAIN)
    later = finished(Place("done", BEGAN - 86_400 * SECOND, first.marks), config, PLAIN)
    assert later.marks == first.marks


def test_a_read_goes_on_in_its_part_and_comes_to_those_behind_it() -> None:
    config = HubSpotConfig.model_validate({"access_token": "x", "sweep_hours": 24, "archived_minutes": 60})
    first = finished(Place("whole", BEGAN, None), config, PLAIN)
    day_later = Place("done", BEGAN + 86_400 * SECOND, first.marks)
    names = [part.part for part in parts_of(day_later, config, PLAIN)]
    assert names == ["whole", "settled", "fresh", "archived"]
    stopped = Place("fresh", day_later.now, first.marks, "41")
    rest = list(parts_of(place_of(stopped.cursor), config, PLAIN))
    assert [(part.part, part.at) for part in rest] == [("fresh", "41"), ("archived", "")]


def test_objects_with_associations_are_listed_more_often() -> None:
    config = HubSpotConfig.model_validate({"access_token": "x", "sweep_hours": 0, "association_hours": 24})
    first = finished(Place("whole", BEGAN, None), config, Manner(associations=True))
    day_later = Place("done", BEGAN + 86_400 * SECOND, first.marks)
    assert "whole" in [part.part for part in parts_of(day_later, config, Manner(associations=True))]
    assert "whole" not in [part.part for part in parts_of(day_later, config, PLAIN)]
