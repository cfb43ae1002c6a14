"""What people do in Tryton: the vendor's sales and accounting staff, through the same API as their client."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.errors import RecordRejected
from connectors.tryton.rpc import Rpc
from connectors.tryton.server.company import CURRENCY, Setup

Lines = Sequence[tuple[str, str]]
"""Product code and price of each line."""


class Office:
    """People at work, with an administrator's rights."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self._hands = Setup(rpc)
        self._known: dict[str, int] = {}

    def party(self, code: str, name: str, website: str | None = None) -> int:
        """A company that the vendor knows."""
        contacts = [{"type": "website", "value": website}] if website else []
        return self._hands.new(
            "party.party", name=name, code=code, addresses=[["create", [{"street": f"{len(name)} Main Road"}]]],
            contact_mechanisms=[["create", contacts]] if contacts else [],
        )  # fmt: skip

    def plan(self, name: str, formula: str, method: str = "payment") -> int:
        """How commissions of some agents are computed by Tryton itself."""
        lines = [["create", [{"formula": formula}]]]
        return self._hands.new(
            "commission.plan",
            name=name,
            commission_method=method,
            commission_product=self.product("COMMISSION"),
            lines=lines,
        )

    def agent(self, party: int, plan: int | None) -> int:
        """A party that earns commissions."""
        currency = self._one("currency.currency", ["code", "=", CURRENCY])
        return self._hands.new("commission.agent", party=party, plan=plan, currency=currency)

    def lead(self, party: int, description: str, notes: Mapping[str, str]) -> int:
        """A lead; ``notes`` become the lines of its comment."""
        comment = "\n".join(f"{name}: {value}" for name, value in notes.items())
        return self._hands.new(
            "sale.opportunity", party=party, description=description, comment=comment, employee=self._one("company.employee", ["id", ">", 0]),
            payment_term=self._one("account.invoice.payment_term", ["name", "=", "Direct"]),
        )  # fmt: skip

    def qualify(self, lead: int, lines: Lines) -> None:
        """The lead becomes an opportunity, with what the customer may buy."""
        self.rpc.call("sale.opportunity", "opportunity", [lead], idempotent=False)
        unit = self._one("product.uom", ["name", "=", "Unit"])
        values = [{"product": self.product(code), "quantity": 1.0, "unit": unit} for code, _ in lines]
        self.rpc.call("sale.opportunity", "write", [lead], {"lines": [["create", values]]})

    def win(self, opportunity: int, day: date, lines: Lines) -> int:
        """The opportunity is converted, and its sale quoted, confirmed and processed; returns the sale."""
        self.rpc.call("sale.opportunity", "convert", [opportunity], idempotent=False)
        sale = self._one("sale.sale", ["origin", "=", f"sale.opportunity,{opportunity}"])
        [found] = self.rpc.call("sale.sale", "read", [sale], ["lines", "party.addresses"])
        address = found["party."]["addresses"][0]
        values = {
            "sale_date": day, "shipment_method": "manual", "invoice_method": "manual", "invoice_address": address,
            "shipment_address": address,
        }  # fmt: skip
        self.rpc.call("sale.sale", "write", [sale], values)
        for line, (_, price) in zip(found["lines"], lines, strict=True):
            tax = self._one("account.tax", ["name", "=", "GST"])
            self.rpc.call("sale.line", "write", [line], {"unit_price": Decimal(price), "taxes": [["add", [tax]]]})
        for button in ("quote", "confirm", "process"):
            self._press("sale.sale", button, sale)
        return sale

    def approve(self, sale: int, by: str, at: str, **notes: str) -> None:
        """The channel manager approves the commission, in the lines of the sale's comment."""
        [found] = self.rpc.call("sale.sale", "read", [sale], ["comment"])
        lines = {"review": "approved", "reviewed by": by, "reviewed at": at, **notes}
        text = "\n".join([found["comment"] or "", *(f"{name}: {value}" for name, value in lines.items())])
        self.rpc.call("sale.sale", "write", [sale], {"comment": text})

    def invoice(self, party: int, lines: Lines, day: date, *, sale: int | None = None, agent: int | None = None) -> int:
        """A posted invoice; its lines name the lines of the sale that they bill."""
        [found] = self.rpc.call("party.party", "read", [party], ["addresses"])
        origins: list[Any] = [None] * len(lines)
        if sale is not None:
            [sold] = self.rpc.call("sale.sale", "read", [sale], ["lines"])
            origins = [f"sale.line,{number}" for number in sold["lines"]]
        tax = self._one("account.tax", ["name", "=", "GST"])
        revenue = self._account("revenue")
        unit = self._one("product.uom", ["name", "=", "Unit"])
        made = [
            {"type": "line", "product": self.product(code), "unit": unit, "quantity": 1.0, "unit_price": Decimal(price),
             "account": revenue, "taxes": [["add", [tax]]], "origin": origin}
            for (code, price), origin in zip(lines, origins, strict=True)
        ]  # fmt: skip
        invoice = self._hands.new(
            "account.invoice", type="out", party=party, invoice_address=found["addresses"][0],
            account=self._account("receivable"), invoice_date=day, agent=agent, lines=[["create", made]],
            journal=self._one("account.journal", ["type", "=", "revenue"]),
            payment_term=self._one("account.invoice.payment_term", ["name", "=", "Direct"]),
        )  # fmt: skip
        self._press("account.invoice", "post", invoice)
        return invoice

    def pay(self, invoice: int, amount: str, day: date) -> None:
        """Money arrives, through the pay wizard."""
        wizard, context = "wizard.account.invoice.pay", _active("account.invoice", invoice)
        session, _, _ = self.rpc.ask(f"{wizard}.create", idempotent=False, context=context)
        view = self.rpc.ask(f"{wizard}.execute", session, {}, "start", idempotent=False, context=context)
        method = self._one("account.invoice.payment.method", ["name", "=", "Bank transfer"])
        start = {**_defaults(view), "amount": Decimal(amount), "payment_method": method, "date": day}
        step = self.rpc.ask(f"{wizard}.execute", session, {"start": start}, "choice", idempotent=False, context=context)
        if "view" in step:
            chosen = {**_defaults(step), "type": "partial"}
            self.rpc.ask(f"{wizard}.execute", session, {"ask": chosen}, "pay", idempotent=False, context=context)
        self.rpc.ask(f"{wizard}.delete", session, idempotent=False, context=context)

    def credit(self, invoice: int, lines: Lines, day: date) -> int:
        """A posted credit note over a part of an invoice: the wizard credits the whole of it, people lower the draft."""
        note = self._credited(invoice, day, refund=False)
        [found] = self.rpc.call("account.invoice", "read", [note], ["lines.product.code", "invoice_date"])
        wanted = dict(lines)
        for line in found["lines."]:
            price = wanted.get(line["product."]["code"])
            if price is None:
                self.rpc.call("account.invoice.line", "delete", [line["id"]], idempotent=False)
            else:
                self.rpc.call("account.invoice.line", "write", [line["id"]], {"unit_price": Decimal(price)})
        self.rpc.call("account.invoice", "write", [note], {"invoice_date": day})
        self._press("account.invoice", "post", note)
        return note

    def cancel(self, invoice: int, day: date) -> None:
        """A posted invoice is cancelled: the wizard credits the whole of it with a refund."""
        self._credited(invoice, day, refund=True)

    def _credited(self, invoice: int, day: date, *, refund: bool) -> int:
        wizard, context = "wizard.account.invoice.credit", _active("account.invoice", invoice)
        session, _, _ = self.rpc.ask(f"{wizard}.create", idempotent=False, context=context)
        start = {"with_refund": refund, "with_refund_allowed": True, "invoice_date": day, "with_agent": True}
        step = self.rpc.ask(f"{wizard}.execute", session, {"start": start}, "credit", idempotent=False, context=context)
        self.rpc.ask(f"{wizard}.delete", session, idempotent=False, context=context)
        [(_, data)] = [action for action in step["actions"] if "res_id" in action[1]]
        return int(data["res_id"][0])

    def invoice_commissions(self) -> None:
        """Finance makes draft invoices of the agents' commissions, with Tryton's own wizard."""
        wizard = "wizard.commission.create_invoice"
        session, _, _ = self.rpc.ask(f"{wizard}.create", idempotent=False)
        asked: dict[str, Any] = {"from_": None, "to": None, "type_": "out", "agents": []}
        self.rpc.ask(f"{wizard}.execute", session, {"ask": asked}, "create_", idempotent=False)
        self.rpc.ask(f"{wizard}.delete", session, idempotent=False)

    def merge(self, loser: int, winner: int) -> None:
        """Two parties were one: the wizard moves what names the first to the second, and puts the first away."""
        wizard, context = "wizard.party.replace", _active("party.party", loser)
        session, _, _ = self.rpc.ask(f"{wizard}.create", idempotent=False, context=context)
        asked = {"source": loser, "destination": winner}
        step = (f"{wizard}.execute", session, {"ask": asked}, "replace")
        self._confirmed(lambda: self.rpc.ask(*step, idempotent=False, context=context))
        self.rpc.ask(f"{wizard}.delete", session, idempotent=False, context=context)

    def product(self, code: str) -> int:
        """The product with this code."""
        return self._one("product.product", ["code", "=", code])

    def _press(self, model: str, button: str, record: int) -> None:
        """Press a button."""
        self._confirmed(lambda: self.rpc.call(model, button, [record], idempotent=False))

    def _confirmed(self, act: Callable[[], Any]) -> None:
        """Do something; a warning that Tryton shows is read and confirmed, as a person would."""
        for _ in range(5):
            try:
                act()
                return
            except RecordRejected as warning:
                named = str(warning).rpartition(" confirm ")[2]
                if warning.code != "USER_WARNING":
                    raise
                self._hands.new("res.user.warning", name=named, always=False, user=self._me())

    def _account(self, kind: str) -> int:
        if kind not in self._known:
            self._known[kind] = self._hands.account(kind)
        return self._known[kind]

    def _me(self) -> int:
        return self._one("res.user", ["login", "=", "admin"])

    def _one(self, model: str, *conditions: list[Any]) -> int:
        """The record that meets the conditions; looked up once, since none of these is replaced."""
        asked = f"{model} {conditions}"
        if asked not in self._known:
            self._known[asked] = self._hands.find(model, *conditions)[0]
        return self._known[asked]


def _active(model: str, record: int) -> dict[str, Any]:
    return {"active_model": model, "active_id": record, "active_ids": [record]}


def _defaults(step: Mapping[str, Any]) -> dict[str, Any]:
    """What a wizard's form is filled with, without the names of related records."""
    return {name: value for name, value in step["view"]["defaults"].items() if not name.endswith(".")}
