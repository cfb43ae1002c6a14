"""JSON Schema of a program file, for editors: a description on every field, and what each setting may be.

A field says what it is where it is declared (``terms.py``); what is shared by many terms, or plain from its name in the
code but not to whoever writes a program, is said here.
"""

from __future__ import annotations

from typing import Any

from rules.program import Program
from rules.settings import CATALOGUE

SHARED = {
    "kind": "which general rule this is",
    "roles": "enrollment roles it is for; empty: all",
    "rate": 'a fraction in quotes, such as "0.10" for 10 %',
    "contract_kinds": "kinds of contracts that earn; empty: all",
    "excluded_lines": "line kinds that earn nothing",
    "due": "the last day for paying: setting due_days after the release, or the end named",
}
"""Fields that mean the same in every term."""

FIELDS = {
    "Program.id": "the program's name in records and keys: small letters, digits, hyphens; never changes",
    "Program.name": "the program's name as people say it",
    "Program.time_zone": "IANA name; every date of the program is a local date there",
    "Program.currency": "ISO 4217 code of the program's own amounts (minimum, funds)",
    "Program.roles": "roles that an enrollment may have",
    "Program.versions": "terms in the order of their effective_from; a deal keeps the version it was pinned to",
    "ApplicationTerms.asks_clauses": "clauses behind what an application should give",
    "BusinessCalendar.weekend": "weekdays that are not worked",
    "BusinessCalendar.subdivision": "ISO 3166-2 part of the country, such as NSW",
    "ClaimTerms.required": "what a referral must say to be complete",
    "ClaimTerms.conditions": "what must hold for a claim to become active",
    "ClaimTerms.money_conditions": "what must hold for a won claim to earn",
    "ClaimTerms.windows": "by when a contract must be signed; the first that ends decides",
    "ClaimTerms.again_clauses": "clauses behind registering again",
    "ClawbackTerm.within_days": "days from the setting clawback_anchor within which a cancellation takes all back; the last one counts",
    "DisputeTerms.decision_days": "days for deciding a dispute",
    "DisputeTerms.final_days": "days for deciding an appeal",
    "Entitlement.kind": "kind of the task, part of its key: small letters and underscores",
    "Entitlement.label": "what the task says",
    "MilestoneBonus.above": "revenue of a contract above which the bonus is due, as an amount in quotes",
    "MilestoneBonus.currency": "ISO 4217 code of the amounts of this term",
    "MilestoneBonus.lowest": "smallest bonus, as an amount in quotes",
    "MilestoneBonus.highest": "largest bonus, as an amount in quotes",
    "RateBand.from_value": "contract value from which the rate holds, up to the next band; an amount in quotes",
    "RateTerm.sources": "where the rate is looked for, in this order; a person's decision, the enrollment, the tier, bands by value, the role, or one rate for all",
    "RateTerm.fixed": "the rate of the source `fixed`, a fraction in quotes",
    "RateTerm.by_role": "for the source `role`: the rate of each role",
    "RateTerm.bands": "for the source `bands`: rates by contract value, rising",
    "RateTerm.limit_clauses": "clauses behind the limits",
    "RateTerm.role_clauses": "of `clauses`, those that are about one role; an entry names only those of its own",
    "RequiredField.check": "what the value must be",
    "SettingTerm.value": "the value, as text (numbers, true and false in quotes)",
    "ShareOfCollections.released": "the first date for paying",
    "ShareOfContract.released": "the fact that releases it: what earned it, or the client's first payment",
    "ShareOfContract.true_up_clauses": "clauses behind the correction at the first year's end",
    "ShareOfInvoices.earned": "the fact that earns it",
    "ShareOfInvoices.released": "the fact that releases it",
    "ShareOfInvoices.retained_clauses": "clauses behind the end of retention",
    "StatementTerms.needs_partner_invoice": "whether nothing is paid before the partner has invoiced the statement",
    "StatementTerms.minimum_clauses": "clauses behind the minimum",
    "StatementTerms.invoice_clauses": "clauses behind the partner's invoice",
    "SupportTerms.counted_levels": "levels of support cases that count",
    "Terms.effective_from": "first local day of this version",
    "Terms.effective_to": "last local day; leave out: until the next version",
    "Terms.settings": "everything that the program's text leaves open, each with its value and clause",
    "Terms.commission": "what earns; each term names a general rule",
    "Terms.clawback": "what a contract gives back that is cancelled soon",
    "Terms.tiers": "levels of partners by their number of referrals",
    "Terms.disputes": "until when something may be disputed",
    "Terms.support": "who supports the customers that a partner brought",
    "Terms.co_op": "marketing funds by tier: what they may be spent on, and when they are reimbursed",
    "Terms.lead_sharing": "how the vendor's own leads are offered to partners",
    "Terms.tickets": "whose support tickets wait for an answer",
    "Terms.applications": "how who applies to join is answered",
    "Terms.recognition": "how the best partners are honoured",
    "Terms.entitlements": "benefits and duties that open tasks",
    "TierLevel.tier": "its name",
    "TierLevel.from_count": "number of referrals from which a partner has it",
    "TierLevel.sla_hours": "hours within which its partners get an answer",
    "TierTerms.levels": "tiers from the lowest to the highest",
    "TierTerms.keep_clauses": "clauses behind keeping a tier",
    "TierTerms.override_clauses": "clauses behind a tier that a person sets",
    "WindowTerm.length": "a length such as P6M, P60D or P1Y; or use `setting`",
}  # fmt: skip
"""Fields of one term that say nothing of themselves."""


def program_schema() -> dict[str, Any]:
    """JSON Schema of a program file; settings carry their meaning and allowed values."""
    schema = Program.model_json_schema()
    schema["title"] = "Referee partner program"
    schema["description"] = "A partner program as versioned terms; docs/programs.md builds one from nothing."
    for name, model in {"Program": schema, **schema["$defs"]}.items():
        for field, body in model.get("properties", {}).items():
            words = FIELDS.get(f"{name}.{field}") or SHARED.get(field)
            if words and "description" not in body:
                body["description"] = words
    settings = schema["$defs"]["Terms"]["properties"]["settings"]
    settings.pop("additionalProperties", None)
    settings |= {
        "additionalProperties": False,
        "properties": {
            key: {"$ref": "#/$defs/SettingTerm", "description": f"{setting.meaning} Allowed: {setting.allowed}."}
            for key, setting in CATALOGUE.items()
        },
    }
    return schema
