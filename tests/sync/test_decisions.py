"""The decision table, every combination of it: who moved, in which direction, and whose value then stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.decisions import DIRECTIONS, POLICIES, UNKNOWN, Last, Policy, Side, Unknown, decide, settle

NOW = datetime(2026, 3, 2, tzinfo=UTC)
VALUES = (None, "a", "b", "c")
LASTS: tuple[Last | Unknown, ...] = (UNKNOWN, *(Last(theirs, ours) for theirs, ours in product(VALUES, VALUES)))


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_combination_has_the_verdict_of_the_table(direction: str) -> None:
    """All 544 of them, by the words of the table instead of by its code."""
    for theirs, ours, last in product(VALUES, VALUES, LASTS):
        verdict = decide(theirs, ours, last, direction)  # type: ignore[arg-type]
        case = (theirs, ours, last, direction)
        if theirs == ours:
            assert verdict == "keep", case
        elif isinstance(last, Unknown):
            first_contact = {
                ("push", True): "delete", ("push", False): "push",
                ("both", True): "pull", ("both", False): "conflict",
            }[direction, ours is None]  # fmt: skip
            assert verdict == ("push" if theirs is None else first_contact), case
        else:
            they, we = theirs != last.theirs, ours != last.ours
            if they and we:
                assert verdict == "conflict", case
            elif they:
                assert verdict == ("pull" if direction == "both" else "conflict"), case
            elif we:
                assert verdict == ("delete" if ours is None else "push"), case
            else:
                assert verdict == "keep", case


@pytest.mark.parametrize(
    ("theirs", "ours", "last", "direction", "verdict"),
    [
        ("a", "a", Last("a", "a"), "push", "keep"),
        ("b", "b", Last("a", "a"), "push", "keep"),  # both moved to the same value
        ("a", "b", Last("a", "a"), "push", "push"),  # only we moved
        ("a", None, Last("a", "a"), "push", "delete"),  # only we moved: there is none any more
        ("b", "a", Last("a", "a"), "push", "conflict"),  # somebody changed what only we write
        ("b", "a", Last("a", "a"), "both", "pull"),  # only they moved
        (None, "a", Last("a", "a"), "both", "pull"),  # they emptied it
        ("b", "c", Last("a", "a"), "both", "conflict"),  # both moved
        (None, "c", Last("a", "a"), "push", "conflict"),  # emptied there, changed here
        ("b", "a", Last("b", "a"), "push", "keep"),  # left as it is before
        ("b", "c", Last("b", "a"), "push", "push"),  # left before; now we moved
        ("c", "a", Last("b", "a"), "push", "conflict"),  # left before; now they moved again
        ("a", "b", UNKNOWN, "push", "push"),
        ("a", None, UNKNOWN, "push", "delete"),
        ("a", "b", UNKNOWN, "both", "conflict"),
        ("a", None, UNKNOWN, "both", "pull"),
        (None, "b", UNKNOWN, "both", "push"),
    ],
)
def test_the_rows_of_the_table(theirs: str | None, ours: str | None, last: Last, direction: str, verdict: str) -> None:
    assert decide(theirs, ours, last, direction) == verdict  # type: ignore[arg-type]


@given(st.sampled_from(VALUES), st.sampled_from(VALUES), st.sampled_from(LASTS), st.sampled_from(DIRECTIONS))
def test_once_settled_a_difference_is_left_alone(
    theirs: str | None, ours: str | None, last: Last | Unknown, direction: str
) -> None:
    """Whatever is done, the next run does nothing: pushed, both hold ours; pulled or left, the pair is the last."""
    verdict = decide(theirs, ours, last, direction)  # type: ignore[arg-type]
    if verdict in ("push", "delete", "keep"):
        theirs = ours if verdict != "keep" else theirs
    assert decide(theirs, ours, Last(theirs, ours), direction) == "keep"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "theirs_after_ours", "side"),
    [
        ("ours", 1, "ours"), ("ours", None, "ours"),
        ("theirs", -1, "theirs"), ("theirs", None, "theirs"),
        ("newest", 1, "theirs"), ("newest", -1, "ours"), ("newest", 0, None), ("newest", None, None),
        ("ask", 1, None), ("ask", None, None),
    ],
)  # fmt: skip
def test_a_conflict_is_settled_by_the_fields_policy(
    policy: Policy, theirs_after_ours: int | None, side: Side | None
) -> None:
    theirs_at = None if theirs_after_ours is None else NOW + timedelta(seconds=theirs_after_ours)
    assert settle(policy, theirs_at, NOW) == side
    assert policy in POLICIES
