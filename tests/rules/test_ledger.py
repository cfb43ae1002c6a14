"""The ledger: every entry balances, keys are used once, a changed row breaks the chain (G-2)."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.errors import RuleError
from rules.ledger import GENESIS, Entry, Ledger, Standing, balances, broken_links, chained, entry_row, posting

NOW = datetime(2026, 2, 1, tzinfo=UTC)
ENTRY = Entry(
    key="next-technik:r1:commission:payment:y1:1", program="next-technik", partner="p1", referral="r1", contract="c1",
    kind="commission", source=("payment", "y1"), basis=Decimal("1000.00"), rate=Decimal("0.10"), amount=Decimal("100.00"),
    currency="AUD", earned_on=date(2026, 1, 28), posted_at=NOW, states_on=date(2026, 1, 28), releases_on=date(2026, 2, 1),
    due_on=date(2026, 2, 28), corrects=None, clauses=("NT-17",), because="10% of 1000.00 AUD",
)  # fmt: skip
EVENTS = ("accrued", "held", "freed", "released", "stated", "paid")


@settings(derandomize=True, database=None)
@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(-(10**9), 10**9), st.sampled_from(["AUD", "JPY"]))))
def test_whatever_is_posted_each_currency_adds_up_to_nothing(moves: list[tuple[Any, int, str]]) -> None:
    made = [
        posting(replace(ENTRY, amount=Decimal(amount), currency=currency), event, NOW)
        for event, amount, currency in moves
    ]
    totals: dict[str, Decimal] = {}
    for (_, currency), balance in balances(made).items():
        totals[currency] = totals.get(currency, Decimal(0)) + balance
    assert not any(totals.values())


def test_an_amount_goes_from_accrued_to_cash_and_leaves_nothing_between() -> None:
    made = [posting(ENTRY, event, NOW) for event in ("accrued", "held", "freed", "released", "stated", "paid")]
    left = {account: balance for (account, _), balance in balances(made).items() if balance}
    assert left == {"expense": Decimal("-100.00"), "cash": Decimal("100.00")}


def test_a_key_is_posted_once() -> None:
    ledger = Ledger("next-technik")
    ledger.post(ENTRY)
    with pytest.raises(RuleError, match="posted already"):
        ledger.post(ENTRY)
    assert ledger.next_key("r1", "commission", ("payment", "y1")).endswith("payment:y1:1")
    assert ledger.next_key("r1", "commission", ("payment", "y1")).endswith("payment:y1:2")
    assert ledger.next_key("r1", "reversal", ("payment", "y1")).endswith("reversal:payment:y1:1")


def test_a_row_shows_its_dates_only_once_released() -> None:
    waiting = entry_row(ENTRY, Standing("accrued", None))
    assert (waiting["released_on"], waiting["due_on"], waiting["state"]) == (None, None, "accrued")
    free = entry_row(ENTRY, Standing("payable", date(2026, 2, 1)))
    assert (free["released_on"], free["due_on"], free["amount"], free["rate"]) == (
        "2026-02-01",
        "2026-02-28",
        "100.00",
        "0.10",
    )
    assert free["source"] == {"type": "payment", "id": "y1"}


@settings(derandomize=True, database=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=5)), min_size=1, max_size=12), st.data())
def test_one_changed_row_is_found_in_the_chain(rows: list[dict[str, str]], data: st.DataObject) -> None:
    links, previous = [], GENESIS
    for row in rows:
        previous = chained(previous, row)
        links.append((row, previous))
    assert list(broken_links(links)) == []
    place = data.draw(st.integers(0, len(rows) - 1))
    links[place] = ({**links[place][0], "changed": "1"}, links[place][1])
    assert list(broken_links(links)) == [place + 1]
