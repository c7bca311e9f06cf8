"""The JSON Schema of the stack file, made from the dataclasses that the loader uses.

It has only keywords that draft-07 and 2020-12 share, so that the language servers of editors understand it, and
`patternErrorMessage`, which these show in place of a pattern.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, is_dataclass
from typing import Any, Literal, NamedTuple, get_args, get_origin

from tritonrepo import __version__
from tritonrepo.spec import config_schema, declare, source, stack
from tritonrepo.spec.declare import VARIABLE
from tritonrepo.spec.extends import KEY
from tritonrepo.spec.load import DURATION, SIZE, hints, plain, split
from tritonrepo.spec.nodes import parse
from tritonrepo.spec.part import Model, Parts

TITLE = "tritonrepo stack file"


def _text(pattern: str, otherwise: str) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"{pattern}|\$\{{", "patternErrorMessage": otherwise}


SOURCE = _text(
    rf"^(?:{source.pattern()})$",
    "Write a path, package:NAME==VERSION/PATH, hf://OWNER/MODEL, https://HOST/PATH#sha256=HEX, s3:// or gs://.",
)
PATH = {"pattern": r"^(?![\s\S]*://)[\s\S]*\S"}
TEXTS: Mapping[Any, dict[str, Any]] = {
    str: {"type": ["string", "number", "boolean"]},
    bool: {"anyOf": [{"type": "boolean"}, VARIABLE]},
    stack.Microseconds: _text(rf"^{DURATION.pattern}$", "Write a time such as 2ms."),
    stack.Bytes: _text(rf"^{SIZE.pattern}$", "Write a size such as 80GiB."),
    stack.Paths: {"type": ["string", "array"], "items": {"type": "string"} | PATH} | PATH,
    Any: {},
    source.Source: {"allOf": [{"$ref": "#/definitions/Source"}]},
    stack.Config: {"allOf": [config_schema.reference()]},
}


REMOVED = {"enum": [None, ""]}
"""What a validator sees where a value is the tag `!remove`: null, or in editors an empty string."""

EXTENDS = {"required": [KEY]}


def schema(parts: Parts) -> dict[str, Any]:
    """Return the schema of a stack file with these parts as JSON data.

    A file that extends another one can omit what the other one sets, and remove it: to a validator, a value with the
    tag `!remove` is null.
    """
    dialect = "http://json-schema.org/draft-07/schema#"
    head = {"$schema": dialect, "$id": f"urn:tritonrepo:stack:{__version__}", "title": TITLE}
    over, whole = _Schema(parts, over=True).record(stack.Stack), _Schema(parts, over=False).record(stack.Stack)
    definitions = {"Source": SOURCE, **config_schema.definitions()}
    return head | {"if": EXTENDS, "then": over, "else": whole, "definitions": definitions}


def example(f: Any) -> Any:
    """Return the example of a key as JSON data."""
    return plain(parse(f"{f.name}: {f.metadata['example']}".encode(), f.name).keys[f.name][1])


class _Schema(NamedTuple):
    """A walk over types; the schema is that of a file that is merged over another one, or of a whole stack."""

    parts: Parts
    over: bool

    def record(self, cls: Any) -> dict[str, Any]:
        keys = declare.keys(cls)
        required = [f.name for f in keys if f.default is MISSING and f.default_factory is MISSING]
        record: dict[str, Any] = {
            "type": "object",
            "description": (cls.__doc__ or "").strip(),
            "properties": {f.name: self.key(cls, f) for f in keys},
            "additionalProperties": False,
        }
        either = [{"required": [name]} for name in stack.EITHER.get(cls, ())]
        needed = ({"required": required} if required else {}) | ({"oneOf": either} if either else {})
        return record if self.over else record | needed | dict(declare.keywords(cls))

    def key(self, cls: Any, f: Any) -> dict[str, Any]:
        value = self.type(hints(cls)[f.name], f.metadata["minimum"]) | dict(self.narrowed(f.metadata["schema"]))
        kind = str(value.get("type"))
        value = value if f.name == KEY else self.removable(value)
        value["description"] = declare.sentence(f.metadata["doc"])
        if isinstance(f.default, (str, int, bool)) and not (isinstance(f.default, int) and "string" in kind):
            value["default"] = f.default
        if f.metadata["example"]:
            value["examples"] = [example(f)]
        return value

    def narrowed(self, keywords: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Yield the keywords that narrow a type; a file that is merged over another one can add nothing to a value."""
        for name, value in keywords.items():
            if name == "properties":
                yield name, {inner: self.removable(each) for inner, each in value.items()}
            elif not (self.over and name in {"minItems", "minProperties"}):
                yield name, value

    def removable(self, value: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [value, REMOVED]} if self.over and value else value

    def type(self, hint: Any, minimum: int | None = None) -> dict[str, Any]:
        single, either = split(hint)
        if either is not None:
            return {"anyOf": [self.type(single, minimum), self.record(either)]}
        if is_dataclass(hint):
            return self.record(hint)
        inner = get_args(hint)
        containers: dict[Any, Callable[[], dict[str, Any]]] = {
            Model: lambda: {
                "type": "object",
                "properties": {"role": {"enum": [*self.parts]}},
                "anyOf": [self.record(part.keys) for part in self.parts.values()],
            },
            tuple: lambda: {"type": "array", "items": self.type(inner[0])},
            Mapping: lambda: {"type": "object", "additionalProperties": self.removable(self.type(inner[1]))},
            Literal: lambda: {"enum": list(inner)},
        }
        kind = get_origin(hint) or hint
        if kind in containers:
            return containers[kind]()
        if hint is int:
            return {"anyOf": [{"type": "integer"} | ({"minimum": minimum} if minimum is not None else {}), VARIABLE]}
        return dict(TEXTS[hint])
