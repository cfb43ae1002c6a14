"""Addresses of the API. Each holds the date-based version, such as ``/crm/objects/2026-03/deals/batch/read``.

The numbered versions (v1 to v4) go out of support in 2027 and are not used.
"""

from __future__ import annotations

from urllib.parse import quote


class Paths:
    """The addresses of one version."""

    def __init__(self, version: str) -> None:
        self._version = version
        self.schemas = f"/crm-object-schemas/{version}/schemas"
        self.details = f"/account-info/{version}/details"
        self.usage = f"/account-info/{version}/api-usage/daily/private-apps"
        self.token = f"/oauth/{version}/token"

    def objects(self, kind: str, *rest: str) -> str:
        """Records of an object."""
        return self._crm("objects", kind, *rest)

    def properties(self, kind: str) -> str:
        """Properties of an object."""
        return self._crm("properties", kind)

    def associations(self, kind: str, other: str, *rest: str) -> str:
        """Associations of one object's records with another's."""
        return self._crm("associations", kind, other, *rest)

    def _crm(self, resource: str, *rest: str) -> str:
        return "/" + "/".join(quote(part, safe="") for part in ("crm", resource, self._version, *rest))
