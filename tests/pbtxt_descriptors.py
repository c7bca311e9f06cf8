"""Our schema of ModelConfig as protobuf's descriptors, so that other parsers judge by the same fields."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from tritonrepo.pbtxt.schema import ROOT, EnumType, FieldType, MessageType, messages

PACKAGE = "inference"


@cache
def descriptor_set(release: str) -> bytes:
    """Return the serialized FileDescriptorSet of the schema as this release has it."""
    result = FileDescriptorSet()
    file = result.file.add(name="model_config.proto", package=PACKAGE, syntax="proto3")
    made: dict[str, Any] = {PACKAGE: file}
    for kind in messages(release).values():
        _add_message(made, kind)
    enums = {
        spec.enum.name: spec.enum for kind in messages(release).values() for spec in kind.fields.values() if spec.enum
    }
    for enum in enums.values():
        _add_enum(made, enum)
    return result.SerializeToString()


@cache
def message_class(release: str) -> type[Message]:
    """Return the class of ModelConfig as this release has it."""
    pool = DescriptorPool()
    for file in FileDescriptorSet.FromString(descriptor_set(release)).file:
        pool.Add(file)
    return GetMessageClass(pool.FindMessageTypeByName(ROOT))


def _add_message(made: dict[str, Any], kind: MessageType) -> None:
    scope, _, name = kind.name.rpartition(".")
    holder = made[scope].message_type if scope == PACKAGE else made[scope].nested_type
    made[kind.name] = message = holder.add(name=name)
    if kind.is_entry:
        message.options.map_entry = True
    for spec in kind.fields.values():
        _add_field(message, spec)


def _add_field(message: DescriptorProto, spec: FieldType) -> None:
    labels = (FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED)
    field = message.field.add(name=spec.name, number=spec.number, label=labels[spec.repeated])
    field.type = FieldDescriptorProto.Type.Value(f"TYPE_{spec.type.upper()}")
    named = spec.message or spec.enum
    if named:
        field.type_name = f".{named.name}"
    if spec.oneof:
        names = [oneof.name for oneof in message.oneof_decl]
        if spec.oneof not in names:
            message.oneof_decl.add(name=spec.oneof)
        field.oneof_index = [oneof.name for oneof in message.oneof_decl].index(spec.oneof)


def _add_enum(made: dict[str, Any], enum: EnumType) -> None:
    scope, _, name = enum.name.rpartition(".")
    made_enum: EnumDescriptorProto = made[scope].enum_type.add(name=name)
    for value, number in enum.numbers.items():
        made_enum.value.add(name=value, number=number)
