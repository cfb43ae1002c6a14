"""All notifications of a settled program, as rows: a deterministic list with stable keys, for an outbox to send once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import chain
from typing import Any

from jobs.notification.claims import claim_events
from jobs.notification.deals import deal_events
from jobs.notification.event import Event
from jobs.notification.membership import membership_events
from jobs.notification.money import money_events
from jobs.report.leads import leads
from jobs.report.picture import Picture
from rules.notices import Notice, notices_of


def notifications(
    picture: Picture,
    *,
    since: date | None = None,
    partner: str | None = None,
    words: Mapping[str, Mapping[str, Notice]] | None = None,
) -> list[dict[str, Any]]:
    """The program's notifications up to the picture's day, by key; of one partner only, or from a day on, when asked.

    ``words``: the notices as some partners read them, by partner's id (another language); everybody else reads ours.
    """
    notices = notices_of(picture.program.id)
    found = {}
    own = leads(picture)
    for event in chain(
        claim_events(picture, own), deal_events(picture, own), money_events(picture), membership_events(picture)
    ):
        notice = (words or {}).get(event.to, notices).get(event.text or event.kind)
        wanted = partner in (None, event.to) and (since is None or event.on >= since)
        if notice is not None and wanted and event.on <= picture.as_of:
            found[event.key(picture.program.id)] = _row(picture, notice, event)
    return [found[key] for key in sorted(found)]


def _row(picture: Picture, notice: Notice, event: Event) -> dict[str, Any]:
    program = picture.program
    name = picture.name_of(event.fields.get("partner", event.to))
    always = {"program_name": program.name, "partner_name": name or event.to, "on": event.on.isoformat()}
    subject, body = notice.rendered({**always, **event.fields})
    return {
        "key": event.key(program.id),
        "program": program.id,
        "kind": event.kind,
        "to": event.to,
        "about": event.about,
        "on": event.on.isoformat(),
        "due_on": event.due_on.isoformat() if event.due_on else None,
        "clauses": list(notice.clauses),
        "subject": subject,
        "body": body,
    }
