"""Fills the simulated portal with an invented world: partners and their enrollments, companies, contacts, referrals.

A referral that is won has a deal and a ticket.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from connectors.universe import PROGRAM, TO_SIGN, Company, populate

if TYPE_CHECKING:
    from connectors.hubspot.simulator.server import HubSpotSimulator


def fill(portal: HubSpotSimulator, seed: int, count: int) -> dict[int, str]:
    """Add ``count`` companies and what belongs to them; returns the record of each company that has one, by its index."""
    return populate(
        portal,
        seed,
        count,
        partner=partial(_partner, portal),
        other=partial(_company, portal),
        referral=partial(_referral, portal),
    )


def _company(portal: HubSpotSimulator, company: Company, **more: object) -> str:
    record = portal.insert(
        "companies",
        {
            "name": company.name, "domain": company.domain, "website": company.website, "city": company.city,
            "hs_country_code": company.country, "industry": company.industry, "numberofemployees": company.employees,
            "tax_id": company.tax_id, **more,
        },
    )  # fmt: skip
    for person in company.contacts:
        given, _, family = person.name.rpartition(" ")
        fields = {"firstname": given, "lastname": family, "jobtitle": person.title, "phone": person.phone}
        portal.insert("contacts", {**fields, "email": person.email}, company=record)
    return record


def _partner(portal: HubSpotSimulator, company: Company, at: datetime) -> str:
    partner = _company(portal, company, is_partner=True, partner_currency="AUD")
    portal.insert(
        "program_enrollment",
        {
            "enrollment_name": company.name, "partner_company": partner, "program": PROGRAM, "role": "referral",
            "standing": "good", "starts_on": (at - 12 * TO_SIGN).date().isoformat(), "rate": "0.1",
        },
        company=partner,
    )  # fmt: skip
    return partner


def _referral(portal: HubSpotSimulator, company: Company, partner: str, at: datetime, *, won: bool) -> str | None:
    """Add a referral; returns the company that it became when it was won."""
    person = company.contacts[0]
    record = _company(portal, company) if won else None
    referral = portal.insert(
        "referral",
        {
            "company": company.name, "partner_company": partner, "program": PROGRAM, "channel": "portal",
            "submitted_at": (at - TO_SIGN).isoformat(), "website": company.website, "country": company.country,
            "contact_name": person.name, "contact_title": person.title, "contact_email": person.email,
            "contact_phone": person.phone, "field_technicians": company.employees % 90 + 5,
            "industry": company.industry, "account_company": record,
        },
        company=partner,
    )  # fmt: skip
    if record is not None:
        _sale(portal, company, record, referral, at)
    return record


def _sale(portal: HubSpotSimulator, company: Company, record: str, referral: str, at: datetime) -> None:
    value, today = company.employees * 240, at.date().isoformat()
    portal.insert(
        "deals",
        {
            "dealname": company.name, "dealstage": "closedwon", "pipeline": "default", "amount": value,
            "deal_currency_code": "AUD", "closedate": at.isoformat(), "referral_id": referral, "contract_kind": "saas",
            "contract_value": value, "contract_signed_on": today, "contract_starts_on": today,
            "billing_cadence": "monthly",
        },
        company=record,
    )  # fmt: skip
    portal.insert(
        "tickets",
        {"subject": "Set-up question", "hs_pipeline": "0", "hs_pipeline_stage": "1", "support_level": "1",
         "raised_by": "customer"},
        company=record,
    )  # fmt: skip
