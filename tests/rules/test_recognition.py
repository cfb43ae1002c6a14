"""The best partners of each quarter and year are recognised (TC-19, TC-20, TC-21, TC-A10)."""

from datetime import date
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from rules.program import load_program
from rules.recognition import Success, ranked, recognition_tasks

TC = load_program("technology-consultant")


def success(partner: str, on: str, value: str = "1000") -> Success:
    return Success(partner, date.fromisoformat(on), Decimal(value))


FIRST_QUARTER = [
    success("ana", "2026-01-10"), success("ana", "2026-02-10"), success("ben", "2026-01-15", "9000"),
    success("cleo", "2026-03-31", "500"), success("dov", "2026-02-01", "500"), success("eli", "2026-02-02", "100"),
]  # fmt: skip


def test_tc_19_the_first_three_of_a_quarter_are_recognised_and_ties_share_a_rank() -> None:
    assert recognition_tasks(TC, FIRST_QUARTER, date(2026, 3, 31)) == []
    found = recognition_tasks(TC, FIRST_QUARTER, date(2026, 4, 1))
    assert [t.subject for t in found if t.kind == "public_recognition"] == ["ana", "ben", "cleo", "dov"]
    assert [t.subject for t in found if "TC-20" in t.clauses] == ["ana", "ben", "cleo", "dov"]
    assert {t.opened_on for t in found} == {date(2026, 4, 1)}


def test_tc_21_the_first_of_a_year_are_invited_to_the_annual_events() -> None:
    found = recognition_tasks(TC, [*FIRST_QUARTER, success("eli", "2026-11-02")], date(2027, 1, 1))
    invited = [t.subject for t in found if "TC-21" in t.clauses]
    assert invited == ["ana", "eli", "ben"]
    assert "rank 1 of 2026 with 2 successful referrals" in next(t for t in found if t.kind == "annual_event").because


def test_tc_a10_partners_can_be_ranked_by_value() -> None:
    program = load_program("technology-consultant", {"rank_by": "value", "top_n": "1"})
    found = recognition_tasks(program, FIRST_QUARTER, date(2026, 4, 1))
    assert [t.subject for t in found if t.kind == "public_recognition"] == ["ben"]


@settings(derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3)), min_size=1))
def test_a_rank_is_one_more_than_the_partners_that_are_better(pairs: list[tuple[str, int]]) -> None:
    places = ranked([Success(p, date(2026, 1, 1), Decimal(v)) for p, v in pairs], "successful_referrals")
    for place in places:
        assert place.rank == 1 + sum((o.count, o.value) > (place.count, place.value) for o in places)
