"""The write part: outcome rows become desired records; billing and protected fields never do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.mapping import Desired, load_mapping
from sync.write_maps import ROWS, WriteMap, WriteReject
from sync.yaml_nodes import MappingError


def write(text: str, protected: str = "[]") -> WriteMap:
    [found] = load_mapping("mapping.yaml", f"system: s\nprotected: {protected}\nwrite:\n{text}").writes
    return found


COMMISSIONS = """
  - object: Commission
    rows: entries
    key: Sync_Key
    when: {row: program, in: [next-technik]}
    parent: partner
    fields:
      Amount: amount
      State: {row: state, values: {accrued: Accrued, paid: Paid}}
      Released: released_on
      Source: {row: source.id, null: keep}
      Note: {row: because, transform: {truncate: 10}}
      Clauses: {row: clauses, transform: {join: ", "}}
      By: {value: referee}
"""


def entry(**changes: Any) -> dict[str, Any]:
    row = {
        "key": "next-technik:R1:commission:payment:P1:1", "program": "next-technik", "partner": "PA", "referral": "R1",
        "contract": "C1", "kind": "commission", "source": {"type": "payment", "id": "P1"}, "basis": "1000.00",
        "rate": "0.1", "amount": "100.00", "currency": "AUD", "earned_on": "2026-03-01", "released_on": None,
        "due_on": None, "state": "accrued", "corrects": None, "clauses": ["NT-17", "NT-A5"], "because": "10% of 1000.00 AUD",
    }  # fmt: skip
    return row | changes


def test_rows_become_desired_records_with_typed_values() -> None:
    assert write(COMMISSIONS).desired({"entries": [entry(), entry(program="other")]}) == [
        Desired(
            object="Commission",
            key_field="Sync_Key",
            key="next-technik:R1:commission:payment:P1:1",
            fields={
                "Amount": "100.00", "State": "Accrued", "Released": None, "Source": "P1", "Note": "10% of 10…",
                "Clauses": "NT-17, NT-A5", "By": "referee",
            },
            parent="PA",
            because="10% of 1000.00 AUD",
        )
    ]  # fmt: skip


def test_a_long_key_is_shortened_and_stays_the_same() -> None:
    rows = [entry(key="k" * 100), entry(key="k" * 99 + "j")]
    first, second = write(COMMISSIONS).desired({"entries": rows})
    assert len(first.key) <= 80 and first.key != second.key
    assert write(COMMISSIONS).desired({"entries": rows})[0].key == first.key


def test_a_key_may_be_put_together() -> None:
    text = """
  - {object: A, rows: claims, key: {field: K, template: "{program}:{referral}"}, fields: {S: state}}
"""
    row = {"program": "one-network", "referral": "R1", "state": "won"}
    assert write(text).desired({"claims": [row]})[0].key == "one-network:R1"


SUPPORT = """
  - object: Account
    rows: support
    id: account
    when: {row: until, present: false}
    fields: {Support_Name: name, Support_Email: {row: email, null: %s}}
"""


@pytest.mark.parametrize(
    ("nulls", "fields"), [("keep", {"Support_Name": "Ida"}), ("clear", {"Support_Name": "Ida", "Support_Email": None})]
)
def test_absent_values(nulls: str, fields: dict[str, Any]) -> None:
    row = {"account": "001", "name": "Ida", "email": None, "until": None, "reason": "NT-20"}
    found = write(SUPPORT % nulls).desired({"support": [row, row | {"until": "2026-01-01"}]})
    assert found == [Desired("Account", None, "001", fields, None, "NT-20")]
    assert write(SUPPORT % "skip").desired({"support": [row]}) == []


def test_two_rows_that_disagree_about_one_record_are_both_refused() -> None:
    rejects: list[WriteReject] = []
    rows = [entry(), entry(amount="1.00"), entry(key="other")]
    assert [one.key for one in write(COMMISSIONS).desired({"entries": rows}, rejects)] == ["other"]
    assert [(one.key, one.found) for one in rejects] == [(entry()["key"], "two rows for one record")]
    assert len(write(COMMISSIONS).desired({"entries": [entry(), entry()]})) == 1


def test_a_row_that_cannot_be_written_is_named() -> None:
    rejects: list[WriteReject] = []
    row = entry(state="unheard-of")
    assert write(COMMISSIONS).desired({"entries": [row]}, rejects) == []
    assert (rejects[0].field, rejects[0].found) == ("State", "'unheard-of'")
    with pytest.raises(
        MappingError, match=r"mapping\.yaml:5: State: found 'unheard-of' in entries row next-technik:R1"
    ):
        write(COMMISSIONS).desired({"entries": [row]})


@pytest.mark.parametrize(
    ("text", "protected", "says"),
    [
        (SUPPORT.replace("Support_Name:", "Billing_Name:") % "keep", "[]", "NT-21"),
        (SUPPORT.replace("Support_Name:", "custentity_BILL_contact:") % "keep", "[]", "NT-21"),
        (COMMISSIONS, "[Commission.Amou*]", "protected by 'Commission.Amou"),
        (COMMISSIONS, "['*.note']", "protected by"),
        (COMMISSIONS.replace("Amount: amount", "Amount: {cel: amount}"), "[]", "money"),
        (COMMISSIONS.replace("Amount: amount", "Amount: {field: amount}"), "[]", "row"),
        (COMMISSIONS.replace("program, in", "programme, in"), "[]", "Did you mean 'program'?"),
        (COMMISSIONS.replace("key: Sync_Key", "{}"), "[]", "YAML"),
        (COMMISSIONS.replace("    key: Sync_Key\n", ""), "[]", "either `key`"),
        (COMMISSIONS.replace("null: keep", "null: leave"), "[]", "clear, keep, skip"),
    ],
)
def test_what_does_not_load(text: str, protected: str, says: str) -> None:
    with pytest.raises(MappingError) as error:
        write(text, protected)
    assert says in str(error.value)
    assert str(error.value).startswith("mapping.yaml:")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["accrued", "next-technik"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=5,
)
COMPILED = write(COMMISSIONS)


@given(
    st.lists(
        st.dictionaries(st.sampled_from(ROWS["entries"][1]), JSON).map(lambda changes: entry() | changes), max_size=3
    )
)
def test_any_row_is_written_refused_or_left_out(rows: list[dict[str, Any]]) -> None:
    rejects: list[WriteReject] = []
    found = COMPILED.desired({"entries": rows}, rejects)
    assert len({one.key for one in found}) == len(found)
    assert len(found) + len(rejects) <= len(rows)
    assert COMPILED.desired({"entries": rows}, []) == found
