"""The stack file's own fields of a config, laid over the generated ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tritonrepo.pbtxt.printer import Message
from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config
from tritonrepo.spec.part import Places, below


class Own(NamedTuple):
    """Fields of a ModelConfig, as `spec.config` reads them, and the places of all that is in them."""

    fields: Mapping[str, Any]
    places: Places


NOTHING = Own({}, {})


def own(places: Places, fields: Mapping[str, Any], key: str = "config") -> Own:
    """Return the fields that a key of the stack file holds, with their places."""
    return Own(fields, below(places, key))


def laid_over(message: Message, own: Own) -> Message:
    """Return a generated config in which the stack file's own fields are as they are written there.

    Messages and maps merge field by field and key by key; scalars and lists are replaced, and so are another member of
    a oneof, and a message that is nothing but a oneof, such as version_policy. A field that is null is removed.
    """
    return _merged(message, own.fields, model_config()) if own.fields else message


def origins(origin: Places, message: Message, own: Own) -> Places:
    """Return the places of a config's fields, by their path: those of the stack file's own, and the generated ones."""
    kind = model_config()
    whole = {name for name, value in own.fields.items() if not _merge(kind.fields[name], message.get(name), value)}
    generated = {name: at for name, at in origin.items() if name not in whole}
    return {path: at for path, at in own.places.items() if path} | generated


def _merge(spec: FieldType, generated: object, own: object) -> bool:
    """Return whether two values of a field are both messages or both maps, and merge."""
    choice = spec.message is not None and _is_choice(spec.message)
    return isinstance(generated, Mapping) and isinstance(own, Mapping) and not choice


def _is_choice(kind: MessageType) -> bool:
    """Return whether a message is nothing but a oneof."""
    return bool(kind.fields) and all(field.oneof for field in kind.fields.values())


def _merged(generated: Mapping[Any, Any], own: Mapping[str, Any], kind: MessageType) -> dict[str, Any]:
    chosen = {kind.fields[name].oneof for name, value in own.items() if value is not None} - {""}
    out = {name: value for name, value in generated.items() if name in own or kind.fields[name].oneof not in chosen}
    for name, value in own.items():
        before = out.pop(name, None)
        if value is not None:
            out[name] = _value(kind.fields[name], before, value)
    return out


def _value(spec: FieldType, generated: Any, own: Any) -> Any:  # noqa: ANN401  plain data has any type
    if spec.message is None or not isinstance(own, Mapping):
        return [_value(spec, None, item) for item in own] if isinstance(own, list) else own
    before = generated if isinstance(generated, Mapping) and not _is_choice(spec.message) else {}
    if not spec.message.is_entry:
        return _merged(before, own, spec.message)
    value = spec.message.fields["value"]
    return {**before, **{key: _value(value, before.get(key), item) for key, item in own.items()}}
