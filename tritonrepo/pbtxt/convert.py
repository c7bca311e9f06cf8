"""Messages as plain data, and as the classes that protoc generates.

Plain data are dicts by field name: lists for repeated fields, dicts for maps, `Enum` for an enum's name. Protobuf's
classes are not imported here: the caller passes what is to be filled or read, such as tritonclient's ModelConfig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tritonrepo.diagnostics import failure
from tritonrepo.pbtxt.nodes import Data, Field, Message, Scalar, Value
from tritonrepo.pbtxt.schema import Enum, FieldType, MessageType

Plain = dict[str, Any]


def to_plain(message: Message) -> Plain:
    """Return a message as plain data; fields in the order of their first mention, without empty lists."""
    plain: Plain = {}
    for field in message.fields:
        _add(plain, field)
    return plain


def _add(plain: Plain, field: Field) -> None:
    spec = field.spec
    if spec.message and spec.message.is_entry:
        for entry in field.values:
            assert isinstance(entry, Message)  # noqa: S101  by the schema
            key, value = _entry(entry)
            plain.setdefault(spec.name, {})[key] = value
    elif spec.repeated:
        values = [_plain(value) for value in field.values]
        plain.update({spec.name: plain.get(spec.name, []) + values} if values else {})
    else:
        plain[spec.name] = _plain(field.value)


def _plain(value: Value) -> Any:  # noqa: ANN401  plain data has any type
    return value.data if isinstance(value, Scalar) else to_plain(value)


def _entry(entry: Message) -> tuple[Data, Any]:
    """Return key and value of a map's entry; one that is missing is its type's zero."""
    plain = to_plain(entry)
    fields = entry.kind.fields
    return plain.get("key", zero(fields["key"])), plain.get("value", zero(fields["value"]))


def zero(spec: FieldType) -> Any:  # noqa: ANN401  plain data has any type
    """Return the value of a field that is not set."""
    if spec.enum:
        return Enum(spec.enum.names[0])
    if spec.message:
        return {}
    return {"string": "", "bool": False, "float": 0.0, "double": 0.0}.get(spec.type, 0)


def fill(target: Any, plain: Mapping[str, Any], kind: MessageType) -> None:  # noqa: ANN401  a class that protoc made
    """Set the fields of a protobuf message, an inference.ModelConfig of tritonclient for one, from plain data.

    Raise Stop if the class is older than a field, or if a string is not UTF-8, which these classes cannot hold.
    """
    for name, value in plain.items():
        if name not in target.DESCRIPTOR.fields_by_name:
            message = f'the protobuf class has no field "{name}"'
            raise failure("field-newer-than-client", kind.name, message, "Update tritonclient.")
        try:
            _set(target, name, value, kind.fields[name])
        except (UnicodeEncodeError, ValueError) as error:
            place = f"{kind.name}.{name}"
            message = f"the string is not UTF-8: {error}"
            raise failure("non-utf8-string", place, message, "Save the string as UTF-8.") from error


def _set(target: Any, name: str, value: Any, spec: FieldType) -> None:  # noqa: ANN401  a class that protoc made
    field = getattr(target, name)
    if spec.message and spec.message.is_entry:
        _set_map(field, value, spec.message)
    elif spec.message and spec.repeated:
        for item in value:
            fill(field.add(), item, spec.message)
    elif spec.message:
        field.SetInParent()
        fill(field, value, spec.message)
    elif spec.repeated:
        field.extend([_number(item, spec) for item in value])
    else:
        setattr(target, name, _number(value, spec))


def _set_map(field: Any, entries: Mapping[Any, Any], kind: MessageType) -> None:  # noqa: ANN401  a class that protoc made
    spec = kind.fields["value"]
    for key, value in entries.items():
        if spec.message:
            fill(field[key], value, spec.message)
        else:
            field[key] = _number(value, spec)


def _number(value: Data, spec: FieldType) -> Data:
    return spec.enum.numbers[value] if spec.enum and isinstance(value, str) else value


def of_message(message: Any, kind: MessageType) -> Plain:  # noqa: ANN401  a class that protoc made
    """Return a protobuf message as plain data, its fields in the order of the proto."""
    values = {descriptor.name: value for descriptor, value in message.ListFields()}
    return {name: _of_value(values[name], spec) for name, spec in kind.fields.items() if name in values}


def _of_value(value: Any, spec: FieldType) -> Any:  # noqa: ANN401  a class that protoc made
    if spec.message and spec.message.is_entry:
        entry = spec.message.fields["value"]
        return {key: _of_single(value[key], entry) for key in value}
    if spec.repeated:
        assert isinstance(value, Sequence)  # noqa: S101  by protobuf's own API
        return [_of_single(item, spec) for item in value]
    return _of_single(value, spec)


def _of_single(value: Any, spec: FieldType) -> Any:  # noqa: ANN401  a class that protoc made
    if spec.message:
        return of_message(value, spec.message)
    return Enum(spec.enum.names[value]) if spec.enum and value in spec.enum.names else value
