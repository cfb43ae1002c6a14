"""The simulated org agrees with an independent client, and answers in the shapes that real orgs answer in."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import (
    SalesforceError,
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from connectors.salesforce.ids import full_id
from tests.connectors.salesforce_org import Org, running

ERROR = {"message": str, "errorCode": str}


class Rewriting(HTTPAdapter):
    """Sends what is meant for https://org.my.salesforce.com to the simulator."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        assert request.url
        request.url = self._url + "/" + request.url.split("/", 3)[3]
        return super().send(request, *args, **more)


@pytest.fixture
def org() -> Iterator[Org]:
    with running() as started:
        yield started


@pytest.fixture
def session(org: Org) -> requests.Session:
    made = requests.Session()
    made.mount("https://", Rewriting(org.url))
    return made


@pytest.fixture
def client(session: requests.Session) -> Salesforce:
    login: Any = {"consumer_key": "client-of-tests", "consumer_secret": "secret-of-tests", "domain": "org.my"}
    return Salesforce(**login, session=session, version="62.0")


def shape(value: Any) -> Any:
    """Keys and JSON types of an answer; a list is as its first element."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value)


def test_the_client_logs_in_queries_and_follows_pages(org: Org, client: Salesforce) -> None:
    for number in range(450):
        org.insert("Account", {"Name": f"N{number}", "AnnualRevenue": "1500"})
    org.pages.shrink_to = 200
    first: Any = client.query("SELECT Id, Name, AnnualRevenue, Owner.Name, ParentId FROM Account ORDER BY Id")
    assert shape(first) == {
        "totalSize": int, "done": bool, "nextRecordsUrl": str,
        "records": [{
            "attributes": {"type": str, "url": str}, "Id": str, "Name": str, "AnnualRevenue": float,
            "Owner": {"attributes": {"type": str, "url": str}, "Name": str}, "ParentId": type(None),
        }],
    }  # fmt: skip
    everything: Any = client.query_all("SELECT Id FROM Account ORDER BY Id")
    assert len({row["Id"] for row in everything["records"]}) == 450
    assert client.api_usage["api-usage"].used > 3
    counted: Any = client.query("SELECT COUNT() FROM Account WHERE Name LIKE 'N44_'")
    assert counted == {"totalSize": 10, "done": True, "records": []}


def test_records_are_made_changed_upserted_and_deleted(org: Org, client: Salesforce) -> None:
    made: Any = client.Contact.create({"LastName": "Lee", "Email": "lee@example.org"})  # type: ignore[operator]
    assert shape(made) == {"id": str, "success": bool, "errors": []}
    assert full_id(made["id"]) == made["id"]
    assert client.Contact.update(made["id"], {"Email": None}) == 204  # type: ignore[operator]
    got: Any = client.Contact.get(made["id"])  # type: ignore[operator]
    assert (got["LastName"], got["Email"], got["attributes"]["type"]) == ("Lee", None, "Contact")
    assert client.Commission__c.upsert("Sync_Key__c/k1", {"Amount__c": 1}) == 201  # type: ignore[operator]
    assert client.Commission__c.upsert("Sync_Key__c/k1", {"Amount__c": 2}) == 200  # type: ignore[operator]
    assert client.Contact.delete(made["id"]) == 204  # type: ignore[operator]
    with pytest.raises(SalesforceResourceNotFound):
        client.Contact.get(made["id"])  # type: ignore[operator]
    gone: Any = client.query_all("SELECT Id, IsDeleted FROM Contact", include_deleted=True)
    assert gone["records"][0]["IsDeleted"] is True
    assert [(w.object, w.action) for w in org.journal.writes()] == [
        ("Contact", "created"), ("Contact", "updated"), ("Commission__c", "created"), ("Commission__c", "updated"),
        ("Contact", "deleted"),
    ]  # fmt: skip


def test_an_ambiguous_key_is_300_with_the_addresses(org: Org, client: Salesforce) -> None:
    for _ in range(2):
        org.insert("Commission__c", {"Sync_Key__c": "same"})
    with pytest.raises(SalesforceMoreThanOneRecord) as ambiguous:
        client.Commission__c.upsert("Sync_Key__c/same", {})  # type: ignore[operator]
    assert shape(ambiguous.value.content) == [str]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id FROM Account WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD"),
        ("SELECT Id FROM Lead WHERE Referral_Notes__c = 'x'", "INVALID_FIELD"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD"),
    ],
)
def test_queries_are_refused_in_the_vendors_shape(client: Salesforce, query: str, code: str) -> None:
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.query(query)
    content: Any = refused.value.content
    assert shape(content) == [ERROR]
    assert content[0]["errorCode"] == code


def test_conditions_mean_what_they_mean_there(org: Org, client: Salesforce) -> None:
    for name, revenue in (("Alpha", "10"), ("beta", None), ("Gamma%", "30")):
        org.insert("Account", {"Name": name, "AnnualRevenue": revenue, "IsPartner": name == "beta"})

    def names(condition: str, order: str = "Name") -> list[str]:
        found: Any = client.query(f"SELECT Name FROM Account WHERE {condition} ORDER BY {order}")
        return [row["Name"] for row in found["records"]]

    assert names("Name = 'ALPHA'") == ["Alpha"]  # text compares without case
    assert names("AnnualRevenue != 10") == ["Gamma%", "beta"]  # != finds empty values too
    assert names("AnnualRevenue > 5") == ["Alpha", "Gamma%"]
    assert names("AnnualRevenue = null") == ["beta"]
    assert names("Name LIKE '%a\\%'") == ["Gamma%"]
    assert names("NOT (IsPartner = true OR Name IN ('alpha'))") == ["Gamma%"]
    assert names("Name != 'x'", "AnnualRevenue DESC NULLS LAST") == ["Gamma%", "Alpha", "beta"]
    assert names("Name != 'x'", "AnnualRevenue") == ["beta", "Alpha", "Gamma%"]


def test_describe_shows_what_the_user_may_see(org: Org, client: Salesforce) -> None:
    described: Any = client.Lead.describe()  # type: ignore[operator]
    fields = {field["name"]: field for field in described["fields"]}
    assert {"MasterRecordId", "SystemModstamp", "Referral_Partner__c"} <= fields.keys()
    assert fields["LastName"]["nillable"] is False
    assert shape(fields["Status"]["picklistValues"]) == [
        {"active": bool, "defaultValue": bool, "label": str, "validFor": type(None), "value": str}
    ]
    told = {
        "createable",
        "updateable",
        "referenceTo",
        "relationshipName",
        "restrictedPicklist",
        "externalId",
        "soapType",
    }
    assert told <= fields["Company"].keys()
    org.hide("Lead", "Email")
    again: Any = client.Lead.describe()  # type: ignore[operator]
    assert "Email" not in {field["name"] for field in again["fields"]}
    everything: Any = client.describe()
    assert {"encoding", "maxBatchSize", "sobjects"} == everything.keys()


def call(org: Org, client: Salesforce, method: str, path: str, **more: Any) -> requests.Response:
    headers = {"Authorization": f"Bearer {client.session_id}", **more.pop("headers", {})}
    return requests.request(method, f"{org.url}/services/data/{path}", headers=headers, timeout=5, **more)


def test_an_unchanged_description_is_304(org: Org, client: Salesforce) -> None:
    since = {"If-Modified-Since": format_datetime(org.moment, usegmt=True)}
    assert call(org, client, "GET", "v62.0/sobjects/Lead/describe", headers=since).status_code == 304


def test_what_changed_and_what_was_deleted(org: Org, client: Salesforce) -> None:
    kept, gone = (org.insert("Account", {"Name": name}) for name in "ab")
    org.delete("Account", gone)
    org.wait(120)
    between = {"start": "2026-03-02T08:00:00+00:00", "end": "2026-03-02T09:10:00+00:00"}
    updated = call(org, client, "GET", "v62.0/sobjects/Account/updated", params=between).json()
    deleted = call(org, client, "GET", "v62.0/sobjects/Account/deleted", params=between).json()
    assert updated == {"ids": [kept], "latestDateCovered": "2026-03-02T09:02:00.000+0000"}
    assert shape(deleted) == {
        "deletedRecords": [{"id": str, "deletedDate": str}], "earliestDateAvailable": str, "latestDateCovered": str,
    }  # fmt: skip
    assert deleted["deletedRecords"][0]["id"] == gone
    early = {**between, "start": "2026-01-01T00:00:00+00:00"}
    refused = call(org, client, "GET", "v62.0/sobjects/Account/deleted", params=early)
    assert refused.json()[0]["errorCode"] == "INVALID_REPLICATION_DATE"


def contact(**fields: Any) -> dict[str, Any]:
    return {"attributes": {"type": "Contact"}, **fields}


def test_a_collection_gives_each_record_its_result_or_rolls_all_back(org: Org, client: Salesforce) -> None:
    records = [contact(LastName="Lee"), contact(FirstName="No last name")]
    body = {"allOrNone": True, "records": records}
    rolled = call(org, client, "POST", "v62.0/composite/sobjects", json=body).json()
    assert shape(rolled) == [{"success": bool, "errors": [{"statusCode": str, "message": str, "fields": []}]}]
    assert [item["errors"][0]["statusCode"] for item in rolled] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING",
    ]  # fmt: skip
    assert org.all_rows("Contact") == []
    assert org.journal.writes() == []
    partly = call(org, client, "POST", "v62.0/composite/sobjects", json={**body, "allOrNone": False}).json()
    assert [item["success"] for item in partly] == [True, False]
    ids = ",".join([partly[0]["id"], "003000000000000AAA"])
    path = f"v62.0/composite/sobjects/Contact?ids={ids}&fields=LastName"
    assert [row and row["LastName"] for row in call(org, client, "GET", path).json()] == ["Lee", None]
    removed = call(org, client, "DELETE", f"v62.0/composite/sobjects?ids={ids}&allOrNone=false").json()
    assert [item["success"] for item in removed] == [True, False]
    many = {"records": [contact(LastName="x")] * 201}
    assert call(org, client, "POST", "v62.0/composite/sobjects", json=many).status_code == 400


def test_several_reading_requests_in_one(org: Org, client: Salesforce) -> None:
    base = "/services/data/v62.0"
    urls = {"lead": f"{base}/sobjects/Lead/describe", "none": f"{base}/sobjects/None__c/describe",
            "rows": f"{base}/query?q=SELECT+Id+FROM+Lead"}  # fmt: skip
    parts = [{"method": "GET", "url": url, "referenceId": name} for name, url in urls.items()]
    used = org.requests_used
    answer: Any = client.restful("composite", method="POST", json={"compositeRequest": parts})
    assert org.requests_used == used + 1
    shown = {part["referenceId"]: (part["httpStatusCode"], part["body"]) for part in answer["compositeResponse"]}
    assert {name: status for name, (status, _) in shown.items()} == {"lead": 200, "none": 404, "rows": 200}
    assert shown["lead"][1] == client.Lead.describe()  # type: ignore[operator]
    assert shape(shown["none"][1]) == [ERROR]
    for wrong in (parts * 9, [parts[0], parts[0]], [{**parts[2], "referenceId": f"q{n}"} for n in range(6)], []):
        assert call(org, client, "POST", "v62.0/composite", json={"compositeRequest": wrong}).status_code == 400


def test_an_update_only_upsert_never_creates(org: Org, client: Salesforce) -> None:
    path = "v62.0/sobjects/Commission__c/Sync_Key__c/none?updateOnly=true"
    assert call(org, client, "PATCH", path, json={}).status_code == 404
    assert org.all_rows("Commission__c") == []


def test_the_front_door_refuses_in_the_vendors_way(org: Org, client: Salesforce) -> None:
    assert call(org, client, "GET", "v30.0/sobjects").status_code == 410
    assert call(org, client, "GET", "v99.0/sobjects").status_code == 404
    assert call(org, client, "GET", "v62.0/query", params={"q": "x" * 17_000}).status_code == 414
    anonymous = requests.get(f"{org.url}/services/data/v62.0/sobjects", timeout=5)
    assert (anonymous.status_code, shape(anonymous.json())) == (401, [ERROR])
    assert anonymous.json()[0]["errorCode"] == "INVALID_SESSION_ID"
    org.daily_requests = 0
    with pytest.raises(SalesforceError, match="TotalRequests Limit exceeded"):
        client.limits()


def test_locators_end(org: Org, client: Salesforce) -> None:
    for _ in range(3):
        org.insert("Account", {"Name": "n"})
    org.pages.shrink_to = 1
    first: Any = client.query("SELECT Id FROM Account")
    org.wait(3 * 86_400)
    with pytest.raises(SalesforceError, match=r"locator"):
        client.query_more(first["nextRecordsUrl"], identifier_is_url=True)


def test_a_seeded_org_is_the_same_for_one_seed() -> None:
    one, two = Org(), Org()
    one.seed(7, 60)
    two.seed(7, 60)
    for kind in ("Account", "Contact", "Lead", "Opportunity", "Contract", "Case", "Program_Enrollment__c"):
        assert one.all_rows(kind) == two.all_rows(kind) != []
