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
from rules.money import ROUNDINGS

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


def _whole(lowest: int) -> tuple[Callable[[str], Value], str]:
    def read(text: str) -> Value:
        if not text.isdigit() or int(text) < lowest:
            raise ValueError
        return int(text)

    return read, f"a whole number from {lowest}"


def _whole_or_none(text: str) -> Value:
    return None if text == "none" else _whole(1)[0](text)


def _period_or_none(text: str) -> Value:
    return None if text == "none" else Period.parse(text)


def _amount(text: str) -> Value:
    value = Decimal(text)
    if not value.is_finite() or value < 0:
        raise ValueError
    return value


FLAG = (_flag, "true, false")
PERIOD_OR_NONE = (_period_or_none, "none, or a length such as P12M, P60D")
WHOLE_OR_NONE = (_whole_or_none, "none, or a whole number from 1")

CATALOGUE: Mapping[str, Setting] = {
    "terms_pin_at": Setting(
        *_one_of("claim_approval", "submission", "contract_signed", "invoice_date"),
        "The moment whose terms a deal keeps for good.",
    ),
    "rounding": Setting(*_one_of(*ROUNDINGS), "How an amount is rounded, once per ledger entry."),
    "window_end": Setting(*_one_of("inclusive", "exclusive"), "Whether the last day of a window still counts."),
    "claim_order": Setting(*_one_of("received_at"), "What ranks claims: the instant of receipt, nothing else."),
    "tie_window_ms": Setting(*_whole(0), "Claims received this close together go to a person."),
    "net_excludes": Setting(
        *_some_of("tax", "credit", "refund", "discount", "shipping", "hardware"),
        "What is taken off before commission is computed.",
    ),
    "first_party_includes": Setting(
        *_some_of("partners", "direct_sales"), "Who counts as a party that can have been first."
    ),
    "channels": Setting(*_some_of("portal", "web_form", "email", "crm", "api"), "Ways a referral may come in."),
    "invoice_match": Setting(
        *_one_of("exact", "within_tolerance", "none"), "How a partner's invoice must fit the statement."
    ),
    "invoice_tolerance": Setting(_amount, "an amount such as 0 or 1.00", "Difference allowed with within_tolerance."),
    "conflict_policy": Setting(
        *_one_of("first_submitter_proposed_discretion_allowed", "strict_first", "always_manual", "first_submitter"),
        "What happens when a second partner claims a prospect.",
    ),
    "hold_on_conflict": Setting(*FLAG, "Hold the first claimant's money while a conflict waits for a decision."),
    "statement_basis": Setting(
        *_one_of("collected_in_month", "payable_in_month", "won", "approved"),
        "The date that puts an entry on a statement.",
    ),
    "cadence": Setting(*_one_of("inherit_customer", "monthly"), "Whether statements follow the customer's billing."),
    "release": Setting(
        *_one_of("proportional_to_collected", "invoice_fully_paid"),
        "What part of the customer's payment releases commission.",
    ),
    "late_partner_invoice": Setting(*_one_of("next_run"), "When a late partner invoice is paid."),
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
    "engaged_lookback": Setting(*PERIOD_OR_NONE, "How far back activity counts as being engaged already."),
}


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
