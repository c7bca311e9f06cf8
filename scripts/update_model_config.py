"""Write data/model_config.json from each release's model_config.proto: `python -m scripts.update_model_config CLONE`.

CLONE is a clone of https://github.com/triton-inference-server/common with its release branches (`r24.10`). The schema
is that of the newest branch; `since` of a field, message or enum value is the first branch that has it, and `before`
lists what a field was in earlier ones. Descriptors come from protoc (grpcio-tools), so no .proto parser is needed here.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet
from grpc_tools import protoc

ROOT = Path(__file__).parent.parent
OUT = ROOT / "tritonrepo" / "data" / "model_config.json"
PROTO = "protobuf/model_config.proto"
REPOSITORY = "https://github.com/triton-inference-server/common"

Schema = dict[str, Any]


def git(clone: str, *words: str) -> str:
    """Return the output of git."""
    return subprocess.run(["git", "-C", clone, *words], check=True, capture_output=True, text=True).stdout


def releases(clone: str) -> list[str]:
    """Return the releases with a branch that has the proto, oldest first."""
    branches = git(clone, "for-each-ref", "--format=%(refname)").split()
    names = {match[1]: branch for branch in branches if (match := re.search(r"/r(\d\d\.\d\d)$", branch))}
    return [name for name in sorted(names) if git(clone, "ls-tree", names[name], PROTO)]


def ref(clone: str, release: str) -> str:
    """Return the commit of a release's branch."""
    branches = git(clone, "for-each-ref", "--format=%(refname)").split()
    return git(clone, "rev-parse", next(name for name in branches if name.endswith(f"/r{release}"))).strip()


def schema_of(proto: str) -> Schema:
    """Return the messages and enums of a proto's text by full name, with fields in the order of declaration."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model_config.proto"
        path.write_text(proto, "utf-8")
        out = Path(folder) / "set"
        if protoc.main(["protoc", f"-I{folder}", f"--descriptor_set_out={out}", str(path)]):
            raise SystemExit("protoc rejected the proto")
        file = FileDescriptorSet.FromString(out.read_bytes()).file[0]
    schema: Schema = {"messages": {}, "enums": {}}
    for enum in file.enum_type:
        schema["enums"][f"{file.package}.{enum.name}"] = values(enum)
    for message in file.message_type:
        add(schema, file.package, message)
    return schema


def values(enum: EnumDescriptorProto) -> Schema:
    """Return name → number of the values of an enum."""
    return {"values": {value.name: {"number": value.number} for value in enum.value}}


def add(schema: Schema, scope: str, message: DescriptorProto) -> None:
    """Add a message and everything in it."""
    name = f"{scope}.{message.name}"
    schema["messages"][name] = {"fields": dict(fields(message))}
    if message.options.map_entry:
        schema["messages"][name]["map_entry"] = True
    for enum in message.enum_type:
        schema["enums"][f"{name}.{enum.name}"] = values(enum)
    for inner in message.nested_type:
        add(schema, name, inner)


def fields(message: DescriptorProto) -> Iterator[tuple[str, Schema]]:
    """Yield a message's fields by name; `type` is a scalar's name, or `of` the full name of a message or enum."""
    for field in message.field:
        entry: Schema = {"number": field.number}
        kind = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
        entry["type"] = kind
        if kind in {"message", "enum"}:
            entry["of"] = field.type_name.removeprefix(".")
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            entry["repeated"] = True
        if field.HasField("oneof_index"):
            entry["oneof"] = message.oneof_decl[field.oneof_index].name
        yield field.name, entry


def with_history(schemas: dict[str, Schema]) -> Schema:
    """Return the newest schema with `since` for everything newer than the oldest, and `before` for changed types."""
    oldest, *_, newest = schemas
    for name, message in schemas[newest]["messages"].items():
        if (since := first(schemas, "messages", name)) != oldest:
            message["since"] = since
        for field, entry in message["fields"].items():
            seen = {r: s["messages"].get(name, {"fields": {}})["fields"].get(field) for r, s in schemas.items()}
            age(entry, {release: old for release, old in seen.items() if old}, oldest)
    for name, enum in schemas[newest]["enums"].items():
        for value, entry in enum["values"].items():
            seen = {r: s["enums"].get(name, {"values": {}})["values"].get(value) for r, s in schemas.items()}
            age(entry, {release: old for release, old in seen.items() if old}, oldest)
    return schemas[newest]


def first(schemas: dict[str, Schema], what: str, name: str) -> str:
    """Return the first release that has it."""
    return next(release for release, schema in schemas.items() if name in schema[what])


def age(entry: Schema, seen: dict[str, Schema], oldest: str) -> None:
    """Add `since` and `before` to the newest entry from what each release had."""
    if next(iter(seen)) != oldest:
        entry["since"] = next(iter(seen))
    today = dict(entry)
    before: list[Schema] = []
    for release, old in seen.items():
        shape = {key: value for key, value in old.items() if key not in {"since", "before"}}
        if shape != {key: value for key, value in today.items() if key != "since"}:
            if before and before[-1]["was"] == shape:
                before[-1]["until"] = release
            else:
                before.append({"until": release, "was": shape})
    if before:
        entry["before"] = before


def removed(schemas: dict[str, Schema]) -> list[str]:
    """Return the fields of earlier releases that the newest lacks: the format of the data cannot express them."""
    *_, newest = schemas
    return sorted(
        f"{name}.{field} (last in {release})"
        for release, schema in schemas.items()
        for name, message in schema["messages"].items()
        for field in message["fields"]
        if field not in schemas[newest]["messages"].get(name, {"fields": {}})["fields"]
    )


def main() -> int:
    """Write the file."""
    clone = sys.argv[1]
    names = releases(clone)
    schemas = {name: schema_of(git(clone, "show", f"{ref(clone, name)}:{PROTO}")) for name in names}
    if gone := removed({name: schema for name, schema in schemas.items() if name >= "24.01"}):
        raise SystemExit("fields were removed: " + ", ".join(gone))
    source = f"{REPOSITORY}, {PROTO}, branches r{names[0]} to r{names[-1]} ({ref(clone, names[-1])[:12]})"
    what = "The schema of config.pbtxt. Written by `python -m scripts.update_model_config`; do not edit it."
    data = {"what": what, "source": source, "oldest": names[0], "newest": names[-1], **with_history(schemas)}
    OUT.write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    print(f"{OUT.relative_to(ROOT)}: {len(data['messages'])} messages, {len(data['enums'])} enums, {source}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
