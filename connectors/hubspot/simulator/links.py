"""Associations between records: unlabelled ones, of which the first from each record to a company is the primary."""

from __future__ import annotations

from collections import defaultdict

Link = tuple[str, str]
"""Object and id."""


class Links:
    """All associations of one portal; each is seen from both ends."""

    def __init__(self) -> None:
        self._of: dict[Link, dict[str, dict[str, None]]] = defaultdict(lambda: defaultdict(dict))
        self._primary: dict[Link, str] = {}

    def add(self, kind: str, record_id: str, other: str, other_id: str) -> None:
        """Associate two records; one that is there stays as it is."""
        self._of[kind, record_id][other][other_id] = None
        self._of[other, other_id][kind][record_id] = None
        for here, key, there, target in ((kind, record_id, other, other_id), (other, other_id, kind, record_id)):
            if there == "companies" and here in ("contacts", "deals", "tickets"):
                self._primary.setdefault((here, key), target)

    def remove(self, kind: str, record_id: str, other: str, other_id: str) -> None:
        """Take an association off."""
        self._of[kind, record_id][other].pop(other_id, None)
        self._of[other, other_id][kind].pop(record_id, None)
        for link, target in (((kind, record_id), other_id), ((other, other_id), record_id)):
            if self._primary.get(link) == target:
                del self._primary[link]

    def of(self, kind: str, record_id: str, other: str) -> list[str]:
        """Ids at the other end, in ascending order."""
        return sorted(self._of[kind, record_id][other], key=lambda key: (len(key), key))

    def primary(self, kind: str, record_id: str) -> str | None:
        """The record's primary company."""
        return self._primary.get((kind, record_id))

    def move(self, kind: str, old: str, new: str) -> list[Link]:
        """Give all associations of one record to another, as a merge does; returns the other ends."""
        ends = [(other, other_id) for other, ids in self._of[kind, old].items() for other_id in ids]
        for other, other_id in ends:
            self.remove(kind, old, other, other_id)
            self.add(kind, new, other, other_id)
        return ends
