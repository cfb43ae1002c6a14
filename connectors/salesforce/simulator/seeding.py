"""Fills the simulated org with an invented world: partners and their enrollments, accounts, contacts, referred leads.

A lead that is won has an opportunity, a contract and a case.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial

from connectors.salesforce.simulator.objects import CLOSED_WON
from connectors.salesforce.simulator.rows import Rows
from connectors.universe import PROGRAM, TO_SIGN, Company, populate

_INDUSTRY = {"facilities": "Other", "other": "Other"}


def fill(rows: Rows, seed: int, count: int) -> dict[int, str]:
    """Add ``count`` companies and what belongs to them; returns the account of each company that has one, by its index."""
    return populate(
        rows,
        seed,
        count,
        partner=partial(_partner, rows),
        other=partial(_account, rows),
        referral=partial(_referral, rows),
    )


def _account(rows: Rows, company: Company, **more: object) -> str:
    account = rows.insert(
        "Account",
        {
            "Name": company.name, "Website": company.website, "BillingCity": company.city,
            "BillingCountry": company.country, "BillingCountryCode": company.country,
            "Industry": _INDUSTRY.get(company.industry, company.industry.capitalize()),
            "NumberOfEmployees": company.employees, "Tax_Id__c": company.tax_id, "CurrencyIsoCode": "AUD", **more,
        },
        delay=False,
    )  # fmt: skip
    for person in company.contacts:
        given, _, family = person.name.rpartition(" ")
        fields = {"AccountId": account, "FirstName": given, "LastName": family, "Title": person.title}
        rows.insert("Contact", {**fields, "Email": person.email, "Phone": person.phone}, delay=False)
    return account


def _partner(rows: Rows, company: Company, at: datetime) -> str:
    partner = _account(rows, company, IsPartner=True, Type="Partner", Partner_Currency__c="AUD")
    rows.insert(
        "Program_Enrollment__c",
        {
            "Partner__c": partner, "Program__c": PROGRAM, "Role__c": "referral", "Standing__c": "good",
            "Starts_On__c": at.date() - 12 * TO_SIGN, "Rate__c": "0.1",
        },
        delay=False,
    )  # fmt: skip
    return partner


def _referral(rows: Rows, company: Company, partner: str, at: datetime, *, won: bool) -> str | None:
    """Add a lead; returns the account that it became when it was won."""
    person = company.contacts[0]
    given, _, family = person.name.rpartition(" ")
    lead = rows.insert(
        "Lead",
        {
            "FirstName": given, "LastName": family, "Title": person.title, "Company": company.name,
            "Email": person.email, "Phone": person.phone, "Website": company.website, "City": company.city,
            "Country": company.country, "CountryCode": company.country, "LeadSource": "Partner Referral",
            "Referral_Partner__c": partner, "Referral_Program__c": PROGRAM, "Referral_Channel__c": "portal",
            "Referral_Submitted_At__c": at - TO_SIGN, "Field_Technicians__c": company.employees % 90 + 5,
            "Referral_Industry__c": company.industry,
        },
        delay=False,
    )  # fmt: skip
    return _sale(rows, company, lead, at) if won else None


def _sale(rows: Rows, company: Company, lead: str, at: datetime) -> str:
    account = _account(rows, company, Type="Customer")
    value, today = company.employees * 240, at.date()
    rows.convert_lead(
        lead, account,
        {"Amount": value, "StageName": CLOSED_WON, "CloseDate": today, "CurrencyIsoCode": "AUD", "Referral__c": lead},
    )  # fmt: skip
    rows.insert(
        "Contract",
        {
            "AccountId": account, "Referral__c": lead, "Contract_Kind__c": "saas", "Contract_Value__c": value,
            "Opportunity__c": rows.table("Lead")[lead]["ConvertedOpportunityId"], "CurrencyIsoCode": "AUD",
            "Signed_On__c": today, "StartDate": today, "ContractTerm": 12, "Billing_Cadence__c": "monthly",
            "Status": "Activated",
        },
        delay=False,
    )  # fmt: skip
    rows.insert(
        "Case",
        {"AccountId": account, "Subject": "Set-up question", "Origin": "Email", "Support_Level__c": "1",
         "Raised_By__c": "customer"},
        delay=False,
    )  # fmt: skip
    return account
