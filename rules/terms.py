"""Program files: a partner program as versioned, typed terms, each carrying the clauses it comes from (G-1).

A program is data. Every term names a general rule of this folder and gives it its numbers; no program has code of
its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rules.calendar import Period
from rules.errors import RuleError
from rules.records import Amount, ContractKind, Currency, Day, LineKind, Rate, Tier
from rules.settings import TIERS, Value, read_setting

ClauseId = Annotated[str, Field(pattern=r"^[A-Z]+-[A-Z]?[0-9]+$", description="id of a clause, such as NT-14")]
Clauses = Annotated[tuple[ClauseId, ...], Field(min_length=1, description="the clauses this term comes from")]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
WEEKDAYS: tuple[str, ...] = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Term(BaseModel):
    """Base of all terms: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SettingTerm(Term):
    """One setting of the program: its value as text, and the clause that leaves it open."""

    value: str
    allowed: tuple[str, ...] = Field(
        (), description="the values this program foresees; empty: all that the setting has"
    )
    clauses: Clauses


class BusinessCalendar(Term):
    """Which days are worked (G-5)."""

    weekend: tuple[Weekday, ...] = ("saturday", "sunday")
    country: str | None = Field(None, description="ISO 3166 code of a country whose public holidays are closed days")
    subdivision: str | None = None
    closed: tuple[Day, ...] = Field((), description="further closed days")
    clauses: Clauses = ("G-5",)


class RequiredField(Term):
    """A value that a referral must have to be complete; any one of ``any_of`` will do."""

    any_of: tuple[str, ...] = Field(min_length=1, description="record fields or details.NAME")
    check: Literal["text", "website", "count", "one_of", "list", "partner_name", "given"] = "text"
    values: tuple[str, ...] = Field((), description="allowed values, for one_of")
    label: str = Field(description="what a partner calls it")
    clauses: Clauses


class OptionalField(Term):
    """A value that a referral may have: the form asks for it, nothing depends on it."""

    field: str = Field(description="a record field or details.NAME")
    values: tuple[str, ...] = Field((), description="values that the form proposes; others are taken too")
    label: str = Field(description="what a partner calls it")
    clauses: Clauses


class Potential(Term):
    """What a prospect is hoped to bring; less than that refuses nothing, its reviewer is told."""

    value_above: Amount | None = Field(None, description="estimated contract value that is typical, in quotes")
    months_from: int | None = Field(None, ge=1, description="estimated length in months that is preferred")
    clauses: Clauses


class Assignment(Term):
    """Once a review let a claim in, a person says who takes over: a task, done by a decision that names a contact."""

    label: str = Field(description="what the task says")
    clauses: Clauses


def _a_length(text: str) -> str:
    try:
        Period.parse(text)
    except RuleError:
        raise ValueError("a length such as P6M, P60D or P1Y") from None
    return text


Length = Annotated[str, AfterValidator(_a_length), Field(description="a length such as P6M, P60D or P1Y")]


class WindowTerm(Term):
    """By when a contract must be signed for the claim to earn; the last day counts unless ``window_end`` says otherwise.

    Its length is ``length`` or the value of ``setting``; ``none`` there means without end.
    """

    anchor: Literal["submission", "approval", "window_anchor"] = Field(
        description="the day it is counted from; window_anchor: as that setting says"
    )
    length: Length | None = None
    setting: str | None = Field(None, description="the setting that holds the length")
    roles: tuple[str, ...] = Field((), description="enrollment roles it is for; empty: all")
    clauses: Clauses

    @model_validator(mode="after")
    def _one_length(self) -> WindowTerm:
        if (self.length is None) == (self.setting is None):
            raise ValueError("either length or setting")
        return self


class NotEngaged(Term):
    """The vendor's own sales are not in touch with the prospect already, when it is submitted."""

    kind: Literal["not_engaged"]
    lookback: str | None = Field(
        None, description="the setting that says how far back two-way activity counts; none: it does not"
    )
    customers: bool = Field(False, description="whether being a customer already counts")
    customer_kinds: tuple[ContractKind, ...] = Field(
        (),
        description="a customer is who has a running contract of these kinds, so that one of another product is none; "
        "empty: who the account's customer_since says",
    )
    roles: tuple[str, ...] = ()
    clauses: Clauses


class GoodStanding(Term):
    """The partner's enrollment is in good standing at the submission; while it is not, its money is held."""

    kind: Literal["good_standing"]
    roles: tuple[str, ...] = ()
    clauses: Clauses


class AgreementSigned(Term):
    """The partner has signed the program's contract before its claim becomes active."""

    kind: Literal["agreement_signed"]
    roles: tuple[str, ...] = ()
    clauses: Clauses


class TrainedStaff(Term):
    """The partner has as many trained people as the setting ``min_trained_staff`` asks for."""

    kind: Literal["trained_staff"]
    warn_below: int = Field(0, description="fewer than this are mentioned, but enough")
    roles: tuple[str, ...] = ()
    clauses: Clauses


Condition = Annotated[NotEngaged | GoodStanding | AgreementSigned | TrainedStaff, Field(discriminator="kind")]
"""What must hold for a claim to become active."""


class Introduced(Term):
    """The partner introduced a decision maker before the signature; without it the claim is won and earns nothing."""

    kind: Literal["introduced"]
    clauses: Clauses


class EnrolledAtSignature(Term):
    """The partner is still in the program on the day of the signature."""

    kind: Literal["enrolled_at_signature"]
    clauses: Clauses


class MinimumAge(Term):
    """The contract is signed no sooner than so long after the submission, unless an approver let it pass: a deal that was
    all but closed needed no partner."""

    kind: Literal["minimum_age"]
    length: Length
    clauses: Clauses


class FirstPlan(Term):
    """The client starts on the plan of the setting ``affiliate_first_plan``, unless an approver let another one pass."""

    kind: Literal["first_plan"]
    roles: tuple[str, ...] = ()
    clauses: Clauses


MoneyCondition = Annotated[Introduced | EnrolledAtSignature | MinimumAge | FirstPlan, Field(discriminator="kind")]
"""What must hold for a won claim to earn."""


class ClaimTerms(Term):
    """How a referral becomes a claim to a prospect."""

    needs: ClassVar[tuple[str, ...]] = ("conflict_policy", "tie_window_ms", "match_keys")

    required: tuple[RequiredField, ...] = ()
    optional: tuple[OptionalField, ...] = Field((), description="what a referral may say beside that")
    potential: Potential | None = Field(None, description="what its reviewer is told when a prospect promises less")
    assignment: Assignment | None = Field(None, description="given: an accepted claim is to be assigned to somebody")
    activation: Literal["submission", "review"] = Field(
        description="what makes the first complete claim active: its submission, or an approving review"
    )
    conditions: tuple[Condition, ...] = ()
    money_conditions: tuple[MoneyCondition, ...] = ()
    windows: tuple[WindowTerm, ...] = ()
    won_by_opportunity: bool = Field(
        False, description="whether a won opportunity wins a claim, as a signed contract does"
    )
    won_kinds: tuple[ContractKind, ...] = Field((), description="contract kinds that win a claim; empty: all")
    contracts: Literal["first", "all", "in_window"] = Field(
        "first",
        description="which contracts of the account earn: the first, all, or those signed in the claim's window",
    )
    registers_again: bool = Field(
        False, description="whether the same partner may register a customer again after it was won"
    )
    review_within_hours: int | None = Field(None, description="hours for the review of a submission")
    channel_clauses: Clauses
    enrollment_clauses: Clauses
    first_party_clauses: Clauses
    conflict_clauses: Clauses
    review_clauses: Clauses
    won_clauses: Clauses
    expiry_clauses: Clauses
    again_clauses: tuple[ClauseId, ...] = ()
    fraud_clauses: tuple[ClauseId, ...] = Field(
        (), description="given: a fraud finding takes back all the claim earned"
    )


class RateBand(Term):
    """The rate from a contract value on, up to the next band."""

    from_value: Amount
    rate: Rate


class RateTerm(Term):
    """Where the rate comes from, in this order; none of them: a task, never a default."""

    sources: tuple[Literal["decision", "enrollment", "tier", "bands", "role", "fixed"], ...]
    fixed: Rate | None = None
    by_role: dict[str, Rate] = Field(default_factory=dict)
    bands: tuple[RateBand, ...] = ()
    uplift_tiers: bool = Field(False, description="whether tiers add the settings tier_uplift.NAME to the rate")
    limits: bool = Field(False, description="whether rates outside the setting rate_hard_limits are refused")
    limit_clauses: tuple[ClauseId, ...] = ()
    role_clauses: dict[str, Clauses] = Field(default_factory=dict)
    clauses: Clauses

    def clauses_for(self, role: str | None) -> tuple[ClauseId, ...]:
        """The clauses behind the rate of a role, without those that are about other roles only (G-8)."""
        own = self.role_clauses.get(role or "", ())
        others = {clause for named in self.role_clauses.values() for clause in named}.difference(own)
        return tuple(clause for clause in self.clauses if clause not in others)

    @model_validator(mode="after")
    def _rising_bands(self) -> RateTerm:
        starts = [band.from_value for band in self.bands]
        if starts != sorted(set(starts)):
            raise ValueError("bands with rising from_value, each only once (a band ends where the next begins)")
        return self

    @model_validator(mode="after")
    def _roles_name_own_clauses(self) -> RateTerm:
        if any(clause not in self.clauses for named in self.role_clauses.values() for clause in named):
            raise ValueError("under role_clauses only clauses that stand in clauses, too")
        return self


When = Annotated[
    dict[str, str],
    Field(default_factory=dict, description="settings with the values under which this term is in force"),
]


class ShareOfCollections(Term):
    """A share of what the customer paid on the won contract, in proportion to what was collected."""

    needs: ClassVar[tuple[str, ...]] = ("statement_basis", "cadence", "commission_on_reallocation", "release")

    kind: Literal["share_of_collections"]
    when: When
    rate: RateTerm
    excluded_lines: tuple[LineKind, ...] = Field((), description="line kinds that earn nothing")
    first_year_only: bool = Field(False, description="whether only invoices of the first year earn")
    released: Literal["first_of_following_month", "receipt"]
    due: Literal["end_of_release_month", "due_days"]
    clauses: Clauses


class ShareOfInvoices(Term):
    """A share of each invoice of the customer, one entry an invoice: when it is issued, or when it is fully paid."""

    kind: Literal["share_of_invoices"]
    when: When
    rate: RateTerm
    earned: Literal["issued", "fully_paid"]
    released: Literal["earned", "fully_paid"] = "earned"
    scope: Literal["contracts", "account"] = Field(
        description="invoices of the claim's contracts, or all of its account"
    )
    contract_kinds: tuple[ContractKind, ...] = Field(
        (), description="kinds of contracts whose invoices earn; empty: all"
    )
    excluded_lines: tuple[LineKind, ...] = ()
    window: Length | None = Field(
        None, description="only invoices this long from the anchor of the setting window_anchor"
    )
    retained: bool = Field(False, description="whether it ends when the client is no more retained")
    retained_clauses: tuple[ClauseId, ...] = ()
    due: Literal["due_days", "end_of_quarter"]
    clauses: Clauses


class ShareOfContract(Term):
    """A share of what a contract is worth, once."""

    kind: Literal["share_of_contract"]
    when: When
    rate: RateTerm
    basis: Literal["first_year", "value"] = Field(
        description="its first year's revenue of included lines, or its value"
    )
    included_lines: tuple[LineKind, ...] = Field((), description="for first_year: line kinds that count")
    contract_kinds: tuple[ContractKind, ...] = ()
    earned: Literal["first_receipt", "signed_and_commenced", "completion"] = Field(
        description="the fact that earns it; the setting `earned`, where a program has it, goes before"
    )
    released: Literal["earned", "first_receipt"]
    corrections: Literal["true_up", "reversal", "none"] = Field(
        description="credits and refunds: corrected at the first year's end, at once, or not at all"
    )
    due: Literal["due_days", "end_of_quarter"]
    true_up_clauses: tuple[ClauseId, ...] = ()
    clauses: Clauses


class MilestoneBonus(Term):
    """An amount that a person chooses within limits, once for each contract whose revenue goes above a threshold."""

    kind: Literal["milestone_bonus"]
    when: When
    above: Amount
    currency: Currency
    lowest: Amount
    highest: Amount
    due: Literal["due_days"]
    amount_clauses: Clauses
    clauses: Clauses


CommissionTerm = Annotated[
    ShareOfCollections | ShareOfInvoices | ShareOfContract | MilestoneBonus, Field(discriminator="kind")
]


class ClawbackTerm(Term):
    """A contract cancelled soon after its start gives back all that it earned."""

    within_days: int = Field(ge=1)
    clauses: Clauses


class TierLevel(Term):
    """One tier: from how many referrals, what it pays, what keeps it."""

    tier: Tier
    from_count: int = Field(ge=0)
    rate: Rate | None = None
    co_op: Amount = Field(Decimal(0), description="its yearly co-op fund in the program's currency")
    sla_hours: int | None = None


class TierTerms(Term):
    """Tiers by the number of referrals, in a calendar year or for ever."""

    levels: tuple[TierLevel, ...] = Field(min_length=1)
    counts: Literal["tier_counts", "successful"] = Field(
        description="what the setting tier_counts says, or contracts that are signed and commenced"
    )
    kept_by_year: bool = Field(description="whether each year's count must keep the tier")
    clauses: Clauses
    keep_clauses: tuple[ClauseId, ...] = ()
    override_clauses: tuple[ClauseId, ...] = ()

    @model_validator(mode="after")
    def _rising(self) -> TierTerms:
        names = [level.tier for level in self.levels]
        counts = [level.from_count for level in self.levels]
        if names != [tier for tier in TIERS if tier in names] or counts != sorted(set(counts)):
            raise ValueError("tiers from the lowest to the highest, each from more referrals than the one before")
        return self


class StatementTerms(Term):
    """When statements are cut, sent and paid."""

    period: Literal["month", "quarter", "payout"] = Field(description="payout: as the setting of that name says")
    due_business_day: int | None = Field(None, ge=1, description="last business day of the next period for sending it")
    due_days: int | None = Field(None, ge=0, description="days after the period's end for sending it")
    pay_by: Literal["end_of_following_month", "due", "first_due_entry"] = Field(
        description="last day for paying it: as said, with the statement itself, or when its first entry is due"
    )
    minimum: Amount = Field(Decimal(0), description="smallest payable amount; less is carried forward")
    needs_partner_invoice: bool
    clauses: Clauses
    minimum_clauses: tuple[ClauseId, ...] = ()
    invoice_clauses: tuple[ClauseId, ...] = ()


class DisputeTerms(Term):
    """Until when something may be disputed, and when the answer is due."""

    needs: ClassVar[tuple[str, ...]] = ("appeal_within_days",)

    statement_days: int = Field(description="days after a statement was cut")
    registration_days: int = Field(description="days after a contract was signed")
    decision_days: int
    final_days: int
    statement_clauses: Clauses
    registration_clauses: Clauses
    decision_clauses: Clauses
    final_clauses: Clauses


class SupportTerms(Term):
    """Who gives first-level support to the customers a partner brought."""

    needs: ClassVar[tuple[str, ...]] = ("case_count", "commission_on_reallocation")

    roles: tuple[str, ...] = Field(description="enrollment roles whose approved referrals are partner-managed")
    handover_clauses: Clauses
    capability_clauses: Clauses
    case_limit: int = Field(ge=1, description="more counted cases than this trigger a review")
    case_window: Length
    counted_levels: tuple[int, ...]
    case_clauses: Clauses
    remedy_clauses: Clauses
    mediation_clauses: Clauses
    reallocation_clauses: Clauses


class Entitlement(Term):
    """A benefit or duty: a task for every partner in a role and at a tier, from the day on which both hold."""

    kind: str
    roles: tuple[str, ...] = Field((), description="enrollment roles that have it; empty: all")
    from_tier: Tier | None = Field(None, description="the lowest tier that has it; none, and no setting: all partners")
    from_tier_setting: Literal["account_manager_min_tier", "lead_share_min_tier", "phone_min_tier"] | None = Field(
        None, description="the setting that names the lowest tier"
    )
    every: Literal["month", "quarter", "year"] | None = Field(
        None, description="a duty that comes again in each calendar month, quarter or year, due on its last day"
    )
    answered_by: Literal["decision", "manager", "agreement", "certification", "trained_staff", "existing_customer"] = (
        Field(
            "decision",
            description="what makes it done: a decision `done`, or the enrollment's manager, signed agreement, trained "
            "staff or existing_customer, or a certification record",
        )
    )
    staff: int | None = Field(
        None, ge=1, description="trained people that answer it; none: as the setting min_trained_staff says"
    )
    label: str
    label_per_person: str | None = Field(None, description="what it is called instead when `login_scope` is `person`")
    clauses: Clauses

    @model_validator(mode="after")
    def _one_tier(self) -> Entitlement:
        if self.from_tier is not None and self.from_tier_setting is not None:
            raise ValueError("from_tier or from_tier_setting, not both")
        if self.every is not None and self.answered_by != "decision":
            raise ValueError("answered_by decision for a duty that comes again")
        return self

    @property
    def needs(self) -> Iterator[str]:
        """Settings without which this cannot be answered."""
        if self.from_tier_setting is not None:
            yield self.from_tier_setting
        if self.answered_by == "trained_staff" and self.staff is None:
            yield "min_trained_staff"


class CoOpTerms(Term):
    """Marketing funds by tier: a year's amount, used up within the year, spent on approved campaigns and reimbursed."""

    needs: ClassVar[tuple[str, ...]] = ("coop_on_promotion",)

    uses: dict[str, tuple[str, ...]] = Field(
        min_length=1, description="what the fund may be spent on, each with further names that mean it"
    )
    reimburse_days: int = Field(ge=0, description="days after the documents for paying the reimbursement")
    allocation_clauses: Clauses
    carry_clauses: Clauses
    use_clauses: Clauses
    approval_clauses: Clauses
    reimbursement_clauses: Clauses
    report_clauses: Clauses


class LeadSharingTerms(Term):
    """The vendor's own leads are offered to partners, each for so many hours."""

    needs: ClassVar[tuple[str, ...]] = (
        "lead_share_min_tier", "offer_mode", "shared_counts_for_tier", "shared_lead_rate",
    )  # fmt: skip

    answer_hours: int = Field(ge=1, description="hours a partner has for its answer")
    eligibility_clauses: Clauses
    match_clauses: Clauses
    turn_clauses: Clauses
    answer_clauses: Clauses
    handover_clauses: Clauses
    outcome_clauses: Clauses


class TicketTerms(Term):
    """Support tickets of partners wait for a first response, for as many hours as the partner's tier says, if it does."""

    roles: tuple[str, ...] = ()
    clauses: Clauses


class ApplicationTerms(Term):
    """Who applies to join is answered, and welcomed when accepted."""

    review_business_days: int | None = Field(None, ge=1, description="business days for the answer; none: no limit")
    asks: tuple[str, ...] = Field((), description="values of `details` that an application should give")
    asks_clauses: tuple[ClauseId, ...] = ()
    review_clauses: Clauses
    welcome_clauses: tuple[ClauseId, ...] = Field((), description="given: an accepted applicant is to be welcomed")


class RecognitionTerms(Term):
    """The partners with the most successful referrals are honoured, each quarter and each year."""

    needs: ClassVar[tuple[str, ...]] = ("rank_by", "top_n")

    quarter_clauses: Clauses
    opportunity_clauses: Clauses
    year_clauses: Clauses


class Content(Term):
    """Something that partners are offered or told in words; it decides nothing and is shown as it stands here."""

    topic: str = Field(pattern=r"^[a-z][a-z_]*$", description="what it belongs to: small letters and underscores")
    label: str = Field(description="its heading")
    text: str = Field("", description="its words; blank: nothing is said yet")
    state: Literal["offered", "planned", "not_offered"] = Field(
        "offered", description="whether it is there, announced, or outside what this service does"
    )
    roles: tuple[str, ...] = ()
    announced_on: Day | None = Field(None, description="given: every partner in the program is told on that day")
    clauses: Clauses


class Terms(Term):
    """The terms of one version, in force from ``effective_from`` until the next version (or ``effective_to``)."""

    effective_from: Day
    effective_to: Day | None = None
    announced_on: Day | None = Field(
        None, description="the day on which all participants were told; without it each one's notice is a task"
    )
    settings: dict[str, SettingTerm]
    business_calendar: BusinessCalendar = Field(default_factory=lambda: BusinessCalendar.model_validate({}))
    claims: ClaimTerms
    commission: tuple[CommissionTerm, ...]
    clawback: ClawbackTerm | None = None
    tiers: TierTerms | None = None
    statements: StatementTerms
    disputes: DisputeTerms | None = None
    support: SupportTerms | None = None
    co_op: CoOpTerms | None = None
    lead_sharing: LeadSharingTerms | None = None
    tickets: TicketTerms | None = None
    applications: ApplicationTerms | None = None
    recognition: RecognitionTerms | None = None
    entitlements: tuple[Entitlement, ...] = ()
    content: tuple[Content, ...] = Field((), description="what partners are offered or told in words")
    recorded: dict[ClauseId, str] = Field(
        default_factory=dict, description="clauses that need no rule: what records them, in words"
    )

    @cached_property
    def values(self) -> Mapping[str, Value]:
        """Every setting, read."""
        return {
            key: read_setting(key, term.value, known=self.settings, where=f"version {self.effective_from}")
            for key, term in self.settings.items()
        }

    @cached_property
    def states_monthly(self) -> bool:
        """Whether a statement is for a month; else it is for a quarter (CN-25, CN-A9)."""
        period = self.statements.period
        return period == "month" or (period == "payout" and self.values.get("payout") == "monthly")

    @property
    def needed_settings(self) -> Iterator[str]:
        """Settings without which the rules of these terms cannot answer; nothing is assumed for them."""
        yield from ("terms_pin_at", "rounding", "window_end", "net_excludes")
        for term in (
            self.claims,
            *self.commission,
            self.disputes,
            self.support,
            self.co_op,
            self.lead_sharing,
            self.recognition,
        ):
            yield from getattr(term, "needs", ())
        for entitlement in self.entitlements:
            yield from entitlement.needs
        for term in self.commission:
            yield from term.when
            if getattr(term, "due", None) == "due_days":
                yield "due_days"
        if self.statements.needs_partner_invoice:
            yield from ("invoice_match", "invoice_tolerance")

    def in_force(self) -> Iterator[CommissionTerm]:
        """The commission terms whose ``when`` holds under the settings."""
        for term in self.commission:
            if all(self.settings[key].value == value for key, value in term.when.items()):
                yield term

    def clauses_of(self, setting: str) -> tuple[str, ...]:
        """The clauses behind a setting."""
        return self.settings[setting].clauses
