"""Describe answers in the vendor's shape, showing only what the user's profile shows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from connectors.salesforce.simulator.schema import NUMBERS, TEXTS, FieldSpec, ObjectSpec

_SOAP = {
    "id": "tns:ID", "reference": "tns:ID", "boolean": "xsd:boolean", "int": "xsd:int", "date": "xsd:date",
    "datetime": "xsd:dateTime", "double": "xsd:double", "currency": "xsd:double", "percent": "xsd:double",
}  # fmt: skip


def global_describe(objects: Iterable[ObjectSpec], version: str) -> dict[str, Any]:
    """Answer of ``GET /sobjects``."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [{**_flags(spec), "urls": _urls(spec, version, short=True)} for spec in objects],
    }


def describe(
    spec: ObjectSpec, visible: Callable[[str, str], bool], writable: Callable[[str, str], bool], version: str
) -> dict[str, Any]:
    """Answer of ``GET /sobjects/X/describe``: hidden fields are absent."""
    fields = [
        _field(item, writable(spec.name, item.name)) for item in spec.fields.values() if visible(spec.name, item.name)
    ]
    return {
        "actionOverrides": [], "childRelationships": [], "compactLayoutable": True, "defaultImplementation": None,
        "extendedBy": None, "extendsInterfaces": None, "fields": fields, "implementedBy": None,
        "implementsInterfaces": None, "listviewable": None, "lookupLayoutable": None, "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": [{
            "active": True, "available": True, "defaultRecordTypeMapping": True, "developerName": "Master",
            "master": True, "name": "Master", "recordTypeId": "012000000000000AAA",
            "urls": {"layout": f"/services/data/{version}/sobjects/{spec.name}/describe/layouts/012000000000000AAA"},
        }],
        "searchLayoutable": True, "sobjectDescribeOption": "FULL",
        "supportedScopes": [{"label": f"All {spec.plural.lower()}", "name": "everything"}],
        **_flags(spec), "urls": _urls(spec, version, short=False),
    }  # fmt: skip


def _flags(spec: ObjectSpec) -> dict[str, Any]:
    custom = spec.name.endswith("__c")
    return {
        "activateable": False, "associateEntityType": None, "associateParentEntity": None, "createable": True,
        "custom": custom, "customSetting": False, "deepCloneable": False, "deletable": True,
        "deprecatedAndHidden": False, "feedEnabled": True, "hasSubtypes": False, "isInterface": False,
        "isSubtype": False, "keyPrefix": spec.prefix, "label": spec.label, "labelPlural": spec.plural,
        "layoutable": True, "mergeable": spec.mergeable, "mruEnabled": True, "name": spec.name, "queryable": True,
        "replicateable": True, "retrieveable": True, "searchable": True, "triggerable": True, "undeletable": True,
        "updateable": True,
    }  # fmt: skip


def _urls(spec: ObjectSpec, version: str, *, short: bool) -> dict[str, str]:
    base = f"/services/data/{version}/sobjects/{spec.name}"
    urls = {"rowTemplate": f"{base}/{{ID}}", "describe": f"{base}/describe", "sobject": base}
    return (
        urls
        if short
        else urls | {"layouts": f"{base}/describe/layouts", "compactLayouts": f"{base}/describe/compactLayouts"}
    )


def _field(item: FieldSpec, writable: bool) -> dict[str, Any]:
    numeric = item.type in NUMBERS
    filterable = not item.long
    return {
        "aggregatable": filterable, "aiPredictionField": False, "autoNumber": False,
        "byteLength": item.length * (1 if item.type in ("id", "reference") else 3), "calculated": item.calculated,
        "calculatedFormula": None, "cascadeDelete": False, "caseSensitive": item.case_sensitive,
        "compoundFieldName": None, "controllerName": None, "createable": item.createable and writable,
        "custom": item.custom, "defaultValue": item.default, "defaultValueFormula": None,
        "defaultedOnCreate": item.default is not None or item.name in ("Id", "OwnerId") or item.type == "boolean",
        "dependentPicklist": False, "deprecatedAndHidden": False, "digits": 9 if item.type == "int" else 0,
        "displayLocationInDecimal": False, "encrypted": False, "externalId": item.external_id, "extraTypeInfo": None,
        "filterable": filterable, "filteredLookupInfo": None, "formulaTreatNullNumberAsZero": False,
        "groupable": filterable and not numeric, "highScaleNumber": False, "htmlFormatted": False,
        "idLookup": item.name == "Id" or item.external_id, "inlineHelpText": None, "label": item.label,
        "length": item.length if item.type in TEXTS or item.type in ("id", "reference") else 0, "mask": None,
        "maskType": None, "name": item.name, "nameField": item.name == "Name", "namePointing": False,
        "nillable": not item.required and item.type not in ("boolean", "id"), "permissionable": not item.required,
        "picklistValues": [
            {"active": True, "defaultValue": value == item.default, "label": value, "validFor": None, "value": value}
            for value in item.values
        ],
        "polymorphicForeignKey": len(item.references) > 1, "precision": 18 if numeric else 0, "queryByDistance": False,
        "referenceTargetField": None, "referenceTo": list(item.references), "relationshipName": item.relationship,
        "relationshipOrder": None, "restrictedDelete": False, "restrictedPicklist": item.restricted,
        "scale": item.scale, "searchPrefilterable": item.type == "reference",
        "soapType": _SOAP.get(item.type, "xsd:string"),
        "sortable": filterable, "type": item.type, "unique": item.unique, "updateable": item.updateable and writable,
        "writeRequiresMasterRead": False,
    }  # fmt: skip
