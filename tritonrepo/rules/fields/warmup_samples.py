"""The samples of model_warmup: requests that the server makes itself before a model counts as ready."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model

REQUEST = "[request id: <id_unknown>] "
"""What the server puts before its complaints on a request that has no id."""


class Given(NamedTuple):
    """An input of a sample: its name, its entry in the map, the entry's value if it has one."""

    name: str
    entry: Message
    value: Message | None

    @property
    def dims(self) -> list[int]:
        """Its dims, without the batch."""
        return self.value.numbers("dims") if self.value is not None else []

    @property
    def data_type(self) -> str:
        """Its data type, "" where there is none."""
        return self.value.enum("data_type") if self.value is not None else ""

    @property
    def source(self) -> str:
        """Which of zero_data, random_data and input_data_file it has; "" for none. A false one counts."""
        chosen = self.value.chosen("input_data_type") if self.value is not None else None
        return chosen.name if chosen is not None else ""

    @property
    def place(self) -> Placed:
        """Where it is written."""
        return self.value if self.value is not None else self.entry


class Sample(NamedTuple):
    """A sample that the server runs: its position among all, and its inputs by name."""

    item: int
    node: Message
    batch_size: int
    inputs: Mapping[str, Given]

    @property
    def name(self) -> str:
        """Its name as the server's texts have it."""
        return self.node.text("name")


def samples(model: Model) -> Iterator[Sample]:
    """Yield the samples that are run: none of an ensemble or of passive instances, none with batch_size 0.

    Source: core, src/backend_model_instance.cc, ConstructAndInitializeInstance, GenerateWarmupData.
    """
    groups = model.config.messages("instance_group")
    if model.is_ensemble or (groups and all(group.flag("passive") for group in groups)):
        return
    for item, node in enumerate(model.config.messages("model_warmup")):
        batch_size = node.integer("batch_size")
        if batch_size > 0:
            yield Sample(item, node, batch_size, {given.name: given for given in _inputs(node)})


def _inputs(node: Message) -> Iterator[Given]:
    for entry in node.entries("inputs"):
        yield Given(entry.text("key"), entry, entry.message("value"))
