"""The inputs and outputs that a config lists, each read once, in the order in which the server walks them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tritonrepo.pbtxt import Field, Message, Scalar


@dataclass(slots=True, eq=False)
class Tensor:
    """One entry of `input` or `output`; `item` is its position among all, inputs first.

    `fields` has the last field of each name; `dims` are the values of all `dims` fields together.
    """

    kind: str
    item: int
    node: Message
    fields: Mapping[str, Field]
    dims: Sequence[int]

    @property
    def name(self) -> str:
        """Its name; "" where there is none."""
        return self._text("name")

    @property
    def data_type(self) -> str:
        """Its data type as written, "99" for an unknown number; "" where there is none."""
        return self._text("data_type")

    @property
    def reshape(self) -> Message | None:
        """Its `reshape`, which may have no shape."""
        found = self.fields.get("reshape")
        return found.value if found is not None and isinstance(found.value, Message) else None

    def flag(self, name: str) -> bool:
        """Give a bool of it; false where it is not there."""
        return name in self.fields and self.node.flag(name)

    def _text(self, name: str) -> str:
        found = self.fields.get(name)
        value = found.value if found is not None else None
        return str(value.data) if isinstance(value, Scalar) else ""


def tensors(config: Message) -> tuple[Tensor, ...]:
    """Give the config's inputs, then its outputs."""
    nodes = [(kind, node) for kind in ("input", "output") for node in config.messages(kind)]
    return tuple(_tensor(kind, item, node) for item, (kind, node) in enumerate(nodes))


def _tensor(kind: str, item: int, node: Message) -> Tensor:
    fields = {field.spec.name: field for field in node.fields if field.values}
    return Tensor(kind, item, node, fields, list(_dims(node)) if "dims" in fields else ())


def _dims(node: Message) -> Iterator[int]:
    for field in node.fields:
        if field.spec.name == "dims":
            for value in field.values:
                if isinstance(value, Scalar) and isinstance(value.data, int):
                    yield value.data
