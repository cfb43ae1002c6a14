"""Programs that nobody here wrote read and write our simulators, and find what is there.

Each is installed, as published, in an environment of its own (``tests/connectors/clients``). The first run installs;
without packages at hand the tests are skipped and say why.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.hubspot.simulator import HubSpotSimulator
from connectors.hubspot.webhooks import signature
from connectors.netsuite.simulator import NetSuiteSimulator
from connectors.salesforce.simulator import SalesforceSimulator
from connectors.salesforce.simulator.schema import FieldSpec
from connectors.simulation import Faults
from tests.connectors.clients import environments
from tests.connectors.clients.environments import NotInstalled, Program

pytestmark = pytest.mark.slow

LOGIN = {"client_id": "client-of-tests", "client_secret": "secret-of-tests"}
REFRESH = {**LOGIN, "refresh_token": "refresh-token-of-tests", "start_date": "2020-01-01T00:00:00Z"}
REFRESH_LOGIN = (*LOGIN.values(), REFRESH["refresh_token"])
SYNCED = ("Account", "Contact", "Lead")
RECORDS = ("customer", "contact", "invoice", "customerpayment", "customrecord_partner_commission", "currency")


def program(name: str) -> Program:
    """The installed client, or a skip that is seen even in a quiet run."""
    try:
        return environments.installed(name)
    except NotInstalled as reason:
        warnings.warn(f"{name} was not asked, its packages could not be installed: {reason}", stacklevel=2)
        pytest.skip(str(reason))


@pytest.fixture
def org() -> Iterator[SalesforceSimulator]:
    """A seeded org on this machine's clock, with deleted and merged records, and many pages."""
    with SalesforceSimulator() as org:
        org.seed(7, 60)
        org.pages.shrink_to = 20
        leads, accounts = org.all_rows("Lead"), org.all_rows("Account")
        org.delete("Lead", leads[3]["Id"])
        org.delete("Lead", leads[8]["Id"])
        org.merge(accounts[5]["Id"], accounts[6]["Id"])
        yield org
    assert org.crashes == []


def ids(rows: Iterable[dict[str, Any]], key: str = "Id") -> list[str]:
    """Sorted, so that a record given twice shows."""
    return sorted(str(row[key]) for row in rows)


def saved(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_simple_salesforce_reads_writes_and_is_refused(org: SalesforceSimulator) -> None:
    script = environments.HERE / "ask_salesforce.py"
    seen = json.loads(program("simple-salesforce").run("python", script, *LOGIN.values(), simulator=org.url))

    assert sorted(seen["objects"]) == sorted(org.objects)
    assert seen["lead_fields"] == list(org.objects["Lead"].fields)
    assert seen["leads"] == ids(org.all_rows("Lead"))
    assert sorted(seen["with_deleted"]) == ids(org.all_rows("Lead", deleted=True))
    assert seen["names"] == {row["Id"]: row["Name"] for row in org.all_rows("Account")}

    assert (seen["updated"], seen["upserted"], seen["deleted_status"]) == (204, [201, 200], 204)
    assert seen["read_back"] == {
        "LastName": "Nakamura", "Title": "Dispatcher", "Email": "nakamura@example.org", "IsDeleted": False,
    }  # fmt: skip
    assert seen["by_key"] == 11.0
    assert seen["contact"] in seen["changed_ids"]
    assert seen["deleted_ids"] == [seen["contact"]]
    assert [(w.object, w.action) for w in org.journal.writes()] == [
        ("Contact", "created"), ("Contact", "updated"), ("Commission__c", "created"), ("Commission__c", "updated"),
        ("Contact", "deleted"), *[("Commission__c", "created")] * 3, ("Commission__c", "updated"),
        *[("Contact", "created")] * 3, *[("Contact", "updated")] * 3, ("Contact", "deleted"),
    ]  # fmt: skip

    leads = {row["Id"]: row["Company"] for row in org.all_rows("Lead")}
    assert {row["Id"]: row["Company"] for row in seen["bulk_leads"]} == leads
    assert {(row["Owner.Name"], row["IsDeleted"]) for row in seen["bulk_leads"]} == {("Integration", "false")}
    assert len(seen["bulk_leads"]) == len(leads)
    assert sorted(seen["bulk_with_deleted"]) == ids(org.all_rows("Lead", deleted=True))
    assert seen["bulk_counts"] == [4, 4, 1] and seen["bulk_left"] == []
    assert [(row["Sync_Key__c"], row["sf__Created"]) for row in seen["bulk_done"]] == [
        ("b-0", "true"), ("b-1", "true"), ("b-3", "true"),
    ]  # fmt: skip
    [failed] = seen["bulk_failed"]
    assert failed["Sync_Key__c"] == "b-2" and failed["Because__c"] == 'a "b",\nc'
    assert failed["sf__Error"].startswith("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST:")
    by_key = {row["Sync_Key__c"]: row for row in org.all_rows("Commission__c")}
    assert seen["bulk_again"] == ["false"] and "Because__c" not in by_key["b-0"]
    assert (str(by_key["b-1"]["Amount__c"]), by_key["b-1"]["Because__c"]) == ("1.25", 'a "b",\nc')

    new = [org.get("Contact", one) for one in seen["bulk_new"]]
    assert [(row and (row["LastName"], row["FirstName"], row.get("Title"), row["IsDeleted"])) for row in new] == [
        ("Tan; Lee", 'Kim "0"', None, False), ("Tan; Lee", 'Kim "1"', "Director", True),
        ("Tan; Lee", 'Kim "2"', "one\r\ntwo", False),
    ]  # fmt: skip
    assert seen["bulk_others"] == [[3, 0], [3, 0], [2, 1]] and seen["bulk_gone"][0].startswith("DUPLICATE_VALUE:")

    assert seen["refused"] == {
        "gone": ["SalesforceResourceNotFound", "NOT_FOUND"],
        "query": ["SalesforceMalformedRequest", "INVALID_FIELD"],
        "value": ["SalesforceMalformedRequest", "INVALID_EMAIL_ADDRESS"],
    }
    assert seen["usage"] == org.daily_requests


def test_aiosfstream_hears_what_changes_and_goes_on_where_it_was() -> None:
    with SalesforceSimulator() as org:
        loopback, org.public_url = org.url, "https://example.my.salesforce.com"
        org.events.held_seconds = 1.0
        script = environments.HERE / "ask_streaming.py"
        heard = json.loads(program("aiosfstream-ng").run("python", script, *REFRESH_LOGIN, simulator=loopback))

        def told(entity: str, change: str, record: str, channel: str = "/data/ChangeEvents") -> list[str]:
            return [channel, entity, change, record]

        assert heard["transport"] == "long-polling"
        (lead, created), (again, during), (missed, later) = heard["made"], heard["after_the_session"], heard["missed"]
        assert created == [told("Lead", "CREATE", lead)]
        assert heard["changed"] == [told("Lead", "UPDATE", lead), told("Lead", "DELETE", lead)]
        assert heard["no_channel"] == [
            400, "The channel you requested to subscribe to does not exist {/data/Missing__chn}",
        ]  # fmt: skip
        assert heard["logged_in_again"] and during == [told("Account", "CREATE", again)]
        assert later == [told("Account", "CREATE", missed)]
        code, why = heard["too_old"]
        assert code == 400 and why.startswith("The replayId {7} you provided was invalid.")
        assert heard["all_that_is_kept"] == [
            told("User", "CREATE", org.rows.user_id), *created, *heard["changed"], *during,
        ]  # fmt: skip
        other, on_its_own = heard["one_object"]
        assert on_its_own == [told("Lead", "CREATE", other, "/data/LeadChangeEvent")]
    assert org.crashes == []


def test_tap_salesforce_discovers_and_syncs(org: SalesforceSimulator, tmp_path: Path) -> None:
    tap = program("tap-salesforce")
    org.sessions.rotate_refresh_tokens = True
    org.hide("Lead", "Email")
    config = saved(tmp_path / "config.json", {**REFRESH, "api_type": "REST", "select_fields_by_default": True})

    catalog = json.loads(tap.run("tap-salesforce", "--config", config, "--discover", simulator=org.url))
    found = {stream["stream"]: set(stream["schema"]["properties"]) for stream in catalog["streams"]}
    assert found == {name: set(spec.fields) - ({"Email"} if name == "Lead" else set()) for name, spec in org.objects.items()}  # fmt: skip

    for stream in catalog["streams"]:
        whole = next(entry["metadata"] for entry in stream["metadata"] if not entry["breadcrumb"])
        whole |= {"selected": stream["stream"] in SYNCED, "replication-method": "INCREMENTAL",
                  "replication-key": "SystemModstamp"}  # fmt: skip
    selected = saved(tmp_path / "catalog.json", catalog)
    first = lines(tap.run("tap-salesforce", "--config", config, "--properties", selected, simulator=org.url))
    for name in SYNCED:
        rows = [line["record"] for line in first if line["type"] == "RECORD" and line["stream"] == name]
        held = org.all_rows(name, deleted=True)
        assert ids(rows) == ids(held)
        labels = {row["Id"]: (row["Name"], row["IsDeleted"]) for row in held}
        assert {row["Id"]: (row["Name"], row["IsDeleted"]) for row in rows} == labels

    org.update("Lead", org.all_rows("Lead")[0]["Id"], {"Title": "Director"})
    org.insert("Lead", {"LastName": "Nakamura", "Company": "Sterling Field Works"})
    bookmarks = [line["value"] for line in first if line["type"] == "STATE"][-1]
    state = saved(tmp_path / "state.json", bookmarks)
    again = lines(
        tap.run("tap-salesforce", "--config", config, "--properties", selected, "--state", state, simulator=org.url)
    )
    for name in SYNCED:
        since = bookmarks["bookmarks"][name]["SystemModstamp"][:19]
        rows = [line["record"] for line in again if line["type"] == "RECORD" and line["stream"] == name]
        assert ids(rows) == ids(r for r in org.all_rows(name, deleted=True) if r["SystemModstamp"][:19] >= since)

    assert set(org.sessions.refresh_tokens) == {json.loads(config.read_text())["refresh_token"]}
    assert org.sessions.tokens_made == 3


def airbyte_catalog(names: Iterable[str]) -> dict[str, Any]:
    """Every stream read incrementally, where it can be."""
    modes = {"sync_mode": "incremental", "destination_sync_mode": "append"}
    known = {"json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
    return {"streams": [{"stream": {"name": name, **known}, **modes} for name in names]}


def airbyte_records(messages: Iterable[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    records = (message["record"] for message in messages if message["type"] == "RECORD")
    return [record["data"] for record in records if record["stream"] == name]


def airbyte_state(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last state of each stream, as the platform hands it back."""
    states = (message["state"] for message in messages if message["type"] == "STATE")
    return list({state["stream"]["stream_descriptor"]["name"]: state for state in states}.values())


def airbyte_status(messages: Iterable[dict[str, Any]]) -> str:
    return next(str(m["connectionStatus"]["status"]) for m in messages if m["type"] == "CONNECTION_STATUS")


@pytest.mark.parametrize("by_jobs", [False, True], ids=["by REST", "by query jobs"])
def test_airbyte_source_salesforce_reads(org: SalesforceSimulator, tmp_path: Path, by_jobs: bool) -> None:
    source = program("airbyte-source-salesforce")
    for name, address in (("Account", "BillingAddress"), ("Contact", "MailingAddress"), ("Lead", "Address")):
        # Compound fields cannot be read in bulk; an object that has one, as in every real org, is read by REST.
        if not by_jobs:
            org.add_field(name, FieldSpec(address, "address", "Address", createable=False, updateable=False))
    config = saved(tmp_path / "config.json", {**REFRESH, "start_date": "2026-01-01T00:00:00Z", "stream_slice_step": "P90D"})  # fmt: skip
    catalog = saved(tmp_path / "catalog.json", airbyte_catalog(SYNCED))

    assert airbyte_status(lines(source.run("source-salesforce", "check", "--config", config, simulator=org.url))) == "SUCCEEDED"  # fmt: skip
    read = ("source-salesforce", "read", "--config", config, "--catalog", catalog)
    first = lines(source.run(*read, simulator=org.url))
    for name in SYNCED:
        assert ids(airbyte_records(first, name)) == ids(org.all_rows(name, deleted=True))

    changed = org.insert("Lead", {"LastName": "Nakamura", "Company": "Sterling Field Works"})
    state = saved(tmp_path / "state.json", airbyte_state(first))
    again = lines(source.run(*read, "--state", state, simulator=org.url))
    leads = ids(airbyte_records(again, "Lead"))
    assert changed in leads
    assert len(leads) == len(set(leads)) < len(org.all_rows("Lead"))
    jobs = {route: count for (_, route), count in org.requests.items() if route.startswith("jobs/query")}
    assert (jobs.keys() == {"jobs/query", "jobs/query/results"}) if by_jobs else not jobs


# The client ends its last window by UTC's days. With windows of two days, and a zone at most twelve hours ahead, that end
# is always after now; otherwise it would leave the newest records to its next run.
@pytest.mark.parametrize(
    ("zone", "date_format"), [("America/Los_Angeles", "M/D/YYYY"), ("Australia/Sydney", "DD.MM.YYYY")]
)
def test_airbyte_source_netsuite_reads_what_changed(zone: str, date_format: str, tmp_path: Path) -> None:
    source = program("airbyte-source-netsuite")
    days_ago = 0
    with NetSuiteSimulator(
        now=lambda: datetime.now(UTC) - timedelta(days=days_ago), zone=zone, date_format=date_format
    ) as account:
        for days_ago in range(6, -1, -1):
            account.seed(days_ago, 2)
            account.insert("customrecord_partner_commission", {"name": f"C-{days_ago}"})
        tokens = account.logins.generate_tokens()
        settings = {
            "realm": account.account, "consumer_key": tokens["consumer_key"], "object_types": RECORDS,
            "consumer_secret": tokens["consumer_secret"], "token_key": tokens["token_id"], "window_in_days": 2,
            "token_secret": tokens["token_secret"],
            "start_datetime": f"{datetime.now(UTC) - timedelta(days=8):%Y-%m-%dT%H:%M:%SZ}",
        }  # fmt: skip
        config = saved(tmp_path / "config.json", settings)
        wrong = saved(tmp_path / "wrong.json", {**settings, "token_secret": "0" * 64})
        catalog = saved(tmp_path / "catalog.json", airbyte_catalog(RECORDS))

        checks = [lines(source.run("source-netsuite", "check", "--config", path, simulator=account.url)) for path in (config, wrong)]  # fmt: skip
        assert [airbyte_status(messages) for messages in checks] == ["SUCCEEDED", "FAILED"]

        read = ("source-netsuite", "read", "--config", config, "--catalog", catalog)
        first = lines(source.run(*read, simulator=account.url))
        for name in RECORDS:
            assert ids(airbyte_records(first, name), "id") == ids(account.rows(name), "id")
        shown = {row["id"]: row["companyName"] for row in airbyte_records(first, "customer")}
        assert shown == {str(row["id"]): row["companyname"] for row in account.rows("customer")}

        account.update("customer", next(iter(shown)), {"phone": "+61 2 5550 0100"})
        account.insert("contact", {"firstName": "Ayesha", "lastName": "Nakamura"})
        state = saved(tmp_path / "state.json", airbyte_state(first))
        again = lines(source.run(*read, "--state", state, simulator=account.url))
        for name, stamp in (("customer", "lastModifiedDate"), ("contact", "lastModifiedDate"),
                            ("customrecord_partner_commission", "lastmodified")):  # fmt: skip
            newest = max(row[stamp] for row in airbyte_records(first, name))
            since = newest[:16].replace("T", " ")
            changed = [row for row in account.rows(name) if row[stamp.lower()][:16] >= since]
            assert ids(airbyte_records(again, name), "id") == ids(changed, "id")
            assert len(changed) < len(account.rows(name))
    assert account.crashes == []


def test_hubspot_api_client_reads_writes_and_is_refused() -> None:
    with HubSpotSimulator() as portal:
        portal.seed(7, 220)
        portal.limits.burst = portal.limits.searches = None  # the client does not wait for limits
        for row in portal.all_rows("companies")[50:53]:
            portal.archive("companies", row["hs_object_id"])
        before = {row["hs_object_id"]: row for row in portal.all_rows("companies")}
        gone = [row.id for row in portal.rows.listed("companies", archived=True)]
        script = environments.HERE / "ask_hubspot.py"
        asked = (portal.url, "token-of-tests", *LOGIN.values(), REFRESH["refresh_token"])
        seen = json.loads(program("hubspot-api-client").run("python", script, *asked, simulator=portal.url))

        assert sorted(seen["companies"]) == sorted(before) and len(before) > 100, "more than a page"
        assert seen["names"] == {key: row["name"] for key, row in before.items()}
        assert seen["archived"] == gone and len(gone) == 3
        assert seen["properties"] == list(portal.objects["contacts"].properties)
        assert seen["unique"] == ["sync_key"]
        assert seen["custom"] == [name for name, spec in portal.objects.items() if spec.custom]
        others = [key for key, row in before.items() if "is_partner" not in row]
        assert (seen["found"], seen["total"]) == (others, len(others))

        assert seen["upserted"] == [[True, "7", "10.50"], [False, "7", "11"]]
        [(commission, amount)] = seen["by_key"].items()
        assert amount == "11" and portal.journal.count_by_key() == {("commission", "k-1"): 1}
        assert seen["partial"] == [1, "OBJECT_NOT_FOUND", ["12"]]
        assert seen["linked"] == "COMPLETE"
        assert seen["links"] == portal.rows.links.of("commission", commission, "companies") == [others[0]]
        assert seen["no_links"] == "crm.associations.NO_ASSOCIATIONS_FOUND"
        assert seen["merged_into"] == seen["old_id_leads_to"] not in (others[1], others[2])
        assert seen["refused"] == {
            "gone": [404, "OBJECT_NOT_FOUND"], "value": [400, "VALIDATION_ERROR"], "object": [400, None],
        }  # fmt: skip
        assert seen["token"] == [1800, True]
        assert seen["with_oauth"] == len(before) - 2, "two were merged into one, one was archived"
        address, body = "https://referee.example/hooks?portal=1", b'[{"objectId":501}]'
        assert seen["signature"] == signature("secret-of-tests", "POST", address, body, "1772442000000")
    assert portal.crashes == []


def test_tap_hubspot_discovers_and_syncs(tmp_path: Path) -> None:
    tap = program("tap-hubspot")
    with HubSpotSimulator() as portal:
        portal.seed(7, 150)
        portal.limits.burst = portal.limits.searches = None
        portal.archive("tickets", portal.all_rows("tickets")[2]["hs_object_id"])
        old = re.compile(r"/(companies|properties|deals)/v\d/")  # addresses of 2015: it goes on without these streams
        portal.faults.add(Faults.status(403, times=None, match=lambda request: bool(old.match(request.path))))
        login = {**REFRESH, "redirect_uri": "https://referee.example/", "api_key": None, "hapikey": None}
        unset = {"access_token": None, "token_expires": None, "select_fields_by_default": "true"}
        config = saved(tmp_path / "config.json", {**login, **unset})

        catalog = json.loads(tap.run("tap-hubspot", "--config", config, "--discover", simulator=portal.url))
        synced = {"contacts": "contacts", "tickets": "tickets", "commission": "commission", "referral": "referral"}
        catalog["streams"] = [stream for stream in catalog["streams"] if stream["stream"] in synced]
        assert {stream["stream"] for stream in catalog["streams"]} == set(synced)
        for stream in catalog["streams"]:
            names = {name.removeprefix("property_") for name in stream["schema"]["properties"] if "property_" in name}
            assert names == set(portal.objects[stream["stream"]].properties)
            for entry in stream["metadata"]:
                entry["metadata"]["selected"] = True
        chosen = saved(tmp_path / "catalog.json", catalog)
        printed = lines(tap.run("tap-hubspot", "--config", config, "--properties", chosen, simulator=portal.url))
        for name in synced:
            found = [line["record"] for line in printed if line["type"] == "RECORD" and line["stream"] == name]
            rows = portal.all_rows(name)
            assert ids(found, "id") == ids(rows, "hs_object_id")
        contacts = [line["record"] for line in printed if line["type"] == "RECORD" and line["stream"] == "contacts"]
        assert len(contacts) > 100, "more than a page"
        emails = {contact["id"]: contact["property_email"] for contact in contacts}
        assert emails == {row["hs_object_id"]: row["email"] for row in portal.all_rows("contacts")}
    assert portal.crashes == []
