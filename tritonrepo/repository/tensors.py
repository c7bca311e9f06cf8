"""The inputs and outputs that a config lists, each read once, in the order of the server's walk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tritonrepo.pbtxt import Field, Message, Scalar

_BYTES = {
    "TYPE_BOOL": 1,
    "TYPE_UINT8": 1,
    "TYPE_UINT16": 2,
    "TYPE_UINT32": 4,
    "TYPE_UINT64": 8,
    "TYPE_INT8": 1,
    "TYPE_INT16": 2,
    "TYPE_INT32": 4,
    "TYPE_INT64": 8,
    "TYPE_FP16": 2,
    "TYPE_FP32": 4,
    "TYPE_FP64": 8,
    "TYPE_BF16": 2,
}


def element_bytes(data_type: str) -> int:
    """Return the bytes that the server counts per element: 4 for a string, and for an element without a type.

    Source: common, src/model_config.cc.
    """
    return _BYTES.get(data_type, 4)


@dataclass(slots=True, eq=False)
class ListedTensor:
    """One entry of `input` or `output`; `item` is its position among all, inputs first.

    `name` and `data_type` are "" if missing; `data_type` is as written, such as "99" for an unknown number. `fields`
    has the last field of each name; `dims` are the values of all `dims` fields together.
    """

    kind: str
    item: int
    node: Message
    name: str
    data_type: str
    fields: Mapping[str, Field]
    dims: Sequence[int]

    @property
    def reshape(self) -> Message | None:
        """Its `reshape`, which may have no shape."""
        found = self.fields.get("reshape")
        return found.value if found is not None and isinstance(found.value, Message) else None

    def flag(self, name: str) -> bool:
        """Return the value of a bool field; false if it is missing."""
        return name in self.fields and self.node.flag(name)


def tensors(config: Message) -> tuple[ListedTensor, ...]:
    """Return the config's inputs, then its outputs."""
    nodes = [(kind, node) for kind in ("input", "output") for node in config.messages(kind)]
    return tuple(_tensor(kind, item, node) for item, (kind, node) in enumerate(nodes))


def _tensor(kind: str, item: int, node: Message) -> ListedTensor:
    fields = {field.spec.name: field for field in node.fields if field.values}
    dims = node.numbers("dims") if "dims" in fields else ()
    return ListedTensor(kind, item, node, _text(fields, "name"), _text(fields, "data_type"), fields, dims)


def _text(fields: Mapping[str, Field], name: str) -> str:
    found = fields.get(name)
    value = found.value if found is not None else None
    return str(value.data) if isinstance(value, Scalar) else ""
