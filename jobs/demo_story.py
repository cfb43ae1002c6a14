"""The story of the demo: what people do in the CRM and the ERP, day by day, in two months of 2026 (invented)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from connectors.universe import Company, companies

PROGRAM = "next-technik"
START = datetime(2026, 1, 5, 22, 0, tzinfo=UTC)
"""Tuesday 6 January, 9 in the morning in Sydney."""
DAYS = 62


@dataclass(slots=True)
class World:
    """The simulated systems, the clock that both share, and the names of what the story made."""

    crm: Any
    erp: Any
    moment: datetime = START
    ids: dict[str, str] = field(default_factory=dict)
    told: list[tuple[date, str]] = field(default_factory=list)

    def now(self) -> datetime:
        """The clock of both systems and of every job."""
        return self.moment

    @property
    def today(self) -> date:
        """The day in Sydney, near enough for a story that happens in the morning."""
        return (self.moment + timedelta(hours=11)).date()

    def tell(self, text: str) -> None:
        """Note what somebody did."""
        self.told.append((self.today, text))

    # ---- what people do

    def partner(
        self, name: str, company: str, rate: str | None, role: str = "referral", certified: bool = False
    ) -> None:
        """A partner joins: an account in the CRM with its enrollment, and a vendor in the ERP."""
        domain = company.lower().replace(" ", "") + ".com.au"
        account = self.crm.insert(
            "Account",
            {"Name": company, "IsPartner": True, "Type": "Partner", "Partner_Currency__c": "AUD", "CurrencyIsoCode": "AUD",
             "Website": f"https://{domain}", "BillingCountryCode": "AU", "Phone": "+61 2 5550 01" + f"{len(self.ids):02d}"},
        )  # fmt: skip
        enrolled = {
            "Partner__c": account, "Program__c": PROGRAM, "Role__c": role, "Standing__c": "good",
            "Starts_On__c": date(2025, 7, 1), "Certified__c": certified,
        }  # fmt: skip
        if rate is not None:
            enrolled["Rate__c"] = rate
        self.ids[f"enrollment of {name}"] = self.crm.insert("Program_Enrollment__c", enrolled)
        self.ids[name] = account
        self.ids[f"vendor {name}"] = self.erp.insert("partner", {"companyname": company, "externalid": account})

    def customer(self, name: str, company: str, website: str | None) -> None:
        """An account of the CRM and its twin in the ERP."""
        account = self.crm.insert(
            "Account",
            {"Name": company, "Website": website, "BillingCountryCode": "AU", "CurrencyIsoCode": "AUD",
             "Billing_Contact_Email__c": f"accounts@{(website or 'https://unknown.example').split('//')[1]}"},
        )  # fmt: skip
        self.ids[name] = account
        self.ids[f"customer {name}"] = self.erp.insert(
            "customer", {"companyname": company, "entityid": company, "externalid": account, "url": website}
        )

    def refer(
        self, name: str, partner: str, company: str, website: str, *, received: datetime | None = None,
        channel: str = "portal", technicians: int | None = 40, industry: str | None = "facilities",
    ) -> None:  # fmt: skip
        """A partner registers a lead."""
        fields = {
            "FirstName": "Alex", "LastName": "Morgan", "Company": company, "Website": website, "CountryCode": "AU",
            "LeadSource": "Partner Referral", "Referral_Partner__c": self.ids[partner], "Referral_Program__c": PROGRAM,
            "Referral_Channel__c": channel, "Referral_Submitted_At__c": received or self.moment,
        }  # fmt: skip
        if technicians is not None:
            fields["Field_Technicians__c"] = technicians
        if industry is not None:
            fields["Referral_Industry__c"] = industry
        self.ids[name] = self.crm.insert("Lead", fields)

    def sign(
        self, name: str, customer: str, lead: str, *, billing: str = "monthly", contact: tuple[str, str] | None = None
    ) -> None:
        """The customer signs."""
        fields = {
            "AccountId": self.ids[customer], "Referral__c": self.ids[lead], "Contract_Kind__c": "saas", "CurrencyIsoCode": "AUD",
            "Signed_On__c": self.today, "StartDate": self.today, "ContractTerm": 12, "Billing_Cadence__c": billing,
            "Status": "Activated", "Contract_Value__c": 60000,
        }  # fmt: skip
        if contact is not None:
            fields |= {"Support_Contact_Name__c": contact[0], "Support_Contact_Email__c": contact[1]}
        self.ids[name] = self.crm.insert("Contract", fields)

    def review(self, lead: str, outcome: str = "approved", reason: str | None = None) -> None:
        """The vendor's channel manager reviews a won referral."""
        self.crm.insert(
            "Referral_Review__c",
            {"Referral__c": self.ids[lead], "Reviewed_At__c": self.moment, "Outcome__c": outcome,
             "Reviewed_By__c": "Priya, channel manager", "Reason__c": reason},
        )  # fmt: skip

    def decide(self, about: str, choice: str, reason: str, **more: Any) -> None:
        """A person decides what the policy leaves open."""
        self.crm.insert(
            "Referral_Decision__c",
            {"About__c": about, "Decided_At__c": self.moment, "Decided_By__c": "Priya, channel manager",
             "Choice__c": choice, "Reason__c": reason, **more},
        )  # fmt: skip

    def invoice(self, name: str, customer: str, contract: str, lines: list[tuple[str, str]], tax: str) -> None:
        """The ERP bills the customer."""
        currency = next(row["id"] for row in self.erp.rows("currency") if row["symbol"] == "AUD")
        self.ids[name] = self.erp.invoice(
            self.ids[f"customer {customer}"], lines, self.today, tax=tax, currency=currency,
            custbody_contract_id=self.ids[contract],
        )  # fmt: skip

    def pay(self, invoice: str, amount: str) -> None:
        """Money arrives."""
        self.erp.pay(self.ids[invoice], amount, self.today)

    def case(self, customer: str, subject: str, raised_by: str = "customer", level: str = "1") -> None:
        """A support case is opened."""
        self.crm.insert(
            "Case",
            {"AccountId": self.ids[customer], "Subject": subject, "Origin": "Email", "Support_Level__c": level,
             "Raised_By__c": raised_by},
        )  # fmt: skip


Act = tuple[int, Callable[[World], None]]


def story() -> list[Act]:
    """What happens, by day of the story (0 = 6 January)."""
    return [
        (0, _partners_join),
        (0, _northline_registers),
        (1, _brightfield_claims_it_too),
        (1, _everyday_referrals),
        (3, _offline_form_becomes_known),
        (5, _award),
        (6, _northline_customer_signs),
        (8, _second_contract),
        (8, _quarterly_customer),
        (9, _approvals),
        (13, _first_invoices),
        (20, _partial_payment),
        (24, _full_payment),
        (31, _rest_of_payment),
        (33, _partner_invoice),
        (36, _rate_agreed),
        (40, _credit_note),
        (42, _cases),
        (48, _payout),
        (55, _certify),
    ]


def _partners_join(world: World) -> None:
    world.partner("Northline", "Northline Advisory", "0.10", "professional_services", certified=True)
    world.partner("Brightfield", "Brightfield Digital", "0.08")
    world.partner("Cobalt", "Cobalt Systems", "0.12")
    world.partner("Dunmore", "Dunmore Consulting", None)
    world.customer("Harbour", "Harbour Lift Services Pty Ltd", "https://harbourlift.com.au")
    world.customer("Tasman", "Tasman Crane Hire Pty Ltd", "https://tasmancranes.com.au")
    world.customer("Eastgate", "Eastgate Cooling Pty Ltd", "https://eastgatecooling.com.au")
    world.tell(
        "Four partners are enrolled: Northline (10%), Brightfield (8%), Cobalt (12%) and Dunmore (no rate agreed yet)."
    )


def _northline_registers(world: World) -> None:
    world.refer("lead Harbour by Northline", "Northline", "Harbour Lift Services", "www.harbourlift.com.au")
    world.tell("Northline registers Harbour Lift Services in the portal.")


def _brightfield_claims_it_too(world: World) -> None:
    world.refer(
        "lead Harbour by Brightfield", "Brightfield", "HARBOUR LIFT SERVICES PTY. LTD.", "https://harbourlift.com.au/contact",
        channel="web_form",
    )  # fmt: skip
    world.tell("Brightfield claims the same company a day later, under another spelling, through the website.")


def _everyday_referrals(world: World) -> None:
    """Thirty more, as they come: two by e-mail, two incomplete."""
    partners = ("Northline", "Brightfield", "Cobalt")
    for number, company in enumerate(companies(7, 30)):
        channel = "email" if number in (11, 23) else ("portal", "web_form")[number % 2]
        technicians = None if number == 5 else company.employees % 80 + 5
        _refer_company(world, number, company, partners[number % 3], channel, technicians)
    world.refer("lead Tasman by Cobalt", "Cobalt", "Tasman Crane Hire", "tasmancranes.com.au", industry="construction")
    world.refer("lead Eastgate by Dunmore", "Dunmore", "Eastgate Cooling", "eastgatecooling.com.au", industry="energy")
    world.tell("Thirty-two more referrals come in; two by e-mail and two with something missing.")


def _refer_company(
    world: World, number: int, company: Company, partner: str, channel: str, technicians: int | None
) -> None:
    industry = None if number == 17 else company.industry
    world.refer(
        f"lead {number}", partner, company.name, company.website, channel=channel, technicians=technicians, industry=industry
    )  # fmt: skip


def _offline_form_becomes_known(world: World) -> None:
    world.refer(
        "lead Tasman by Brightfield", "Brightfield", "Tasman Cranes", "https://www.tasmancranes.com.au",
        received=START + timedelta(hours=3), industry="construction",
    )  # fmt: skip
    world.tell(
        "A form that Brightfield handed in on 6 January is keyed in only now: it is earlier than Cobalt's claim to Tasman."
    )


def _award(world: World) -> None:
    world.decide(
        world.ids["Tasman"], "award", "the stamped form was received first", Partner__c=world.ids["Brightfield"]
    )
    world.decide(
        world.ids["Harbour"],
        "award",
        "first to submit, introduced the operations director",
        Partner__c=world.ids["Northline"],
    )
    world.tell(
        "The channel manager decides both conflicts: Harbour to Northline, Tasman to Brightfield, each with a reason."
    )


def _northline_customer_signs(world: World) -> None:
    world.sign(
        "contract Harbour",
        "Harbour",
        "lead Harbour by Northline",
        contact=("Mia Tran", "mia.tran@northlineadvisory.com.au"),
    )
    world.tell("Harbour signs. Northline's Mia Tran is named as support contact.")


def _second_contract(world: World) -> None:
    world.sign("contract Tasman", "Tasman", "lead Tasman by Brightfield")
    world.tell("Tasman signs.")


def _quarterly_customer(world: World) -> None:
    world.sign("contract Eastgate", "Eastgate", "lead Eastgate by Dunmore", billing="quarterly")
    world.tell("Eastgate signs, billed quarterly. Its referrer Dunmore has no rate.")


def _approvals(world: World) -> None:
    for lead in ("lead Harbour by Northline", "lead Tasman by Brightfield", "lead Eastgate by Dunmore"):
        world.review(lead)
    world.tell("The three won referrals are reviewed and approved.")


def _first_invoices(world: World) -> None:
    world.invoice(
        "invoice Harbour 1", "Harbour", "contract Harbour", [("saas", "5000.00"), ("hardware", "1200.00")], "620.00"
    )
    world.invoice(
        "invoice Tasman 1", "Tasman", "contract Tasman", [("saas", "3200.00"), ("discount", "-200.00")], "300.00"
    )
    world.invoice("invoice Eastgate 1", "Eastgate", "contract Eastgate", [("saas", "9000.00")], "900.00")
    world.tell("The ERP sends the first invoices.")


def _partial_payment(world: World) -> None:
    world.pay("invoice Harbour 1", "3410.00")
    world.tell("Harbour pays half of its invoice.")


def _full_payment(world: World) -> None:
    world.pay("invoice Tasman 1", "3300.00")
    world.pay("invoice Eastgate 1", "9900.00")
    world.tell("Tasman and Eastgate pay in full.")


def _rest_of_payment(world: World) -> None:
    world.pay("invoice Harbour 1", "3410.00")
    world.tell("Harbour pays the rest, in February.")


def _partner_invoice(world: World) -> None:
    statement = f"{PROGRAM}:{world.ids['Northline']}:2026-01-01:AUD"
    currency = next(row["id"] for row in world.erp.rows("currency") if row["symbol"] == "AUD")
    world.ids["bill Northline"] = world.erp.bill(
        world.ids["vendor Northline"], statement, [("services", "250.00")], world.today, currency=currency
    )
    world.tell("Northline invoices exactly the amount of its January statement.")


def _rate_agreed(world: World) -> None:
    world.crm.update("Program_Enrollment__c", world.ids["enrollment of Dunmore"], {"Rate__c": "0.09"})
    world.tell("Dunmore's rate is agreed: 9%.")


def _credit_note(world: World) -> None:
    world.erp.credit(world.ids["invoice Tasman 1"], [("saas", "600.00")], world.today, tax="60.00")
    world.tell("Tasman gets a credit note of 600.00, after the January statement was cut.")


def _cases(world: World) -> None:
    for subject in ("Login", "Export", "Printer", "Roster", "Map"):
        world.case("Harbour", f"{subject} does not work")
    world.case("Harbour", "How do we add a user?", raised_by="partner")
    world.case("Harbour", "Database migration", level="2")
    world.tell("Harbour and Northline open six first-level cases, and one of level two.")


def _payout(world: World) -> None:
    world.erp.pay_bill(world.ids["bill Northline"], "250.00", world.today)
    world.tell("Finance pays Northline's invoice.")


def _certify(world: World) -> None:
    world.decide(world.ids["Harbour"], "certify", "repeat the certification", Until__c=date(2026, 4, 30))
    world.tell("The review of Harbour's support ends: Northline repeats the certification by 30 April.")
