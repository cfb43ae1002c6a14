"""Conditions that a program of one's own may set, and that no shipped one needs."""

from __future__ import annotations

from datetime import date
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from jobs.scenarios import FOLDER, load_scenario, prepared
from jobs.settle import outcome, settle
from rules.program import Program, parse_program

SIGNED_ON_22_DAYS = FOLDER / "one-network" / "on_v3_paid.yaml"


@cache
def changed(name: str, *changes: tuple[str, str]) -> Program:
    text = (files("rules") / "programs" / f"{name}.yaml").read_text("utf-8")
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    return parse_program(text, "own.yaml")


def settled(program: Program, day: str, *more: dict[str, Any], path: Path = SIGNED_ON_22_DAYS) -> dict[str, Any]:
    """Registered on 10 March 2025, signed on 1 April, paid on 10 April."""
    scenario = load_scenario(path)
    scenario = scenario.model_copy(update={"records": [*scenario.records, *more]})
    case, as_of = prepared(scenario), date.fromisoformat(day)
    assert not case.rejected
    return outcome(settle([program], case.facts, as_of), as_of)


@pytest.mark.parametrize(("length", "earns"), [("P22D", True), ("P23D", False), ("P1M", False)])
def test_a_deal_won_too_soon_after_its_submission_earns_nothing(length: str, earns: bool) -> None:
    """E31: how old a deal must be is the program's own condition."""
    age = f"      money_conditions:\n        - {{kind: minimum_age, length: {length}, clauses: [ON-2]}}\n"
    found = settled(changed("one-network", ("      money_conditions:\n", age)), "2025-05-31")
    [claim] = found["claims"]
    assert claim["state"] == "won"
    assert len(found["entries"]) == earns
    assert claim["failed"] == ([] if earns else ["ON-2"])
    assert earns or "too soon after the submission" in claim["because"]


@pytest.mark.parametrize(
    ("kind", "more", "state"),
    [
        ("services", {}, "won"),
        ("saas", {}, "rejected"),
        ("saas", {"ends_on": "2025-03-09"}, "won"),
        ("saas", {"ends_on": "2025-03-10"}, "rejected"),
        ("saas", {"cancelled_on": "2025-02-01"}, "won"),
        ("services", {"lines": [{"kind": "saas", "amount": "10.00"}]}, "rejected"),
    ],
)
def test_a_customer_of_another_product_is_no_customer_where_the_program_says_of_which(
    kind: str, more: dict[str, Any], state: str
) -> None:
    """E56: the test for an existing relationship can be one for each family of products."""
    program = changed(
        "one-network",
        ("customers: true, clauses: [ON-14]", "customers: true, customer_kinds: [saas], clauses: [ON-14]"),
    )
    old = {"type": "contract", "id": "c0", "account": "a1", "kind": kind, "signed_on": "2024-06-01", "currency": "USD"}
    since = {"type": "account", "id": "a1", "known_at": "2025-01-01T00:00:00-06:00", "name": "Tamarind Foods Inc",
             "website": "https://www.tamarindfoods.com", "customer_since": "2024-06-01"}  # fmt: skip
    [claim] = settled(program, "2025-05-31", {**old, **more}, since)["claims"]
    assert claim["state"] == state
    assert state == "won" or "contract c0" in claim["because"]


@pytest.mark.parametrize(("above", "lowest", "highest"), [("100000", "1000", "5000"), ("2000", "50000", "90000")])
def test_what_a_partner_is_told_of_a_bonus_is_what_it_was_computed_from(above: str, lowest: str, highest: str) -> None:
    """E39: threshold and amounts in the text are the program's own, each in its place, whatever they are changed to."""
    program = changed(
        "technology-consultant", ('above: "100000"', f'above: "{above}"'), ('lowest: "1000"', f'lowest: "{lowest}"'),
        ('highest: "5000"', f'highest: "{highest}"'),
    )  # fmt: skip
    billed = {"type": "invoice", "id": "i9", "account": "a1", "contract": "c1", "issued_on": "2026-02-15", "currency": "USD",
              "lines": [{"kind": "project", "amount": "180000.00"}]}  # fmt: skip
    paid = FOLDER / "technology-consultant" / "tc_v2_five_percent.yaml"
    told = next(t for t in settled(program, "2026-04-30", billed, path=paid)["tasks"] if t["kind"] == "bonus_amount")
    assert f"above {above}.00 USD; a person chooses the bonus, {lowest}.00 to {highest}.00 USD" in told["because"]
    chosen = {"type": "decision", "id": "d9", "about": "c1", "at": "2026-02-20T12:00:00-05:00", "by": "Ines", "choice": "set",
              "reason": "large", "amount": f"{highest}.00", "currency": "USD"}  # fmt: skip
    found = settled(program, "2026-04-30", billed, chosen, path=paid)["entries"]
    [bonus] = [entry for entry in found if entry["kind"] == "bonus"]
    assert bonus["amount"] == f"{highest}.00" and f"above {above}.00 USD; set by Ines" in bonus["because"]
