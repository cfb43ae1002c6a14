"""Job: the stored notifications: which wait, were sent, failed or are not to be sent; sending and retrying them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jobs.installation import Installation
from jobs.notifications_file import show_list, show_one
from jobs.notifying import Told
from jobs.problems import UserError
from jobs.show import console
from sync.notices import STATES, Notices

_NEXT = "next: put `notifications:` into referee.yaml and run `referee sync`, or name --records and --as-of"


def stored_notifications(here: Installation, *, state: str | None, partner: str | None) -> list[dict[str, Any]]:
    """The stored notifications, by key. Raises: ``UserError``."""
    if state is not None and state not in STATES:
        raise UserError(f"--state: found {state!r}; allowed: {', '.join(STATES)}")
    return Notices(here.store).listed(state=state, recipient=partner)


def one_of(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """The notification of a key. Raises: ``UserError``."""
    found = next((row for row in rows if row["key"] == key), None)
    if found is None:
        raise UserError(f"--preview: found {key!r}; allowed: the key of one of the {len(rows)} notifications")
    return found


def send_now(here: Installation) -> Told:
    """Take in what is new and send what waits. Raises: ``UserError`` without a channel."""
    notifier = here.notifier()
    if notifier is None or notifier.chosen.channel == "none":
        raise UserError(
            f"{here.settings.place('notifications', 'channel')}: found none; allowed: folder or smtp; "
            "without one they wait, and `referee notifications` shows them"
        )
    return notifier.run(send=True)


def retry_notifications(here: Installation, keys: Sequence[str]) -> int:
    """Let notifications that failed or were skipped wait again; returns how many."""
    return Notices(here.store).retry(keys, here.clock())


def show_stored(rows: Sequence[dict[str, Any]], preview: str | None, *, kept: bool) -> None:
    """Print the list, or one as it is read and how it stands. ``kept``: whether the settings have notifications."""
    if preview is not None:
        row = one_of(rows, preview)
        show_one(row)
        sent = f"\nState: {row['state']}" + (f" ({row['reason']})" if row["reason"] else "")
        console().print(f"{sent}, {row['attempts']} attempts", markup=False)
        return
    show_list(rows, ("on", "state", "kind", "to", "subject", "reason", "key"))
    if not rows and not kept:
        console().print(_NEXT)


def show_told(told: Told) -> None:
    """Print what was sent, what was not, and what to do next."""
    out = console()
    if told.busy:
        out.print("another run is at it; nothing was done")
        return
    out.print(
        f"{told.new} new; {told.sent} sent in {told.messages} messages, {told.failed} failed, {told.skipped} not to be sent, "
        f"{told.waiting} waiting"
    )
    if told.stopped is not None:
        out.print(f"stopped: {told.stopped}", markup=False)
    if told.failed:
        out.print(
            "next: `referee notifications --state failed` says why; `referee notifications retry KEY` once mended"
        )
