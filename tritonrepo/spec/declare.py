"""How the dataclasses of a stack file declare its keys: with their meaning, default, example and schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, field, fields
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})
VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""The schema of what a variable can make anything else."""


def key(  # noqa: PLR0913  what there is to say of a key
    doc: str,
    default: Any = MISSING,
    *,
    minimum: int | None = None,
    example: str = "",
    shown: str = "",
    schema: Mapping[str, Any] = NOTHING,
) -> Any:
    """Declare a key of the stack file: its meaning, its default, and for integers the minimum.

    `doc` is a lower-case phrase without a period; hints quote it as it is, and references as a sentence. `example` is a
    value as YAML in one line, which the reference shows and editors offer. Where checks narrow the type of the field,
    `shown` is the type in the reference, and `schema` has the keywords of JSON Schema.
    """
    metadata = {"doc": doc, "minimum": minimum, "example": example, "shown": shown, "schema": schema}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)


def config_key(model: str = "NAME", *, example: str = "{response_cache: {enable: true}}") -> Any:
    """Declare a key that holds fields of the config of a model, which has the name of the stack file or an ending."""
    doc = f"fields of the config.pbtxt of {model}, by their names in ModelConfig; they override what is generated"
    return key(doc, {}, example=example)


def switch_key(model: str = "NAME", default: str | None = "overlap", shown: str = "") -> Any:
    """Declare the key that says how a pushed version of a model takes over."""
    doc = (
        f"how a pushed version of {model} takes over: `overlap` loads it next to the old one, so that no request "
        f"fails; `replace` unloads the old one first, for a model of which two do not fit in memory{shown}"
    )
    return key(doc, default, example="replace" if default != "replace" else "overlap")


def sentence(doc: str) -> str:
    """Return the meaning of a key as a sentence."""
    return f"{doc[:1].upper()}{doc[1:]}."


def places() -> Any:
    """Declare the field that keeps the positions; it is not a key."""
    return field(default_factory=dict, compare=False, repr=False)


def keywords(cls: Any) -> Mapping[str, Any]:
    """Return the keywords of JSON Schema by which a record narrows its keys together."""
    found: Mapping[str, Any] = getattr(cls, "SCHEMA", NOTHING)
    return found


def keys(cls: Any) -> tuple[Any, ...]:
    """Return the fields of a dataclass that are keys of the stack file."""
    return tuple(f for f in fields(cls) if f.metadata)
