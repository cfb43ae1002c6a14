"""`referee match`: an ERP whose customers carry no id of the CRM is tied to it, once, by a person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from connectors.registry import load
from tests.jobs.sync_world import Killable, Office, killable, office

BY_ENTITY = {
    """  - object: customer
    keep: [externalid, entityid, companyname, isinactive]
""": """  - object: customer
    record: account
    fields: {name: companyname}
""",
    "      contract: custbody_contract_id\n": "",
    "account: {lookup: {field: entity, object: customer, get: externalid}, required: true}": "account: {field: entity, required: true}",
}


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Office]:
    with office(tmp_path) as made:
        shipped = load("netsuite").mapping
        assert shipped is not None
        text = Path(shipped).read_text("utf-8")
        for before, after in BY_ENTITY.items():
            assert before in text
            text = text.replace(before, after)
        (made.folder / "erp.yaml").write_text(text, "utf-8")
        yaml = YAML()
        body = yaml.load(made.config.read_text("utf-8"))
        body["connections"]["erp"]["mapping"] = "erp.yaml"
        with made.config.open("w", encoding="utf-8") as out:
            yaml.dump(body, out)
        made.morning(24)
        yield made


def earned(child: Killable, place: Office) -> set[str]:
    (program,) = child.referee(place, "status", "--json").json["programs"]
    return {row["amount"] for row in program["entries"]}


def test_customers_of_an_erp_are_tied_to_the_crm_when_a_person_accepts(place: Office) -> None:
    with killable() as child:
        assert child.referee(place, "sync", "--plan-only").code == 0
        assert earned(child, place) == set()
        ran = child.referee(place, "match", "erp", "--json")
        proposed = [one for one in ran.json if one["state"] == "proposed"]
        assert proposed and all(one["type"] == "account" for one in proposed)
        assert earned(child, place) == set(), "nothing is linked that nobody accepted"
        assert "--accept" in child.referee(place, "match", "erp").out

        ran = child.referee(place, "match", "erp", "--accept", "--by", "Mara Lind", "--json")
        assert ran.err == ""
        assert not [one for one in ran.json if one["state"] == "proposed"]
        assert earned(child, place) == {"490.00"}, "as with an ERP that carries the CRM's ids"

        one = f"account:{proposed[0]['id']}"
        assert child.referee(place, "match", "erp", "--unlink", one).code in (0, 1)
        again = child.referee(place, "match", "erp", "--json").json
        assert [each["id"] for each in again if each["state"] == "proposed"] == [proposed[0]["id"]]
        pair = f"{one}={proposed[0]['candidates'][0]['id']}"
        assert child.referee(place, "match", "erp", "--link", pair).code in (0, 1)
        assert earned(child, place) == {"490.00"}
        for option, wrong in (("--link", "account:x=y"), ("--unlink", "account:x"), ("--link", f"{one}=nobody")):
            ran = child.referee(place, "match", "erp", option, wrong)
            assert (ran.code, ran.out) == (2, "") and option in ran.err
        assert child.referee(place, "match", "erp", "--unlink", one).code in (0, 1)
        itself = child.referee(place, "match", "erp", "--link", f"{one}={proposed[0]['id']}")
        assert (itself.code, itself.out) == (2, "") and "itself" in itself.err
        twice = child.referee(place, "match", "erp", "--link", pair, "--link", pair)
        assert (twice.code, twice.out) == (2, "") and "more than once" in twice.err
