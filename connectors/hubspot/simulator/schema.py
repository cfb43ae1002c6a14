"""What an object of the simulated portal looks like: properties with the vendor's types and rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class PropertySpec:
    """One property. ``type`` is the vendor's; ``options`` those of an enumeration, of which ``several`` may be chosen."""

    name: str
    type: str = "string"
    label: str = ""
    options: tuple[str, ...] = ()
    several: bool = False
    unique: bool = False
    read_only: bool = False
    money: bool = False
    owner: bool = False
    email: bool = False

    def described(self) -> dict[str, Any]:
        """As ``GET /crm/properties`` shows it."""
        many = "checkbox" if self.several else "select"
        shown = {
            "enumeration": many, "bool": "booleancheckbox", "number": "number", "date": "date", "datetime": "date"
        }.get(self.type, "text")  # fmt: skip
        label = self.label or label_of(self.name)
        options = [
            {"label": label_of(value), "value": value, "displayOrder": place, "hidden": False}
            for place, value in enumerate(("true", "false") if self.type == "bool" else self.options)
        ]
        more: dict[str, Any] = {"showCurrencySymbol": True} if self.money else {}
        if self.owner:
            more |= {"referencedObjectType": "OWNER"}
        return {
            "name": self.name, "label": label, "type": self.type, "fieldType": shown, "description": "",
            "groupName": "information", "options": options, "displayOrder": -1, "calculated": False,
            "externalOptions": self.owner, "hasUniqueValue": self.unique, "hidden": False, "formField": False,
            "hubspotDefined": self.read_only, "archived": False, "dataSensitivity": "non_sensitive",
            "modificationMetadata": {
                "archivable": True, "readOnlyDefinition": self.read_only, "readOnlyValue": self.read_only
            },
            **more,
        }  # fmt: skip


@dataclass(slots=True)
class ObjectSpec:
    """One object: its name in addresses, type id, properties by name; ``shown`` come when none are asked for."""

    name: str
    type_id: str
    label: str
    properties: dict[str, PropertySpec]
    created: str
    modified: str
    shown: tuple[str, ...]
    custom: bool = False
    required: tuple[str, ...] = ()


def define(
    name: str, type_id: str, label: str, *properties: PropertySpec, shown: tuple[str, ...] = (),
    custom: bool = False, required: tuple[str, ...] = (),
) -> ObjectSpec:  # fmt: skip
    """An object with these properties and those that every object has."""
    created = "hs_createdate" if custom else "createdate"
    modified = "lastmodifieddate" if name == "contacts" else "hs_lastmodifieddate"
    system = [
        PropertySpec("hs_object_id", "number", "Record ID", read_only=True),
        PropertySpec("hs_merged_object_ids", "enumeration", "Merged record IDs", read_only=True),
        PropertySpec(created, "datetime", "Create Date", read_only=True),
        PropertySpec("hs_lastmodifieddate", "datetime", "Object last modified date/time", read_only=True),
        PropertySpec("hs_updated_by_user_id", "number", "Updated by user ID", read_only=True),
        PropertySpec("hubspot_owner_id", "enumeration", "Owner", owner=True),
    ]
    if name == "contacts":  # the name that other objects use is there, too, and is never filled
        system.append(PropertySpec("lastmodifieddate", "datetime", "Last Modified Date", read_only=True))
    by_name = {item.name: item for item in (*system, *properties)}
    always = ("hs_object_id", created, modified)
    return ObjectSpec(name, type_id, label, by_name, created, modified, (*always, *shown), custom, required)


def text(name: str, **more: Any) -> PropertySpec:
    """Text of at most 65,536 characters."""
    return PropertySpec(name, **more)


def choice(name: str, *options: str, several: bool = False) -> PropertySpec:
    """An enumeration: one option, or with ``several`` any number of them."""
    return PropertySpec(name, "enumeration", options=options, several=several)


def money(name: str) -> PropertySpec:
    """An amount in the record's or the portal's currency."""
    return PropertySpec(name, "number", money=True)


def number(name: str, **more: Any) -> PropertySpec:
    """A number."""
    return PropertySpec(name, "number", **more)


def flag(name: str, **more: Any) -> PropertySpec:
    """True or false; unset until somebody sets it."""
    return PropertySpec(name, "bool", **more)


def day(name: str) -> PropertySpec:
    """A date."""
    return PropertySpec(name, "date")


def moment(name: str, **more: Any) -> PropertySpec:
    """An instant."""
    return PropertySpec(name, "datetime", **more)


def sync_key() -> PropertySpec:
    """The key that makes our writes repeatable: text that must be unique."""
    return PropertySpec("sync_key", unique=True)


def label_of(name: str) -> str:
    """A label as the vendor shows it: ``paid_on`` is ``Paid on``."""
    words = name.removeprefix("hs_").replace("_", " ").strip()
    return (words[:1].upper() + words[1:]) or name
