"""What is wrong with a program that loads: terms that cannot apply, contradict one another, or leave something out.

Each finding names the place, what was found, what is allowed and what to do. An *error* pays wrongly or not at all; a
*warning* does nothing, or leaves a case to a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from itertools import combinations, pairwise
from typing import Any, Literal

from rules.calendar import Calendar, Period
from rules.clauses import all_statements
from rules.errors import ProgramError, RuleError
from rules.program import Program
from rules.settings import read_setting
from rules.terms import (
    CommissionTerm,
    MilestoneBonus,
    NotEngaged,
    RateTerm,
    ShareOfCollections,
    ShareOfContract,
    ShareOfInvoices,
    Term,
    Terms,
)

Path = tuple[str | int, ...]
Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to mend; ``path`` leads to its place in the program file."""

    path: Path
    level: Level
    found: str
    allowed: str
    do: str


def check_program(program: Program) -> list[Finding]:
    """Everything that is found, in the order of the file."""
    found = list(_versions(program))
    for number, terms in enumerate(program.versions):
        for finding in _terms(program, terms):
            found.append(replace(finding, path=("versions", number, *finding.path)))
    return found


def _terms(program: Program, terms: Terms) -> Iterator[Finding]:
    yield from _clause_ids(terms)
    yield from _settings(terms)
    yield from _calendar(program, terms)
    yield from _roles(program, terms)
    yield from _claims(terms)
    for number, term in enumerate(terms.commission):
        for finding in _commission(program, terms, term):
            yield replace(finding, path=("commission", number, *finding.path))
    yield from _twice(terms)
    yield from _tiers(terms)
    yield from _standing(terms)
    yield from _statements(terms)


def _versions(program: Program) -> Iterator[Finding]:
    for number, (earlier, later) in enumerate(pairwise(program.versions)):
        ends, starts = earlier.effective_to, later.effective_from
        if ends is not None and ends >= starts:
            yield Finding(
                ("versions", number, "effective_to"), "error", f"{ends}, and the next version from {starts}: both hold",
                f"a day before {starts}, or no effective_to", "leave effective_to out; a version ends where the next begins",
            )  # fmt: skip
        elif ends is not None and ends + timedelta(days=1) < starts:
            yield Finding(
                ("versions", number, "effective_to"), "error", f"{ends}, and the next version from {starts}: no terms between",
                f"{starts - timedelta(days=1)}, or no effective_to", "leave effective_to out, or move the next effective_from",
            )  # fmt: skip
    if len(set(program.roles)) < len(program.roles):
        yield Finding(("roles",), "warning", "a role twice", "each role once", "take one of them out")


def _clause_ids(terms: Terms) -> Iterator[Finding]:
    """Ids of a shipped policy that this policy does not have; a program's own ids are its own."""
    known = all_statements()
    ours = {name.partition("-")[0] for name in known}
    for path, name in _named(terms.model_dump(), ()):
        if name.partition("-")[0] in ours and name not in known:
            near = get_close_matches(name, known, 1)
            yield Finding(
                path, "error", f"clause {name}", f"an id of the policy{f', such as {near[0]}' if near else ''}",
                "name the clause that says so; docs/clauses.md lists them",
            )  # fmt: skip


def _named(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            if str(key).endswith("clauses"):
                yield from (((*path, key), name) for name in value)
            elif path and path[-1] == "recorded":
                yield (*path, key), key
            else:
                yield from _named(value, (*path, key))
    elif isinstance(node, list | tuple):
        for number, value in enumerate(node):
            yield from _named(value, (*path, number))


def _any(kind: type[Term], holds: Callable[[Any], bool] = lambda term: True) -> Callable[[Terms], bool]:
    return lambda terms: any(isinstance(term, kind) and holds(term) for term in terms.commission)


def _condition(kind: str) -> Callable[[Terms], bool]:
    return lambda terms: any(each.kind == kind for each in (*terms.claims.conditions, *terms.claims.money_conditions))


def _uses(setting: str) -> Callable[[Terms], bool]:
    """A window's length, or how far a condition looks back, is taken from the setting."""
    return lambda terms: (
        any(window.setting == setting for window in terms.claims.windows)
        or any(isinstance(each, NotEngaged) and each.lookback == setting for each in terms.claims.conditions)
    )


_READ_BY: Mapping[str, tuple[Callable[[Terms], bool], str]] = {
    **dict.fromkeys(
        ("platinum_min", "retention", "tier_counts", "tier_period", "grace", "quarter_min", "demotion", "promotion",
         "tier_on_jan_1", "rate_applies", "downgrade_applies", "tier_uplift.silver", "tiers_cumulative",
         "tier_rate_applies", "phone_min_tier", "lead_share_min_tier", "account_manager_min_tier", "coop_on_promotion"),
        (lambda terms: terms.tiers is not None, "`tiers`"),
    ),
    **dict.fromkeys(
        ("clawback_anchor", "cancel_date", "hold_until_clawback_window_ends", "clawback_applies_to"),
        (lambda terms: terms.clawback is not None, "`clawback`"),
    ),
    **dict.fromkeys(
        ("invoice_match", "invoice_tolerance", "late_partner_invoice", "partner_invoice_expiry_days"),
        (lambda terms: terms.statements.needs_partner_invoice, "`statements.needs_partner_invoice: true`"),
    ),
    **dict.fromkeys(
        ("statement_basis", "cadence", "commission_on_reallocation"),
        (_any(ShareOfCollections), "a commission term share_of_collections"),
    ),
    **dict.fromkeys(
        ("recurring_until", "retention_gap_days"),
        (_any(ShareOfInvoices, lambda term: term.retained), "a commission term with `retained: true`"),
    ),
    **dict.fromkeys(
        ("in_window_by", "spanning_invoice"),
        (_any(ShareOfInvoices, lambda term: term.window is not None), "a commission term share_of_invoices with a `window`"),
    ),
    **dict.fromkeys(
        ("first_year_anchor", "first_year_includes_amendments"),
        (lambda terms: any(getattr(t, "basis", "") == "first_year" or getattr(t, "first_year_only", False) for t in terms.commission),
         "a commission term over the first year"),
    ),
    **dict.fromkeys(
        ("bonus_base", "bonus_reversible"), (_any(MilestoneBonus), "a commission term milestone_bonus")
    ),
    **dict.fromkeys(
        ("due_days", "due_roll"),
        (lambda terms: any(term.due == "due_days" for term in terms.commission), "a commission term with `due: due_days`"),
    ),
    **dict.fromkeys(
        ("hold_on_conflict", "first_party_includes"),
        (lambda terms: terms.claims.activation == "submission", "`claims.activation: submission`"),
    ),
    "program_conflict": (_any(ShareOfInvoices), "a commission term share_of_invoices"),
    "true_up": (_any(ShareOfContract, lambda term: term.corrections == "true_up"), "a commission term with `corrections: true_up`"),
    "rate_hard_limits": (
        lambda terms: any(rate.limits for _, rate in _rates(terms)), "a rate with `limits: true`"
    ),
    "case_count": (lambda terms: terms.support is not None, "`support`"),
    "appeal_within_days": (lambda terms: terms.disputes is not None, "`disputes`"),
    "payout": (lambda terms: terms.statements.period == "payout", "`statements.period: payout`"),
    "min_trained_staff": (_condition("trained_staff"), "a condition trained_staff"),
    "affiliate_first_plan": (_condition("first_plan"), "a money condition first_plan"),
    "lookback": (_uses("lookback"), "a condition not_engaged with `lookback: lookback`"),
    "engaged_lookback": (_uses("engaged_lookback"), "a condition not_engaged with `lookback: engaged_lookback`"),
    "window": (_uses("window"), "a claim window with `setting: window`"),
}  # fmt: skip
"""Settings that only certain terms read, and those terms in words; every other setting is always read."""


def _settings(terms: Terms) -> Iterator[Finding]:
    for key, setting in terms.settings.items():
        reads, words = _READ_BY.get(key, (lambda _terms: True, ""))
        if not reads(terms):
            yield Finding(
                ("settings", key),
                "warning",
                f"{key}, which no term reads",
                f"with {words}",
                "take it out, or add the term",
            )
        for value in setting.allowed:
            try:
                read_setting(key, value, known=terms.settings, where="allowed")
            except ProgramError:
                yield Finding(
                    ("settings", key, "allowed"), "error", f"{value!r}, which this setting never has",
                    "values that the setting has", "take it out; `referee schema program` lists them",
                )  # fmt: skip


def _calendar(program: Program, terms: Terms) -> Iterator[Finding]:
    term = terms.business_calendar
    try:
        calendar = Calendar(program.time_zone, country=term.country, subdivision=term.subdivision)
        calendar.is_business_day(terms.effective_from)
    except RuleError as error:
        yield Finding(
            ("business_calendar", "country"), "error", str(error).removeprefix("holidays: found ").partition(";")[0],
            "an ISO 3166 code, and a subdivision of that country", "mend the code, or list the days under `closed`",
        )  # fmt: skip
    if len(set(term.weekend)) == 7:
        yield Finding(
            ("business_calendar", "weekend"),
            "error",
            "all seven days",
            "at most six",
            "leave at least one day to work on",
        )


def _roles(program: Program, terms: Terms) -> Iterator[Finding]:
    places: list[tuple[Path, Sequence[str]]] = []
    for name in ("conditions", "money_conditions", "windows"):
        for number, each in enumerate(getattr(terms.claims, name)):
            places.append((("claims", name, number, "roles"), getattr(each, "roles", ())))
    for number, entitlement in enumerate(terms.entitlements):
        places.append((("entitlements", number, "roles"), entitlement.roles))
    for number, content in enumerate(terms.content):
        places.append((("content", number, "roles"), content.roles))
    if terms.support is not None:
        places.append((("support", "roles"), terms.support.roles))
    if terms.tickets is not None:
        places.append((("tickets", "roles"), terms.tickets.roles))
    for path, rate in _rates(terms):
        places.append(((*path, "by_role"), tuple(rate.by_role)))
        places.append(((*path, "role_clauses"), tuple(rate.role_clauses)))
    for path, roles in places:
        for role in roles:
            if role not in program.roles:
                near = get_close_matches(role, program.roles, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                yield Finding(
                    path, "error", f"role {role}, which no enrollment can have{hint}", ", ".join(program.roles),
                    "name a role of the program, or add it to its `roles`",
                )  # fmt: skip


def _claims(terms: Terms) -> Iterator[Finding]:
    claims = terms.claims
    for number, field in enumerate(claims.required):
        path: Path = ("claims", "required", number)
        if field.check == "one_of" and not field.values:
            yield Finding((*path, "values"), "error", "none", "at least one, for one_of", "list what may be chosen")
        if field.check != "one_of" and field.values:
            yield Finding(
                (*path, "values"),
                "warning",
                f"values for {field.check}",
                "values for one_of only",
                "use `check: one_of`",
            )
        if len(set(field.values)) < len(field.values):
            yield Finding((*path, "values"), "warning", "a value twice", "each value once", "take one of them out")
    if claims.registers_again and not claims.again_clauses:
        yield _no_clause(("claims",), "registers_again", "again_clauses")
    if claims.registers_again and claims.activation == "submission":
        yield Finding(
            ("claims", "registers_again"), "warning", "registers_again, which only claims that a review makes active may",
            "with `activation: review`", "take it out, or let a review make claims active",
        )  # fmt: skip
    yield from _windows(terms)
    for number, condition in enumerate(claims.conditions):
        if not isinstance(condition, NotEngaged):
            continue
        path = ("claims", "conditions", number)
        if condition.customer_kinds and not condition.customers:
            yield Finding(
                (*path, "customer_kinds"), "warning", "customer_kinds, which nothing reads", "with `customers: true`",
                "add it, or take customer_kinds out",
            )  # fmt: skip
        if condition.lookback is not None and condition.lookback not in terms.settings:
            yield _no_setting((*path, "lookback"), condition.lookback, terms)


def _windows(terms: Terms) -> Iterator[Finding]:
    windows = terms.claims.windows
    lengths: dict[int, Period] = {}
    for number, window in enumerate(windows):
        path: Path = ("claims", "windows", number)
        length: Any = Period.parse(window.length) if window.length else None
        if window.setting is not None:
            if window.setting not in terms.settings:
                yield _no_setting((*path, "setting"), window.setting, terms)
                continue
            length = terms.values[window.setting]
            if length is not None and not isinstance(length, Period):
                yield Finding(
                    (*path, "setting"), "error", f"setting {window.setting}, which is no length", "a setting such as window or claim_expiry",
                    "name a setting that holds a length",
                )  # fmt: skip
                continue
        if length is not None:
            lengths[number] = length
            if not (length.months or length.days):
                yield Finding(
                    path, "error", "a window of no length", "a length such as P6M", "no contract could be in time"
                )
        if window.anchor == "window_anchor":
            anchor = terms.settings.get("window_anchor")
            if anchor is None:
                yield _no_setting((*path, "anchor"), "window_anchor", terms)
            elif anchor.value not in ("approved_at", "submitted_at"):
                yield Finding(
                    (*path, "anchor"), "error", f"window_anchor = {anchor.value}, which is known after the signature only",
                    "approved_at, submitted_at", "count a claim's window from its submission or approval",
                )  # fmt: skip
        if window.anchor == "approval" and terms.claims.activation == "submission":
            yield Finding(
                (*path, "anchor"), "error", "counted from approval, which here comes after the signature",
                "submission", "use `anchor: submission`, or `activation: review`",
            )  # fmt: skip
    for first, second in combinations(lengths, 2):
        one, two = windows[first], windows[second]
        together = not one.roles or not two.roles or set(one.roles) & set(two.roles)
        if one.anchor == two.anchor and together:
            yield Finding(
                ("claims", "windows", second), "error", f"a second window from {two.anchor} for the same roles: {lengths[first]} and {lengths[second]}",
                "one window from an anchor for a role", "the shorter one always ends first; take one of them out",
            )  # fmt: skip


def _rates(terms: Terms) -> Iterator[tuple[Path, RateTerm]]:
    for number, term in enumerate(terms.commission):
        if not isinstance(term, MilestoneBonus):
            yield ("commission", number, "rate"), term.rate


def _commission(program: Program, terms: Terms, term: CommissionTerm) -> Iterator[Finding]:
    for key, value in term.when.items():
        yield from _setting_value(("when",), key, value, terms)
    if isinstance(term, MilestoneBonus):
        if term.lowest > term.highest:
            yield Finding(
                ("lowest",),
                "error",
                f"{term.lowest}, above the highest {term.highest}",
                "at most the highest",
                "swap them",
            )
        if term.currency != program.currency:
            yield Finding(
                ("currency",), "warning", f"{term.currency}, and the program's {program.currency}", program.currency,
                "make sure that the text says so: revenue in other currencies is exchanged into it",
            )  # fmt: skip
        return
    for finding in _rate(program, terms, term.rate):
        yield replace(finding, path=("rate", *finding.path))
    if isinstance(term, ShareOfInvoices) and term.retained and not term.retained_clauses:
        yield _no_clause((), "retained", "retained_clauses")
    if isinstance(term, ShareOfContract):
        if term.corrections == "true_up" and not term.true_up_clauses:
            yield _no_clause((), "corrections: true_up", "true_up_clauses")
        if term.basis == "first_year" and not term.included_lines:
            yield Finding(
                ("included_lines",),
                "error",
                "none",
                "line kinds that count, for first_year",
                "nothing would earn; list them",
            )
        if term.basis == "value" and term.included_lines:
            yield Finding(
                ("included_lines",),
                "warning",
                "line kinds for basis value",
                "with first_year only",
                "the whole value counts; take them out",
            )


def _rate(program: Program, terms: Terms, rate: RateTerm) -> Iterator[Finding]:
    sources = rate.sources
    if len(set(sources)) < len(sources):
        yield Finding(("sources",), "warning", "a source twice", "each source once", "take one of them out")
    holds = {
        "fixed": rate.fixed is not None,
        "role": bool(rate.by_role),
        "bands": bool(rate.bands),
        "tier": terms.tiers is not None and any(level.rate is not None for level in terms.tiers.levels),
    }
    where = {"fixed": "fixed", "role": "by_role", "bands": "bands"}
    for source, given in holds.items():
        if source in sources and not given and source != "tier":
            level: Level = "warning" if source == "bands" else "error"
            yield Finding(
                ("sources",),
                level,
                f"source {source}, and no {where[source]}",
                f"with {where[source]}",
                f"give {where[source]}, or take the source out",
            )
        if source not in sources and given and source != "tier":
            yield Finding(
                (where[source],),
                "error",
                f"{where[source]} without the source {source}",
                f"with {source} in `sources`",
                f"add {source} to `sources`",
            )
    if "tier" in sources:
        yield from _tier_rates(terms)
    elif terms.tiers is not None and holds["tier"]:
        yield Finding(
            ("sources",),
            "warning",
            "tiers with rates, and no source tier",
            "with tier in `sources`",
            "add tier, or take the rates out of the tiers",
        )
    if "role" in sources and sources[-1] == "role":
        missing = [role for role in program.roles if role not in rate.by_role]
        if rate.by_role and missing:
            yield Finding(
                ("by_role",),
                "warning",
                f"no rate for {', '.join(missing)}",
                "a rate for every role",
                "without one a deal waits as a task",
            )
    for earlier in ("fixed", "role", "bands"):
        if (
            earlier in sources
            and _always_answers(earlier, program, rate)
            and (after := sources[sources.index(earlier) + 1 :])
        ):
            yield Finding(
                ("sources",),
                "error",
                f"{', '.join(after)} after {earlier}, which always has a rate",
                f"{earlier} last",
                "put it last; what follows is never asked",
            )
    yield from _bands(rate)
    if rate.uplift_tiers and terms.tiers is None:
        yield Finding(
            ("uplift_tiers",), "error", "an uplift without tiers", "with `tiers`", "add the tiers, or take it out"
        )
    if rate.limits:
        if not rate.limit_clauses:
            yield _no_clause((), "limits", "limit_clauses")
        if "rate_hard_limits" not in terms.settings:
            yield _no_setting(("limits",), "rate_hard_limits", terms)
        else:
            yield from _outside_limits(terms, rate)


def _always_answers(source: str, program: Program, rate: RateTerm) -> bool:
    if source == "fixed":
        return rate.fixed is not None
    if source == "role":
        return set(rate.by_role) >= set(program.roles)
    return bool(rate.bands) and rate.bands[0].from_value <= 0


def _bands(rate: RateTerm) -> Iterator[Finding]:
    if rate.bands and rate.bands[0].from_value > 0 and rate.sources[-1:] == ("bands",):
        first = rate.bands[0].from_value
        yield Finding(
            ("bands", 0, "from_value"),
            "warning",
            f"{first}: no rate below it",
            "0 for the first band",
            "without a rate a deal waits as a task",
        )
    for number, (lower, upper) in enumerate(pairwise(rate.bands), 1):
        if lower.rate == upper.rate:
            yield Finding(
                ("bands", number),
                "warning",
                f"the rate {upper.rate} of the band below",
                "a rate of its own",
                "take one of the bands out",
            )
    for number, band in enumerate(rate.bands):
        if band.from_value < 0:
            yield Finding(
                ("bands", number, "from_value"),
                "error",
                f"{band.from_value}, which no contract is worth",
                "from 0",
                "start the first band at 0",
            )


def _outside_limits(terms: Terms, rate: RateTerm) -> Iterator[Finding]:
    limits: Any = terms.values["rate_hard_limits"]
    low, high = (Decimal(each) for each in limits)
    given: list[tuple[Path, Decimal | None]] = [(("fixed",), rate.fixed)]
    given += [(("by_role", role), each) for role, each in rate.by_role.items()]
    given += [(("bands", number, "rate"), band.rate) for number, band in enumerate(rate.bands)]
    for path, each in given:
        if each is not None and not low <= each <= high:
            yield Finding(
                path,
                "error",
                f"{each}, outside rate_hard_limits",
                f"{low} to {high}",
                "it would be refused for every deal; mend it or the limits",
            )


def _tier_rates(terms: Terms) -> Iterator[Finding]:
    if terms.tiers is None:
        yield Finding(
            ("sources",), "error", "source tier, and no tiers", "with `tiers`", "add the tiers, or take the source out"
        )
        return
    without = [level.tier for level in terms.tiers.levels if level.rate is None]
    if without:
        yield Finding(
            ("sources",),
            "error",
            f"source tier, and no rate for {', '.join(without)}",
            "a rate for every tier",
            "give each tier its rate",
        )
    if terms.tiers.levels[0].from_count > 0:
        first = terms.tiers.levels[0]
        yield Finding(
            ("sources",),
            "warning",
            f"source tier, and the first tier from {first.from_count}",
            "a tier from 0",
            "below it a deal waits as a task",
        )


def _twice(terms: Terms) -> Iterator[Finding]:
    """Two terms that earn on the same contracts under the same settings; and settings under which nothing earns."""
    shares = [(number, term) for number, term in enumerate(terms.commission) if not isinstance(term, MilestoneBonus)]
    for (_, one), (number, two) in combinations(shares, 2):
        apart = any(two.when.get(key, value) != value for key, value in one.when.items())
        kinds = [set(getattr(term, "contract_kinds", ())) for term in (one, two)]
        if not apart and (not all(kinds) or kinds[0] & kinds[1]):
            yield Finding(
                ("commission", number), "error", f"{two.kind} beside {one.kind} on the same contracts: both pay",
                "terms of different contract_kinds, or under different settings (`when`)", "tell them apart by contract_kinds or when",
            )  # fmt: skip
    if next(terms.in_force(), None) is None:
        yield Finding(
            ("commission",),
            "error",
            "no term in force under the settings",
            "at least one",
            "mend `when`, or the settings",
        )
    for key in sorted({key for _, term in shares for key in term.when}):
        setting = terms.settings.get(key)
        if setting is None:
            continue
        handled = {term.when[key] for _, term in shares if key in term.when}
        always = any(key not in term.when for _, term in shares)
        for value in setting.allowed:
            if value not in handled and not always:
                yield Finding(
                    ("settings", key, "allowed"), "error", f"{value!r}, under which no commission term is in force",
                    ", ".join(sorted(handled)), "take it out, or add a term with that `when`",
                )  # fmt: skip


def _standing(terms: Terms) -> Iterator[Finding]:
    """What stands beside the deals."""
    kinds: set[str] = set()
    for number, entitlement in enumerate(terms.entitlements):
        if entitlement.kind in kinds:
            yield Finding(
                ("entitlements", number, "kind"), "error", f"{entitlement.kind} a second time", "each kind once",
                "give it a kind of its own: its tasks are told apart by it",
            )  # fmt: skip
        kinds.add(entitlement.kind)
    needs_tiers = (
        ("co_op", terms.co_op, "funds"),
        ("lead_sharing", terms.lead_sharing, "lowest tier"),
        ("recognition", terms.recognition, "counts"),
    )
    for name, term, needed in needs_tiers:
        if term is not None and terms.tiers is None:
            yield Finding(
                (name,), "error", f"{name}, which reads the {needed} of the tiers, and no tiers", "with `tiers`",
                f"add the tiers, or take {name} out",
            )  # fmt: skip


def _tiers(terms: Terms) -> Iterator[Finding]:
    tiers = terms.tiers
    if tiers is None:
        for number, entitlement in enumerate(terms.entitlements):
            if entitlement.from_tier is not None or entitlement.from_tier_setting is not None:
                yield Finding(
                    ("entitlements", number, "from_tier"),
                    "error",
                    "a tier of an entitlement, and no tiers",
                    "with `tiers`",
                    "add the tiers, or take them out",
                )
        return
    if tiers.kept_by_year and not tiers.keep_clauses:
        yield _no_clause(("tiers",), "kept_by_year", "keep_clauses")
    rates = [level.rate for level in tiers.levels if level.rate is not None]
    for number, (lower, upper) in enumerate(pairwise(tiers.levels), 1):
        if lower.rate is not None and upper.rate is not None and upper.rate < lower.rate:
            yield Finding(
                ("tiers", "levels", number, "rate"),
                "warning",
                f"{upper.rate}, less than the {lower.rate} of {lower.tier}",
                "at least the lower tier's",
                "make sure that the text says so",
            )
    if rates and len(rates) < len(tiers.levels):
        yield Finding(
            ("tiers", "levels"),
            "warning",
            "a rate for some tiers only",
            "a rate for all or for none",
            "give each tier its rate",
        )
    names = {level.tier for level in tiers.levels}
    for key in ("phone_min_tier", "lead_share_min_tier", "account_manager_min_tier"):
        if key in terms.settings and terms.settings[key].value not in names:
            yield Finding(
                ("settings", key),
                "error",
                f"{terms.settings[key].value}, which is no tier of this program",
                ", ".join(level.tier for level in tiers.levels),
                "name one of its tiers",
            )
    if "retention" in terms.settings and len(terms.settings["retention"].value.split("/")) != len(tiers.levels) - 1:
        yield Finding(
            ("settings", "retention"),
            "error",
            terms.settings["retention"].value,
            f"{len(tiers.levels) - 1} numbers, one for each tier above the first",
            "add or take away a number",
        )
    for number, entitlement in enumerate(terms.entitlements):
        for tier in [entitlement.from_tier] if entitlement.from_tier else []:
            if tier not in names:
                yield Finding(
                    ("entitlements", number, "from_tier"),
                    "error",
                    f"{tier}, which is no tier of this program",
                    ", ".join(sorted(names)),
                    "name one of its tiers",
                )


def _statements(terms: Terms) -> Iterator[Finding]:
    statements = terms.statements
    if statements.minimum < 0:
        yield Finding(
            ("statements", "minimum"), "error", f"{statements.minimum}", "from 0", "a minimum is never below zero"
        )
    if statements.minimum and not statements.minimum_clauses:
        yield _no_clause(("statements",), "minimum", "minimum_clauses")
    if statements.needs_partner_invoice and not statements.invoice_clauses:
        yield _no_clause(("statements",), "needs_partner_invoice", "invoice_clauses")
    if statements.due_business_day is not None and statements.due_days is not None:
        yield Finding(
            ("statements", "due_days"), "error", "due_days and due_business_day", "one of them", "take one of them out"
        )
    if statements.due_business_day is None and statements.due_days is None and statements.pay_by != "first_due_entry":
        yield Finding(
            ("statements",),
            "error",
            f"pay_by {statements.pay_by}, and no day for sending it",
            "due_business_day or due_days",
            "say by when it is sent",
        )
    if statements.period == "payout" and "payout" not in terms.settings:
        yield _no_setting(("statements", "period"), "payout", terms)


def _no_clause(path: Path, what: str, clauses: str) -> Finding:
    return Finding(
        path, "error", f"{what} without {clauses}", f"{clauses} with at least one id", "name the clause that says so"
    )


def _no_setting(path: Path, key: str, terms: Terms) -> Finding:
    near = get_close_matches(key, terms.settings, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return Finding(
        path,
        "error",
        f"setting {key}, which this version does not have{hint}",
        "a setting of `settings`",
        "add the setting with its clause",
    )


def _setting_value(path: Path, key: str, value: str, terms: Terms) -> Iterator[Finding]:
    """A ``setting=value`` of a term must be one that the setting can have in this program."""
    if key not in terms.settings:
        yield _no_setting(path, key, terms)
        return
    allowed = terms.settings[key].allowed
    try:
        read_setting(key, value, known=terms.settings, where="when")
        if not allowed or value in allowed:
            return
        words = ", ".join(allowed)
    except ProgramError as error:
        words = str(error).partition("allowed: ")[2]
    yield Finding(
        path,
        "error",
        f"{key}={value}, which the setting never has: the term is never in force",
        words,
        "name a value of the setting",
    )
