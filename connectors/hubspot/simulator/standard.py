"""The simulated portal: standard objects (the properties we meet) and what Referee needs beside them.

The latter is what an administrator creates; connectors/hubspot/README.md lists it property by property.
"""

from __future__ import annotations

from dataclasses import replace

from connectors.hubspot.simulator.schema import (
    ObjectSpec,
    PropertySpec,
    choice,
    day,
    define,
    flag,
    moment,
    money,
    number,
    sync_key,
    text,
)
from connectors.universe_words import CURRENCIES, INDUSTRIES, PROGRAMS

STAGES = ("appointmentscheduled", "qualifiedtobuy", "contractsent", "closedwon", "closedlost")
STATES = (
    "incomplete", "inadmissible", "submitted", "in_review", "conflict", "returned", "rejected", "superseded", "active",
    "won", "expired", "withdrawn",
)  # fmt: skip

OURS: dict[str, tuple[PropertySpec, ...]] = {
    "companies": (
        flag("is_partner"), choice("partner_currency", *CURRENCIES), number("withholding_rate"), text("tax_id"),
        day("customer_since"), text("referral_partner"), text("support_contact_name"), text("support_contact_email"),
        text("support_contact_phone"), day("support_contact_since"), text("support_partner"),
    ),
    "contacts": (choice("referral_roles", "billing", "support", "decision_maker", several=True),),
    "deals": (
        text("referral_id"), choice("contract_kind", "saas", "services", "staff_augmentation", "fixed_price",
                                    "retainer", "managed_service", "project", "plan"),
        money("contract_value"), day("contract_signed_on"), day("contract_starts_on"), day("contract_ends_on"),
        choice("billing_cadence", "once", "monthly", "quarterly", "annual", "milestone"), day("commenced_on"),
        day("completed_on"), day("cancelled_on"), text("renews_deal"),
    ),
    "tickets": (choice("support_level", "1", "2", "3"), choice("raised_by", "customer", "partner")),
}  # fmt: skip
"""Properties of standard objects that an administrator creates."""

CUSTOM: tuple[ObjectSpec, ...] = (
    define(
        "program_enrollment", "2-101", "Program enrollments",
        text("enrollment_name"), text("partner_company"), choice("program", *PROGRAMS), text("role"), day("starts_on"),
        day("ends_on"), choice("standing", "good", "suspended", "terminated"), day("agreement_signed_on"),
        flag("certified"), number("trained_staff"), flag("existing_customer"), number("rate"),
        choice("tier", "bronze", "silver", "gold", "platinum"), day("tier_until"), text("manager"),
        custom=True, required=("partner_company", "program", "starts_on"),
    ),
    define(
        "referral", "2-102", "Referrals",
        text("company"), text("partner_company"), choice("program", *PROGRAMS), moment("submitted_at"),
        choice("channel", "portal", "web_form", "email", "crm", "api"), text("website"), text("country"), text("tax_id"),
        text("contact_name"), text("contact_title"), text("contact_email"), text("contact_phone"), text("account_company"),
        number("field_technicians"), number("mobile_users"), choice("industry", *INDUSTRIES), text("notes"),
        choice("referral_status", *STATES), number("referral_rank"), text("referral_reason"), day("referral_won_on"),
        custom=True, required=("company", "partner_company", "program"),
    ),
    define(
        "referral_review", "2-103", "Referral reviews",
        text("referral_id"), moment("reviewed_at"), choice("outcome", "approved", "returned", "rejected"),
        text("reviewed_by"), text("reason"), flag("override"), text("checks"),
        custom=True, required=("referral_id", "reviewed_at", "outcome"),
    ),
    define(
        "referral_decision", "2-104", "Referral decisions",
        text("about"), moment("decided_at"), text("decided_by"), text("choice"), text("reason"), text("partner_company"),
        money("amount"), choice("currency", *CURRENCIES), number("rate"), day("until"), text("contact_name"),
        text("contact_email"), text("contact_phone"), text("detail"),
        custom=True, required=("about", "decided_at", "choice"),
    ),
    define(
        "customer_concern", "2-105", "Customer concerns",
        text("customer_company"), text("partner_company"), moment("raised_at"),
        choice("mediation", "open", "resolved", "failed"), moment("closed_at"),
        custom=True, required=("customer_company", "partner_company", "raised_at"),
    ),
    define(
        "commission", "2-106", "Commissions",
        sync_key(), text("partner_company"), text("referral_id"), choice("program", *PROGRAMS),
        choice("kind", "commission", "bonus", "reversal", "clawback", "true_up", "adjustment", "co_op"),
        money("amount"), choice("currency", *CURRENCIES), choice("state", "accrued", "held", "payable", "stated", "paid"),
        day("earned_on"), day("released_on"), day("due_on"), money("basis"), number("rate"), text("because"),
        text("clauses"), text("corrects"),
        custom=True, required=("sync_key",),
    ),
    define(
        "partner_statement", "2-107", "Partner statements",
        sync_key(), text("partner_company"), choice("program", *PROGRAMS), day("period_from"), day("period_to"),
        day("due_on"), day("pay_by"), choice("currency", *CURRENCIES), money("opening"), money("total"),
        money("withheld"), money("payable"), money("carried_forward"),
        choice("state", "open", "issued", "invoiced", "paid"),
        custom=True, required=("sync_key",),
    ),
)  # fmt: skip


def portal_objects() -> dict[str, ObjectSpec]:
    """All objects of the portal, by name."""
    standard = (
        define(
            "companies", "0-2", "Companies",
            text("name"), text("domain"), text("website"), text("phone"), text("city"), text("country"),
            text("hs_country_code"), text("industry"), number("numberofemployees"), money("annualrevenue"),
            text("hs_parent_company_id"), *OURS["companies"], shown=("name", "domain"),
        ),
        define(
            "contacts", "0-1", "Contacts",
            PropertySpec("email", unique=True, email=True), text("firstname"), text("lastname"), text("phone"),
            text("mobilephone"), text("jobtitle"), text("company"), choice("lifecyclestage", "lead", "customer", "other"),
            text("hs_full_name_or_email", read_only=True), number("associatedcompanyid", read_only=True), text("hs_calculated_merged_vids", read_only=True),
            *OURS["contacts"],
            shown=("email", "firstname", "lastname"),
        ),
        define(
            "deals", "0-3", "Deals",
            text("dealname"), choice("dealstage", *STAGES), text("pipeline"), money("amount"),
            choice("deal_currency_code", *CURRENCIES), moment("closedate"), flag("hs_is_closed", read_only=True),
            flag("hs_is_closed_won", read_only=True), *OURS["deals"],
            shown=("amount", "closedate", "dealname", "dealstage", "pipeline"),
        ),
        define(
            "tickets", "0-5", "Tickets",
            text("subject"), text("content"), text("hs_pipeline"), text("hs_pipeline_stage"), *OURS["tickets"],
            shown=("content", "hs_pipeline", "hs_pipeline_stage", "subject"),
        ),
    )  # fmt: skip
    return {spec.name: replace(spec, properties=dict(spec.properties)) for spec in (*standard, *CUSTOM)}
