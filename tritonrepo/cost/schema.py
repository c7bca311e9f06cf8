"""The JSON Schema of a cost file, for editors: only keywords that draft-07 and 2020-12 share."""

from __future__ import annotations

from typing import Any

from tritonrepo import __version__
from tritonrepo.cost.keys import KEYS, Key, unit
from tritonrepo.cost.reading import DEPLOYED, FIGURES, LONGEST, MOST

DIALECT = "http://json-schema.org/draft-07/schema#"
TEXT = {"type": "string"}
EMPTY = {"type": ["string", "null"]}


def schema() -> dict[str, Any]:
    """Return the schema as JSON data."""
    inputs = {name: {"$ref": f"#/definitions/{name}"} for name in KEYS}
    own = inputs | {
        "bench": TEXT | {"description": "Target or model of the option's bench result."},
        "published": _closed({name: _number() for name in FIGURES} | {"deploys": _deploys()}),
    }
    options = {
        "type": "object",
        "minProperties": 1,
        "maxProperties": MOST,
        "propertyNames": {"maxLength": LONGEST},
        "additionalProperties": _closed(own),
        "description": "Ways to serve: name → inputs.",
    }
    return {
        "$schema": DIALECT,
        "$id": f"urn:tritonrepo:cost:{__version__}",
        "title": "tritonrepo cost file",
        **_closed(
            {
                "currency": TEXT | {"minLength": 1, "description": "Currency of all prices."},
                "baseline": TEXT | {"description": "Option that others are compared with; the first by default."},
                "shared": _closed(inputs) | {"description": "Inputs of all options; an option's own replaces them."},
                "options": options,
            }
        ),
        "required": ["currency", "options"],
        "definitions": {name: _input(key) for name, key in KEYS.items()},
    }


def _input(key: Key) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "integer" if key.whole else "number"}
    number |= {"exclusiveMinimum" if key.above else "minimum": int(key.least)}
    number |= {} if key.most is None else {"maximum": int(key.most)}
    value = {"anyOf": [number, {"type": "array", "items": number, "minItems": 3, "maxItems": 3}]}
    stated = _closed({"value": value, "date": EMPTY, "source": EMPTY}) | {"required": ["value"]}
    says = f"{key.doc[0].upper()}{key.doc[1:]}; in {unit(key.name, 'the currency')}."
    return {"anyOf": [*value["anyOf"], stated], "description": says}


def _deploys() -> dict[str, Any]:
    counts = _closed({name: _number() for name in DEPLOYED}) | {"required": list(DEPLOYED)}
    return counts | {"description": "GPUs of a replica, and replicas, of the manifests that come with the table."}


def _number() -> dict[str, Any]:
    return {"type": "number", "minimum": 0}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}
