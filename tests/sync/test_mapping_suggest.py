"""Suggested mappings: whatever a system says of itself, the file loads, fits, and says what it is not sure of."""

from __future__ import annotations

from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from connectors.base import Description, Field, FieldType
from rules.records import RECORDS
from sync.mapping import load_mapping
from sync.mapping_check import check
from sync.mapping_suggest import LIKELY, as_yaml, likely_objects, suggest
from sync.mapping_words import FIELD_WORDS, RECORD_WORDS

WORDS = [word for table in (FIELD_WORDS, RECORD_WORDS) for some in table.values() for word in some]
NAMES = st.sampled_from(WORDS).map(lambda word: word.replace(" ", "_")) | st.text(
    st.characters(codec="utf-8", exclude_characters="."), min_size=1, max_size=20
).filter(lambda name: name == name.strip() != "" and not name.startswith("$"))


def field(name: str, type: FieldType = "string", label: str = "", **more: object) -> Field:
    return Field(name, label or name, type, **more)  # type: ignore[arg-type]


def described(kind: str, *fields: Field) -> Description:
    return Description(kind, kind, {one.name: one for one in fields})


class System:
    """A system that consists of its descriptions."""

    def __init__(self, *objects: Description) -> None:
        self._objects = {one.kind: one for one in objects}

    def kinds(self) -> list[str]:
        return list(self._objects)

    def describe(self, kind: str) -> Description | None:
        return self._objects.get(kind)

    def usage(self) -> None: ...


ACCOUNT = described(
    "Company__c",
    field("Name"),
    field("Web_Address__c", label="Website"),
    field("BillingCountryCode"),
    field("TaxNumber"),
    field("Color__c"),
)
DEAL = described(
    "Deal",
    field("CompanyId", "reference", references=("Company__c",)),
    field("StageName", "picklist", values=("New", "Won")),
    field("Deal_Result", "picklist", label="Outcome", values=("Won", "Lost", "Unsure")),
    field("NetAmount", "money"),
    field("CreatedDate", "datetime"),
    field("Amount_Text", "string"),
)


def test_fields_are_found_by_label_name_and_type_and_each_says_why() -> None:
    account, opportunity = suggest([ACCOUNT, DEAL])
    assert (account.object, account.record, account.missing) == ("Company__c", "account", ())
    found = {one.target: one for one in account.fields}
    assert {name: one.source for name, one in found.items() if one.likely} == {
        "name": "Name", "website": "Web_Address__c", "country": "BillingCountryCode", "tax_id": "TaxNumber",
    }  # fmt: skip
    assert "label 'Website'" in found["website"].reason
    deal = {one.target: one for one in opportunity.fields}
    assert deal["account"].source == "CompanyId" and "refers to Company__c" in deal["account"].reason
    assert (deal["amount"].source, deal["created_at"].source) == ("NetAmount", "CreatedDate")
    assert deal["outcome"].values == (("Won", "won"), ("Lost", "lost"))
    mapping = load_mapping("suggested.yaml", as_yaml("acme", [account, opportunity]))
    assert {one.kind: one.record_types for one in mapping.objects} == {
        "Company__c": ("account",), "Deal": ("opportunity",),
    }  # fmt: skip
    assert [one for one in check(mapping, System(ACCOUNT, DEAL)) if one.level == "error"] == []  # type: ignore[arg-type]


def test_a_record_without_a_required_field_is_left_out_and_says_which() -> None:
    invoice = described("Invoice", field("Account"), field("InvoiceDate", "date"))
    (found,) = suggest([invoice])
    assert found.missing == ("currency", "lines")
    text = as_yaml("acme", [found])
    assert "# invoice from Invoice is not complete: no likely source for currency, lines" in text
    assert "  #         issued_on: InvoiceDate  # " in text
    assert load_mapping("suggested.yaml", text).objects == ()


def test_lists_are_found_with_their_members() -> None:
    invoice = described(
        "Invoice", field("Account"), field("Issued", "date"), field("Currency"), field("lines.Kind", label="Kind"),
        field("lines.Net", "decimal", label="Net"), field("lines", "json"),
    )  # fmt: skip
    (found,) = suggest([invoice])
    assert found.missing == ()
    (plan,) = load_mapping("suggested.yaml", as_yaml("acme", [found])).objects
    assert {"lines.Kind", "lines.Net"} <= set(plan.query.fields)


def test_what_a_person_says_an_object_is_counts() -> None:
    (found,) = suggest([described("X42", field("Name"), field("Currency"))], {"X42": "partner"})
    assert (found.record, found.missing, found.reason) == ("partner", (), "named by you")


def test_names_that_differ_by_a_letter_are_not_taken_for_each_other() -> None:
    assert likely_objects(["Contact", "Contacts", "ContactHistory"]) == {"contact": ("Contact", 1.0)}


@st.composite
def systems(draw: st.DrawFn) -> list[Description]:
    objects = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    types: tuple[FieldType, ...] = get_args(FieldType)
    fields = st.builds(
        Field, NAMES, NAMES, st.sampled_from(types), values=st.lists(NAMES, max_size=3, unique=True).map(tuple),
        references=st.lists(st.sampled_from(objects), max_size=1).map(tuple),
    )  # fmt: skip
    return [described(kind, *draw(st.lists(fields, max_size=25))) for kind in objects]


@given(systems(), st.data())
def test_whatever_a_system_says_the_suggestion_loads_and_fits(objects: list[Description], data: st.DataObject) -> None:
    chosen = {objects[0].kind: data.draw(st.sampled_from(sorted(RECORDS)))}
    found = suggest(objects, chosen)
    mapping = load_mapping("suggested.yaml", as_yaml("acme", found))
    assert {record for one in mapping.objects for record in one.record_types} == {
        one.record for one in found if not one.missing
    }
    errors = [one for one in check(mapping, System(*objects)) if one.level == "error"]  # type: ignore[arg-type]
    assert errors == []
    assert all(0 <= one.confidence <= 1 and one.reason for record in found for one in record.fields)
    assert all(not one.likely or one.confidence >= LIKELY for record in found for one in record.fields)
