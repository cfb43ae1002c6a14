"""Runs in simple-salesforce's own environment: uses an org as a program would and prints, as JSON, what it saw.

Arguments: client id, client secret.
"""

import csv
import io
import json
import sys
from datetime import UTC, datetime, timedelta

from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceMalformedRequest, SalesforceResourceNotFound

org = Salesforce(consumer_key=sys.argv[1], consumer_secret=sys.argv[2], domain="example.my", version="62.0")
seen = {
    "objects": [item["name"] for item in org.describe()["sobjects"]],
    "lead_fields": [field["name"] for field in org.Lead.describe()["fields"]],
    "leads": [row["Id"] for row in org.query_all("SELECT Id FROM Lead ORDER BY Id")["records"]],
    "with_deleted": [row["Id"] for row in org.query_all("SELECT Id FROM Lead", include_deleted=True)["records"]],
    "names": {row["Id"]: row["Name"] for row in org.query_all_iter("SELECT Id, Name FROM Account")},
}

made = org.Contact.create({"LastName": "Nakamura", "Email": "nakamura@example.org"})["id"]
seen["contact"] = made
seen["updated"] = org.Contact.update(made, {"Title": "Dispatcher"})
seen["read_back"] = {key: org.Contact.get(made)[key] for key in ("LastName", "Title", "Email", "IsDeleted")}
seen["upserted"] = [org.Commission__c.upsert("Sync_Key__c/k-1", {"Amount__c": amount}) for amount in (10.5, 11)]
seen["by_key"] = org.Commission__c.get_by_custom_id("Sync_Key__c", "k-1")["Amount__c"]

end = datetime.now(UTC) + timedelta(minutes=2)
changed = org.Contact.updated(end - timedelta(hours=1), end)
seen["changed_ids"] = changed["ids"]
seen["deleted_status"] = org.Contact.delete(made)
seen["deleted_ids"] = [row["id"] for row in org.Contact.deleted(end - timedelta(hours=1), end)["deletedRecords"]]


def rows_of(text, delimiter=","):
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


in_bulk = org.bulk2.Lead
query = "SELECT Id, Company, Owner.Name, IsDeleted FROM Lead"
seen["bulk_leads"] = [row for part in in_bulk.query(query, max_records=7, wait=0) for row in rows_of(part)]
seen["bulk_with_deleted"] = [row["Id"] for part in in_bulk.query_all(query, wait=0) for row in rows_of(part)]
commissions = org.bulk2.Commission__c
records = [{"Sync_Key__c": f"b-{n}", "Amount__c": f"{n}.25", "Because__c": 'a "b",\nc'} for n in range(4)]
records[2]["Kind__c"] = "gift"
for record in records:
    record.setdefault("Kind__c", "bonus")
(job,) = commissions.upsert(records=records, external_id_field="Sync_Key__c", wait=0)
seen["bulk_counts"] = [job[f"numberRecords{name}"] for name in ("Total", "Processed", "Failed")]
seen["bulk_done"] = rows_of(commissions.get_successful_records(job["job_id"]))
seen["bulk_failed"] = rows_of(commissions.get_failed_records(job["job_id"]))
seen["bulk_left"] = rows_of(commissions.get_unprocessed_records(job["job_id"]))
(again,) = commissions.upsert(
    records=[{"Sync_Key__c": "b-0", "Because__c": "#N/A"}], external_id_field="Sync_Key__c", wait=0
)
seen["bulk_again"] = [row["sf__Created"] for row in rows_of(commissions.get_successful_records(again["job_id"]))]

# Another dialect, and the other operations.
written = {"column_delimiter": "SEMICOLON", "line_ending": "CRLF", "wait": 0}
contacts = org.bulk2.Contact
(made_job,) = contacts.insert(
    records=[{"LastName": "Tan; Lee", "FirstName": f'Kim "{n}"', "Title": "one\r\ntwo"} for n in range(3)], **written
)
new = [row["sf__Id"] for row in rows_of(contacts.get_successful_records(made_job["job_id"]), ";")]
(changed_job,) = contacts.update(
    records=[{"Id": new[0], "Title": "#N/A"}, {"Id": new[1], "Title": "Director"}, {"Id": new[2], "Title": ""}],
    **written,
)
(gone_job,) = contacts.delete(records=[{"Id": new[1]}, {"Id": new[1]}], **written)
seen["bulk_new"] = new
seen["bulk_others"] = [
    [job["numberRecordsProcessed"], job["numberRecordsFailed"]] for job in (made_job, changed_job, gone_job)
]
seen["bulk_gone"] = [row["sf__Error"] for row in rows_of(contacts.get_failed_records(gone_job["job_id"]), ";")]

refused = {}
for name, ask in {
    "gone": lambda: org.Contact.get(made),
    "query": lambda: org.query("SELECT Nothing__c FROM Lead"),
    "value": lambda: org.Lead.create({"LastName": "Lee", "Company": "Lee", "Email": "no address"}),
}.items():
    try:
        ask()
    except (SalesforceResourceNotFound, SalesforceMalformedRequest) as error:
        refused[name] = [type(error).__name__, error.content[0]["errorCode"]]
seen["refused"] = refused
seen["usage"] = org.api_usage["api-usage"].total
json.dump(seen, sys.stdout)
