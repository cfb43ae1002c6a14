"""SuiteQL: what the simulator parses, how it answers, and that the connector's texts hold no values."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests_oauthlib import OAuth1  # type: ignore[import-untyped]

from connectors.errors import NeedsOperator
from connectors.netsuite.simulator import suiteql as ql
from connectors.netsuite.statements import after, column, equal, one_of, own_filter, select
from tests.connectors.netsuite_account import Account, running

NAMES = st.sampled_from(["id", "entityid", "companyname", "lastmodifieddate", "custrecord_a"])
ALIASES = st.sampled_from(["c", "t", "x1"])
COLUMNS = st.builds(ql.Column, st.none() | ALIASES, NAMES)
VALUES = st.builds(ql.Text, st.text(max_size=12)) | st.builds(ql.Number, st.integers(-99, 10**9).map(str))
EXPRESSIONS = st.recursive(
    COLUMNS | VALUES | st.just(ql.Sysdate()),
    lambda inner: (
        st.builds(ql.Call, st.sampled_from(["NVL", "COALESCE"]), st.tuples(inner, inner))
        | st.builds(ql.Call, st.sampled_from(["UPPER", "ABS", "BUILTIN.DF"]), st.tuples(inner))
    ),
    max_leaves=4,
)
PREDICATES = (
    st.builds(ql.Compare, st.sampled_from(ql.COMPARISONS), EXPRESSIONS, EXPRESSIONS)
    | st.builds(ql.In, COLUMNS, st.lists(VALUES, min_size=1, max_size=4).map(tuple), st.booleans())
    | st.builds(ql.IsNull, COLUMNS, st.booleans())
    | st.builds(ql.Like, COLUMNS, VALUES, st.booleans())
)
CONDITIONS = st.recursive(
    PREDICATES,
    lambda inner: (
        st.builds(ql.Not, inner)
        | st.builds(lambda parts: ql.And(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
        | st.builds(lambda parts: ql.Or(tuple(parts)), st.lists(inner, min_size=2, max_size=3))
    ),
    max_leaves=6,
)
TABLES = st.builds(ql.Table, st.sampled_from(["customer", "transaction"]), ALIASES)
QUERIES = st.builds(
    ql.Select,
    st.lists(st.builds(ql.Item, EXPRESSIONS, st.none() | NAMES), min_size=1, max_size=3).map(tuple),
    TABLES,
    st.lists(st.builds(ql.Join, st.booleans(), TABLES, CONDITIONS), max_size=2).map(tuple),
    st.none() | CONDITIONS,
    st.lists(st.builds(ql.Order, COLUMNS, st.booleans()), max_size=2).map(tuple),
    st.booleans(),
)


@given(QUERIES)
@settings(max_examples=200)
def test_what_is_written_parses_to_itself(query: ql.Select) -> None:
    assert ql.parse(ql.text_of(query)) == query


@given(st.text(max_size=60))
@settings(max_examples=200)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        ql.parse(f"SELECT id FROM customer WHERE {text}")
    except ql.SuiteQLError as error:
        assert str(error)


@given(st.lists(st.text(max_size=30) | st.integers(0, 10**12), min_size=1, max_size=5), st.text(max_size=20))
@settings(max_examples=100)
def test_values_never_change_the_shape_of_a_statement(values: list[str | int], value: str) -> None:
    clauses = [one_of("externalid", values), equal("type", value), after(("lastmodifieddate", "id"), [value, 1])]
    statement = select({"id": "id", "trandate": "date"}, "transaction", clauses, ("id",))
    harmless = [
        one_of("externalid", ["x"] * len(values)),
        equal("type", "x"),
        after(("lastmodifieddate", "id"), ["x", 1]),
    ]
    assert statement.text == select({"id": "id", "trandate": "date"}, "transaction", harmless, ("id",)).text
    assert statement.text.count("?") == len(statement.params)
    ql.parse(statement.text)


@given(st.text(max_size=30))
@settings(max_examples=200)
def test_a_name_is_a_plain_name_or_refused(name: str) -> None:
    try:
        assert column(name).isidentifier()
    except NeedsOperator as error:
        assert "column name" in str(error)


@pytest.mark.parametrize("where", ["a = 1) OR (1 = 1", "a = 'x", "a = 1 -- b", "a = 1; b", "(a = 1", "a = ?"])
def test_a_filter_cannot_reach_out_of_its_parentheses(where: str) -> None:
    with pytest.raises(NeedsOperator, match="not one condition"):
        own_filter(where)


class Asking:
    """SuiteQL as an independent client (requests-oauthlib) asks it."""

    def __init__(self, account: Account) -> None:
        self.account = account

    def __call__(self, query: str, *params: Any, limit: int = 1000, offset: int = 0, prefer: str = "transient") -> Any:
        login = self.account.login
        auth = OAuth1(
            login["consumer_key"], login["consumer_secret"], login["token_id"], login["token_secret"],
            realm="1234567_SB1", signature_method="HMAC-SHA256",
            timestamp=str(int(self.account.moment.timestamp())),
        )  # fmt: skip
        return requests.post(
            f"{self.account.url}/services/rest/query/v1/suiteql", params={"limit": limit, "offset": offset},
            json={"q": query, "params": list(params)}, headers={"Prefer": prefer}, auth=auth, timeout=10,
        ).json()  # fmt: skip


def test_answers_have_the_vendors_shape() -> None:
    with running(zone="America/New_York", date_format="D/M/YYYY") as account:
        ask = Asking(account)
        record = account.insert("customer", {"companyname": "Invented", "isinactive": True})
        [row] = ask("SELECT * FROM customer")["items"]
        assert row == {
            "links": [], "id": record, "entityid": "Invented", "companyname": "Invented", "isinactive": "T",
            "lastmodifieddate": "2/3/2026", "datecreated": "2/3/2026",
        }  # fmt: skip
        body = ask("SELECT TO_CHAR(SYSDATE, 'YYYY-MM-DD HH24:MI:SS') AS now FROM dual")
        assert {"links", "count", "hasMore", "items", "offset", "totalResults"} == set(body)
        assert body["items"] == [{"links": [], "now": "2026-03-02 04:00:00"}]


@pytest.mark.parametrize(
    ("query", "options", "code"),
    [
        ("SELECT id FROM customer", {"prefer": "none"}, "INVALID_HEADER"),
        ("SELECT id FROM customer", {"limit": 1001}, "INVALID_PARAMETER"),
        ("SELECT id FROM customer", {"limit": 10, "offset": 5}, "INVALID_PARAMETER"),
        ("SELECT nope FROM customer", {}, "INVALID_PARAMETER"),
        ("SELECT id FROM nowhere", {}, "INVALID_PARAMETER"),
        ("SELECT id FROM customer WHERE lastmodifieddate > '2026-03-01'", {}, "INVALID_PARAMETER"),
        ("DELETE FROM customer", {}, "INVALID_PARAMETER"),
    ],
)
def test_what_the_vendor_refuses_is_refused(query: str, options: dict[str, Any], code: str) -> None:
    with running() as account:
        body = Asking(account)(query, **options)
        assert body["status"] == 400 and body["o:errorDetails"][0]["o:errorCode"] == code


def test_pages_of_an_unsorted_query_drift() -> None:
    with running() as account:
        ask = Asking(account)
        ids = {account.insert("customer", {"companyname": f"C{n}"}) for n in range(40)}

        def pages(query: str) -> list[str]:
            return [row["id"] for offset in (0, 20) for row in ask(query, limit=20, offset=offset)["items"]]

        assert len(set(pages("SELECT id FROM customer"))) < len(ids)
        assert set(pages("SELECT id FROM customer ORDER BY id ASC")) == ids


@given(st.lists(st.sampled_from("abc") | st.none(), max_size=8))
@settings(max_examples=15)
def test_a_missing_value_is_neither_equal_nor_different(phones: list[str | None]) -> None:
    with running() as account:
        for number, phone in enumerate(phones):
            account.insert("customer", {"companyname": f"C{number}", "phone": phone})
        ask = Asking(account)

        def count(where: str, *params: str) -> int:
            return int(ask(f"SELECT COUNT(*) AS n FROM customer WHERE {where}", *params)["items"][0]["n"])

        assert count("phone = ? OR phone LIKE 'b%'", "a") == sum(phone in ("a", "b") for phone in phones)
        assert count("NOT (phone = ? OR phone LIKE 'b%')", "a") == sum(phone == "c" for phone in phones)
        assert count("phone IS NULL") == sum(phone is None for phone in phones)
        assert count("phone IN (?, 'c') AND id > ?", "a", "0") == sum(phone in ("a", "c") for phone in phones)
