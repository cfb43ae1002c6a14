"""Writing a program: the guide, the schema for editors, the check and the comparison (TC-27)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from typer.main import get_command
from typer.testing import CliRunner

from jobs.cli import app
from jobs.programs import check_file
from rules.program import SHIPPED, Program, examine_program, parse_program
from rules.program_check import check_program
from rules.program_diff import diff_programs
from rules.program_schema import FIELDS, SHARED, program_schema

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "programs.md").read_text("utf-8")
PROGRAM, SCENARIO, *VARIANTS = re.findall(r"^```yaml\n(.*?)^```", GUIDE, re.M | re.S)
TEXTS = {name: (files("rules") / "programs" / f"{name}.yaml").read_text("utf-8") for name in SHIPPED}


def tree(text: str) -> Any:
    """Plain values; dates and amounts as they stand in the file."""
    yaml = YAML(typ="safe")
    body = yaml.load(re.sub(r"(?<=effective_from: )(\S+)", r'"\1"', text))
    return json.loads(json.dumps(body))


def test_the_guide_builds_a_program_that_passes_its_check_and_its_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "programs" / "scenarios" / "harbour-tools"
    folder.mkdir(parents=True)
    (tmp_path / "programs" / "harbour-tools.yaml").write_text(PROGRAM, "utf-8")
    (folder / "first_claim.yaml").write_text(SCENARIO, "utf-8")
    checked = CliRunner().invoke(app, ["program", "check", "programs/harbour-tools.yaml"])
    assert (checked.exit_code, checked.stdout) == (0, "programs/harbour-tools.yaml: no errors, no warnings\n")
    tested = CliRunner().invoke(app, ["test", "programs/scenarios/harbour-tools"])
    assert tested.exit_code == 0, tested.stdout


@pytest.mark.parametrize("number", range(len(VARIANTS)))
def test_each_variant_of_the_guide_makes_a_program_without_a_finding(number: int) -> None:
    body = tree(PROGRAM)
    (version,) = body["versions"]
    variant = tree(VARIANTS[number])
    for key, setting in variant.pop("settings", {}).items():
        version["settings"].pop(key, None)
        if setting is not None:
            version["settings"][key] = setting
    version |= variant
    program = examine_program(body, "guide.yaml")
    assert isinstance(program, Program), program
    assert check_program(program) == []


def test_the_guide_names_only_commands_that_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in re.findall(r"^referee (.*)$", GUIDE, re.M):
        name, *rest = line.split()
        assert name in commands, line
        if hasattr(commands[name], "commands"):
            assert rest[0] in commands[name].commands, line
        else:
            options = {option for parameter in commands[name].params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", line)) <= options, line


def test_every_field_of_the_schema_says_what_it_is() -> None:
    schema = program_schema()
    models = {"Program": schema, **schema["$defs"]}
    silent = [
        f"{name}.{field}"
        for name, model in models.items()
        for field, body in model.get("properties", {}).items()
        if not (body.get("description") or models.get(str(body.get("$ref")).rpartition("/")[2], {}).get("description"))
    ]
    assert silent == []
    known = {f"{name}.{field}" for name, model in models.items() for field in model.get("properties", {})}
    assert set(FIELDS) <= known
    assert set(SHARED) <= {name.rpartition(".")[2] for name in known}


@pytest.mark.parametrize("name", SHIPPED)
def test_editors_accept_every_shipped_program_and_show_what_is_wrong(name: str) -> None:
    schema = program_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    body = tree(TEXTS[name])
    assert list(validator.iter_errors(body)) == []
    body["versions"][0]["settings"]["cadense"] = {"value": "monthly", "clauses": ["G-1"]}
    assert list(validator.iter_errors(body))


def test_shipped_programs_have_no_findings_but_bands_that_the_text_leaves_open() -> None:
    found = {name: {(one["level"], one["found"]) for one in check_file(name)} for name in SHIPPED}
    bands = {("warning", "source bands, and no bands")}
    assert {name: rows for name, rows in found.items() if rows} == {
        "code-ninety": bands,
        "technology-consultant": bands,
    }


def changed(name: str, *changes: tuple[str, str]) -> str:
    text = TEXTS[name]
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after, 1)
    return text


def edited(name: str, *changes: tuple[str, str]) -> Callable[[], str]:
    return partial(changed, name, *changes)


TC_TIERS = """\
    tiers:
      levels:
        - {tier: bronze, from_count: 1}
        - {tier: silver, from_count: 3}
        - {tier: gold, from_count: 6}
      counts: successful
      kept_by_year: false
      clauses: [TC-15, TC-A5]

"""
TC_RATE = "          sources: [decision, enrollment, bands]\n"
BANDS = '          bands: [{{from_value: "{}", rate: "{}"}}, {{from_value: "{}", rate: "{}"}}]\n'
FINDINGS: dict[str, tuple[Callable[[], str], str, str]] = {
    "role_that_no_one_has": (edited("optimetriks", ("roles: [referral], clauses: [OP-18]", "roles: [referrals], clauses: [OP-18]")), "error: versions.0.claims.conditions.0.roles", "did you mean referral?"),
    "role_in_a_window": (edited("optimetriks", ("length: P3M, roles: [referral]", "length: P3M, roles: [agent]")), "claims.windows.0.roles", "role agent"),
    "role_in_support": (edited("next-technik", ("roles: [professional_services]", "roles: [professional]")), "support.roles", "professional_services"),
    "rate_of_a_role_that_no_one_has": (edited("optimetriks", ('affiliate: "0.20"', 'affiliates: "0.20"')), "rate.by_role", "affiliates"),
    "clauses_of_a_role_that_no_one_has": (edited("optimetriks", ("affiliate: [OP-9]", "affiliates: [OP-9]")), "rate.role_clauses", "affiliates"),
    "a_role_without_a_rate": (edited("optimetriks", ('{referral: "0.05", affiliate: "0.20"}', '{referral: "0.05"}')), "warning: versions.0.commission.0.rate.by_role", "no rate for affiliate"),
    "tier_without_a_rate": (edited("code-ninety", ('from_count: 16, rate: "0.20",', "from_count: 16,")), "rate.sources", "no rate for gold"),
    "rate_from_tiers_that_are_not_there": (edited("optimetriks", ("sources: [decision, enrollment, role]", "sources: [decision, tier, role]")), "rate.sources", "source tier, and no tiers"),
    "tier_that_pays_less": (edited("code-ninety", ('rate: "0.20"', 'rate: "0.10"')), "tiers.levels.2.rate", "less than the 0.18 of silver"),
    "tiers_from_one": (edited("code-ninety", ("from_count: 0,", "from_count: 1,")), "rate.sources", "first tier from 1"),
    "uplift_without_tiers": (edited("technology-consultant", (TC_TIERS, "")), "uplift_tiers", "an uplift without tiers"),
    "retention_of_too_few_tiers": (edited("code-ninety", ("value: 6/16/30", "value: 6/16")), "settings.retention", "3 numbers"),
    "phone_of_a_tier_that_is_not_there": (edited("technology-consultant", ("      top_n:", "      phone_min_tier: {value: platinum, clauses: [TC-18]}\n      top_n:")), "settings.phone_min_tier", "no tier of this program"),
    "band_that_is_never_asked": (edited("technology-consultant", (TC_RATE, '          sources: [decision, fixed, bands]\n          fixed: "0.05"\n' + BANDS.format(0, "0.03", 10, "0.08"))), "rate.sources", "bands after fixed"),
    "bands_from_above_zero": (edited("technology-consultant", (TC_RATE, TC_RATE + BANDS.format(1000, "0.03", 5000, "0.08"))), "bands.0.from_value", "no rate below it"),
    "bands_of_one_rate": (edited("technology-consultant", (TC_RATE, TC_RATE + BANDS.format(0, "0.03", 5000, "0.03"))), "warning: versions.0.commission.0.rate.bands.1", "the rate 0.03 of the band below"),
    "band_outside_the_limits": (edited("technology-consultant", (TC_RATE, TC_RATE + BANDS.format(0, "0.02", 5000, "0.08"))), "bands.0.rate", "outside rate_hard_limits"),
    "bands_that_nobody_asks": (edited("optimetriks", ("          by_role:", BANDS.format(0, "0.03", 10, "0.08") + "          by_role:")), "rate.bands", "bands without the source bands"),
    "fixed_without_a_rate": (edited("one-network", ('fixed: "0.10", clauses: [ON-1]', "clauses: [ON-1]")), "rate.sources", "source fixed, and no fixed"),
    "limits_without_the_setting": (edited("technology-consultant", ("      rate_hard_limits: {value: 3..8, clauses: [TC-A2]}\n", "")), "rate.limits", "setting rate_hard_limits"),
    "limits_without_a_clause": (edited("technology-consultant", ("          limit_clauses: [TC-12, TC-A2]\n", "")), "commission.0.rate", "limits without limit_clauses"),
    "bonus_upside_down": (edited("technology-consultant", ('lowest: "1000"', 'lowest: "6000"')), "commission.2.lowest", "above the highest"),
    "bonus_in_another_currency": (edited("technology-consultant", ("        currency: USD", "        currency: EUR")), "commission.2.currency", "the program's USD"),
    "two_terms_that_both_pay": (edited("code-ninety", ("        when: {release: collected}\n", "")), "commission.1", "both pay"),
    "a_release_that_pays_nothing": (edited("code-ninety", ("allowed: [invoiced, collected]", "allowed: [invoiced, collected, completed]")), "", "no errors"),
    "a_setting_under_which_nothing_earns": (edited("one-network", ("allowed: [full_on_first_receipt, as_collected]", "allowed: [full_on_first_receipt, as_collected, completed]")), "settings.release.allowed", "no commission term is in force"),
    "a_term_that_is_never_in_force": (edited("one-network", ("when: {release: as_collected}", "when: {release: completed}")), "commission.1.when", "never in force"),
    "an_allowed_value_that_cannot_be": (edited("one-network", ("allowed: [received_at, approved_at]", "allowed: [received_at, earliest]")), "settings.rank_by.allowed", "'earliest'"),
    "setting_that_no_term_reads": (edited("optimetriks", ("      due_days:", "      case_count: {value: combined, clauses: [OP-21]}\n      due_days:")), "warning: versions.0.settings.case_count", "no term reads"),
    "two_windows_that_contradict": (edited("technology-consultant", ("        - {anchor: submission, length: P60D, clauses: [TC-22]}", "        - {anchor: submission, length: P60D, clauses: [TC-22]}\n        - {anchor: submission, length: P1Y, clauses: [TC-22]}")), "claims.windows.1", "the shorter one always ends first"),
    "window_of_no_length": (edited("technology-consultant", ("length: P60D", "length: P0D")), "claims.windows.0", "no length"),
    "window_of_a_setting_that_is_not_there": (edited("code-ninety", ("setting: claim_expiry", "setting: claim_expirey")), "claims.windows.0.setting", "did you mean claim_expiry?"),
    "window_of_a_setting_that_is_no_length": (edited("code-ninety", ("setting: claim_expiry", "setting: payout")), "claims.windows.0.setting", "no length"),
    "window_from_what_comes_later": (edited("one-network", ("value: approved_at, allowed: [approved_at, submitted_at]", "value: closed_on")), "claims.windows.0.anchor", "after the signature only"),
    "window_from_an_approval_that_comes_later": (edited("next-technik", ("{anchor: submission, setting: claim_expiry", "{anchor: approval, setting: claim_expiry")), "claims.windows.0.anchor", "comes after the signature"),
    "lookback_that_is_not_there": (edited("code-ninety", ("lookback: engaged_lookback,", "lookback: engaged_look_back,")), "conditions.0.lookback", "did you mean engaged_lookback?"),
    "clause_that_the_policy_has_not": (edited("next-technik", ("clauses: [NT-15, NT-18]", "clauses: [NT-15, NT-28]")), "statements.clauses", "clause NT-28"),
    "minimum_without_a_clause": (edited("code-ninety", ("      minimum_clauses: [CN-27]\n", "")), "statements", "minimum without minimum_clauses"),
    "partner_invoice_without_a_clause": (edited("next-technik", ("      invoice_clauses: [NT-16]\n", "")), "statements", "without invoice_clauses"),
    "retained_without_a_clause": (edited("code-ninety", ("        retained_clauses: [CN-17, CN-A13]\n", "")), "commission.0", "retained without retained_clauses"),
    "kept_without_a_clause": (edited("code-ninety", ("      keep_clauses: [CN-9, CN-10, CN-11]\n", "")), "tiers", "kept_by_year without keep_clauses"),
    "true_up_without_a_clause": (edited("one-network", ("        true_up_clauses: [ON-A3, ON-A6]\n", "")), "commission.0", "true_up_clauses"),
    "again_without_a_clause": (edited("one-network", ("      again_clauses: [ON-22]\n", "")), "claims", "registers_again without again_clauses"),
    "no_line_that_counts": (edited("one-network", ("        included_lines: [saas]\n", "")), "included_lines", "nothing would earn"),
    "two_days_for_one_statement": (edited("next-technik", ("      due_business_day: 10\n", "      due_business_day: 10\n      due_days: 3\n")), "statements.due_days", "one of them"),
    "no_day_for_the_statement": (edited("next-technik", ("      due_business_day: 10\n", "")), "statements", "no day for sending it"),
    "one_of_nothing": (edited("technology-consultant", ("          values: [software_development, it_infrastructure, cybersecurity, other]\n", "")), "claims.required.1.values", "for one_of"),
    "values_of_a_text": (edited("technology-consultant", ("          check: one_of\n", "          check: text\n")), "claims.required.1.values", "use `check: one_of`"),
    "a_week_of_weekends": (edited("next-technik", ("weekend: [saturday, sunday],", "country: XX,")), "business_calendar.country", "'XX'"),
    "a_role_twice": (edited("optimetriks", ("roles: [referral, affiliate]", "roles: [referral, affiliate, affiliate]")), "roles", "a role twice"),
    "again_without_a_review": (edited("next-technik", ("      activation: submission\n", "      activation: submission\n      registers_again: true\n      again_clauses: [NT-7]\n")), "warning: versions.0.claims.registers_again", "activation: review"),
    "entitlement_of_a_tier_without_tiers": (edited("next-technik", ("      - kind: portal_login\n", "      - kind: portal_login\n        from_tier: gold\n")), "entitlements.0.from_tier", "and no tiers"),
    "an_entitlement_twice": (edited("one-network", ("kind: sales_training,", "kind: registry_update,")), "entitlements.2.kind", "registry_update a second time"),
    "content_for_an_unknown_role": (edited("optimetriks", ("label: Support for affiliates, roles: [affiliate]", "label: Support for affiliates, roles: [affiliates]")), "content.5.roles", "did you mean affiliate?"),
    "tickets_of_an_unknown_role": (edited("optimetriks", ("tickets: {roles: [affiliate]", "tickets: {roles: [affiliates]")), "tickets.roles", "did you mean affiliate?"),
    "recognition_without_tiers": (edited("technology-consultant", (TC_TIERS, "")), "recognition", "counts of the tiers, and no tiers"),
}  # fmt: skip


@pytest.mark.parametrize("name", FINDINGS)
def test_a_program_that_pays_wrongly_is_told_with_its_line_and_what_to_do(name: str, tmp_path: Path) -> None:
    text, place, told = FINDINGS[name]
    path = tmp_path / "mine.yaml"
    path.write_text(text(), "utf-8")
    done = CliRunner().invoke(app, ["program", "check", str(path)])
    lines = [line for line in done.stdout.splitlines() if place in line and told in line]
    assert lines, done.stdout
    if place:
        assert re.match(rf"{re.escape(str(path))}:\d+: (error|warning): .*: found .*; allowed: .*; .+", lines[0])
    assert done.exit_code == (": error: " in done.stdout)


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_claim_fails_are_clauses_and_not_how_they_are_read(name: str) -> None:
    """A refusal names what was not met (G-8); an ambiguity is only named where no clause says anything."""
    for version in tree(TEXTS[name])["versions"]:
        claims = version["claims"]
        for term in (*claims.get("required", ()), *claims.get("conditions", ()), *claims.get("money_conditions", ())):
            kinds = {re.sub(r"\d", "", clause) for clause in term["clauses"]}
            assert len(kinds) == 1, term


def test_versions_that_leave_a_gap_or_overlap_are_found() -> None:
    head, _, version = TEXTS["next-technik"].partition("  - effective_from: 2023-07-20\n")
    for ends, told in (("2025-12-30", "no terms between"), ("2026-01-01", "both hold"), ("2025-12-31", "")):
        first = f"  - effective_from: 2023-07-20\n    effective_to: {ends}\n{version}"
        program = parse_program(f"{head}{first}  - effective_from: 2026-01-01\n{version}", "x.yaml")
        found = [one.found for one in check_program(program)]
        assert bool(found) == bool(told)
        assert all(told in each for each in found)


def test_everything_that_keeps_a_program_from_loading_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        changed("next-technik", ("case_limit: 5", "case_limit: 0"), ("currency: AUD", "currency: AUS")), "utf-8"
    )
    done = CliRunner().invoke(app, ["program", "check", str(path), "--json"])
    assert done.exit_code == 1
    found = {(one["line"], one["where"]) for one in json.loads(done.stdout)}
    assert (6, "currency") in found
    assert {where for _, where in found} == {"currency", "versions.0.support.case_limit"}


def test_a_difference_is_told_in_words_with_its_meaning() -> None:
    before = parse_program(TEXTS["code-ninety"], "a.yaml")
    text = changed(
        "code-ninety", ("from_count: 30", "from_count: 31"), ("value: P6M, clauses: [CN-A28]", "value: P1Y, clauses: [CN-A28]"),
        ("clawback: {within_days: 90, clauses: [CN-39, CN-40, CN-A14]}\n", ""),
    )  # fmt: skip
    told = [str(each) for each in diff_programs(before, parse_program(text, "b.yaml"))]
    assert told == [
        "settings.claim_expiry: P6M → P1Y (How long a claim lasts when no contract is signed)",
        "clawback: taken out: within_days 90, clauses CN-39, CN-40, CN-A14 (what a contract gives back that is cancelled soon)",
        "tiers.levels[platinum].from_count: 30 → 31 (number of referrals from which a partner has it)",
    ]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_program_does_not_differ_from_itself_and_differs_both_ways_from_another(name: str) -> None:
    program = parse_program(TEXTS[name], "a.yaml")
    assert diff_programs(program, deepcopy(program)) == []
    other = parse_program(TEXTS["next-technik" if name != "next-technik" else "optimetriks"], "b.yaml")
    there, back = diff_programs(program, other), diff_programs(other, program)
    assert {(one.where, one.before, one.after) for one in there} == {(one.where, one.after, one.before) for one in back}


def test_the_command_prints_a_line_for_each_difference() -> None:
    done = CliRunner().invoke(app, ["program", "diff", "one-network", "optimetriks"])
    assert done.exit_code == 0 and "currency: USD → EUR\n" in done.stdout
    rows = json.loads(CliRunner().invoke(app, ["program", "diff", "one-network", "optimetriks", "--json"]).stdout)
    assert done.stdout.endswith(f"{len(rows)} differences\n")
