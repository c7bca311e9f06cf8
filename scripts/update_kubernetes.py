"""Write tritonrepo/data/kubernetes.json, the fields of Kubernetes objects: `python -m scripts.update_kubernetes`.

They come from the schemas in the package kubernetes-validate, which are made of the OpenAPI document of each release of
Kubernetes. A type is one character: `s` string, `i` integer, `n` number, `b` boolean, `o` anything, `q` quantity,
`p` integer or string; `[` and `{` before a type mean a list of it and a mapping to it; anything longer is the name of a
type. A field whose name ends in `!` is required. `kinds` are all objects of the newest release; `since` and `until` are
the first and last release that has an object, if they are not the oldest and the newest here.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from scripts.writing import ROOT, write_or_check

TARGET = ROOT / "tritonrepo" / "data" / "kubernetes.json"
SINGLE = {"string": "s", "integer": "i", "number": "n", "boolean": "b", "object": "o"}
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "p",
}
SCHEMAS = re.compile(r"v(\d+\.\d+)\.\d+-local-strict")


def short(name: str) -> str:
    """Return the name of a type: its group, version and kind."""
    return re.sub(r"^io\.k8s\.(?:api\.|apimachinery\.pkg\.apis\.|kube-aggregator\.pkg\.apis\.)?", "", name)


def kind_of(schema: dict[str, Any], wanted: set[str]) -> str:
    """Return the type of a field; types that it names are added to those that are wanted."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name not in SPECIAL:
            wanted.add(name)
        return SPECIAL.get(name) or short(name)
    said = schema.get("type", "object")
    one = next(word for word in ([said] if isinstance(said, str) else said) if word != "null")
    if one == "array":
        return "[" + kind_of(schema["items"], wanted)
    if one == "object" and isinstance(schema.get("additionalProperties"), dict):
        return "{" + kind_of(schema["additionalProperties"], wanted)
    return SINGLE[one]


def kinds(definitions: dict[str, Any]) -> dict[str, str]:
    """Return the objects that have metadata: `apps/v1 Deployment` → type."""
    found = {}
    for name, schema in definitions.items():
        reference = schema.get("properties", {}).get("metadata", {}).get("$ref", "")
        for each in schema.get("x-kubernetes-group-version-kind", ()) if reference.endswith(".ObjectMeta") else ():
            api = "/".join(filter(None, (each["group"], each["version"])))
            found[f"{api} {each['kind']}"] = name
    return found


def content(root: Path) -> str:
    """Return the content of the file."""
    folders = {match[1]: each for each in root.iterdir() if (match := SCHEMAS.fullmatch(each.name))}
    releases = sorted(folders, key=lambda release: [*map(int, release.split("."))])
    every = {release: json.loads((folders[release] / "_definitions.json").read_text())["$defs"] for release in releases}
    definitions = every[releases[-1]]
    there = {release: kinds(of) for release, of in every.items()}
    wanted, types = set(there[releases[-1]].values()), dict[str, dict[str, str]]()
    while left := {name for name in wanted if short(name) not in types}:
        for name in left:
            schema = definitions[name]
            required = schema.get("required", ())
            types[short(name)] = {
                f"{key}!" if key in required else key: kind_of(of, wanted)
                for key, of in schema.get("properties", {}).items()
            }
            if "properties" not in schema:
                types[short(name)] = {"*": "o"}
    names = {name for found in there.values() for name in found}
    having = {name: [release for release in releases if name in there[release]] for name in names}
    since = {name: found[0] for name, found in having.items() if found[0] != releases[0]}
    until = {name: found[-1] for name, found in having.items() if found[-1] != releases[-1]}
    made = {
        "what": "fields of Kubernetes objects; see scripts/update_kubernetes.py",
        "source": "OpenAPI documents of Kubernetes, by the package kubernetes-validate",
        "releases": [releases[0], releases[-1]],
        "kinds": {name: short(of) for name, of in there[releases[-1]].items()},
        "since": since,
        "until": until,
        "types": types,
    }
    return json.dumps(made, separators=(",", ":"), sort_keys=True).replace('},"', '},\n"') + "\n"


def main() -> int:
    """Write or check the file."""
    import kubernetes_validate  # noqa: PLC0415  nothing else here needs it

    made = content(Path(str(kubernetes_validate.__file__)).parent / "kubernetes-json-schema")
    return write_or_check({TARGET: made}, "update_kubernetes")


if __name__ == "__main__":
    sys.exit(main())
