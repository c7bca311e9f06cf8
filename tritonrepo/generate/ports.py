"""The ports of models that are configured: a chain with own models is joined by what their configs list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tritonrepo.generate.draft import Draft
from tritonrepo.pbtxt.printer import Message
from tritonrepo.spec.part import Part, Port, Step

NEEDED = ("name", "data_type", "dims")

COUNTED = Port("num_input_tokens", "UINT32", (1,))
"""The output with the tokens that a model reads, under the name that it has in the vLLM backend."""


def listed(config: Message, kind: str) -> list[Mapping[str, Any]]:
    """Return the inputs or outputs that a config lists, as `kind` says."""
    tensors: Any = config.get(kind) or []
    return [tensor for tensor in tensors if isinstance(tensor, Mapping)]


def max_batch_size(config: Message) -> int:
    """Return the limit of a config's batches, 0 if it has none."""
    limit = config.get("max_batch_size")
    return limit if isinstance(limit, int) else 0


def unknown(name: str, config: Message) -> Iterator[str]:
    """Yield what a config lacks for its model to be joined with others."""
    for kind in ("input", "output"):
        tensors = listed(config, kind)
        if not tensors:
            yield f'the config of model "{name}" lists no {kind}'
        for number, tensor in enumerate(tensors):
            lacking = [field for field in NEEDED if not tensor.get(field)]
            if lacking:
                which = f'"{tensor["name"]}"' if tensor.get("name") else str(number)
                yield f'{kind} {which} of model "{name}" has no {" and no ".join(lacking)}'


def configured(draft: Draft, name: str, part: Part[Any]) -> Part[Any]:
    """Return the part of a model with the types, dims and batches of its config, under the names of its ports."""
    if part.free:
        own = draft.configs[name]
        takes, gives = (tuple(_port(tensor, own) for tensor in listed(own, kind)) for kind in ("input", "output"))
        only = Step("", {port.name: port.name for port in takes}, {port.name: port.name for port in gives})
        return replace(part, takes=takes, gives=gives, steps=(only,))
    found: dict[tuple[str, str], Port] = {}
    for step in part.steps:
        config = draft.configs[f"{name}{step.ending}"]
        for kind, ports in (("input", step.inputs), ("output", step.outputs)):
            tensors = {tensor.get("name"): _port(tensor, config) for tensor in listed(config, kind)}
            found |= {(kind, port): tensors[tensor] for tensor, port in ports.items() if tensor in tensors}
    takes = tuple(_seen(port, found.get(("input", port.name))) for port in part.takes)
    gives = tuple(_seen(port, found.get(("output", port.name))) for port in part.gives)
    return replace(part, takes=takes, gives=gives)


def _seen(port: Port, found: Port | None) -> Port:
    """Return a role's port with the dims and batches of the tensor that it is in the config."""
    return port if found is None else port._replace(dims=found.dims or port.dims, batches=found.batches)


def _port(tensor: Mapping[str, Any], config: Message) -> Port:
    data_type = str(tensor.get("data_type")).removeprefix("TYPE_")
    dims = tuple(tensor.get("dims") or ())
    return Port(str(tensor.get("name")), data_type, dims, bool(tensor.get("optional")), max_batch_size(config) > 0)
