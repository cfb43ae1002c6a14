"""Random histories that hang together, for any of the programs: what the properties of settling are tried on.

A history is drawn evenly from a seed: Hypothesis' own draws lean to the small and would seldom reach money. Facts lie
between ``START`` and ``END``; ids sort in the order in which they are made here. All names are invented.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

import orjson
from hypothesis import strategies as st

from jobs.settle import Settled, outcome, settle_program
from rules.facts import read_facts
from rules.program import Program, load_program

Row = dict[str, Any]
Document = dict[str, Any]
START = date(2026, 1, 1)
END = date(2027, 6, 30)
COMPANIES = [
    ("Brindle Crane Hire", "brindlecrane.com"),
    ("Wattle Scaffolds", "wattlescaffolds.com"),
    ("Dune Pumps", "dunepumps.com"),
]
MANUAL = {"by": "Morgan", "reason": "as agreed"}


@dataclass(frozen=True)
class Habits:
    """How a program's business goes: what its forms ask, what is sold, and the settings worth varying."""

    currency: str
    roles: list[str]
    details: Row
    contract_kinds: list[str]
    line_kinds: list[str]
    rates: list[str | None]
    cents: int
    """The most that a line of an invoice comes to, in cents."""
    other_currency: str
    reviewed_after_signature: bool = False
    settings: list[dict[str, str]] = field(default_factory=list)


HABITS = {
    "next-technik": Habits(
        "AUD", ["referral", "professional_services"], {"mobile_users": 3, "industry": "energy"},
        ["saas"], ["saas", "services", "hardware", "shipping"], ["0.1", "0.075", "0.333333", None], 200_000, "NZD",
        reviewed_after_signature=True,
        settings=[
            {"release": "invoice_fully_paid"}, {"hold_on_conflict": "true"}, {"conflict_policy": "always_manual"},
            {"claim_expiry": "P2M"}, {"terms_pin_at": "invoice_date"}, {"commission_on_reallocation": "split"},
            {"parent_subsidiary": "same_prospect"}, {"tie_window_ms": "60000"}, {"statement_basis": "payable_in_month"},
        ],
    ),
    "one-network": Habits(
        "USD", ["referral"], {}, ["saas"], ["saas", "saas", "services", "shipping"], [None, None, "0.12"], 900_000, "EUR",
        settings=[
            {"release": "as_collected"}, {"rank_by": "approved_at"}, {"window_anchor": "submitted_at"},
            {"first_year_includes_amendments": "false"}, {"tie_window_ms": "60000"},
        ],
    ),
    "code-ninety": Habits(
        "PKR", ["agency", "consultant", "reseller", "technology"],
        {"description": "a portal", "estimated_value": "900000", "estimated_timeline": "P6M", "services": ["web"],
         "decision_timeline": "June"},
        ["staff_augmentation", "retainer", "fixed_price", "managed_service", "project"],
        ["staff_augmentation", "retainer", "services", "hardware"], [None, None, None, "0.17"], 90_000_000, "USD",
        settings=[
            {"release": "collected"}, {"bad_debt_days": "60"}, {"rate_applies": "retroactive_year"},
            {"hold_until_clawback_window_ends": "true"}, {"tier_counts": "qualified"},
            {"final_payout_ignores_threshold": "false"}, {"threshold_on": "balance_after_withholding"},
        ],
    ),
    "technology-consultant": Habits(
        "USD", ["independent_consultant"], {"service_type": "cybersecurity", "needs": "an audit"},
        ["project", "fixed_price", "services"], ["project", "services", "shipping"],
        ["0.05", "0.0333", "0.08", "0.09", None], 7_000_000, "EUR",
        settings=[
            {"release_amount": "as_collected"}, {"earned": "signed"}, {"release": "completed"},
            {"commission_base": "invoiced_revenue"}, {"bonus_reversible": "true"}, {"clawback_days": "60"},
            {"tier_uplift.silver": "0.01"},
        ],
    ),
    "optimetriks": Habits(
        "EUR", ["referral", "affiliate"], {}, ["plan", "saas"], ["plan", "saas", "services", "shipping"],
        [None, None, "0.07"], 500_000, "USD",
        settings=[
            {"release": "all_12_months"}, {"window_anchor": "first_invoice_issue_date"},
            {"window_anchor": "closed_on"}, {"upsell_reward": "0.02"}, {"tie_window_ms": "60000"},
        ],
    ),
}  # fmt: skip
PROGRAMS = sorted(HABITS)


@cache
def program_of(name: str, setting: tuple[tuple[str, str], ...] = ()) -> Program:
    """A shipped program, with other settings when given."""
    return load_program(name).changed(dict(setting))


class History:
    """Draws the records of one program.

    With ``distinct`` no two instants are equal, nor two days of exchange rates, signatures, invoices or payments
    received, so that nothing is decided by id.
    """

    def __init__(self, program: str, seed: int, *, distinct: bool = False) -> None:
        self.program = program
        self.habits = HABITS[program]
        self.records: list[Row] = []
        self.partners = [f"p{n}" for n in range(1, 4)]
        self._chance = random.Random(f"{program} {seed}")
        self._distinct = distinct
        self._instants = 0
        self._days: set[int] = set()

    # ---- drawing

    def number(self, low: int, high: int) -> int:
        return self._chance.randint(low, high)

    def one(self, values: list[Any]) -> Any:
        return self._chance.choice(values)

    def often(self) -> bool:
        return self._chance.random() < 0.8

    def seldom(self) -> bool:
        return self._chance.random() < 0.15

    def day(self, low: int, high: int) -> str:
        return (START + timedelta(days=self.number(low, high))).isoformat()

    def instant(self, low: int, high: int) -> str:
        hour = self.one(["00:00:00", "09:30:00", "12:00:00", "23:59:59"])
        self._instants += 1
        fraction = f".{self._instants:06}" if self._distinct else ""
        return f"{self.day(low, high)}T{hour}{fraction}{self.one(['+11:00', '+05:00', 'Z', '-05:00'])}"

    def apart(self, day: int) -> int:
        """The day, or the next that nothing of the kind happened on when days are to be distinct."""
        while self._distinct and day in self._days:
            day += 1
        self._days.add(day)
        return day

    def money(self, most: int | None = None) -> str:
        return _text(self.number(1, most or self.habits.cents))

    def add(self, record_type: str, identity: str, /, **fields: Any) -> Row:
        row = {"type": record_type, "id": identity, **{k: v for k, v in fields.items() if v is not None}}
        self.records.append(row)
        return row

    def again(self, row: Row, low: int, high: int, **changes: Any) -> None:
        """A later version of a record; its instant lies after those of its earlier versions."""
        fields = {**row, "known_at": self.instant(low, high), **changes}
        self.records.append({k: v for k, v in fields.items() if v is not None})

    def withdraw(self, row: Row, low: int, high: int) -> None:
        self.records.append(
            {"type": row["type"], "id": row["id"], "known_at": self.instant(low, high), "deleted": True}
        )

    # ---- people

    def people(self) -> None:
        for partner in self.partners:
            row = self.add(
                "partner", partner, name=f"Partner {partner}", withholding_rate=self.one([None, None, "0.15"])
            )
            if self.seldom():
                self.again(row, 100, 300, withholding_rate=self.one(["0.1", None]))
            enrolled = self.add(
                "enrollment", f"e{partner}", partner=partner, program=self.program, role=self.one(self.habits.roles),
                starts_on="2025-01-01", rate=self.one(self.habits.rates), agreement_signed_on="2025-01-01", certified=True,
                trained_staff=self.one([2, 2, 2, 1, 0]), existing_customer=True, manager=self.one([None, "Robin"]),
                tier=self.one([None] * 5 + ["gold"]), tier_until=self.one([None, self.day(100, 300)]),
            )  # fmt: skip
            if enrolled.get("tier") is None:
                enrolled.pop("tier_until", None)
            if self._chance.random() < 0.25:
                standing = self.one(["suspended", "terminated", "good"])
                self.again(enrolled, 60, 200, standing=standing, rate=self.one(self.habits.rates),
                           ends_on=self.one([None, None, self.day(150, 300)]))  # fmt: skip
                if self.often():
                    self.again(enrolled, 201, 320)
            if self.seldom():
                self.add("certification", f"z{partner}", partner=partner, completed_on=self.day(0, 200), name="Basics")
            if self.seldom():
                self.add("ticket", f"t{partner}", partner=partner, opened_at=self.instant(10, 100), subject="help",
                         first_response_at=self.one([None, self.instant(101, 120)]))  # fmt: skip
            if self.program == "code-ninety":
                self.co_op(partner)
        for base, quote in ((self.habits.other_currency, self.habits.currency),):
            for n in range(self.number(0, 3)):
                self.add("fx_rate", f"x{n}", base=base, quote=quote, rate=self.one(["1.25", "278.333333", "0.9"]),
                         on=_day(self.apart(self.number(0, 250))), source="a bank",
                         known_at=self.one([None, None, self.instant(250, 300)]))  # fmt: skip
        if self.seldom():
            self.add("application", "n0", program=self.program, applied_on=self.day(0, 100), name="Juniper Works",
                     decided_on=self.one([None, self.day(101, 150)]), outcome="accepted")  # fmt: skip

    def co_op(self, partner: str) -> None:
        for n in range(self.number(0, 2)):
            spent = self.money(9_000_000)
            approved, documents = self.day(60, 150), self.day(151, 220)
            self.add("co_op_request", f"m{partner}{n}", partner=partner, requested_on=self.day(30, 59), currency="PKR",
                     use=self.one(["webinar", "online_ads", "a party"]), amount=self.money(9_000_000),
                     approved_on=self.one([None, approved, approved]), spent=self.one([spent, spent, None]),
                     documents_on=self.one([None, documents, documents]),
                     reimbursed_on=self.one([None, self.day(221, 260)]))  # fmt: skip

    # ---- prospects

    def prospects(self) -> None:
        for n in range(self.number(1, 3)):
            name, host = COMPANIES[n]
            customer_since = self.day(-300, 60) if self._chance.random() < 0.06 else None
            account = self.add(
                "account", f"a{n}", name=name, website=host, parent="a0" if n and self.seldom() else None,
                known_at=self.instant(0, 90) if self.seldom() else None, customer_since=customer_since,
            )  # fmt: skip
            referrals = [self.referral(f"r{n}{k}", name, host) for k in range(self.one([1, 1, 1, 2, 2, 3]))]
            if self.seldom():
                self.add("activity", f"y{n}", account=f"a{n}", at=self.instant(-60, 40), kind="meeting",
                         two_way=self.often())  # fmt: skip
            if self.seldom():
                self.add("opportunity", f"w{n}", account=f"a{n}", stage="talk", created_at=self.instant(-60, 40),
                         closed_at=self.one([None, self.instant(41, 90)]), outcome="lost")  # fmt: skip
            self.deals(n, referrals)
            self.people_decide(n, referrals)
            if self.program == "next-technik":
                self.support(n)
            if self._chance.random() < 0.05:
                self.withdraw(account, 301, 330)
        if self.program == "code-ninety" and self.seldom():
            self.add("shared_lead", "s0", program=self.program, offered_at=self.instant(-10, 5), source="web",
                     company=COMPANIES[0][0], offers=["p1", "p2"], taken_by="p1",
                     taken_at=self.instant(6, 8))  # fmt: skip

    def referral(self, identity: str, name: str, host: str) -> str:
        details = dict(self.habits.details)
        complete = self.often() or not details
        if not complete:
            details.pop(next(iter(details)))
        at = self.instant(0, 30)
        row = self.add(
            "referral", identity, program=self.program, partner=self.one(self.partners), submitted_at=at,
            known_at=self.instant(31, 160) if self.seldom() else None,
            channel=self.one(["portal"] * 9 + ["email"]), company=self.one([name, name, name.upper() + " PTY LTD"]),
            website=self.one([host, host, f"https://www.{host}/x", None if self.program != "next-technik" else host]),
            contact={"name": "Sam Rowan", "title": "Buyer", "email": "sam@example.com", "phone": "+61 2 5550 0000"},
            details=details or None,
        )  # fmt: skip
        if not complete and self.often():
            self.again(row, 161, 180, details=self.habits.details)
        elif self._chance.random() < 0.06:
            self.withdraw(row, 181, 330)
        low, high = (125, 160) if self.habits.reviewed_after_signature else (31, 45)
        if self.often() or self.often():
            result = self.one(["approved"] * 14 + ["rejected", "returned"])
            review = self.add(
                "review", f"v{identity}a", referral=identity, at=self.instant(low, high), outcome=result, by="Morgan",
                override=True if self.seldom() else None, reason="as agreed",
                checks=self.one([None] * 14 + [{"CN-48": False}, {"OP-20": True}]),
            )  # fmt: skip
            if self._chance.random() < 0.06:
                self.withdraw(review, 181, 330)
        if self.seldom():
            self.add("review", f"v{identity}b", referral=identity, at=self.instant(low, high + 60),
                     outcome=self.one(["approved", "approved", "returned", "rejected"]), by="Morgan",
                     reason="on second thoughts")  # fmt: skip
        if self.program == "one-network" and self.often():
            self.add("introduction", f"u{identity}", referral=identity, at=self.instant(10, 60), name="Kim Vale",
                     decision_maker=self.often(), relation="employee")  # fmt: skip
        if self._chance.random() < 0.06:
            self.add("fraud_finding", f"f{identity}", referral=identity, found_on=self.day(100, 300), by="Morgan",
                     reason="made up")  # fmt: skip
        return identity

    # ---- deals and money

    def deals(self, n: int, referrals: list[str]) -> None:
        opportunity = None
        if self.often():
            named = self.one([None, referrals[0], referrals[0]])
            opportunity = f"o{n}"
            self.add("opportunity", opportunity, account=f"a{n}", stage="proposal", created_at=self.instant(46, 48),
                     amount=self.money(), currency=self.habits.currency, closed_at=self.instant(49, 90),
                     outcome=self.one(["won", "won", "won", "lost"]), referral=named)  # fmt: skip
        for c in range(self.one([1, 1, 2])):
            self.contract(n, c, self.one([None, opportunity]), self.one([None, None, referrals[0], referrals[-1]]))

    def contract(self, n: int, c: int, opportunity: str | None, referral: str | None) -> None:
        identity, signed = f"c{n}{c}", self.apart(self.number(46, 75))
        currency = self.one([self.habits.currency] * 5 + [self.habits.other_currency])
        kind, value = self.one(self.habits.contract_kinds), self.number(1, self.habits.cents * 2)
        lines = None
        if self.seldom():
            lines = [{"kind": kind, "amount": _text(value)}, {"kind": "services", "amount": self.money()}]
            if self.often():
                lines[0] |= {"from": "2026-04-01", "to": "2027-09-30"}
        row = self.add(
            "contract", identity, account=f"a{n}", opportunity=opportunity, referral=referral, lines=lines, kind=kind,
            plan=self.one(["starter", "starter", "pro"]) if kind == "plan" else None,
            signed_on=_day(signed), starts_on=self.one([None, _day(signed + 10)]),
            ends_on=self.one([None, None, _day(signed + 180)]), value=_text(value) if self.often() else None,
            currency=currency, billing=self.one(["monthly", "quarterly", "annual", "milestone", None]),
            commenced_on=self.one([None, *[_day(signed + self.number(0, 20))] * 4]),
            completed_on=self.one([None, _day(signed + self.number(60, 120))]),
            cancelled_on=_day(signed + self.number(10, 200)) if self.seldom() else None,
            renews=f"c{n}0" if c and self.seldom() else None,
            known_at=self.instant(120, 260) if self.seldom() else None,
            support_contact=self.one([None, {"name": "Sam Rowan"}]),
        )  # fmt: skip
        if self.seldom():
            self.again(row, 261, 330, value=self.money(), lines=None)
        elif self._chance.random() < 0.05:
            self.withdraw(row, 261, 330)
            if self.often():
                self.again(row, 331, 360)
        for i in range(self.number(0, 3)):
            self.invoice(f"i{n}{c}{i}", f"a{n}", self.one([identity, identity, None]), currency, signed)

    def invoice(self, name: str, account: str, contract: str | None, currency: str, signed: int) -> None:
        lines = [{"kind": self.one(self.habits.line_kinds[:2]), "amount": self.money()}]
        if self.one([False, False, True]):
            lines.append({"kind": self.one(self.habits.line_kinds), "amount": self.money()})
        net = sum(_cents(line["amount"]) for line in lines)
        if self.seldom():
            off = self.number(1, max(1, net // 2))
            lines.append({"kind": "discount", "amount": f"-{_text(off)}"})
            net -= off
        tax = self.one([0, 0, net // 10])
        issued = self.apart(signed + self.number(0, 120))
        service = self.seldom() or self.program in ("one-network", "optimetriks")
        row = self.add(
            "invoice", name, account=account, contract=contract, issued_on=_day(issued), currency=currency, lines=lines,
            tax=_text(tax) if tax else None, service_from=_day(issued) if service else None,
            service_to=_day(issued + self.one([29, 89, 364])) if service else None,
            voided_on=_day(issued + self.number(20, 150)) if self._chance.random() < 0.07 else None,
            known_at=self.instant(issued + 1, issued + 90) if self.seldom() else None,
        )  # fmt: skip
        if self._chance.random() < 0.06:
            self.again(row, 301, 340, lines=[{**lines[0], "amount": self.money()}])
        self.payments(name, currency, net + tax, issued)
        if self.seldom():
            credit = self.number(1, net) if self.often() else net
            detailed = [{"kind": lines[0]["kind"], "amount": _text(credit)}] if self.seldom() else None
            self.add("credit_note", f"{name}k", invoice=name, issued_on=_day(issued + self.number(5, 200)),
                     amount=_text(credit), tax=self.one([None, _text(credit // 10)]), currency=currency,
                     lines=detailed)  # fmt: skip
        if self.seldom():
            self.add("refund", f"{name}r", invoice=name, paid_on=_day(issued + self.number(5, 200)),
                     amount=_text(self.number(1, max(1, net))), currency=currency)  # fmt: skip

    def payments(self, name: str, currency: str, gross: int, issued: int) -> None:
        half = max(1, gross // 2)
        parts = self.one(
            [[gross], [gross], [gross], [half, max(1, gross - half)], [half], [gross * 2], [half, gross], []]
        )
        for number, cents in enumerate(parts):
            received, identity = self.apart(issued + self.number(0, 90)), f"{name}p{number}"
            row = self.add("payment", identity, invoice=name, received_on=_day(received), amount=_text(cents),
                           currency=currency,
                           known_at=self.instant(received + 1, received + 80) if self.seldom() else None)  # fmt: skip
            if self.seldom():
                back = cents if self.often() else self.number(1, cents)
                self.add("payment", f"{identity}b", invoice=name, received_on=_day(self.apart(received + self.number(0, 60))),
                         amount=_text(back), currency=currency, reverses=identity)  # fmt: skip
            elif self._chance.random() < 0.06:
                self.withdraw(row, 301, 340)

    # ---- what people decide

    def people_decide(self, n: int, referrals: list[str]) -> None:
        rates = [rate for rate in self.habits.rates if rate is not None]
        contracts = sorted(
            {row["id"] for row in self.records if row["type"] == "contract" and row.get("account") == f"a{n}"}
        )
        for d in range(self.one([0, 0, 1, 2])):
            about = self.one([f"a{n}", *referrals, *contracts])
            choice = self.one(["set"] * 4 + ["award", "award", "reject", "reallocate", "no_action"])
            about = about if choice in ("set", "reject", "no_action") else f"a{n}"
            self.add("decision", f"d{n}{d}", about=about, at=self.instant(40, 330), choice=choice, **MANUAL,
                     rate=self.one(rates) if choice == "set" else None,
                     partner=self.one(self.partners) if choice in ("award", "reallocate") else None)  # fmt: skip
        if self.program == "technology-consultant":
            for number, contract in enumerate(contracts):
                self.add("decision", f"b{n}{number}", about=contract, at=self.instant(80, 330), choice="set", **MANUAL,
                         amount=self.one(["1500.00", "5000.00", "7000.00"]), currency="USD")  # fmt: skip

    def support(self, n: int) -> None:
        for k in range(self.one([0, 0, 2, 7])):
            self.add(
                "case", f"k{n}{k}", account=f"a{n}", opened_at=self.instant(100, 300), raised_by="customer", level=1
            )
        if self.seldom():
            self.add("concern", f"q{n}", account=f"a{n}", partner="p1", raised_at=self.instant(120, 200),
                     mediation=self.one(["failed", "resolved"]), closed_at=self.instant(201, 300))  # fmt: skip

    # ---- what comes back about statements

    def answers(self) -> None:
        """Partner invoices, payouts and disputes about the statements and entries that the history leads to."""
        document = document_of(self.program, self.records)
        for n, statement in enumerate(document["statements"]):
            net = Decimal(statement["payable"]) - Decimal(statement["withheld"])
            if not net or not self.one([True, True, False]):
                continue
            sent = (date.fromisoformat(statement["period_to"]) - START).days + self.number(-5, 40)
            wrong = self.seldom()
            self.add("partner_invoice", f"g{n}", partner=statement["partner"], statement=statement["id"],
                     received_on=_day(sent), amount="12.34" if wrong else statement["payable"],
                     currency=statement["currency"])  # fmt: skip
            parts = [net] if self.often() or net <= 1 else [net - 1, Decimal(1)]
            for k, part in enumerate(parts):
                self.add("payout", f"h{n}{k}", statement=statement["id"], paid_on=_day(sent + self.number(0, 30)),
                         amount=format(part, "f"), currency=statement["currency"])  # fmt: skip
        subjects = [row["id"] for row in document["statements"]] + [row["key"] for row in document["entries"]]
        for n in range(self.one([0, 1, 2]) if subjects else 0):
            subject = self.one(subjects)
            owner = next(row["partner"] for row in [*document["statements"], *document["entries"]]
                         if subject in (row.get("id"), row.get("key")))  # fmt: skip
            decided = self.number(160, 300)
            self.add("dispute", f"l{n}", partner=owner, subject=subject, raised_on=self.day(90, 260), reason="too little",
                     outcome=self.one(["upheld", "adjusted", "rejected"]), adjustment=self.one([None, "10.00", "-3.00"]),
                     decided_on=self.one([None, _day(decided)]), appealed_on=self.one([None, _day(decided + 5)]),
                     final_outcome="upheld", final_on=self.one([None, _day(decided + 15)]))  # fmt: skip


def _day(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def _cents(amount: str) -> int:
    return int(Decimal(amount) * 100)


def _text(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


@cache
def history_of(program: str, seed: int, *, distinct: bool = False) -> tuple[Row, ...]:
    """The history that a seed gives."""
    history = History(program, seed, distinct=distinct)
    history.people()
    history.prospects()
    history.answers()
    return tuple(history.records)


def histories(program: str, *, distinct: bool = False) -> st.SearchStrategy[tuple[Row, ...]]:
    """Histories of one program."""
    return st.integers(0, 2**32).map(lambda seed: history_of(program, seed, distinct=distinct))


def settings_of(program: str) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    """One setting of the program changed, or none, which is as likely as all others together."""
    changed = [tuple(each.items()) for each in HABITS[program].settings]
    return st.one_of(st.just(()), st.sampled_from(changed))


def settled_of(program: str, records: Any, as_of: date = END, setting: tuple[tuple[str, str], ...] = ()) -> Settled:
    """The records settled; they must all be good."""
    facts, rejected = read_facts([orjson.dumps(row) for row in records], file="history")
    assert not rejected, rejected[0]
    return settle_program(program_of(program, setting), facts, as_of)


def document_of(program: str, records: Any, as_of: date = END, setting: tuple[tuple[str, str], ...] = ()) -> Document:
    """The outcome of the records."""
    return outcome([settled_of(program, records, as_of, setting)], as_of)


def balances_of(document: Document) -> dict[tuple[str, str], Decimal]:
    """What each partner has been given in each currency; nothing for who has nothing."""
    totals: dict[tuple[str, str], Decimal] = {}
    for entry in document["entries"]:
        account = (entry["partner"], entry["currency"])
        totals[account] = totals.get(account, Decimal(0)) + Decimal(entry["amount"])
    return {account: total for account, total in totals.items() if total}
