"""What to do with one field that two sides hold: one table over (theirs, ours, what both last settled on). Pure.

Values are compared in their plain form (``sync.sameness``); ``None`` is nothing. *Moved* means: different from what was
last settled. *Last* is usually one value, that both sides held; where a difference was settled by leaving theirs, it is
a pair, so that the same difference is not a new conflict in every run.

    theirs          ours            last        direction   verdict
    --------------  --------------  ----------  ----------  --------  ------------------------------------------
    equal to ours   equal           any         any         keep      nothing to do
    as last         as last         a pair      any         keep      their value was left before, and still is
    as last         moved to value  known       any         push      only we moved
    as last         moved to none   known       any         delete    only we moved: the value there is emptied
    moved           as last         known       both        pull      only they moved
    moved           as last         known       push        conflict  they changed what only we write
    moved           moved           known       any         conflict  both moved, to different values
    a value         a value         unknown     both        conflict  first contact: nobody knows who is right
    a value         nothing         unknown     both        pull      first contact: only they have one
    nothing         a value         unknown     any         push      first contact: only we have one
    a value         a value         unknown     push        push      first contact, and only we write it
    a value         nothing         unknown     push        delete    the same, and we say that there is none

A conflict is then settled by the field's policy (:func:`settle`): ours, theirs, the newest by the systems' own times, or
a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple, get_args

Verdict = Literal["keep", "push", "pull", "delete", "conflict"]
Direction = Literal["push", "both"]
Policy = Literal["ours", "theirs", "newest", "ask"]
Side = Literal["theirs", "ours"]
IfDeleted = Literal["recreate", "leave"]

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
POLICIES: tuple[Policy, ...] = get_args(Policy)
IF_DELETED: tuple[IfDeleted, ...] = get_args(IfDeleted)


@dataclass(frozen=True, slots=True)
class FieldPolicy:
    """Who may change a field, and who is right when both did. The default: we write it, and set it right again."""

    direction: Direction = "push"
    conflict: Policy = "ours"


@dataclass(frozen=True, slots=True)
class ObjectPolicy:
    """The policies of one object: by field; ``changed_by`` is the system's field that names who changed a record last.

    ``if_deleted``: what becomes of a record that we wrote and that somebody deleted there.
    """

    fields: Mapping[str, FieldPolicy] = field(default_factory=dict)
    changed_by: str | None = None
    if_deleted: IfDeleted = "recreate"


class Last(NamedTuple):
    """What both sides last settled on, in plain form: two equal values, or the two that were left standing."""

    theirs: str | None
    ours: str | None


class Unknown:
    """Nothing was settled about a field: neither written by us nor found equal before."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = Unknown()


def decide(theirs: str | None, ours: str | None, last: Last | Unknown, direction: Direction = "push") -> Verdict:
    """The verdict on one field; see the table above."""
    if theirs == ours:
        return "keep"
    ours_goes: Verdict = "delete" if ours is None else "push"
    if isinstance(last, Unknown):
        if direction == "push" or theirs is None:
            return ours_goes
        return "pull" if ours is None else "conflict"
    they_moved, we_moved = theirs != last.theirs, ours != last.ours
    if not they_moved:
        return ours_goes if we_moved else "keep"
    return "pull" if direction == "both" and not we_moved else "conflict"


def settle(policy: Policy, theirs_at: datetime | None, ours_at: datetime | None) -> Side | None:
    """Whose value stands in a conflict; ``None``: a person must say.

    ``newest`` compares when their record was last changed, by their server's clock, with when our value came to be; it
    asks when one of them is not known or both are the same, and never guesses.
    """
    if policy == "newest":
        if theirs_at is None or ours_at is None or theirs_at == ours_at:
            return None
        return "theirs" if theirs_at > ours_at else "ours"
    return None if policy == "ask" else policy
