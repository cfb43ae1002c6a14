"""What a portal shows beside figures: partners' profiles, the form of a lead, and what the program offers in words.

Nothing here decides anything: profiles are records, form and content stand in the program file.
Source: CN-42, CN-52, CN-61, CN-63, CN-75, CN-81, CN-82, CN-84, OP-10, OP-A11.
"""

from __future__ import annotations

from collections.abc import Iterator

from jobs.report.picture import Picture, Row
from jobs.report.tables import Asked, Table

PROFILES = Table(
    "profiles",
    ("program", "partner", "name", "kind", "country", "currency", "email", "phone", "website", "role", "starts_on",
     "ends_on", "standing", "agreement_signed_on", "manager", "trained_staff", "certifications", "payment_method"),
    ("program", "partner", "starts_on", "role"),
)  # fmt: skip
FORM = Table(
    "form",
    ("program", "position", "label", "fields", "required", "check", "values", "clauses"),
    ("program", "position"),
)
CONTENT = Table(
    "content",
    ("program", "position", "topic", "label", "text", "state", "roles", "announced_on", "clauses"),
    ("program", "position"),
)


def portal(picture: Picture, asked: Asked) -> dict[str, list[Row]]:
    """Profiles (all, or one partner's), and the form and content of the terms in force."""
    profiles = list(_profiles(picture, asked.partner))
    roles = {row["role"] for row in profiles} if asked.partner is not None else None
    return {"profiles": profiles, "form": list(_form(picture)), "content": list(_content(picture, roles))}


def _profiles(picture: Picture, partner: str | None) -> Iterator[Row]:
    """One row an enrollment; how a partner is paid is not among the records (CN-28)."""
    certified: dict[str, list[str]] = {}
    for each in picture.facts("certification").values():
        certified.setdefault(each.partner, []).append(each.name)
    for enrollment in picture.facts("enrollment").values():
        record = picture.last_known("partner", enrollment.partner)
        if record is None or partner not in (None, enrollment.partner):
            continue
        dates = {
            name: day.isoformat() if (day := getattr(enrollment, name)) else None
            for name in ("starts_on", "ends_on", "agreement_signed_on")
        }
        yield {
            "program": picture.program.id,
            "partner": record.id,
            **{name: getattr(record, name) for name in PROFILES.columns[2:9]},
            **{name: getattr(enrollment, name) for name in ("role", "standing", "manager", "trained_staff")},
            **dates,
            "certifications": sorted(certified.get(record.id, ())),
            "payment_method": None,
        }


def _form(picture: Picture) -> Iterator[Row]:
    """What a lead must say, then what it may say."""
    claims, program = picture.terms.claims, picture.program.id
    fields = [(each.label, each.any_of, True, each.check, each.values, each.clauses) for each in claims.required]
    fields += [(each.label, (each.field,), False, "given", each.values, each.clauses) for each in claims.optional]
    for position, (label, names, required, check, values, clauses) in enumerate(fields, 1):
        yield {
            "program": program,
            "position": position,
            "label": label,
            "fields": list(names),
            "required": required,
            "check": check,
            "values": list(values),
            "clauses": list(clauses),
        }


def _content(picture: Picture, roles: set[str | None] | None) -> Iterator[Row]:
    """The content for everybody, or for a partner's roles, up to today."""
    for position, each in enumerate(picture.terms.content, 1):
        if roles is not None and each.roles and not roles & set(each.roles):
            continue
        if each.announced_on is not None and each.announced_on > picture.as_of:
            continue
        yield {
            "program": picture.program.id,
            "position": position,
            "topic": each.topic,
            "label": each.label,
            "text": each.text.strip(),
            "state": each.state,
            "roles": list(each.roles),
            "announced_on": each.announced_on.isoformat() if each.announced_on else None,
            "clauses": list(each.clauses),
        }
