"""Write the schemas of a CustomResourceDefinition for the tests: without descriptions, unknown fields refused.

`python -m scripts.strip_crd SOURCE < CRD.yaml` writes tests/data/crds/PLURAL.json.gz; SOURCE says where it comes from.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import yaml

CRDS = Path(__file__).parent.parent / "tests" / "data" / "crds"


def main() -> int:
    """Write the file."""
    if not sys.argv[1:]:
        print("usage: python -m scripts.strip_crd SOURCE < CRD.yaml")
        return 2
    spec = yaml.safe_load(sys.stdin)["spec"]
    versions = {each["name"]: _strict(each["schema"]["openAPIV3Schema"]) for each in spec["versions"]}
    made = {"source": sys.argv[1], "group": spec["group"], "kind": spec["names"]["kind"], "versions": versions}
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    file = CRDS / f"{spec['names']['plural']}.json.gz"
    file.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{file.name} written: {file.stat().st_size} bytes")
    return 0


def _strict(schema: Any, *, names: bool = False) -> Any:  # noqa: ANN401  JSON
    """Return a schema without descriptions; `names` means that its keys are names of fields."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _strict(value, names=key == "properties" and not names)
        for key, value in schema.items()
        if names or (key not in {"description", "format"} and not key.startswith("x-kubernetes-validations"))
    }
    if names:
        return kept
    if kept.get("x-kubernetes-int-or-string"):
        kept.pop("type", None)
    is_open = kept.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in kept and "additionalProperties" not in kept and not is_open:
        kept["additionalProperties"] = False
    return kept


if __name__ == "__main__":
    sys.exit(main())
