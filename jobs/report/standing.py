"""Where a partner stands among the tiers: what lifts it to the next one, and what keeps it from the one below."""

from __future__ import annotations

from jobs.report.picture import Picture, Row
from rules.settings import TIERS
from rules.terms import TierLevel, TierTerms

NO_TIER: Row = dict.fromkeys(
    ("tier", "tier_since", "tier_count", "next_tier", "referrals_to_next", "keeps_tier_with", "referrals_to_keep",
     "falls_to", "review_on")
)  # fmt: skip
"""Of a program without tiers, or a partner without one yet and nothing to reach."""


def tier_rows(picture: Picture) -> dict[str, Row]:
    """The tier of each partner that has one."""
    return {row["partner"]: row for row in picture.rows["tiers"]}


def standing_of(picture: Picture, tier: Row | None) -> Row:
    """Tier, progress, and a preview of the next promotion and demotion (CN-8, CN-9, CN-60, TC-15)."""
    terms = picture.terms.tiers
    if terms is None:
        return dict(NO_TIER)
    names = [level.tier for level in terms.levels]
    own = tier["tier"] if tier else None  # a person may give a tier that the program's own table lacks
    place = names.index(own) if own in names else -1
    count = tier["count"] if tier else 0
    higher = next((x for x in terms.levels if own is None or TIERS.index(x.tier) > TIERS.index(own)), None)
    keeps = keeps_with(picture, terms, terms.levels[place]) if place >= 0 and tier and tier["review_on"] else None
    return {
        "tier": own,
        "tier_since": tier["since"] if tier else None,
        "tier_count": count,
        "next_tier": higher.tier if higher else None,
        "referrals_to_next": max(0, starts_at(picture, higher) - count) if higher else None,
        "keeps_tier_with": keeps,
        "referrals_to_keep": max(0, keeps - count) if keeps is not None else None,
        "falls_to": _falls_to(picture, terms, place, count) if keeps else None,
        "review_on": tier["review_on"] if tier else None,
    }


def starts_at(picture: Picture, level: TierLevel) -> int:
    """From how many referrals a tier is reached; ``platinum_min`` goes before the level's own number (CN-A1)."""
    own = picture.terms.values.get("platinum_min")
    return own if level.tier == "platinum" and isinstance(own, int) else level.from_count


def keeps_with(picture: Picture, terms: TierTerms, level: TierLevel) -> int:
    """How many referrals a year keep a tier; the lowest one is kept with none (CN-9, CN-A2)."""
    place = terms.levels.index(level)
    minimums = picture.terms.values.get("retention")
    if place == 0 or not terms.kept_by_year:
        return 0
    if isinstance(minimums, tuple) and place <= len(minimums):
        return int(minimums[place - 1])
    return level.from_count


def _falls_to(picture: Picture, terms: TierTerms, place: int, count: int) -> str:
    """The tier below as the setting ``demotion`` says (CN-A5)."""
    if picture.terms.values.get("demotion") == "one_step":
        return terms.levels[place - 1].tier
    earned = [level.tier for level in terms.levels[:place] if starts_at(picture, level) <= count]
    return earned[-1] if earned else terms.levels[0].tier
