"""A whole installation on files: lists in a folder come in, commissions go out as a list, and bad rows are named."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connectors.registry import load
from jobs.check import check_connections
from jobs.installation import Installation, installation
from jobs.reconcile import reconcile_connections
from jobs.status import status_of
from jobs.sync import Synced, sync

OBJECTS: dict[str, dict[str, Any]] = {
    "partners": {"file": "partners.csv", "id": "Partner", "full_list": True},
    "enrollments": {"file": "enrollments.csv", "id": "No", "dates": {"Starts": "DD/MM/YYYY", "Ends": "DD/MM/YYYY"}},
    "accounts": {"file": "accounts.csv", "id": "Account", "dates": {"Customer since": "DD/MM/YYYY"}},
    "registrations": {"file": "registrations.csv", "id": "No", "created": "Submitted",
                      "dates": {"Submitted": "DD/MM/YYYY HH24:MI"}},
    "contracts": {"file": "contracts.csv", "id": "Contract", "numbers": ["Value"], "thousands_sign": ",", "created": "Signed",
                  "dates": {"Signed": "DD/MM/YYYY", "Starts": "DD/MM/YYYY", "Ends": "DD/MM/YYYY"}},
    "invoices": {"file": "invoices-*.csv", "id": "Invoice", "lines": ["Kind", "Net"], "numbers": ["Net", "Tax"],
                 "thousands_sign": ",", "dates": {"Issued": "DD/MM/YYYY"}, "created": "Issued"},
    "payments": {"file": "payments.csv", "id": "No", "numbers": ["Amount"], "thousands_sign": ",",
                 "dates": {"Received": "DD/MM/YYYY"}, "created": "Received"},
    "commission-records": {
        "file": "commission-records.csv", "id": "Key", "write": True,
        "columns": ["Key", "Partner", "Program", "Registration", "Contract", "Kind", "Amount", "Currency", "Earned",
                    "Released", "Due", "State", "Corrects", "Reason"],
    },
}  # fmt: skip
LISTS = {
    "partners.csv": "Partner,Name,Country,Currency,Email,Phone,Website\nP1,Northline,AU,AUD,hello@northline.example,,\n",
    "enrollments.csv": "No,Partner,Program,Role,Starts,Ends,Rate\nE1,P1,next-technik,referral,01/01/2026,,10\n",
    "accounts.csv": "Account,Name,Website,Country,Customer since\nA1,Harbour Lift Services,harbour.example,AU,\n",
    "registrations.csv": (
        "No,Program,Partner,Submitted,Channel,Company,Website,Country,Account,Contact name,Contact e-mail,Contact phone,"
        "Technicians,Industry\n"
        "R1,next-technik,P1,06/01/2026 09:00,Portal,Harbour Lift Services,harbour.example,AU,A1,Ada Vale,ada@harbour.example,,"
        "12,facilities\n"
    ),
    "contracts.csv": (
        "Contract,Account,Registration,Kind,Signed,Starts,Ends,Value,Currency,Billing\n"
        'C1,A1,R1,SaaS,10/01/2026,10/01/2026,,"12,000.00",AUD,Monthly\n'
    ),
    "invoices-01.csv": (
        "Invoice,Account,Contract,Issued,Currency,Tax,Kind,Net\n"
        'I1,A1,C1,12/01/2026,AUD,620.00,saas,"5,000.00"\nI1,A1,C1,12/01/2026,AUD,620.00,shipping,"1,200.00"\n'
        "I2,A1,C1,12/01/2026,AUD,1.2.3,saas,10.00\nI3,A9,C1,12/01/2026,XXQ,1.00,saas,10.00\n"
    ),
    "payments.csv": 'No,Invoice,Received,Amount,Currency\nY1,I1,26/01/2026,"6,820.00",AUD\n',
}
REVIEW = {
    "type": "review",
    "id": "V1",
    "referral": "R1",
    "at": "2026-01-11T00:00:00Z",
    "outcome": "approved",
    "by": "Kim",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    lists = tmp_path / "lists"
    lists.mkdir()
    for name, text in LISTS.items():
        (lists / name).write_text(text, "utf-8")
    shipped = load("files").mapping
    assert shipped is not None
    mapping = shipped.read_text("utf-8").replace("zone: UTC ", "zone: Australia/Sydney ").replace(
        "      account: Account\n      contact:",
        "      account: Account\n      details: {field_technicians: {field: Technicians, transform: integer}, industry: Industry}\n      contact:",
    )  # fmt: skip
    (tmp_path / "mapping.yaml").write_text(mapping, "utf-8")
    body = {
        "programs": ["next-technik"],
        "connections": {
            "lists": {
                "system": "files",
                "mapping": "mapping.yaml",
                "settings": {"folder": "lists", "zone": "Australia/Sydney", "objects": OBJECTS},
            }
        },
    }
    with (tmp_path / "referee.yaml").open("w", encoding="utf-8") as out:
        YAML().dump(json.loads(json.dumps(body)), out)
    return tmp_path


class Office:
    """An installation over the lists, at a moment of its own."""

    def __init__(self, here: Installation) -> None:
        self.here = here

    def sync(self) -> Synced:
        return sync(self.here.store, self.here.programs, self.here.open(), self.here.clock)


def commissions(place: Path) -> list[dict[str, str]]:
    with (place / "lists" / "commission-records.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_lists_come_in_and_commissions_go_out(place: Path) -> None:
    moment = [datetime(2026, 2, 3, 1, 0, tzinfo=UTC)]
    with installation(place / "referee.yaml", clock=lambda: moment[0]) as here:
        (checked,) = check_connections(here, None)
        assert [one["level"] for one in checked["problems"] if one["level"] == "error"] == []
        here.store.put_facts([REVIEW], known_at=datetime(2026, 1, 11, tzinfo=UTC), run_id=0)
        done = Office(here).sync()
        assert done.failed == []
        (entry,) = commissions(place)
        assert (entry["Partner"], entry["Amount"], entry["Currency"]) == ("P1", "500.00", "AUD")
        assert entry["Reason"].startswith("10% of 5000.00 AUD")

        refused = {(one["id"], one["code"]): one for one in status_of(here)["connections"][0]["refused"]}
        assert set(refused) == {("I2", "unreadable"), ("I3", "type")}
        assert refused["I2", "unreadable"]["field"] == "Tax (invoices-01.csv:4)"
        assert refused["I3", "type"]["version"].startswith("invoices-01.csv:5 ")

        moment[0] += timedelta(minutes=15)
        before = (place / "lists" / "commission-records.csv").stat().st_mtime_ns
        again = Office(here).sync()
        counts = again.pulled["lists"].records
        assert (counts.new, counts.changed, counts.unchanged) == (0, 0, 0)
        assert (place / "lists" / "commission-records.csv").stat().st_mtime_ns == before

        path = place / "lists" / "invoices-01.csv"
        path.write_text(
            path.read_text("utf-8").replace("1.2.3", "1.00").replace("A9,C1,12/01/2026,XXQ", "A1,C1,12/01/2026,AUD")
        )
        moment[0] += timedelta(minutes=15)
        counts = Office(here).sync().pulled["lists"].records
        assert (counts.new, counts.changed, counts.unchanged) == (0, 2, 0)
        assert status_of(here)["connections"][0]["refused"] == []


PARTNERS = "Partner,Name,Currency\nP1,Northline,AUD\nP2,Brightfield,AUD\nP3,Tasman,AUD\n"


@pytest.mark.parametrize(
    ("full_list", "text", "gone"),
    [
        (False, PARTNERS.replace("P2,Brightfield,AUD\n", ""), []),  # an export of what is new says nothing of the rest
        (True, PARTNERS.replace("P2,Brightfield", 'P2,"Bright"field'), []),  # it is there, and cannot be read
        (
            True,
            PARTNERS.replace("P2,Brightfield,AUD", "P2,Brightfield"),
            [],
        ),  # listed, and no record until it is mended
        (True, PARTNERS.replace("P2,Brightfield,AUD\n", ""), ["P2"]),
    ],
)
def test_reconciling_calls_vanished_only_what_a_list_would_show(
    tmp_path: Path, full_list: bool, text: str, gone: list[str]
) -> None:
    """With `--repair` what has vanished is withdrawn, and a partner's commissions with it."""
    mapping = {"object": "partners", "record": "partner", "fields": {"name": "Name", "currency": "Currency"}}
    objects = {"partners": {"file": "partners.csv", "id": "Partner", "full_list": full_list}}
    settings = {"system": "files", "mapping": "mapping.yaml", "settings": {"folder": ".", "objects": objects}}
    (tmp_path / "mapping.yaml").write_text(json.dumps({"system": "files", "objects": [mapping]}), "utf-8")
    (tmp_path / "referee.yaml").write_text(
        json.dumps({"programs": ["next-technik"], "connections": {"lists": settings}})
    )
    (tmp_path / "partners.csv").write_text(PARTNERS, "utf-8")
    moment = [datetime(2026, 2, 3, tzinfo=UTC)]
    with installation(tmp_path / "referee.yaml", clock=lambda: moment[0]) as here:
        assert Office(here).sync().failed == []
        (tmp_path / "partners.csv").write_text(text, "utf-8")
        moment[0] += timedelta(hours=2)
        for repair in (False, True):
            (one,) = reconcile_connections(here, None, repair=repair)
            assert one["state"] in ("equal", "different", "repaired")
            assert [each["id"] for each in one["differences"] if each["what"] in ("vanished", "deleted")] == gone
        named = {fact["id"] for fact in here.store.facts(types=["partner"]) if not fact.get("deleted")}
        withdrawn = {fact["id"] for fact in here.store.facts(types=["partner"]) if fact.get("deleted")}
        assert (named - withdrawn, withdrawn) == ({"P1", "P2", "P3"} - set(gone), set(gone))
