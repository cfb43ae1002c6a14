"""Runs in hubspot-api-client's own environment: uses a portal as a program would and prints, as JSON, what it saw.

Arguments: the portal's address, a token, client id, client secret and refresh token of an app.
"""

import json
import sys

from hubspot import HubSpot
from hubspot.crm.companies.exceptions import ApiException as CompaniesError
from hubspot.crm.objects.exceptions import ApiException as ObjectsError
from hubspot.utils.signature import Signature

host, token, client_id, client_secret, refresh_token = sys.argv[1:]
portal = HubSpot(access_token=token, host=host)
companies, objects = portal.crm.companies, portal.crm.objects
seen = {
    "companies": [row.id for row in companies.get_all(properties=["name"])],
    "archived": [row.id for row in companies.get_all(archived=True)],
    "names": {row.id: row.properties["name"] for row in companies.get_all(properties=["name"])},
    "properties": [one.name for one in portal.crm.properties.core_api.get_all("contacts").results],
    "unique": [
        one.name for one in portal.crm.properties.core_api.get_all("p_commission").results if one.has_unique_value
    ],
    "custom": [one.name for one in portal.crm.schemas.core_api.get_all().results],
}

found, after = [], None
while True:
    asked = {
        "filterGroups": [{"filters": [{"propertyName": "is_partner", "operator": "NOT_HAS_PROPERTY"}]}],
        "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
        "properties": ["name"], "limit": 20, "after": after,
    }  # fmt: skip
    page = companies.search_api.do_search({name: value for name, value in asked.items() if value is not None})
    found += [row.id for row in page.results]
    if page.paging is None:
        break
    after = page.paging.next.after
seen["found"], seen["total"] = found, page.total

upserts = [
    objects.batch_api.upsert(
        "p_commission",
        {
            "inputs": [
                {"idProperty": "sync_key", "id": "k-1", "properties": {"amount": amount}, "objectWriteTraceId": "7"}
            ]
        },
    ).results[0]
    for amount in ("10.50", "11")
]
seen["upserted"] = [[row.new, row.object_write_trace_id, row.properties["amount"]] for row in upserts]
read = objects.batch_api.read(
    "p_commission", {"inputs": [{"id": "k-1"}], "idProperty": "sync_key", "properties": ["amount"]}
)
seen["by_key"] = {row.id: row.properties["amount"] for row in read.results}
partial = objects.batch_api.update(
    "companies",
    {"inputs": [{"id": key, "properties": {"city": "Port"}, "objectWriteTraceId": key} for key in (found[0], "12")]},
)
seen["partial"] = [partial.num_errors, partial.errors[0].category, partial.errors[0].context["objectWriteTraceId"]]

links = portal.crm.associations.v4
seen["linked"] = links.basic_api.create_default("p_commission", upserts[0].id, "companies", found[0]).status
both = links.batch_api.get_page("p_commission", "companies", {"inputs": [{"id": upserts[0].id}]})
seen["links"] = [str(link.to_object_id) for row in both.results for link in row.to]
none = links.batch_api.get_page("p_commission", "tickets", {"inputs": [{"id": upserts[0].id}]})
seen["no_links"] = none.errors[0].sub_category

seen["merged_into"] = companies.basic_api.merge({"primaryObjectId": found[1], "objectIdToMerge": found[2]}).id
seen["old_id_leads_to"] = companies.basic_api.get_by_id(found[2]).id
companies.basic_api.archive(found[3])

refused = {}
for name, ask in {
    "gone": lambda: companies.basic_api.get_by_id(found[3]),
    "value": lambda: objects.batch_api.create("p_commission", {"inputs": [{"properties": {"kind": "gift"}}]}),
    "object": lambda: objects.basic_api.get_page("butterflies"),
}.items():
    try:
        ask()
    except (CompaniesError, ObjectsError) as error:
        refused[name] = [error.status, json.loads(error.body).get("category")]
seen["refused"] = refused

fresh = HubSpot(host=host).oauth.tokens_api.create(
    grant_type="refresh_token", client_id=client_id, client_secret=client_secret, refresh_token=refresh_token
)
seen["token"] = [fresh.expires_in, fresh.refresh_token == refresh_token]
seen["with_oauth"] = len(HubSpot(access_token=fresh.access_token, host=host).crm.companies.get_all())
seen["signature"] = Signature.get_signature(
    client_secret=client_secret, request_body='[{"objectId":501}]', signature_version="v3",
    http_uri="https://referee.example/hooks?portal=1", http_method="POST", timestamp="1772442000000",
)  # fmt: skip
json.dump(seen, sys.stdout, default=str)
