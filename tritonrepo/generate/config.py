"""The pieces of configs: messages of ModelConfig as plain data, complete, so that auto-complete has nothing to add.

Field names and their order: triton-inference-server/common, protobuf/model_config.proto.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tritonrepo.pbtxt.printer import Enum, Message, Value
from tritonrepo.spec.part import Port
from tritonrepo.spec.stack import Batching, Instances

CALL_TOKENS = 16
"""How many tokens of padding a further call of an ONNX model must save on a CPU.

A short call of MiniLM costs as much as about 25 tokens of another call, and the way to the model half as much, but a
large call computes each token more slowly. Of 8 to 128, the least for texts of mixed lengths is 16: the embedder takes
5 % less processor time at 32 clients than at 64, and as much at 8 (2 busy cores, 15 and 4 texts a batch).
"""


def config(name: str, backend: str, version: int, max_batch_size: int, ports: Ports, **more: Value) -> Message:
    """Return a model's config in the order of the proto; `more` are the fields after output, in their order."""
    head: dict[str, Value] = {"name": name}
    head["platform" if backend == "ensemble" else "backend"] = backend
    head["version_policy"] = {"specific": {"versions": [version]}}
    head["max_batch_size"] = max_batch_size
    return head | {"input": _ports(ports.inputs), "output": _ports(ports.outputs)} | more


class Ports(NamedTuple):
    """A model's interface."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def _ports(ports: Iterable[Port]) -> list[Message]:
    return [_port(port) for port in ports]


def _port(port: Port) -> Message:
    message: dict[str, Value] = {
        "name": port.name,
        "data_type": Enum(f"TYPE_{port.data_type}"),
        "dims": list(port.dims),
    }
    return message | ({"optional": True} if port.optional else {})


def dynamic_batching(batching: Batching) -> Message:
    """Return the dynamic_batching message."""
    message: dict[str, Value] = {}
    if batching.preferred:
        message["preferred_batch_size"] = list(batching.preferred)
    if batching.max_queue_delay:
        message["max_queue_delay_microseconds"] = int(batching.max_queue_delay)
    return message


def instance_group(instances: Instances) -> list[Message]:
    """Return the instance_group of a model with these copies."""
    message: dict[str, Value] = {"count": instances.count, "kind": Enum(f"KIND_{instances.kind.upper()}")}
    return [message | ({"gpus": list(instances.gpus)} if instances.gpus else {})]


def on_cpu(count: int = 1) -> list[Message]:
    """Return the instance_group of a Python step, which has no use for a GPU."""
    return [{"count": count, "kind": Enum("KIND_CPU")}]


def runs(config: Message, gpus: int) -> str:
    """Return where a model runs in a server with so many GPUs: `cpu`, `gpu`, or `auto`: a GPU if there is one."""
    groups = config.get("instance_group")
    found = {group.get("kind") for group in groups if isinstance(group, Mapping)} if isinstance(groups, list) else set()
    if found == {"KIND_CPU"}:
        return "cpu"
    if "KIND_GPU" in found:
        return "gpu"
    return "auto" if gpus else "cpu"


def grouped(kind: str, config: Message) -> Message:
    """Return the settings by which a step groups texts into calls of the ONNX model with this config."""
    if kind == "gpu":
        return {}
    groups = config.get("instance_group")
    counts = (
        [group.get("count", 1) for group in groups if isinstance(group, Mapping)] if isinstance(groups, list) else []
    )
    instances = sum(count for count in counts if isinstance(count, int))
    settings: dict[str, Value] = {"call_tokens": CALL_TOKENS, "kind": kind}
    return settings | ({"instances": instances} if instances > 1 else {})


def on_cpu_for(kind: str) -> list[Message]:
    """Return the instance_group of a step that calls an ONNX model that runs there.

    On a GPU, one tokenizes while the other waits for the model. On a CPU, both would wait for it with half a batch.
    """
    return on_cpu(1 if kind == "cpu" else 2)


def ensemble_step(model: str, version: int, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> Message:
    """Return one step; the maps go from the model's tensor to the ensemble's, and the version is always pinned."""
    return {
        "model_name": model,
        "model_version": version,
        "input_map": [{"key": key, "value": value} for key, value in inputs.items()],
        "output_map": [{"key": key, "value": value} for key, value in outputs.items()],
    }
