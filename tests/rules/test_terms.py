"""Program files and settings: what is refused is told with file, line, key, found and allowed."""

from datetime import date
from importlib.resources import files
from pathlib import Path

import pytest

from rules.errors import ProgramError
from rules.program import SHIPPED, load_program, parse_program
from rules.settings import CATALOGUE

TEXT = (files("rules") / "programs" / "next-technik.yaml").read_text("utf-8")
DEFAULTS = {
    "terms_pin_at": "claim_approval", "rounding": "half_even", "window_end": "inclusive", "claim_order": "received_at",
    "tie_window_ms": "0", "net_excludes": "tax,credit,refund,discount,shipping", "first_party_includes": "partners,direct_sales",
    "channels": "portal,web_form", "invoice_match": "exact", "invoice_tolerance": "0",
    "conflict_policy": "first_submitter_proposed_discretion_allowed", "hold_on_conflict": "false",
    "statement_basis": "collected_in_month", "cadence": "inherit_customer", "release": "proportional_to_collected",
    "late_partner_invoice": "next_run", "partner_invoice_expiry_days": "none", "case_count": "combined",
    "commission_on_reallocation": "continue_to_referrer", "login_scope": "company", "match_keys": "domain,normalised_name",
    "parent_subsidiary": "separate_with_warning", "claim_expiry": "none", "stale_days": "180",
}  # fmt: skip


def test_the_shipped_settings_are_those_that_the_clauses_propose() -> None:
    terms = load_program("next-technik").versions[0]
    assert {key: term.value for key, term in terms.settings.items()} == DEFAULTS
    assert all(term.clauses for term in terms.settings.values())
    assert set(DEFAULTS) <= set(CATALOGUE)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_program_loads_by_name(name: str) -> None:
    assert load_program(name).id == name


def test_a_path_is_as_good_as_a_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT.replace("id: next-technik", "id: mine"), "utf-8")
    assert load_program(str(path)).label_on(date(2026, 1, 1)) == "mine@2023-07-20"


def test_versions_follow_one_another() -> None:
    head, _, version = TEXT.partition("  - effective_from: 2023-07-20\n")
    program = parse_program(
        f"{head}  - effective_from: 2023-07-20\n{version}  - effective_from: 2026-07-01\n{version}", "two.yaml"
    )
    assert program.label_on(date(2020, 1, 1)) == "next-technik@2023-07-20"
    assert program.label_on(date(2026, 6, 30)) == "next-technik@2023-07-20"
    assert program.label_on(date(2026, 7, 1)) == "next-technik@2026-07-01"
    with pytest.raises(ProgramError, match="later than the one before"):
        parse_program(
            f"{head}  - effective_from: 2023-07-20\n{version}  - effective_from: 2023-07-20\n{version}", "two.yaml"
        )


BAD_PROGRAMS = {
    "not_yaml": (TEXT + "\n  - [", "not YAML", ""),
    "a_list": ("- 1", "x.yaml", ""),
    "a_number": ("7", "x.yaml", ""),
    "empty": ("", "x.yaml", ""),
    "no_versions": (TEXT.partition("versions:")[0], "versions: found nothing", "field required"),
    "versions_empty": (TEXT.partition("versions:")[0] + "versions: []", "versions", "at least 1 item"),
    "no_id": (TEXT.replace("id: next-technik\n", "", 1), "id: found nothing", "field required"),
    "id_with_spaces": (TEXT.replace("id: next-technik\n", "id: Next Technik\n", 1), "x.yaml:3: id: found 'Next Technik'", "small letters"),
    "unknown_key": (TEXT.replace("name: Next", "colour: red\nname: Next", 1), "x.yaml:4: colour: found 'red'", "schema program"),
    "unknown_currency": (TEXT.replace("currency: AUD", "currency: AUS", 1), "x.yaml:6: currency: found 'AUS'", "'AUD'"),
    "currency_a_boolean": (TEXT.replace("currency: AUD", "currency: true", 1), "currency: found True", ""),
    "date_impossible": (TEXT.replace("2023-07-20\n    settings", "2023-02-30\n    settings", 1), "effective_from", ""),
    "setting_without_clause": (TEXT.replace("{value: half_even, clauses: [G-3]}", "{value: half_even}"), "rounding.clauses: found nothing", ""),
    "setting_a_number": (TEXT.replace('{value: "180"', "{value: 180"), "stale_days.value: found 180", "valid string"),
    "setting_unknown": (TEXT.replace("      cadence:", "      cadense:"), "setting cadense", "cadence"),
    "setting_value_unknown": (TEXT.replace("value: half_even", "value: bankers"), "x.yaml:12: version 2023-07-20: setting rounding: found 'bankers'", "half_even"),
    "setting_missing": (TEXT.replace("      rounding: {value: half_even, clauses: [G-3]}\n", ""), "setting rounding: found nothing", "half_even"),
    "clause_malformed": (TEXT.replace("[G-3]", "[three]", 1), "rounding.clauses", "NT-14"),
    "no_clauses": (TEXT.replace("[G-3]", "[]", 1), "rounding.clauses", "at least 1 item"),
    "check_unknown": (TEXT.replace("check: website", "check: url"), "check: found 'url'", "'website'"),
    "activation_unknown": (TEXT.replace("activation: submission", "activation: magic"), "activation: found 'magic'", "'submission'"),
    "commission_kind_unknown": (TEXT.replace("kind: share_of_collections", "kind: gift"), "kind: found 'gift'", "'share_of_collections'"),
    "excluded_line_unknown": (TEXT.replace("[hardware]", "[toys]"), "excluded_lines", "'hardware'"),
    "due_day_zero": (TEXT.replace("due_business_day: 10", "due_business_day: 0"), "due_business_day: found 0", "greater than or equal to 1"),
    "minimum_a_float": (TEXT.replace('minimum: "0"', "minimum: 0.5"), "minimum: found 0.5", ""),
    "weekday_unknown": (TEXT.replace("[saturday, sunday]", "[saturday, caturday]"), "weekend", "'sunday'"),
    "time_zone_unknown": (TEXT.replace("Australia/Sydney", "Mars/Crater"), "x.yaml:5: time_zone: found 'Mars/Crater'", "IANA name"),
    "window_unknown": (TEXT.replace("case_window: P6M", "case_window: 6 months"), "case_window: found '6 months'", "P6M"),
    "case_limit_zero": (TEXT.replace("case_limit: 5", "case_limit: 0"), "case_limit: found 0", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_PROGRAMS)
def test_a_program_file_that_cannot_be_used_is_told_with_its_place(name: str) -> None:
    text, found, allowed = BAD_PROGRAMS[name]
    assert text != TEXT
    with pytest.raises(ProgramError) as told:
        parse_program(text, "x.yaml")
    assert str(told.value).startswith("x.yaml")
    assert found in str(told.value)
    assert allowed in str(told.value)


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("rounding", "bankers", "half_even"), ("rounding", "", "half_even"), ("rounding", "HALF_EVEN", "half_even"),
        ("claim_expiry", "6 months", "P12M"), ("claim_expiry", "P", "P12M"), ("stale_days", "0", "whole number from 1"),
        ("stale_days", "-5", "whole number from 1"), ("stale_days", "1.5", "whole number from 1"), ("stale_days", "100001", "from 1 to 100000"), ("tie_window_ms", "none", "whole number from 0"),
        ("invoice_tolerance", "-1", "an amount"), ("invoice_tolerance", "NaN", "an amount"), ("invoice_tolerance", "free", "an amount"),
        ("hold_on_conflict", "yes", "true, false"), ("hold_on_conflict", "True", "true, false"), ("channels", "portal,fax", "web_form"),
        ("channels", "portal,portal", "web_form"), ("net_excludes", "everything", "tax"), ("match_keys", "name", "normalised_name"),
        ("cadence", "weekly", "inherit_customer"), ("release", "never", "invoice_fully_paid"), ("case_count", "both", "combined"),
        ("conflict_policy", "loudest", "strict_first"), ("partner_invoice_expiry_days", "0", "none, or a whole number"),
        ("statement_basis", "paid", "collected_in_month"), ("terms_pin_at", "never", "claim_approval"),
        ("cadense", "monthly", "did you mean cadence?"), ("platinum_min", "30", "not a setting of this program"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_is_told_with_what_is_allowed(key: str, value: str, told: str) -> None:
    with pytest.raises(ProgramError) as error:
        load_program("next-technik", {key: value})
    assert key in str(error.value)
    assert told in str(error.value)


def test_a_program_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="next-technik, .*or the path|next-technik, or the path"):
        load_program(str(tmp_path / "nowhere.yaml"))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProgramError, match="UTF-8"):
        load_program(str(binary))
