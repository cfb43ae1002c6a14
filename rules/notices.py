"""Notices: what a program tells whom, as texts with placeholders that are filled from what was settled (N clauses).

``rules/programs/notifications/shared.yaml`` holds the texts; a program's own file lists the kinds of notices that it
sends, each with its clauses and, where it says it in its own words, its own text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypeVar

import orjson
from pydantic import Field, ValidationError

from rules.errors import ProgramError
from rules.terms import Clauses, Term

T = TypeVar("T", bound=Term)
_PLACEHOLDER = re.compile(r"\{([a-z_]*)\}")

ALWAYS = ("program_name", "partner_name", "on")
FIELDS: Mapping[str, tuple[str, ...]] = {
    "application_accepted": ("applicant",),
    "application_received": ("applicant", "answer_by"),
    "application_refused": ("applicant",),
    "conflict_decided": ("company", "award", "reason"),
    "conflict_opened": ("company", "because"),
    "consultant_named": ("company", "consultant"),
    "deal_registered": (
        "company", "contract", "kind", "value", "currency", "rate", "rate_from", "calculation", "duration",
        "monthly_billing", "dispute_note",
    ),
    "dispute_decided": ("subject", "outcome", "adjustment", "appeal_note"),
    "dispute_final": ("subject", "outcome"),
    "lead_offered": ("company", "source", "services", "country", "answer_by"),
    "manager_assigned": ("manager",),
    "monthly_summary": ("month", "submitted", "qualified", "engaged", "proposal", "won", "lost", "earned"),
    "payout_made": ("statement", "amount", "currency"),
    "program_news": ("title", "text"),
    "project_assigned": ("company", "by"),
    "project_started": ("company", "contract"),
    "registration_requested": ("company", "referral", "received_at"),
    "review_approved": ("company", "note"),
    "review_refused": ("company", "outcome", "reason"),
    "statement_ready": ("statement", "period_from", "period_to", "entries", "payable", "currency", "pay_by", "carried_forward", "next_step"),
    "status_changed": ("company", "status", "previous", "because"),
    "support_review": ("account", "because"),
    "terms_changing": ("effective_from", "label"),
    "ticket_answered": ("subject",),
    "tier_lowered": ("tier", "previous", "rate_note"),
    "tier_promoted": ("tier", "previous", "rate_note"),
    "weekly_update": ("count", "leads"),
}  # fmt: skip
"""Every kind of notice, with the placeholders that its text may hold besides ``ALWAYS``."""


class Text(Term):
    """The words of a notice."""

    subject: str = Field(min_length=1)
    body: str = Field(min_length=1)


class Sent(Term):
    """A kind of notice that a program sends; without words of its own the shared ones."""

    clauses: Clauses
    subject: str | None = None
    body: str | None = None


class Notice(Term):
    """A kind of notice as one program sends it."""

    kind: str
    clauses: Clauses
    subject: str
    body: str

    def rendered(self, fields: Mapping[str, str]) -> tuple[str, str]:
        """Subject and body with every placeholder filled. Raises: ``KeyError`` for a field that was not given."""
        subject, body = (_PLACEHOLDER.sub(lambda m: fields[m[1]], text) for text in (self.subject, self.body))
        return " ".join(subject.split()), body.strip() + "\n"


@cache
def notices_of(program: str) -> Mapping[str, Notice]:
    """The notices of a shipped program by kind; a program without a file of notices sends none.

    Raises: ``ProgramError`` naming file, kind, what was found and what is allowed.
    """
    folder = files("rules") / "programs" / "notifications"
    own = folder / f"{program}.yaml"
    if not own.is_file():
        return {}
    shared = folder / "shared.yaml"
    return parse_notices(own.read_text("utf-8"), shared.read_text("utf-8"), own.name)


def translated(notices: Mapping[str, Notice], texts: str, file: str) -> Mapping[str, Notice]:
    """The same notices in the words of a file, a subject and a body a kind; kinds that it leaves out keep theirs.

    Raises: ``ProgramError`` naming file, kind, what was found and what is allowed.
    """
    found = dict(notices)
    for kind, body in _tree(texts, file).items():
        if kind not in FIELDS:
            raise ProgramError(f"{file}: found {kind!r}; allowed: {', '.join(FIELDS)}")
        text = _read(Text, body, file, kind)
        _require_known(file, kind, text.subject + text.body)
        if kind in notices:
            found[kind] = notices[kind].model_copy(update={"subject": text.subject, "body": text.body})
    return found


def parse_notices(own: str, shared: str, file: str) -> Mapping[str, Notice]:
    """Read a program's notices and the shared texts. Raises: ``ProgramError``."""
    texts = {kind: _read(Text, body, "shared.yaml", kind) for kind, body in _tree(shared, "shared.yaml").items()}
    found = {}
    for kind, body in _tree(own, file).items():
        sent = _read(Sent, body, file, kind)
        if kind not in FIELDS:
            raise ProgramError(f"{file}: found {kind!r}; allowed: {', '.join(FIELDS)}")
        text = texts.get(kind)
        subject, words = sent.subject or (text and text.subject), sent.body or (text and text.body)
        if not subject or not words:
            raise ProgramError(f"{file}: {kind}: found no subject or body; allowed: its own, or one in shared.yaml")
        _require_known(file, kind, subject + words)
        found[kind] = Notice(kind=kind, clauses=sent.clauses, subject=subject, body=words)
    return found


def _require_known(file: str, kind: str, text: str) -> None:
    allowed = (*ALWAYS, *FIELDS[kind])
    for name in _PLACEHOLDER.findall(text):
        if name not in allowed:
            raise ProgramError(f"{file}: {kind}: found placeholder {{{name}}}; allowed: {', '.join(allowed)}")


def _read(model: type[T], body: object, file: str, kind: str) -> T:
    try:
        return model.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, (kind, *first["loc"])))
        raise ProgramError(f"{file}: {place}: found {first['input']!r:.80}; allowed: {first['msg'].lower()}") from None


def _tree(text: str, file: str) -> dict[str, object]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ProgramError(f"{file}: not YAML: {error}") from None
    if not isinstance(tree, dict):
        raise ProgramError(f"{file}: found {type(tree).__name__}; allowed: kinds of notices, each with its values")
    return tree
