"""Help with mappings as a person uses it: suggest, preview, compare, roll back; over lists in files, and over an org."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from connectors.registry import load
from jobs.cli import app
from jobs.mapping_help import preview, suggest_mapping
from sync.mapping import load_mapping
from tests.jobs.sync_world import office

LISTS = {
    "partners.csv": "Partner,Name,Country,Currency,E-mail,Web site\nP1,Northline,AU,AUD,a@northline.example,northline.example\n"
    "P2,Brightfield,AU,XXQ,b@brightfield.example,\n",
    "payments.csv": "No,Invoice,Received on,Amount,Currency\nY1,I1,26/01/2026,10.00,AUD\n",
}
SETTINGS = """
programs: [next-technik]
connections:
  lists:
    system: files
    mapping: lists.yaml
    settings:
      folder: .
      objects:
        partners: {file: partners.csv, id: Partner}
        payments: {file: payments.csv, id: No, numbers: [Amount], dates: {Received on: DD/MM/YYYY}}
"""
MAPPING = """
system: files
objects:
  - object: partners
    record: partner
    fields: {name: Name, currency: Currency}
  - object: payments
    record: payment
    fields: {invoice: Invoice, received_on: Received on, amount: Amount, currency: Currency}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in {**LISTS, "referee.yaml": SETTINGS, "lists.yaml": MAPPING}.items():
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def referee(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def answer(*arguments: str, code: int = 0) -> Any:
    ran = referee(*arguments, "--json")
    assert ran.exit_code == code, ran.output + repr(ran.exception)
    return json.loads(ran.stdout)


def test_a_first_mapping_is_suggested_written_and_used(place: Path) -> None:
    (place / "lists.yaml").unlink()
    ran = referee("mapping", "suggest", "lists", "--write", "lists.yaml")
    assert ran.exit_code == 0, ran.output
    assert "2 records suggested" in ran.output and "referee mapping preview" in " ".join(ran.output.split())
    mapping = load_mapping(place / "lists.yaml")
    (partners, payments) = mapping.objects
    assert set(partners.query.fields) == {"Name", "Country", "Currency", "E-mail", "Web site"}
    assert set(payments.query.fields) == {"Invoice", "Received on", "Amount", "Currency"}
    assert referee("sync").exit_code == 0
    again = referee("mapping", "suggest", "lists", "--write", "lists.yaml")
    assert again.exit_code != 0 and "which is there already" in str(again.exception)
    found = answer("mapping", "suggest", "lists", "--object", "partners=account")
    assert [(one["object"], one["record"]) for one in found["records"]] == [("partners", "account")]
    unknown = referee("mapping", "suggest", "lists", "--object", "partner")
    assert "such as partners" in str(unknown.exception)


def test_a_preview_shows_values_and_errors_in_place_and_stores_nothing(place: Path) -> None:
    found = {one["object"]: one for one in answer("mapping", "preview", "lists", code=1)}
    assert found["partners"]["from"] == "system"
    good, bad = found["partners"]["records"]
    assert [(one["source"], one["raw"], one["value"]) for one in good["fields"]] == [
        ("Name", "Northline", "Northline"), ("Currency", "AUD", "AUD"),
    ]  # fmt: skip
    assert (bad["id"], bad["reject"]["field"], bad["fields"][0]["error"]) == ("P2", "currency", None)
    assert bad["fields"][1]["error"]["found"] == "'XXQ'"
    (payment,) = found["payments"]["records"]
    assert payment["facts"] == [
        {
            "type": "payment",
            "id": "Y1",
            "invoice": "I1",
            "received_on": "2026-01-26",
            "amount": "10.00",
            "currency": "AUD",
        }
    ]
    assert answer("status")["connections"][0]["streams"] == []
    shown = referee("mapping", "preview", "lists", "--object", "partners")
    assert "✗ found 'XXQ'; allowed: an ISO 4217 currency code" in " ".join(shown.output.split())
    referee("sync")
    assert answer("mapping", "preview", "lists", "--object", "payments")[0]["from"] == "store"


def test_a_value_that_two_records_of_one_take_is_shown_once(place: Path) -> None:
    twice = MAPPING.replace(
        "    record: partner\n    fields: {name: Name, currency: Currency}",
        "    records:\n      - record: partner\n        fields: {name: Name}\n      - record: account\n        fields: {name: Name}",
    )
    (place / "lists.yaml").write_text(twice, "utf-8")
    partners, _ = answer("mapping", "preview", "lists")
    assert [(one["source"], one["value"]) for one in partners["records"][0]["fields"]] == [("Name", "Northline")]


def test_another_mapping_can_be_looked_through_before_it_is_used(place: Path) -> None:
    (place / "other.yaml").write_text(MAPPING.replace("name: Name, ", "name: Name, website: Web site, "), "utf-8")
    (found,) = answer("mapping", "preview", "lists", "--mapping", "other.yaml", "--object", "partners", "--rows", "1")
    assert found["records"][0]["facts"][0]["website"] == "northline.example"


def test_versions_are_kept_compared_and_brought_back(place: Path) -> None:
    file = place / "lists.yaml"
    assert "no run of lists has used a mapping yet" in str(referee("mapping", "diff", "lists").exception)
    assert referee("sync").exit_code == 0
    (first,) = answer("mapping", "list", "lists")
    assert (first["runs"], first["is_file"]) == (1, True)

    changed = MAPPING.replace(
        "currency: Currency}\n  - object: payments", "currency: {value: AUD}}\n  - object: payments"
    )
    file.write_text("# ours\n" + changed, "utf-8")
    difference = answer("mapping", "diff", "lists")
    assert (difference["from"], difference["same"]) == (first["hash"], False)
    assert difference["objects"] == {"added": [], "removed": [], "read_anew": ["partners"], "mapped_anew": ["partners"]}
    assert "-    fields: {name: Name, currency: Currency}" in difference["lines"]
    assert referee("sync").exit_code == 0
    second, _ = answer("mapping", "list", "lists")
    assert second["hash"] != first["hash"] and second["is_file"]

    ran = referee("mapping", "rollback", "lists")
    assert ran.exit_code == 0 and "referee remap --diff" in ran.output
    assert file.read_text("utf-8") == MAPPING
    assert (place / "lists.yaml.replaced").read_text("utf-8") == "# ours\n" + changed
    forward = answer("mapping", "rollback", "lists", second["hash"][:8])
    assert (forward["from"], forward["to"]) == (first["hash"], second["hash"])
    assert file.read_text("utf-8") == "# ours\n" + changed
    assert "found no version 'ffff'" in str(referee("mapping", "rollback", "lists", "ffff").exception)

    file.write_text(changed, "utf-8")
    assert "only comments or layout differ" in referee("mapping", "diff", "lists").output


def test_a_mapping_that_cannot_be_read_any_more_can_still_be_rolled_back(place: Path) -> None:
    referee("sync")
    (place / "lists.yaml").write_text("objects: [", "utf-8")
    ran = referee("mapping", "rollback", "lists")
    assert ran.exit_code == 0, repr(ran.exception)
    assert (place / "lists.yaml").read_text("utf-8") == MAPPING


def test_edits_that_no_run_has_used_are_all_kept_when_an_earlier_version_is_put_back(place: Path) -> None:
    referee("sync")
    for edit in ("# one\nobjects: [", "# two\nobjects: [", "# one\nobjects: ["):
        (place / "lists.yaml").write_text(edit, "utf-8")
        assert referee("mapping", "rollback", "lists").exit_code == 0
    kept = {path.name: path.read_text("utf-8") for path in place.glob("lists.yaml.*")}
    assert kept == {"lists.yaml.replaced": "# one\nobjects: [", "lists.yaml.replaced-2": "# two\nobjects: ["}


def test_a_shipped_mapping_is_not_written_over(place: Path) -> None:
    (place / "referee.yaml").write_text(SETTINGS.replace("    mapping: lists.yaml\n", ""), "utf-8")
    before = load("files").mapping
    assert before is not None
    text = before.read_text("utf-8")
    assert "the mapping shipped with files" in str(referee("mapping", "rollback", "lists").exception)
    assert before.read_text("utf-8") == text


@pytest.fixture(scope="module")
def suggested(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    with office(tmp_path_factory.mktemp("office")) as made:
        _, text = suggest_mapping(made.here, "crm", [])
        yield load_mapping("suggested.yaml", text), made.here.open(["crm"])[0].mapping


def test_what_is_suggested_for_the_standard_org_is_what_its_mapping_says(suggested: tuple[Any, Any]) -> None:
    """Not a promise for every org: a measure that must not get worse unnoticed."""

    def lines(mapping: Any) -> set[tuple[str, str, str]]:
        return {(one.kind, use.target, use.path) for one in mapping.objects for use in one.uses if use.target}

    ours, shipped = map(lines, suggested)
    assert len(ours & shipped) >= 70
    assert len(ours - shipped) <= 6


def test_a_preview_shows_fields_and_not_how_records_are_found(tmp_path: Path) -> None:
    """NetSuite's payments are the elements of a list (`each`), and only those that were not voided (`when`)."""
    with office(tmp_path) as made:
        made.morning(26)
        assert made.sync().failed == []
        shown = preview(made.here, "erp", None, 10)
        targets = {
            one["object"]: {field["target"] for record in one["records"] for field in record["fields"]} for one in shown
        }
        assert {"invoice", "amount", "received_on"} <= targets["customerpayment"]
        assert not {"each", "when", ""} & set().union(*targets.values())
