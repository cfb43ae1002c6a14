"""The simulated org: standard objects (the fields we meet) and the custom objects and fields that Referee ships.

The custom part is what an administrator installs; connectors/salesforce/README.md lists it field by field.
"""

from __future__ import annotations

from connectors.salesforce.simulator.schema import (
    FieldSpec,
    ObjectSpec,
    day,
    define,
    derived,
    flag,
    long_text,
    lookup,
    moment,
    money,
    number,
    picklist,
    sync_key,
    text,
)
from connectors.universe_words import CURRENCIES, INDUSTRIES, PROGRAMS

CLOSED_WON, CLOSED_LOST = "Closed Won", "Closed Lost"
STAGES = (
    "Prospecting", "Qualification", "Needs Analysis", "Value Proposition", "Id. Decision Makers",
    "Perception Analysis", "Proposal/Price Quote", "Negotiation/Review", CLOSED_WON, CLOSED_LOST,
)  # fmt: skip


def _owner() -> FieldSpec:
    return lookup("OwnerId", "User")


def _currency() -> FieldSpec:
    return picklist("CurrencyIsoCode", *CURRENCIES, restricted=True)


def _sheet() -> tuple[ObjectSpec, ...]:
    return (
        define(
            "User", "User", "005",
            text("Username", 80), text("FirstName", 40), text("LastName", 80, required=True), derived("Name"),
            text("Email", 128, "email"), flag("IsActive"), text("Title", 80),
        ),
        define(
            "Account", "Account", "001",
            text("Name", required=True), text("Website", 255, "url"), text("Phone", 40, "phone"),
            text("BillingStreet"), text("BillingCity", 40), text("BillingCountry", 80), text("BillingCountryCode", 10),
            picklist("Industry", "Banking", "Construction", "Energy", "Healthcare", "Manufacturing", "Other",
                     "Telecommunications", "Utilities"),
            picklist("Type", "Prospect", "Customer", "Partner", "Other"),
            FieldSpec("NumberOfEmployees", "int", "Employees"), money("AnnualRevenue"),
            lookup("ParentId", "Account"), _owner(), _currency(), flag("IsPartner", createable=False),
            flag("IsCustomerPortal", createable=False),
            picklist("Partner_Currency__c", *CURRENCIES), number("Withholding_Rate__c", 4), text("Tax_Id__c", 40),
            day("Customer_Since__c"), lookup("Referral_Partner__c", "Account"),
            text("Support_Contact_Name__c", 120), text("Support_Contact_Email__c", 80, "email"),
            text("Support_Contact_Phone__c", 40, "phone"), day("Support_Contact_Since__c"),
            lookup("Support_Partner__c", "Account"), text("Billing_Contact_Email__c", 80, "email"),
            mergeable=True,
        ),
        define(
            "Contact", "Contact", "003",
            text("FirstName", 40), text("LastName", 80, required=True), derived("Name"), lookup("AccountId", "Account"),
            text("Email", 80, "email"), text("Phone", 40, "phone"), text("MobilePhone", 40, "phone"),
            text("Title", 128), text("Department", 80), _owner(),
            picklist("Referral_Roles__c", "billing", "support", "decision_maker"),
            mergeable=True,
        ),
        define(
            "Lead", "Lead", "00Q",
            text("FirstName", 40), text("LastName", 80, required=True), derived("Name"), text("Title", 128),
            text("Company", required=True), text("Email", 80, "email"), text("Phone", 40, "phone"),
            text("Website", 255, "url"), text("City", 40), text("Country", 80), text("CountryCode", 10),
            picklist("LeadSource", "Web", "Phone Inquiry", "Partner Referral", "Purchased List", "Other"),
            picklist("Status", "Open - Not Contacted", "Working - Contacted", "Closed - Converted",
                     "Closed - Not Converted", default="Open - Not Contacted"),
            _owner(), _currency(),
            flag("IsConverted", createable=False, updateable=False),
            derived("ConvertedDate", "date"),
            derived("ConvertedAccountId", "reference", references=("Account",), relationship="ConvertedAccount"),
            derived("ConvertedContactId", "reference", references=("Contact",), relationship="ConvertedContact"),
            derived("ConvertedOpportunityId", "reference", references=("Opportunity",),
                    relationship="ConvertedOpportunity"),
            lookup("Referral_Partner__c", "Account"),
            picklist("Referral_Program__c", *PROGRAMS, restricted=True),
            picklist("Referral_Channel__c", "portal", "web_form", "email", "crm", "api", restricted=True),
            moment("Referral_Submitted_At__c"), number("Field_Technicians__c"), number("Mobile_Users__c"),
            picklist("Referral_Industry__c", *INDUSTRIES), long_text("Referral_Notes__c"),
            picklist("Referral_Status__c", "incomplete", "inadmissible", "submitted", "in_review", "conflict",
                     "returned", "rejected", "superseded", "active", "won", "expired", "withdrawn", restricted=True),
            number("Referral_Rank__c"), long_text("Referral_Reason__c"), day("Referral_Won_On__c"),
            mergeable=True,
        ),
        define(
            "Opportunity", "Opportunity", "006",
            text("Name", 120, required=True), lookup("AccountId", "Account"),
            picklist("StageName", *STAGES, required=True), money("Amount"), number("Probability"),
            day("CloseDate", required=True), derived("IsClosed", "boolean"), derived("IsWon", "boolean"),
            derived("ForecastCategory"), derived("LastStageChangeDate", "datetime"), text("Type", 40),
            _owner(), _currency(), lookup("Referral__c", "Lead"),
            plural="Opportunities",
        ),
        define(
            "Contract", "Contract", "800",
            lookup("AccountId", "Account", required=True), derived("ContractNumber"),
            picklist("Status", "Draft", "In Approval Process", "Activated", "Terminated", "Expired", default="Draft"),
            day("StartDate"), derived("EndDate", "date"), FieldSpec("ContractTerm", "int", "Contract Term"),
            moment("ActivatedDate"), _owner(), _currency(),
            lookup("Opportunity__c", "Opportunity"), lookup("Referral__c", "Lead"), money("Contract_Value__c"),
            picklist("Billing_Cadence__c", "once", "monthly", "quarterly", "annual", "milestone", restricted=True),
            picklist("Contract_Kind__c", "saas", "services", "staff_augmentation", "fixed_price", "retainer",
                     "managed_service", "project", "plan", restricted=True),
            day("Signed_On__c"), day("Commenced_On__c"), day("Completed_On__c"), day("Cancelled_On__c"),
            lookup("Renews__c", "Contract"), text("Support_Contact_Name__c", 120),
            text("Support_Contact_Email__c", 80, "email"), text("Support_Contact_Phone__c", 40, "phone"),
        ),
        define(
            "Case", "Case", "500",
            derived("CaseNumber"), lookup("ContactId", "Contact"), lookup("AccountId", "Account"),
            picklist("Status", "New", "Working", "Escalated", "Closed", default="New"),
            picklist("Origin", "Phone", "Email", "Web"), text("Subject"),
            picklist("Priority", "High", "Medium", "Low", default="Medium"), derived("IsClosed", "boolean"), _owner(),
            picklist("Support_Level__c", "1", "2", "3", restricted=True),
            picklist("Raised_By__c", "customer", "partner", restricted=True),
        ),
        define(
            "Task", "Task", "00T",
            text("Subject"), picklist("Status", "Not Started", "Completed", default="Not Started"),
            day("ActivityDate"), lookup("WhoId", "Contact", "Lead"), lookup("WhatId", "Account", "Opportunity"),
            _owner(),
        ),
        define(
            "Event", "Event", "00U",
            text("Subject"), moment("ActivityDateTime", required=True),
            FieldSpec("DurationInMinutes", "int", "Duration", default=60), lookup("WhoId", "Contact", "Lead"),
            lookup("WhatId", "Account", "Opportunity"), _owner(),
        ),
        define(
            "Program_Enrollment__c", "Program Enrollment", "a00",
            derived("Name"), lookup("Partner__c", "Account", required=True),
            picklist("Program__c", *PROGRAMS, restricted=True, required=True),
            picklist("Role__c", "referral", "professional_services", "agency", "consultant", "reseller", "technology",
                     "independent_consultant", "affiliate", restricted=True),
            day("Starts_On__c", required=True), day("Ends_On__c"),
            picklist("Standing__c", "good", "suspended", "terminated", restricted=True),
            day("Agreement_Signed_On__c"), flag("Certified__c"), number("Trained_Staff__c"),
            flag("Existing_Customer__c"), number("Rate__c", 6),
            picklist("Tier__c", "bronze", "silver", "gold", "platinum", restricted=True), day("Tier_Until__c"),
            text("Manager__c", 120),
        ),
        define(
            "Referral_Review__c", "Referral Review", "a01",
            derived("Name"), lookup("Referral__c", "Lead", required=True), moment("Reviewed_At__c", required=True),
            picklist("Outcome__c", "approved", "returned", "rejected", restricted=True, required=True),
            text("Reviewed_By__c", 120), long_text("Reason__c"), flag("Override__c"), long_text("Checks__c"),
        ),
        define(
            "Referral_Decision__c", "Referral Decision", "a02",
            derived("Name"), text("About__c", required=True), moment("Decided_At__c", required=True),
            text("Decided_By__c", 120), text("Choice__c", 40, required=True), long_text("Reason__c"),
            lookup("Partner__c", "Account"), money("Amount__c"), _currency(), number("Rate__c", 6), day("Until__c"),
            text("Contact_Name__c", 120), text("Contact_Email__c", 80, "email"), text("Contact_Phone__c", 40, "phone"),
            long_text("Detail__c"),
        ),
        define(
            "Customer_Concern__c", "Customer Concern", "a03",
            derived("Name"), lookup("Account__c", "Account", required=True), lookup("Partner__c", "Account"),
            moment("Raised_At__c", required=True),
            picklist("Mediation__c", "open", "resolved", "failed", restricted=True), moment("Closed_At__c"),
        ),
        define(
            "Commission__c", "Commission", "a04",
            derived("Name"), sync_key(), lookup("Partner__c", "Account"), lookup("Referral__c", "Lead"),
            picklist("Program__c", *PROGRAMS, restricted=True),
            picklist("Kind__c", "commission", "bonus", "reversal", "clawback", "true_up", "adjustment", "co_op",
                     restricted=True),
            money("Amount__c"), _currency(),
            picklist("State__c", "accrued", "held", "payable", "stated", "paid", restricted=True),
            day("Earned_On__c"), day("Released_On__c"), day("Due_On__c"), money("Basis__c"), number("Rate__c", 6),
            long_text("Because__c"), text("Clauses__c"), text("Corrects__c", 255),
        ),
        define(
            "Partner_Statement__c", "Partner Statement", "a05",
            derived("Name"), sync_key(), lookup("Partner__c", "Account"),
            picklist("Program__c", *PROGRAMS, restricted=True), day("Period_From__c"), day("Period_To__c"),
            day("Due_On__c"), day("Pay_By__c"), _currency(), number("Entry_Count__c"), money("Opening__c"),
            money("Total__c"), money("Withheld__c"), money("Payable__c"), money("Carried_Forward__c"),
            picklist("State__c", "open", "issued", "invoiced", "paid", restricted=True),
        ),
    )  # fmt: skip


def standard_objects() -> dict[str, ObjectSpec]:
    """A fresh copy of the org's objects, by API name."""
    return {spec.name: spec for spec in _sheet()}
