"""What an object of the simulated org looks like: fields with the vendor's types and rules."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

NUMBERS = frozenset({"double", "currency", "percent"})
TEXTS = frozenset({"string", "textarea", "email", "phone", "url", "picklist"})


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field. ``type`` is the vendor's describe type; ``long`` text can be neither filtered nor sorted."""

    name: str
    type: str
    label: str
    length: int = 0
    scale: int = 0
    required: bool = False
    default: Any = None
    createable: bool = True
    updateable: bool = True
    unique: bool = False
    external_id: bool = False
    case_sensitive: bool = False
    restricted: bool = False
    values: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    relationship: str | None = None
    long: bool = False
    calculated: bool = False

    @property
    def custom(self) -> bool:
        """Whether an administrator (or a package) made it."""
        return self.name.endswith("__c")


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """One object: API name, label, id prefix, fields by name; ``mergeable`` ones have MasterRecordId."""

    name: str
    label: str
    plural: str
    prefix: str
    fields: dict[str, FieldSpec]
    mergeable: bool = False
    relationships: dict[str, FieldSpec] = field(default_factory=dict)
    folded: dict[str, str] = field(default_factory=dict)
    """Field and relationship names in lower case → as written: names are case-insensitive in the API."""


def define(
    name: str, label: str, prefix: str, *fields: FieldSpec, plural: str | None = None, mergeable: bool = False
) -> ObjectSpec:
    """An object with these fields and the system fields that every object has."""
    system = [
        FieldSpec("Id", "id", f"{label} ID", 18, createable=False, updateable=False),
        _audit("IsDeleted", "boolean", "Deleted"),
        _audit("CreatedDate", "datetime", "Created Date"),
        _audit("CreatedById", "reference", "Created By ID", references=("User",), relationship="CreatedBy"),
        _audit("LastModifiedDate", "datetime", "Last Modified Date"),
        _audit("LastModifiedById", "reference", "Last Modified By ID", references=("User",),
               relationship="LastModifiedBy"),
        _audit("SystemModstamp", "datetime", "System Modstamp"),
    ]  # fmt: skip
    if mergeable:
        master = _audit("MasterRecordId", "reference", "Master Record ID", references=(name,))
        system.append(replace(master, relationship="MasterRecord"))
    by_name = {item.name: item for item in (*system, *fields)}
    relationships = {item.relationship: item for item in by_name.values() if item.relationship}
    folded = {text.lower(): text for text in (*by_name, *relationships)}
    return ObjectSpec(name, label, plural or f"{label}s", prefix, by_name, mergeable, relationships, folded)


def _audit(name: str, kind: str, label: str, **more: Any) -> FieldSpec:
    return FieldSpec(name, kind, label, createable=False, updateable=False, **more)


def text(name: str, length: int = 255, kind: str = "string", **more: Any) -> FieldSpec:
    """Text of at most ``length`` characters (``kind``: string, email, phone, url)."""
    return FieldSpec(name, kind, label_of(name), length, **more)


def long_text(name: str, length: int = 32_768) -> FieldSpec:
    """Long text area: readable, never filterable."""
    return FieldSpec(name, "textarea", label_of(name), length, long=True)


def sync_key() -> FieldSpec:
    """The key that makes our writes repeatable: Text(80), external id, unique, case-sensitive."""
    return text("Sync_Key__c", 80, external_id=True, unique=True, case_sensitive=True)


def picklist(name: str, *values: str, restricted: bool = False, **more: Any) -> FieldSpec:
    """A picklist; a restricted one refuses other values."""
    return FieldSpec(name, "picklist", label_of(name), 255, values=values, restricted=restricted, **more)


def lookup(name: str, *targets: str, **more: Any) -> FieldSpec:
    """A reference; ``Partner__c`` is followed as ``Partner__r``, ``AccountId`` as ``Account``."""
    relationship = f"{name[:-1]}r" if name.endswith("__c") else name.removesuffix("Id")
    return FieldSpec(name, "reference", label_of(name), 18, references=targets, relationship=relationship, **more)


def money(name: str, **more: Any) -> FieldSpec:
    """A currency amount, two decimals."""
    return FieldSpec(name, "currency", label_of(name), scale=2, **more)


def number(name: str, scale: int = 0, **more: Any) -> FieldSpec:
    """A number field (a double in the API, also with no decimals)."""
    return FieldSpec(name, "double", label_of(name), scale=scale, **more)


def flag(name: str, **more: Any) -> FieldSpec:
    """A checkbox: never null."""
    return FieldSpec(name, "boolean", label_of(name), default=False, **more)


def day(name: str, **more: Any) -> FieldSpec:
    """A date."""
    return FieldSpec(name, "date", label_of(name), **more)


def moment(name: str, **more: Any) -> FieldSpec:
    """An instant."""
    return FieldSpec(name, "datetime", label_of(name), **more)


def derived(name: str, kind: str = "string", **more: Any) -> FieldSpec:
    """A field the system computes or numbers itself; read-only."""
    return FieldSpec(
        name, kind, label_of(name), 255 if kind == "string" else 0, createable=False, updateable=False, **more
    )


def formula(name: str, kind: str = "string") -> FieldSpec:
    """A formula: its value changes without the record's stamp."""
    return derived(name, kind, calculated=True)


def label_of(name: str) -> str:
    """A label as the vendor shows it: ``Paid_On__c`` is ``Paid On``."""
    return name.removesuffix("__c").replace("_", " ")
