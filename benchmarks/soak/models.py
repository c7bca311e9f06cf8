"""Models made from scratch, and the blocks of a config: mostly realistic, sometimes with a fault."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from benchmarks.soak.drafts import Draft, Group, Plain, configs, pick, python_file, tensor_names
from benchmarks.soak.schedulers import dynamic_batching, sequence_batching
from benchmarks.soak.tensors import data_type, dims, rare, reshape, tensor
from tests.pages import DATA
from tritonrepo.pbtxt import Enum
from tritonrepo.tree import Directory, of_bytes

BACKENDS = ("python",) * 6 + ("identity",) * 4 + ("pytorch",) * 2 + ("onnxruntime", "tensorrt", "dali", "openvino")
FILES = {
    "python": "model.py",
    "onnxruntime": "model.onnx",
    "pytorch": "model.pt",
    "tensorrt": "model.plan",
    "dali": "model.dali",
    "openvino": "model.xml",
}
TORCHSCRIPT = (DATA / "torchscript.pt").read_bytes()
GROUP: dict[str, tuple[float, tuple[Any, ...]]] = {
    "kind": (0.7, ("KIND_CPU",) * 4 + ("KIND_AUTO", "KIND_MODEL", "KIND_GPU", "7")),
    "count": (0.6, (1, 1, 2, 3, 0, -1)),
    "gpus": (0.1, ([], [0], [0, 1], [-1])),
    "profile": (0.12, (["0"], ["a"], ["1", "2"], [""], ["-1"], ["99999999999"])),
    "name": (0.2, ("one", "one", "group", "")),
    "passive": (0.1, (True, False)),
    "host_policy": (0.1, ("cpu", "numa0", "")),
    "secondary_devices": (0.1, ([{"kind": Enum("KIND_NVDLA"), "device_id": 0}], [{"device_id": -1}])),
}
"""The fields of an instance group: how often they occur, and what they hold."""

STRATEGY = "TRITON_BATCH_STRATEGY_PATH"
INPUT_KINDS = (
    *("BATCH_ELEMENT_COUNT", "BATCH_ACCUMULATED_ELEMENT_COUNT", "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO"),
    *("BATCH_MAX_ELEMENT_COUNT_AS_SHAPE", "BATCH_ITEM_SHAPE", "BATCH_ITEM_SHAPE_FLATTEN"),
)


def model(dice: random.Random, name: str = "made") -> Draft:
    """Return a model that a server loads, except in rare cases."""
    backend = dice.choice(BACKENDS)
    config: Plain = {"name": name} if rare(dice, 0.3) else {}
    config["backend"] = backend
    if not rare(dice, 0.3):
        config["max_batch_size"] = dice.choice((0, 1, 4, 8, 64))
    config["input"] = [tensor(dice, f"IN{number}") for number in range(dice.choice((1, 1, 2, 3)))]
    config["output"] = [tensor(dice, f"OUT{number}") for number in range(dice.choice((1, 1, 2)))]
    draft = Draft(name, config, {"1": Directory()})
    if backend == "python":
        draft.files["1/model.py"] = python_file()
    elif backend in FILES:
        draft.files[f"1/{FILES[backend]}"] = of_bytes(TORCHSCRIPT if backend == "pytorch" else b"weights")
    for change in dice.sample(CHANGES, dice.choice((0, 0, 1, 1, 2))):
        change(dice, [draft])
    return draft


def instance_group(dice: random.Random, _: Plain) -> list[Plain]:
    """Return instance groups."""
    count = dice.choice((1, 1, 1, 2, 3, 0))
    groups = [
        {name: dice.choice(few) for name, (often, few) in GROUP.items() if rare(dice, often)} for _ in range(count)
    ]
    for group in groups:
        if "kind" in group:
            group["kind"] = Enum(group["kind"])
        if rare(dice, 0.2):
            group["rate_limiter"] = rate_limiter(dice)
    return [deepcopy(group) for group in groups]


def rate_limiter(dice: random.Random) -> Plain:
    """Return a rate limiter."""
    found: Plain = {"priority": dice.choice((0, 1, 5))} if rare(dice, 0.5) else {}
    found["resources"] = [
        {"name": dice.choice(("R1", "R2", "")), "global": dice.choice((True, False)), "count": dice.choice((0, 1, 4))}
        for _ in range(dice.choice((0, 1, 1, 2)))
    ]
    return found


def version_policy(dice: random.Random, _: Plain) -> Plain:
    """Return a version policy."""
    choices: list[Plain] = [
        {"latest": {"num_versions": dice.choice((0, 1, 2, 9))}},
        {"latest": {}},
        {"all": {}},
        {"specific": {"versions": dice.choice(([1], [2], [1, 2], [], [1, 1], [2, 2], [0], [-1], [1 << 62]))}},
        {},
    ]
    return dice.choice(choices)


def warmup_input(dice: random.Random, tensor: Plain) -> Plain:
    """Return a warmup's tensor."""
    shape = [abs(dim) or 1 for dim in tensor.get("dims", [1])]
    found: Plain = {"data_type": tensor.get("data_type", Enum("TYPE_FP32")), "dims": shape}
    if rare(dice, 0.1):
        found["dims"] = dims(dice)
    if rare(dice, 0.1):
        found["data_type"] = data_type(dice)
    source = dice.choice(("zero_data", "random_data", "zero_data", "input_data_file", ""))
    if source:
        found[source] = dice.choice(("raw", "missing", "")) if source == "input_data_file" else True
    return found


def model_warmup(dice: random.Random, config: Plain) -> list[Plain]:
    """Return warmup requests."""
    found = []
    for number in range(dice.choice((1, 1, 2))):
        largest = max(0, config.get("max_batch_size", 0))
        size = dice.choice((min(1, largest),) * 4 + (largest, 0, 1, largest + 1))
        sample: Plain = {"name": f"warm{number}", "batch_size": size}
        if rare(dice, 0.2):
            sample["count"] = dice.choice((0, 1, 3))
        sample["inputs"] = {t.get("name", ""): warmup_input(dice, t) for t in config.get("input", [])}
        if rare(dice, 0.1) and sample["inputs"]:
            sample["inputs"].pop(dice.choice(list(sample["inputs"])))
        if rare(dice, 0.08):
            sample["inputs"]["EXTRA"] = warmup_input(dice, {})
        found.append(sample)
    return found


def batch_tensors(dice: random.Random, config: Plain) -> list[Plain]:
    """Return batch inputs."""
    names = [tensor.get("name", "") for tensor in config.get("input", [])] or ["IN"]
    kind = dice.choice(INPUT_KINDS)
    found: Plain = {"kind": Enum(kind), "target_name": ["BATCH"] if not rare(dice) else dice.choice(([], ["A", "B"]))}
    found["data_type"] = data_type(dice)
    found["source_input"] = dice.choice(([dice.choice(names)],) * 6 + ([], names, ["NOWHERE"], [names[0], names[0]]))
    return [found]


def batch_outputs(dice: random.Random, config: Plain) -> list[Plain]:
    """Return batch outputs."""
    inputs = [tensor.get("name", "") for tensor in config.get("input", [])] or ["IN"]
    outputs = [tensor.get("name", "") for tensor in config.get("output", [])] or ["OUT"]
    found: Plain = {"kind": Enum("BATCH_SCATTER_WITH_INPUT_SHAPE")} if not rare(dice, 0.3) else {}
    found["target_name"] = dice.choice(([outputs[0]],) * 4 + (outputs, ["NOWHERE"], [], [outputs[0], outputs[0]]))
    found["source_input"] = dice.choice(([inputs[0]],) * 4 + ([], inputs, ["NOWHERE"]))
    return [found] * (2 if rare(dice) else 1)


def optimization(dice: random.Random, _: Plain) -> Plain:
    """Return an optimization."""
    found: Plain = {}
    if rare(dice, 0.4):
        found["graph"] = {"level": dice.choice((0, 1, -1, 99))}
    if rare(dice, 0.3):
        found["priority"] = Enum(dice.choice(("PRIORITY_DEFAULT", "PRIORITY_MAX", "PRIORITY_MIN")))
    if rare(dice, 0.3):
        found["cuda"] = {"graphs": True, "graph_spec": [{"batch_size": dice.choice((0, 1, 99))}]}
    if rare(dice, 0.3):
        accelerator = {"name": dice.choice(("tensorrt", "openvino", "nosuch", ""))}
        found["execution_accelerators"] = {dice.choice(("gpu", "cpu")) + "_execution_accelerator": [accelerator]}
    if rare(dice, 0.3):
        found[dice.choice(("eager_batching",))] = dice.choice((True, False))
    if rare(dice, 0.2):
        found["gather_kernel_buffer_threshold"] = dice.choice((0, 1, 1 << 31))
    return found


def parameters(dice: random.Random, _: Plain) -> Plain:
    """Return parameters."""
    keys = ("EXECUTION_ENV_PATH", "FORCE_CPU_ONLY_INPUT_TENSORS", STRATEGY, "execute_delay_ms", "x", "")
    values = ("", "yes", "no", "$$TRITON_MODEL_DIRECTORY/env.tar.gz", "/nonexistent/x", "10")
    key = dice.choice(keys)
    return {key: {"string_value": dice.choice(values if key != STRATEGY else values[::3])} if not rare(dice) else {}}


def setting(name: str, make: Callable[[random.Random, Plain], Any]) -> Callable[[random.Random, Group], None]:
    """Return the change that writes a block into one of the configs."""

    def change(dice: random.Random, group: Group) -> None:
        draft = pick(dice, configs(group))
        if draft is None or draft.config is None:
            return
        if name in SCHEDULERS:
            for other in SCHEDULERS:
                draft.config.pop(other, None)
        draft.config[name] = make(dice, draft.config)

    change.__name__ = f"set_{name}"
    return change


def set_tensor_field(dice: random.Random, group: Group) -> None:
    """Set a field of an input or output."""
    draft = pick(dice, configs(group))
    side = dice.choice(("input", "output"))
    found = pick(dice, draft.config.get(side, [])) if draft is not None and draft.config is not None else None
    if found is None:
        return
    fields: dict[str, Any] = {
        "reshape": reshape(dice, found.get("dims", [])),
        "dims": dims(dice),
        "data_type": data_type(dice),
        "is_shape_tensor": dice.choice((True, False)),
        "is_non_linear_format_io": dice.choice((True, False)),
        "name": dice.choice(("", "NEW", *(tensor_names(group) or ["NEW"]))),
    }
    if side == "input":
        formats = ("FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW")
        fields |= {"format": Enum(dice.choice(formats)), "allow_ragged_batch": True, "optional": True}
    else:
        fields |= {
            "label_filename": dice.choice(("labels.txt", "missing.txt", "1", "../labels.txt", "", "1/labels.txt"))
        }
    name = dice.choice(list(fields))
    found[name] = fields[name]


SCHEDULERS = ("dynamic_batching", "sequence_batching", "ensemble_scheduling")
CHANGES: list[Callable[[random.Random, Group], None]] = [
    setting("dynamic_batching", dynamic_batching),
    setting("sequence_batching", sequence_batching),
    setting("sequence_batching", sequence_batching),
    setting("instance_group", instance_group),
    setting("version_policy", version_policy),
    setting("model_warmup", model_warmup),
    setting("model_warmup", model_warmup),
    setting("batch_input", batch_tensors),
    setting("batch_output", batch_outputs),
    setting("optimization", optimization),
    setting("parameters", parameters),
    setting("response_cache", lambda dice, _: {"enable": dice.choice((True, False))}),
    setting("model_transaction_policy", lambda dice, _: {"decoupled": dice.choice((True, False))}),
    setting("max_batch_size", lambda dice, _: dice.choice((0, 1, 8, -1, 1 << 30))),
    set_tensor_field,
    set_tensor_field,
    set_tensor_field,
]
