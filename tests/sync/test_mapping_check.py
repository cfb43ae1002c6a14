"""Checking a mapping against what a connection can see: every problem at once, each with its place."""

from __future__ import annotations

from dataclasses import replace

from connectors.base import Description, Field, Problem, Usage
from sync.mapping import load_mapping
from sync.mapping_check import check

MAPPING = """system: s
objects:
  - object: Lead
    record: referral
    fields:
      program: Program
      partner: Partner
      submitted_at: Submitted
      channel: {field: Channel, values: {Portal: portal, Form: web_form}}
      company: Owner.Name
  - object: Account
    record: account
    fields: {name: Name, customer_since: Since}
write:
  - object: Commission
    rows: entries
    key: Sync_Key
    fields:
      Amount: amount
      State: {row: state, values: {accrued: Accrued, paid: Paid}}
      Reason: because
"""


def field(name: str, type_: str = "string", **more: object) -> Field:
    return replace(Field(name, name, type_), **more)  # type: ignore[arg-type]


def described(kind: str, *fields: Field) -> Description:
    return Description(kind, kind, {one.name: one for one in fields})


class Account:
    """What one connection sees, and how often it was asked."""

    def __init__(self, *descriptions: Description) -> None:
        self.seen = {one.kind: one for one in descriptions}
        self.asked: list[str] = []

    def kinds(self) -> list[str]:
        return list(self.seen)

    def describe(self, kind: str) -> Description | None:
        self.asked.append(kind)
        return self.seen.get(kind)

    def usage(self) -> Usage:
        return Usage(None, None)


LEAD = described(
    "Lead", field("Program"), field("Partner", "reference"), field("Submitted", "datetime"),
    field("Channel", "picklist", values=("Portal", "Form")), field("Owner", "reference"),
)  # fmt: skip
ACCOUNT = described("Account", field("Name"), field("Since", "date"))
COMMISSION = described(
    "Commission", field("Sync_Key", external_id=True, unique=True, length=80), field("Amount", "money"),
    field("State", "picklist", values=("Accrued", "Paid")), field("Reason", length=None),
)  # fmt: skip


def problems(*seen: Description, text: str = MAPPING) -> list[Problem]:
    return check(load_mapping("mapping.yaml", text), Account(*seen))


def changed(description: Description, *fields: Field) -> Description:
    return replace(description, fields={**description.fields, **{one.name: one for one in fields}})


def without(description: Description, name: str) -> Description:
    return replace(description, fields={key: one for key, one in description.fields.items() if key != name})


def only(found: list[Problem]) -> Problem:
    [one] = found
    return one


def test_a_mapping_that_fits_has_no_problem_and_costs_one_call_an_object() -> None:
    account = Account(LEAD, ACCOUNT, COMMISSION)
    assert check(load_mapping("mapping.yaml", MAPPING), account) == []
    assert sorted(account.asked) == ["Account", "Commission", "Lead"]


def test_an_object_that_cannot_be_seen() -> None:
    found = only(problems(LEAD, COMMISSION, replace(ACCOUNT, kind="Accounts")))
    assert found.where == "mapping.yaml:11: objects[1]"
    assert "Did you mean 'Accounts'?" in found.hint


def test_a_field_that_is_not_there() -> None:
    found = only(
        problems(LEAD, replace(ACCOUNT, fields={"name": field("name"), "Since": field("Since", "date")}), COMMISSION)
    )
    assert found == Problem(
        "mapping.yaml:13: objects[1].fields.name",
        "unknown field 'Name'",
        "a field of Account that this connection can see (it may exist but be hidden from this user)",
        "Did you mean 'name'?",
    )


def test_a_field_of_another_type_and_one_that_may_not_be_read() -> None:
    wrong = changed(ACCOUNT, field("Since", "boolean"), field("Name", readable=False))
    assert {one.found for one in problems(LEAD, wrong, COMMISSION)} == {
        "Account.Name",
        "Since of type boolean for customer_since",
    }


def test_picklists_in_both_directions() -> None:
    more = changed(LEAD, field("Channel", "picklist", values=("Portal", "Phone")))
    found = problems(more, ACCOUNT, changed(COMMISSION, field("State", "picklist", values=("Accrued", "Payed"))))
    assert [(one.level, one.found) for one in found] == [
        ("warning", "'Form', which is no active value of Channel"),
        ("warning", "no translation for 'Phone' of Channel"),
        ("error", "'Paid' for State"),
    ]
    assert found[2].hint == "Did you mean 'Payed'?"


def test_what_a_key_must_be() -> None:
    found = only(problems(LEAD, ACCOUNT, changed(COMMISSION, field("Sync_Key", external_id=True, length=80))))
    assert found.allowed == "a unique external-id field as key"
    short = changed(COMMISSION, field("Sync_Key", external_id=True, unique=True, length=40))
    assert only(problems(LEAD, ACCOUNT, short)).found == "'Sync_Key' of 40 characters"
    assert "unknown field 'Sync_Key'" in only(problems(LEAD, ACCOUNT, without(COMMISSION, "Sync_Key"))).found


def test_what_may_not_be_written_or_is_missing() -> None:
    closed = changed(COMMISSION, field("Amount", "money", updatable=False), field("Name", required=True))
    assert [one.found for one in problems(LEAD, ACCOUNT, closed)] == ["Commission.Amount", "no source for 'Name'"]
    assert only(problems(LEAD, ACCOUNT, replace(COMMISSION, creatable=False))).found == "object 'Commission'"


def test_the_field_of_who_changed_it_and_that_of_what_is_frozen_are_checked() -> None:
    text = MAPPING.replace("    rows: entries\n", "    rows: entries\n    changed_by: LastModifed\n"
                           "    frozen: {field: Sate, is: Paid, reason: it is paid}\n")  # fmt: skip
    frozen, who = problems(LEAD, ACCOUNT, changed(COMMISSION, field("LastModified")), text=text)
    assert (frozen.level, frozen.found, frozen.hint) == ("error", "unknown field 'Sate'", "Did you mean 'State'?")
    assert (who.level, who.hint) == ("warning", "Did you mean 'LastModified'?")


def test_values_that_do_not_fit_their_target() -> None:
    narrow = changed(COMMISSION, field("Amount", "date"), field("Reason", length=255))
    first, second = problems(LEAD, ACCOUNT, narrow)
    assert (first.level, first.found) == ("error", "Amount of type date for amount")
    assert (second.level, second.hint[:32]) == ("warning", "Add `transform: {truncate: 255}`")


def test_the_looked_up_field_is_checked_too() -> None:
    text = MAPPING.replace("company: Owner.Name", "company: {lookup: {field: Owner, object: Account, get: Nmae}}")
    found = only(problems(LEAD, ACCOUNT, COMMISSION, text=text))
    assert (found.where, found.hint) == (
        "mapping.yaml:10: objects[0].fields.company.lookup.object",
        "Did you mean 'Name'?",
    )


def test_a_name_that_reaches_a_described_object_is_checked_there_with_one_call_more_at_most() -> None:
    lead = replace(LEAD, fields={key: one for key, one in LEAD.fields.items() if key != "Owner"})
    owner = field("OwnerId", "reference", references=("Group", "User"), relationship="Owner")
    lead = replace(lead, fields={**lead.fields, "OwnerId": owner})
    user = described("User", field("Name", calculated=True))
    account = Account(lead, ACCOUNT, COMMISSION, user, described("Group", field("Title")))
    assert check(load_mapping("mapping.yaml", MAPPING), account) == []
    assert sorted(account.asked) == ["Account", "Commission", "Group", "Lead", "User"]

    misspelled = MAPPING.replace("company: Owner.Name", "company: Owner.Nmae")
    found = only(problems(lead, ACCOUNT, COMMISSION, user, text=misspelled))
    assert (found.level, found.found) == ("error", "unknown field 'Owner.Nmae'")
    found = only(problems(lead, ACCOUNT, COMMISSION, text=misspelled))
    assert found.level == "warning", "nobody described the object behind it"

    parent = field("AccountId", "reference", references=("Account",), relationship="Account")
    lead = replace(lead, fields={**lead.fields, "AccountId": parent})
    further = replace(ACCOUNT, fields={**ACCOUNT.fields, "OwnerId": owner})
    account = Account(lead, further, COMMISSION, user)
    text = MAPPING.replace("company: Owner.Name", "company: Account.Owner.Name")
    assert check(load_mapping("mapping.yaml", text), account) == []
    assert account.asked.count("Account") == 1


def test_a_name_that_reaches_elsewhere_is_a_warning() -> None:
    assert only(problems(without(LEAD, "Owner"), ACCOUNT, COMMISSION)).level == "warning"
