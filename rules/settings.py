"""The settings catalogue: what a program may set, what is allowed, and the clause that leaves it open.

Defaults live in the program files; this table says which values work, so that an unknown key or value is refused with
what is allowed instead of being ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from rules.calendar import Period
from rules.errors import ProgramError, RuleError
from rules.money import EXPONENTS, ROUNDINGS

Value = str | bool | int | Decimal | Period | None | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Setting:
    """One thing an admin may decide: how its text is read, and what is allowed, in words."""

    read: Callable[[str], Value]
    allowed: str
    meaning: str


def _one_of(*values: str) -> tuple[Callable[[str], Value], str]:
    def read(text: str) -> Value:
        if text not in values:
            raise ValueError
        return text

    return read, ", ".join(values)


def _some_of(*values: str) -> tuple[Callable[[str], Value], str]:
    def read(text: str) -> Value:
        chosen = tuple(part.strip() for part in text.split(",") if part.strip())
        if set(chosen) - set(values) or len(set(chosen)) < len(chosen):
            raise ValueError
        return chosen

    return read, "any of " + ", ".join(values) + " (separated by commas; empty for none)"


def _flag(text: str) -> Value:
    return {"true": True, "false": False}[text]


def _whole(lowest: int, highest: int = 100_000) -> tuple[Callable[[str], Value], str]:
    def read(text: str) -> Value:
        if not text.isdigit() or not lowest <= int(text) <= highest:
            raise ValueError
        return int(text)

    return read, f"a whole number from {lowest} to {highest}"


def _whole_or_none(text: str) -> Value:
    return None if text == "none" else _whole(1)[0](text)


def _period(text: str) -> Value:
    return Period.parse(text)


def _limits(text: str) -> Value:
    """Two percentages such as ``3..8``, the lowest and the highest; as fractions in text."""
    low, dots, high = text.partition("..")
    if not dots or not 0 <= Decimal(low) <= Decimal(high) <= 100:
        raise ValueError
    return str(Decimal(low) / 100), str(Decimal(high) / 100)


def _minimums(text: str) -> Value:
    """Whole numbers such as ``6/16/30``, never falling: one for each tier above the first."""
    numbers = tuple(text.split("/"))
    if not all(n.isdigit() for n in numbers) or sorted(numbers, key=int) != list(numbers):
        raise ValueError
    return numbers


def _period_or_none(text: str) -> Value:
    return None if text == "none" else Period.parse(text)


def _amount(text: str) -> Value:
    value = Decimal(text)
    if not value.is_finite() or value < 0:
        raise ValueError
    return value


TIERS = ("bronze", "silver", "gold", "platinum")
"""Tiers from the lowest to the highest; a program uses as many of them as it lists."""


def _share(text: str) -> Value:
    value = Decimal(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _refuse() -> Value:
    raise ValueError


FLAG = (_flag, "true, false")
PERIOD_OR_NONE = (_period_or_none, "none, or a length such as P12M, P60D")
WHOLE_OR_NONE = (_whole_or_none, "none, or a whole number from 1 to 100000")

CATALOGUE: Mapping[str, Setting] = {
    "terms_pin_at": Setting(
        *_one_of("claim_approval", "submission", "contract_signed", "invoice_date"),
        "The moment whose terms a deal keeps for good; invoice_date: each invoice has the terms of its issue date.",
    ),
    "rounding": Setting(*_one_of(*ROUNDINGS), "How an amount is rounded, once per ledger entry."),
    "window_end": Setting(*_one_of("inclusive", "exclusive"), "Whether the last day of a window still counts."),
    "claim_order": Setting(*_one_of("received_at"), "What ranks claims: the instant of receipt, nothing else."),
    "tie_window_ms": Setting(*_whole(0, 86_400_000), "Claims received this close together go to a person."),
    "net_excludes": Setting(
        *_some_of("tax", "credit", "refund", "discount", "shipping", "hardware"),
        "What is taken off before commission is computed.",
    ),
    "first_party_includes": Setting(
        *_some_of("partners", "direct_sales"), "Who counts as a party that can have been first."
    ),
    "channels": Setting(*_some_of("portal", "web_form", "email", "crm", "api"), "Ways a referral may come in."),
    "invoice_match": Setting(
        *_one_of("exact", "none"), "Whether a partner's invoice must fit the statement, but for the tolerance."
    ),
    "invoice_tolerance": Setting(
        _amount, "an amount such as 0 or 1.00", "How far a partner's invoice may differ from the statement."
    ),
    "conflict_policy": Setting(
        *_one_of("first_submitter_proposed_discretion_allowed", "strict_first", "always_manual", "first_submitter"),
        "What happens when a second partner claims a prospect.",
    ),
    "hold_on_conflict": Setting(*FLAG, "Hold the first claimant's money while a conflict waits for a decision."),
    "statement_basis": Setting(
        *_one_of("collected_in_month", "payable_in_month", "won", "approved"),
        "The date that puts an entry on a statement: the receipt, or the first payable day, in the customer's cadence; or at once "
        "after the win or the approval, which both come before anything is posted.",
    ),
    "cadence": Setting(*_one_of("inherit_customer", "monthly"), "Whether statements follow the customer's billing."),
    "release": Setting(
        *_one_of(
            "proportional_to_collected",
            "invoice_fully_paid",
            "full_on_first_receipt",
            "as_collected",
            "invoiced",
            "collected",
            "first_client_payment",
            "completed",
            "all_12_months",
        ),
        "What makes commission payable.",
    ),
    "late_partner_invoice": Setting(
        *_one_of("next_run", "on_receipt"),
        "By when a partner invoice that came after the statement was to be paid is paid: with the next statement's payout, or at once.",
    ),
    "partner_invoice_expiry_days": Setting(*WHOLE_OR_NONE, "Days after which a missing partner invoice is escalated."),
    "case_count": Setting(*_one_of("combined", "customer", "partner"), "Whose support cases are counted."),
    "commission_on_reallocation": Setting(
        *_one_of("continue_to_referrer", "stop", "move_to_new_owner", "split"),
        "Who earns on payments received after the customer relationship was reallocated.",
    ),
    "login_scope": Setting(*_one_of("company", "person"), "One portal login for a company, or for each person."),
    "match_keys": Setting(
        *_some_of("domain", "normalised_name"), "Evidence beside a tax id that may tie two companies without a person."
    ),
    "parent_subsidiary": Setting(
        *_one_of("separate_with_warning", "separate", "same_prospect"), "How a parent and its subsidiary are seen."
    ),
    "claim_expiry": Setting(*PERIOD_OR_NONE, "How long a claim lasts when no contract is signed."),
    "stale_days": Setting(*WHOLE_OR_NONE, "Days without a contract after which somebody is reminded."),
    "window": Setting(_period, "a length such as P12M", "How long a registration is protected."),
    "window_anchor": Setting(
        *_one_of(
            "approved_at",
            "submitted_at",
            "first_paid_invoice_issue_date",
            "first_invoice_issue_date",
            "closed_on",
        ),
        "What a window of time is counted from.",
    ),
    "first_year_anchor": Setting(
        *_one_of("subscription_start", "signature", "first_invoice", "first_receipt"),
        "What the first year is counted from.",
    ),
    "true_up": Setting(
        *_one_of("at_first_year_end", "none"), "Whether the first year's commission is corrected at its end."
    ),
    "due_days": Setting(*_whole(0), "Days after the release on which commission is due at the latest."),
    "due_roll": Setting(
        *_one_of("none", "previous_business_day", "next_business_day"), "What happens to a due date on a closed day."
    ),
    "first_year_includes_amendments": Setting(*FLAG, "Whether what is added to the contract in its first year counts."),
    "rank_by": Setting(
        *_one_of("received_at", "approved_at", "successful_referrals", "value"),
        "What puts claims or referrers in order.",
    ),
    "extension_allowed": Setting(*FLAG, "Whether a window may be extended without an override."),
    "platinum_min": Setting(*_whole(1), "Referrals from which a partner is platinum."),
    "retention": Setting(
        _minimums, "whole numbers such as 6/16/30", "Referrals a year that keep each tier above the first."
    ),
    "tier_counts": Setting(*_one_of("won", "qualified", "submitted"), "Which referrals count for the tier."),
    "grace": Setting(*_one_of("P6M", "one_quarter", "none"), "How long a partner may be below its tier's minimum."),
    "quarter_min": Setting(*_one_of("ceil(annual/4)"), "The quarterly minimum, from the yearly one."),
    "demotion": Setting(*_one_of("one_step", "to_earned_tier"), "How far a partner drops."),
    "promotion": Setting(*_one_of("to_earned_tier", "one_step"), "How far a partner rises at once."),
    "tier_on_jan_1": Setting(*_one_of("carry", "reset"), "What happens to the tier when the count starts anew."),
    "rate_applies": Setting(
        *_one_of("new_accruals_from_tier_date", "new_deals_only", "retroactive_year"),
        "What a higher tier's rate applies to.",
    ),
    "downgrade_applies": Setting(
        *_one_of("new_deals_only", "new_accruals_from_tier_date"), "What a lower tier's rate applies to."
    ),
    "payout": Setting(*_one_of("quarterly", "monthly"), "How often commission is paid."),
    "fixed_price_release": Setting(
        *_one_of("on_completion", "immediate"),
        "When a fixed price's commission is paid: with the period's run, or at once.",
    ),
    "accrual_base": Setting(*_one_of("invoiced", "contract_value"), "What recurring commission accrues on."),
    "bad_debt_days": Setting(*WHOLE_OR_NONE, "Days after which an unpaid invoice takes its commission back."),
    "recurring_until": Setting(*_one_of("client_retained", "contract_end"), "How long recurring commission runs."),
    "retention_gap_days": Setting(*_whole(0), "Days without billing after which a client is not retained."),
    "clawback_anchor": Setting(
        *_one_of("contract_signed", "start", "first_invoice"), "What the clawback window is counted from."
    ),
    "cancel_date": Setting(*_one_of("effective", "notice"), "Which date of a cancellation counts."),
    "hold_until_clawback_window_ends": Setting(*FLAG, "Whether commission waits until it can no more be taken back."),
    "clawback_applies_to": Setting(
        *_one_of("all", "recurring", "one_time"), "Which contracts the clawback window is for."
    ),
    "clawback_days": Setting(
        *WHOLE_OR_NONE, "Days after release within which a refund takes commission back; none: always."
    ),
    "phone_min_tier": Setting(*_one_of(*TIERS), "The tier from which support answers the phone."),
    "lead_share_min_tier": Setting(*_one_of(*TIERS), "The tier from which a partner is offered the vendor's leads."),
    "account_manager_min_tier": Setting(*_one_of(*TIERS), "The tier from which a partner has an account manager."),
    "offer_mode": Setting(*_one_of("sequential", "parallel"), "Whether a lead is offered to one partner at a time."),
    "shared_lead_rate": Setting(*_one_of("tier", "none"), "The rate on a lead that the vendor shared."),
    "shared_counts_for_tier": Setting(*FLAG, "Whether a lead that the vendor shared counts for the tier."),
    "coop_on_promotion": Setting(
        *_one_of("top_up_difference", "prorate", "next_year"), "What a promotion in mid-year does to the co-op fund."
    ),
    "lead_sla": Setting(*_one_of("clock", "business_hours"), "How the hours of a lead's review are counted."),
    "appeal_within_days": Setting(*_whole(1), "Days after a decision within which it may be appealed."),
    "payout_currency": Setting(
        lambda text: text if text == "invoice" or text in EXPONENTS else _refuse(),
        "invoice, or an ISO 4217 code",
        "The currency in which commission is owed.",
    ),
    "threshold_on": Setting(
        *_one_of("balance_before_withholding", "balance_after_withholding"),
        "The balance that the minimum is compared with.",
    ),
    "final_payout_ignores_threshold": Setting(*FLAG, "Whether a partner that left is paid whatever is left."),
    "post_termination": Setting(
        *_one_of("continue_for_contract_term", "stop", "continue_lifetime"), "What a partner that left goes on earning."
    ),
    "negative_balance": Setting(
        *_one_of("carry_forward", "invoice_partner", "write_off"),
        "What happens to a balance below zero: it is carried on; the partner is to be invoiced for it after some statements "
        "in a row; or a person is asked to write it off.",
    ),
    "negative_balance_periods": Setting(
        *_whole(1), "Statements in a row below zero after which invoice_partner asks to invoice the partner."
    ),
    "notice_days": Setting(*_whole(0), "Days between announcing changed terms and their start."),
    "earned": Setting(
        *_one_of("signed_and_commenced", "signed", "completed"), "What earns the commission of a contract."
    ),
    "rate_hard_limits": Setting(_limits, "two percentages such as 3..8", "Rates outside are refused."),
    "commission_base": Setting(
        *_one_of("contract_amount", "project_value", "invoiced_revenue"), "The amount that the rate is applied to."
    ),
    "bonus_base": Setting(
        *_one_of("cumulative_invoiced_revenue", "contract_amount"),
        "The amount that the bonus threshold is compared with.",
    ),
    "bonus_reversible": Setting(*FLAG, "Whether a bonus is taken back when revenue falls below its threshold."),
    "tier_period": Setting(
        *_one_of("lifetime", "calendar_year"), "The time over which referrals are counted for the tier."
    ),
    "tier_uplift.silver": Setting(_share, "a share from 0 to 1 such as 0.01", "Added to the rate at silver."),
    "tiers_cumulative": Setting(*FLAG, "Whether a higher tier keeps what the lower ones give."),
    "tier_rate_applies": Setting(*_one_of("next_referral", "this_referral"), "From when a new tier's rate applies."),
    "release_amount": Setting(
        *_one_of("full_on_first_payment", "as_collected"), "How much of the commission the first payment releases."
    ),
    "top_n": Setting(*_whole(1), "How many referrers are recognised."),
    "in_window_by": Setting(
        *_one_of("invoice_date", "service_period", "payment_date", "12_invoices"),
        "What puts an invoice inside the window.",
    ),
    "spanning_invoice": Setting(
        *_one_of("prorate_by_service_days", "full", "none"), "What counts of an invoice across the window's end."
    ),
    "base": Setting(
        *_one_of("net_of_tax_and_credit", "net_of_tax", "gross"), "What of an invoice the rate is applied to."
    ),
    "upsell_reward": Setting(
        _share, "a share from 0 to 1 such as 0.05", "The rate on up-sell to customers of the vendor."
    ),
    "affiliate_first_plan": Setting(*_one_of("starter", "any"), "The plan on which a client is to start."),
    "lookback": Setting(_period, "a length such as P1Y", "How far back activity counts as being engaged already."),
    "program_conflict": Setting(
        *_one_of("earliest_valid", "split"),
        "Claims of partners of two roles to one client: the earliest valid one earns, or the best of each role earn its own rate "
        "on an equal share.",
    ),
    "min_trained_staff": Setting(*_whole(0), "Trained people a partner needs."),
    "engaged_lookback": Setting(*PERIOD_OR_NONE, "How far back activity counts as being engaged already."),
}

OTHER_NAMES: Mapping[str, str] = {"engaged_lookback": "lookback"}
"""What a setting is called in a program that has it under another name: how far back one looks is ``lookback`` in one
(OP-A8) and ``engaged_lookback`` in others (ON-14, CN-48). What-if takes both."""


def read_setting(key: str, text: str, *, known: Mapping[str, Any], where: str) -> Value:
    """Read one setting's text.

    ``known`` are the keys this program has. Raises: ``ProgramError`` with what is allowed and the nearest key.
    """
    if key not in known or key not in CATALOGUE:
        names = sorted(CATALOGUE if key in known else known)
        near = get_close_matches(key, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ProgramError(f"{where}: setting {key}: not a setting of this program{hint}; allowed: {', '.join(names)}")
    setting = CATALOGUE[key]
    try:
        return setting.read(text)
    except (ValueError, KeyError, InvalidOperation, RuleError):
        raise ProgramError(f"{where}: setting {key}: found {text!r}; allowed: {setting.allowed}") from None


def require_allowed(key: str, text: str, allowed: tuple[str, ...], *, where: str) -> None:
    """Refuse a value that the setting could have but this program does not foresee. Raises: ``ProgramError``."""
    if allowed and text not in allowed:
        raise ProgramError(f"{where}: setting {key}: found {text!r}; allowed: {', '.join(allowed)}")
