"""Makes a company ready for business in an empty database: books, a tax, products, and the integration user.

Everything goes through the server's own API, as an administrator would do it in a client.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.http import Http
from connectors.tryton.config import TrytonConfig
from connectors.tryton.errors import decide, decide_login
from connectors.tryton.rpc import Rpc, authenticator
from connectors.tryton.server.process import ADMIN_PASSWORD

USER, PASSWORD = "referee", "referee-of-tests"
GROUPS = ("Sales", "Sale Opportunity", "Accounting", "Commission", "Commission Administration", "Party Administration")
"""What the integration user needs; none of them is an administrator's."""
CURRENCY = "AUD"
TAX = Decimal("0.10")


def logged_in(url: str, database: str, user: str, password: str) -> Rpc:
    """A person's own login."""
    settings = {"url": url, "database": database, "user": user, "password": password, "allow_loopback": True}
    config = TrytonConfig.model_validate(settings)
    login = Http(url, system="tryton", decide=decide_login, allow_loopback=True)
    return Rpc(
        config, Http(url, system="tryton", decide=decide, auth=authenticator(config, login), allow_loopback=True)
    )


def administrator(url: str, database: str) -> Rpc:
    """The administrator of a database that we made."""
    return logged_in(url, database, "admin", ADMIN_PASSWORD)


@dataclass(frozen=True, slots=True)
class Setup:
    """Does the steps, one after the other, as the administrator ``rpc``."""

    rpc: Rpc

    def currency(self) -> int:
        """The company's currency."""
        values = {
            "name": "Australian Dollar",
            "code": CURRENCY,
            "symbol": "$",
            "digits": 2,
            "rounding": Decimal("0.01"),
        }
        return self.new(
            "currency.currency", rates=[["create", [{"date": date(2000, 1, 1), "rate": Decimal(1)}]]], **values
        )

    def company(self, name: str, currency: int) -> int:
        """A company, which the administrator works in from now on (after the next login)."""
        party = self.new("party.party", name=name, addresses=[["create", [{"street": "1 Harbour Street"}]]])
        company = self.new("company.company", party=party, currency=currency)
        me = self.rpc.call("res.user", "search", [["login", "=", "admin"]], 0, 1, None)
        self.rpc.call("res.user", "write", me, {"companies": [["add", [company]]], "company": company})
        return company

    def books(self, company: int, years: range) -> dict[str, int]:
        """A chart of accounts and open fiscal years."""
        [template] = self.find("account.account.template", ["parent", "=", None])
        wizard = "wizard.account.create_chart"
        session, _, _ = self.rpc.ask(f"{wizard}.create", idempotent=False)
        account = {"company": company, "account_template": template}
        self.rpc.ask(f"{wizard}.execute", session, {"account": account}, "create_account", idempotent=False)
        of = {kind: self.account(kind) for kind in ("receivable", "payable", "revenue", "expense")}
        properties = {
            "company": company, "account_receivable": of["receivable"], "account_payable": of["payable"],
            "category_account_revenue": of["revenue"], "category_account_expense": of["expense"],
        }  # fmt: skip
        self.rpc.ask(f"{wizard}.execute", session, {"properties": properties}, "create_properties", idempotent=False)
        self.rpc.ask(f"{wizard}.delete", session, idempotent=False)
        for code, name in (("1.1.1", "cash"), ("6.3.6", "tax")):
            [of[name]] = self.find("account.account", ["code", "=", code])
        for year in years:
            self._fiscal_year(company, year)
        return of

    def _fiscal_year(self, company: int, year: int) -> None:
        moves, invoices = (
            self.new("ir.sequence.strict", name=f"{name} {year}", company=company,
                     sequence_type=self.find("ir.sequence.type", ["name", "=", name])[0])
            for name in ("Account Move", "Invoice")
        )  # fmt: skip
        kinds = ("out_invoice", "in_invoice", "out_credit_note", "in_credit_note")
        sequences = {"company": company, **{f"{kind}_sequence": invoices for kind in kinds}}
        made = self.new(
            "account.fiscalyear", name=str(year), company=company, start_date=date(year, 1, 1),
            end_date=date(year, 12, 31), move_sequence=moves, invoice_sequences=[["create", [sequences]]],
        )  # fmt: skip
        self.rpc.call("account.fiscalyear", "create_period", [made])

    def tax(self, accounts: dict[str, int]) -> int:
        """One tax for everything sold."""
        return self.new(
            "account.tax", name="GST", description="GST", type="percentage", rate=TAX, invoice_account=accounts["tax"],
            credit_note_account=accounts["tax"],
        )  # fmt: skip

    def products(self, accounts: dict[str, int], tax: int) -> None:
        """What is sold, a product of type goods among it, and the product that commissions are booked on."""
        category = self.new(
            "product.category", name="Revenue", accounting=True, account_revenue=accounts["revenue"],
            account_expense=accounts["expense"], customer_taxes=[["add", [tax]]],
        )  # fmt: skip
        [unit] = self.find("product.uom", ["name", "=", "Unit"])
        for code, name, kind in (("PLAN", "Annual plan", "service"), ("DEVICE", "Handheld", "goods"), ("COMMISSION", "Commission", "service")):  # fmt: skip
            self.new(
                "product.template", name=name, code=code, type=kind, default_uom=unit, sale_uom=unit,
                salable=code != "COMMISSION", list_price=Decimal(0), account_category=category,
                products=[["create", [{}]]],
            )  # fmt: skip

    def money(self, company: int, accounts: dict[str, int]) -> None:
        """How customers pay."""
        self.new("account.invoice.payment_term", name="Direct", lines=[["create", [{"type": "remainder"}]]])
        [journal] = self.find("account.journal", ["type", "=", "cash"])
        self.new(
            "account.invoice.payment.method", name="Bank transfer", company=company, journal=journal,
            credit_account=accounts["cash"], debit_account=accounts["cash"],
        )  # fmt: skip

    def employee(self, company: int, name: str) -> None:
        """Somebody who sells."""
        self.new("company.employee", company=company, party=self.new("party.party", name=name))

    def integration_user(self, company: int) -> None:
        """The user that Referee logs in as, with the groups of README.md."""
        groups = [group for name in GROUPS for group in self.find("res.group", ["name", "=", name])]
        self.new(
            "res.user", name="Referee", login=USER, password=PASSWORD, groups=[["add", groups]],
            companies=[["add", [company]]], company=company,
        )  # fmt: skip

    def account(self, kind: str) -> int:
        """The first account of a kind that can be booked on; what is owed needs one that names the party."""
        personal = [["party_required", "=", True]] if kind in ("receivable", "payable") else []
        return self.find("account.account", [f"type.{kind}", "=", True], ["closed", "!=", True], *personal)[0]

    def new(self, model: str, **values: Any) -> int:
        """A new record's id."""
        [made] = self.rpc.call(model, "create", [values], idempotent=False)
        return int(made)

    def find(self, model: str, *conditions: list[Any]) -> list[int]:
        """Ids of the records that meet the conditions, oldest first."""
        return list(self.rpc.call(model, "search", [*conditions], 0, 100, [["id", "ASC"]]))


def set_up(url: str, database: str, *, name: str, years: range) -> None:
    """Make the company, from an empty database to an integration user that may log in."""
    first = Setup(administrator(url, database))
    company = first.company(name, first.currency())
    steps = Setup(administrator(url, database))
    accounts = steps.books(company, years)
    steps.products(accounts, steps.tax(accounts))
    steps.money(company, accounts)
    steps.employee(company, "Priya Raman")
    steps.integration_user(company)
