"""Custom resources against the schemas of their projects, with unknown fields refused: tests/data/crds."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

CRDS = Path(__file__).parent / "data" / "crds"


@cache
def schemas() -> Mapping[tuple[str, str], Any]:
    """Return the schemas by apiVersion and kind."""
    read = [json.loads(gzip.decompress(file.read_bytes())) for file in sorted(CRDS.glob("*.json.gz"))]
    return {
        (f"{each['group']}/{version}", each["kind"]): schema
        for each in read
        for version, schema in each["versions"].items()
    }


def faults(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a custom resource."""
    import jsonschema

    schema = schemas()[found["apiVersion"], found["kind"]]
    for error in jsonschema.Draft202012Validator(schema).iter_errors(found):
        yield f"{error.json_path}: {error.message[:200]}"
