"""Mappings: raw records become facts that the rules take, or a reject that a person can act on."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from connectors.base import Record
from rules.records import check
from sync.mapping import Mapped, Reject, load_mapping
from sync.transforms import TRANSFORMS
from sync.write_maps import ROWS
from sync.yaml_nodes import MappingError, read_yaml

GUIDE = Path(__file__).parents[2] / "docs" / "mapping.md"


class Pulled:
    """Raw records by (object, id), as the store would give them."""

    def __init__(self, records: Mapping[tuple[str, str], Mapping[str, Any]] | None = None) -> None:
        self.records = dict(records or {})

    def get(self, kind: str, external_id: str) -> Mapping[str, Any] | None:
        return self.records.get((kind, external_id))


NOTHING = Pulled()


def record(fields: Mapping[str, Any], kind: str = "Thing", external_id: str = "001") -> Record:
    return Record(kind, external_id, "1", fields)


def mapped(text: str, fields: Mapping[str, Any], pulled: Pulled = NOTHING, kind: str = "Thing") -> Mapped:
    mapping = load_mapping("mapping.yaml", "system: s\nobjects:\n" + text)
    [found] = mapping.object(kind).facts([record(fields, kind)], pulled)
    for fact in found.facts:
        check(fact)
    return found


def fact(text: str, fields: Mapping[str, Any], pulled: Pulled = NOTHING) -> dict[str, Any]:
    found = mapped(text, fields, pulled)
    assert found.reject is None
    [one] = found.facts
    return one


def reject(text: str, fields: Mapping[str, Any], pulled: Pulled = NOTHING) -> Reject:
    found = mapped(text, fields, pulled)
    assert found.facts == ()
    assert found.reject is not None
    return found.reject


def guide() -> str:
    example = re.search(r"```yaml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert example
    return example[1]


ACCOUNT = """
  - object: Thing
    record: account
    fields: {name: Name, website: Site, parent: ParentId, customer_since: Since}
"""
PAYMENTS = """
  - object: customer
  - object: Thing
    record: payment
    each: {list: applications, as: application}
    id: "{id}-{application.n}"
    when: {field: voided, is: F}
    fields:
      invoice: application.invoice
      received_on: {field: trandate, format: M/D/YYYY}
      amount: application.amount
      currency: {lookup: {field: customer, object: customer, get: currencycode}}
"""


def test_the_guides_example_gives_facts() -> None:
    mapping = load_mapping("mapping.yaml", guide())
    lead = {
        "Referral_Program__c": "next-technik", "Referral_Partner__c": "P1", "Company": "Umbra Lifts",
        "Referral_Submitted_At__c": "2026-03-01T10:00:00.000+0000", "Referral_Channel__c": "Website",
        "Website": "umbra-lifts.example.com.au", "Name": "Ada Gray", "Email": "", "Phone": None,
        "Field_Technicians__c": 12.0, "Industry": "Construction", "Description": "-- none",
    }  # fmt: skip
    [found] = mapping.object("Lead").facts([record(lead, "Lead", "00Q1")], NOTHING)
    assert (found.external_id, found.reject) == ("00Q1", None)
    assert found.facts == (
        {
            "type": "referral", "id": "00Q1", "program": "next-technik", "partner": "P1",
            "submitted_at": "2026-03-01T10:00:00Z", "channel": "web_form", "company": "Umbra Lifts",
            "website": "https://umbra-lifts.example.com.au", "contact": {"name": "Ada Gray"},
            "details": {"field_technicians": 12, "industry": "construction"},
        },
    )  # fmt: skip
    assert mapping.object("Lead").query.where == "Referral_Program__c != null"
    assert "Field_Technicians__c" in mapping.object("Lead").query.fields


def test_one_object_gives_several_records_by_condition() -> None:
    accounts = load_mapping("mapping.yaml", guide()).object("Account")
    plain, partner = ({"Name": "Orbit", "IsPartner": flag} for flag in (False, True))
    first, second = accounts.facts([record(plain, external_id="1"), record(partner, external_id="2")], NOTHING)
    assert [found["type"] for found in first.facts] == ["account"]
    assert [found["type"] for found in second.facts] == ["account", "partner"]
    assert second.facts[1]["currency"] == "AUD"
    assert accounts.record_types == ("account", "partner")


def test_nothing_empty_text_and_spaces_are_absent() -> None:
    found = fact(ACCOUNT, {"Name": " Orbit ", "Site": "   ", "ParentId": "", "Since": " "})
    assert found == {"type": "account", "id": "001", "name": "Orbit"}


def test_each_element_is_a_record_and_its_fields_are_asked_for() -> None:
    mapping = load_mapping("mapping.yaml", "system: s\nobjects:\n" + PAYMENTS)
    assert [found.kind for found in mapping.objects] == ["customer", "Thing"]
    assert mapping.object("customer").query.fields == ("currencycode",)
    assert "applications.amount" in mapping.object("Thing").query.fields
    rows = [{"invoice": "I1", "amount": "10.00"}, {"invoice": "I2", "amount": Decimal("5.5")}]
    fields = {"id": "77", "voided": "F", "trandate": "3/1/2026", "customer": 9, "applications": rows}
    found = mapped(PAYMENTS, fields, Pulled({("customer", "9"): {"currencycode": "AUD"}}))
    assert [(one["id"], one["invoice"], one["amount"]) for one in found.facts] == [
        ("77-1", "I1", "10.00"),
        ("77-2", "I2", "5.5"),
    ]


def test_a_record_waits_for_the_one_it_looks_up() -> None:
    fields = {
        "id": "77",
        "voided": "F",
        "trandate": "3/1/2026",
        "customer": "9",
        "applications": [{"invoice": "I1", "amount": "1"}],
    }
    found = reject(PAYMENTS, fields)
    assert (found.code, found.field, found.waits_for) == ("waiting", "currency", ("customer", "9"))


def test_a_record_that_is_not_for_us_or_is_deleted_gives_no_fact() -> None:
    assert mapped(PAYMENTS, {"voided": "T", "applications": [{"invoice": "I1"}]}) == Mapped("001", ())
    mapping = load_mapping("m", "system: s\nobjects:" + ACCOUNT)
    gone = replace(record({}), deleted=True)
    assert mapping.object("Thing").facts([gone], NOTHING) == [Mapped("001", ())]


def test_a_bad_record_does_not_touch_its_neighbours() -> None:
    mapping = load_mapping("m", "system: s\nobjects:" + ACCOUNT)
    found = mapping.object("Thing").facts(
        [
            record({"Name": "A"}, external_id="1"),
            record({"Name": ["A"]}, external_id="2"),
            record({"Name": "C"}, external_id="3"),
        ],
        NOTHING,
    )
    assert [one.reject is None for one in found] == [True, False, True]


INVOICE = """
  - object: Thing
    record: invoice
    fields:
      account: {field: entity, required: true}
      issued_on: trandate
      currency: {first: [cur, base_cur], default: AUD}
      lines:
        list: lines
        as: line
        when: {field: line.main, not: T}
        fields:
          kind: {field: line.type, values: {Subscription: saas, Freight: shipping}}
          amount: line.net
"""


def test_lists_of_objects() -> None:
    lines = [
        {"type": "Subscription", "net": "100.0000"},
        {"type": "Total", "net": "110", "main": "T"},
        {"type": "Freight", "net": 10, "main": False},
    ]
    found = fact(
        INVOICE, {"entity": 5, "trandate": "2026-03-01", "lines": {"records": lines}, "cur": "", "base_cur": "nzd"}
    )
    assert found["lines"] == [{"kind": "saas", "amount": "100.00"}, {"kind": "shipping", "amount": "10"}]
    assert (found["account"], found["currency"]) == ("5", "NZD")


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"entity": None}, "missing", "account"),
        ({"trandate": "03/01/2026"}, "type", "issued_on"),
        ({"trandate": None}, "missing", "issued_on"),
        ({"cur": "DOLLARS"}, "type", "currency"),
        ({"lines": []}, "missing", "lines"),
        ({"lines": "x"}, "type", "lines"),
        ({"lines": [{"type": "Other", "net": "1"}]}, "picklist", "lines.0.kind"),
        ({"lines": [{"type": "Freight", "net": 0.1}]}, "type", "lines.0.amount"),
        ({"lines": [{"type": "Freight", "net": "0.001"}]}, "record", "lines.0.amount"),
    ],
)
def test_rejects_name_the_field(change: dict[str, Any], code: str, field: str) -> None:
    good = {"entity": "5", "trandate": "2026-03-01", "cur": "AUD", "lines": [{"type": "Freight", "net": "1"}]}
    assert fact(INVOICE, good)["account"] == "5"
    found = reject(INVOICE, good | change)
    assert (found.code, found.field) == (code, field)
    assert found.allowed


def test_a_long_value_is_not_shown_whole() -> None:
    found = reject(INVOICE, {"entity": "5", "trandate": "secret " * 50})
    assert len(found.found) <= 40


@pytest.mark.parametrize(
    ("otherwise", "found"), [("", None), ("otherwise: keep,", "retail"), ("otherwise: null,", "absent")]
)
def test_words_that_the_table_does_not_know(otherwise: str, found: str | None) -> None:
    text = f"""
  - object: Thing
    record: partner
    fields: {{name: Name, kind: {{field: Kind, {otherwise} values: {{Agency: agency, 1: consultant}}}}}}
"""
    assert fact(text, {"Name": "A", "Kind": "Agency"})["kind"] == "agency"
    assert fact(text, {"Name": "A", "Kind": 1})["kind"] == "consultant"
    if found is None:
        assert reject(text, {"Name": "A", "Kind": "retail"}).code == "picklist"
    else:
        assert fact(text, {"Name": "A", "Kind": "retail"}).get("kind", "absent") == found


def test_a_messy_value_may_be_kept_or_dropped_but_never_money() -> None:
    text = """
  - object: Thing
    record: account
    fields:
      name: Name
      website: {field: Site, transform: url, otherwise: keep}
      tax_id: {field: Tax, transform: email, otherwise: null}
      customer_since: {field: Since, otherwise: null}
"""
    messy = {"Name": "A", "Site": "see brochure", "Tax": "none", "Since": "last spring"}
    assert fact(text, messy) == {"type": "account", "id": "001", "name": "A", "website": "see brochure"}
    with pytest.raises(MappingError, match="never left out"):
        fact(PAYMENTS.replace("amount: application.amount", "amount: {field: application.amount, otherwise: null}"), {})


def test_every_transform_is_in_the_guide() -> None:
    documented = set(re.findall(r"`(\w+)(?:: [^`]+)?`", GUIDE.read_text(encoding="utf-8").split("## Transforms")[1]))
    assert set(TRANSFORMS) <= documented


def test_two_facts_of_one_record_never_share_an_id() -> None:
    text = PAYMENTS.replace("{id}-{application.n}", "{id}-{application.invoice}")
    twice = [{"invoice": "I1", "amount": "1"}, {"invoice": "I1", "amount": "2"}]
    fields = {"id": "7", "voided": "F", "trandate": "3/1/2026", "customer": "9", "applications": twice}
    found = reject(text, fields, Pulled({("customer", "9"): {"currencycode": "AUD"}}))
    assert (found.code, found.field) == ("record", "id")


def test_meta_fields_and_templates() -> None:
    text = """
  - object: Thing
    record: review
    id: "{$id}:approval"
    when: [{field: Status, in: [Approved, Won]}, {field: Reviewer.Name, present: true}]
    fields:
      referral: $id
      at: $modified_at
      outcome: {value: approved}
      by: {template: "{Reviewer.Name} ({Status})"}
      checks: {NT-8: {field: Good, transform: boolean}}
"""
    mapping = load_mapping("m", "system: s\nobjects:" + text)
    assert mapping.object("Thing").query.fields == ("Status", "Reviewer.Name", "Good")
    fields = {"Status": "Won", "Reviewer": {"Name": "Ida"}, "Good": "T"}
    at = datetime(2026, 3, 1, 10, tzinfo=UTC)
    [found] = mapping.object("Thing").facts([replace(record(fields), modified_at=at)], NOTHING)
    assert found.facts == (
        {"type": "review", "id": "001:approval", "referral": "001", "at": "2026-03-01T10:00:00Z", "outcome": "approved",
         "by": "Ida (Won)", "checks": {"NT-8": True}},
    )  # fmt: skip
    assert fields["Reviewer"] == {"Name": "Ida"}


def test_the_hash_follows_what_influences_facts_and_nothing_else() -> None:
    def hashes(text: str) -> tuple[str, str]:
        found = load_mapping("m", text).object("Lead")
        return found.hash, found.query_hash

    first = hashes(guide())
    assert hashes("# a note\n" + guide()) == first
    assert hashes(guide().replace("name: Salesforce with the Referee package", "name: Other")) == first
    assert hashes(guide().replace("{row: because,", "{row: state,")) == first
    replay = hashes(guide().replace("Website: web_form", "Website: portal"))
    assert replay[0] != first[0] and replay[1] == first[1]
    assert hashes(guide().replace("Australia/Sydney", "UTC"))[0] != first[0]
    assert hashes(guide().replace("{field: Industry,", "{field: Sector__c,"))[1] != first[1]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("channel:\n", "chanel:\n", "Did you mean 'channel'?"),
        ("record: referral", "record: referal", "Did you mean 'referral'?"),
        ("    when: IsPartner", "    wehn: IsPartner", "Did you mean 'when'?"),
        ("transform: integer", "transform: interger", "Did you mean 'integer'?"),
        ("Website: web_form}", "Website: webform}", "Did you mean 'web_form'?"),
        ("zone: Australia/Sydney", "zone: Sydney", "IANA"),
        ("format: M/D/YYYY", "format: m/d/y", "HH24"),
        ("object: customer, get: externalid", "object: custmer, get: externalid", "Did you mean 'customer'?"),
        ("amount: application.amount", "amount: {cel: application.amount}", "binary floats"),
        ('notes: {cel: "Description', 'notes: {cel: "((Description', "CEL"),
        ("      partner: Referral_Partner__c\n", "", "partner"),
        ("rows: entries", "rows: entrys", "Did you mean 'entries'?"),
        ("Currency__c: currency", "Currency__c: curency", "Did you mean 'currency'?"),
        ("      name: Name                 # short", "      name: {feild: Name} # short", "Did you mean 'field'?"),
        (
            "currency: {field: currencycode, default: AUD}",
            "currency: {field: currencycode, default: dollar}",
            "ISO 4217",
        ),
        ("contact: {name: Name", "contact: {nmae: Name", "Did you mean 'name'?"),
        ("as: line", "as: my line", "short name"),
    ],
)
def test_mistakes_are_named_with_file_line_and_remedy(old: str, new: str, says: str) -> None:
    assert old in guide()
    with pytest.raises(MappingError) as error:
        load_mapping("acme/mapping.yaml", guide().replace(old, new, 1))
    message = str(error.value)
    assert says in message
    before = guide()[: guide().index(old)]
    line = before.count("\n") + 1 if new else before[: before.rindex("fields:")].count("\n") + 1
    assert message.startswith(f"acme/mapping.yaml:{line}: ")


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "system: s", "a: [", "system: s\nsystem: t", "system: s\nobjects: [{}]", "system: s\nobjects: [1]",
        "system: {a: 1}\nobjects: []", "&a [*a]", "system: s\nobjects: *x", "\x00", "system: s\nwrite: [{object: A}]",
        "system: s\nobjects: [{object: A, record: account, fields: []}]",
        "system: s\nobjects: [{object: A, where: x}, {object: A, where: y}]",
        "system: s\nobjects: [{object: A, each: {list: x, as: y}}]",
        "[" * 5000,
    ],
)  # fmt: skip
def test_any_broken_file_is_named(text: str) -> None:
    with pytest.raises(MappingError, match=r"^mapping\.yaml:\d+: "):
        load_mapping("mapping.yaml", text)


def test_a_file_that_unfolds_without_end_is_refused() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 9)]
    with pytest.raises(MappingError, match="aliases"):
        load_mapping("mapping.yaml", "\n".join(rows))


def test_look_ups_in_a_circle_are_refused() -> None:
    text = """system: s
objects:
  - {object: A, record: account, fields: {name: {lookup: {field: x, object: B, get: y}}}}
  - {object: B, record: account, fields: {name: {lookup: {field: x, object: A, get: y}}}}
"""
    with pytest.raises(MappingError, match="circle"):
        load_mapping("mapping.yaml", text)


def test_text_that_cannot_be_stored_is_a_reject() -> None:
    assert reject(ACCOUNT, {"Name": "half a pair: \ud800"}).field == "record"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals()
    | st.sampled_from(["T", "F", "2026-03-01", "3/1/2026", "Website", "Freight", "AUD", "12", "9", "\ud800", " "]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["invoice", "amount", "itemtype", "netamount", "mainline", "records"]), inner),
    max_leaves=8,
)  # fmt: skip
GUIDE_MAPPING = load_mapping("mapping.yaml", guide())
GUIDE_FIELDS = sorted({name.split(".")[0] for found in GUIDE_MAPPING.objects for name in found.query.fields})
SOUND = {
    "Name": "A", "IsPartner": "T", "Referral_Program__c": "p", "Referral_Partner__c": "q", "Company": "C",
    "Referral_Submitted_At__c": "2026-03-01 10:00:00", "Referral_Channel__c": "Website", "id": "1", "voided": "F",
    "applications": [{"invoice": "1", "amount": "1"}], "trandate": "2026-03-01", "customer": "9", "entity": "9",
    "lines": [{"itemtype": "Freight", "netamount": "1", "mainline": "F"}], "Description": "x",
}  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(GUIDE_FIELDS), JSON),
    st.sampled_from([found.kind for found in GUIDE_MAPPING.objects]),
    st.text(max_size=3),
)
def test_any_record_gives_sound_facts_or_a_reject(changes: dict[str, Any], kind: str, external_id: str) -> None:
    plan = GUIDE_MAPPING.object(kind)
    pulled = Pulled({("customer", "9"): {"currencycode": "AUD", "externalid": "X"}})
    [found] = plan.facts([record(SOUND | changes, kind, external_id)], pulled)
    assert not (found.facts and found.reject)
    if found.reject:
        assert len(found.reject.found) <= 40
        assert found.reject.field
        assert found.reject.allowed
    for one in found.facts:
        check(one)
        assert "known_at" not in one
    assert plan.facts([record(SOUND | changes, kind, external_id)], pulled) == [found]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a plain document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, child in inner for found in places(child, (*path, key)))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The document with another value at one place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = changed(copy[path[0]], path[1:], new)
    return copy


GUIDE_PLAIN = read_yaml("mapping.yaml", guide()).plain
GUIDE_WORDS = sorted(
    {str(part) for path in places(GUIDE_PLAIN) for part in path} | {"$id", "a.b", "{a}", "{", "", "is", "not"}
)
SLIPS = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(GUIDE_WORDS),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(GUIDE_WORDS), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=60)
@given(st.sampled_from(places(GUIDE_PLAIN)), SLIPS)
def test_any_slip_of_the_pen_loads_or_is_named(path: tuple[Any, ...], new: Any) -> None:
    text = json.dumps(changed(GUIDE_PLAIN, path, new))
    try:
        mapping = load_mapping("mapping.yaml", text)
    except MappingError as error:
        assert str(error).startswith("mapping.yaml:1: ")
        assert error.found
        assert error.allowed
        return
    for kind in mapping.objects:
        kind.facts([record(SOUND, kind.kind)], NOTHING)
    for write in mapping.writes:
        write.desired({write.rows: [dict.fromkeys(ROWS[write.rows][1], "x")]}, [])
