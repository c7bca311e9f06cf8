"""What the auto_complete_config of a Python model adds to its config, where its source says that for certain.

The server runs the function all the same: core, src/backend_model.cc, UpdateModelConfig, takes from it max_batch_size,
inputs and outputs, a scheduler if the config has none, and decoupled.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from tritonrepo import repository
from tritonrepo.generate.signature import SCHEDULERS
from tritonrepo.pbtxt.printer import Enum, Message, to_text
from tritonrepo.pbtxt.schema import model_config
from tritonrepo.repository import Said
from tritonrepo.repository.completion import INVALID
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.python.completion import ConfigState, completed
from tritonrepo.spec.stack import Target
from tritonrepo.tree import File, of_text

KINDS = ("input", "output")


class _Config(NamedTuple):
    """What a completed config says: tensors as they are in a config, by "input" and "output"."""

    tensors: Mapping[str, list[Message]]
    max_batch_size: int
    scheduler: str
    decoupled: bool


def added(name: str, files: Mapping[str, File], config: Message, target: Target) -> Message:
    """Return the fields that complete a config: lists of tensors are whole, with what is listed already.

    `files` are all of the model's, by their path in its directory. Nothing is added unless the function would also
    accept the completed config, which it gets from the server.
    """
    found = _completed(name, files, config, target)
    fields = _fields(found, config) if found is not None else {}
    return fields if fields and _completed(name, files, {**config, **fields}, target) == found else {}


def _completed(name: str, files: Mapping[str, File], config: Message, target: Target) -> _Config | None:
    """Return the config that the function returns; None if that is not certain, or not the same in all versions."""
    said = Said(target.release, target.images, target.gpus, auto_complete=True, backends=target.backends)
    entries = {**files, CONFIG: of_text(to_text(config))}
    model = repository.model(name, entries, repository.target(stack=said))
    states = completed(model)
    found = [_plain(state) for state in states if state is not None]
    first = next(iter(found), None)
    certain = len(found) == len(model.served) and all(each == first for each in found)
    return first if certain else None


def _plain(state: ConfigState) -> _Config | None:
    """Return a config whose values are of the kinds that a config can have.

    A tuple of dims differs from the list that the function gets if the config has them.
    """
    tensors = [tensor for kind in KINDS for tensor in state.tensors[kind]]
    if type(state.max_batch_size) is not int or not isinstance(state.decoupled, bool | None):
        return None
    if not all(map(_is_plain, tensors)):
        return None
    lists = {kind: [_tensor(tensor) for tensor in state.tensors[kind]] for kind in KINDS}
    return _Config(lists, state.max_batch_size, state.scheduler, bool(state.decoupled))


def _is_plain(tensor: Mapping[str, Any]) -> bool:
    kind = model_config().fields["input"].message
    types = kind.fields["data_type"].enum if kind is not None else None
    dims, optional = tensor["dims"], tensor.get("optional", False)
    whole = isinstance(dims, list) and all(type(size) is int for size in dims) and isinstance(optional, bool)
    return whole and bool(tensor["name"]) and types is not None and tensor["data_type"] in types.numbers


def _tensor(tensor: Mapping[str, Any]) -> Message:
    message: dict[str, Any] = {"name": tensor["name"]}
    message |= {"data_type": Enum(tensor["data_type"])} if tensor["data_type"] != INVALID else {}
    message |= {"dims": tensor["dims"]} if tensor["dims"] else {}
    return message | ({"optional": True} if tensor.get("optional") else {})


def _fields(found: _Config, config: Message) -> Message:
    fields: dict[str, Any] = {}
    if "max_batch_size" not in config and found.max_batch_size:
        fields["max_batch_size"] = found.max_batch_size
    for kind in KINDS:
        listed: Any = config.get(kind) or []
        known = {tensor.get("name"): tensor for tensor in listed}
        whole = [{**tensor, **known.get(tensor["name"], {})} for tensor in found.tensors[kind]]
        fields |= {kind: whole} if whole != listed else {}
    if found.scheduler == "dynamic_batching" and not any(name in config for name in SCHEDULERS):
        fields["dynamic_batching"] = {}
    if found.decoupled and "model_transaction_policy" not in config:
        fields["model_transaction_policy"] = {"decoupled": True}
    return fields
