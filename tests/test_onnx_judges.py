"""ONNX models of random graphs and configs: what `validate` says against ONNX Runtime and the backend's own checks."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

import onnx_contract
import onnxruntime
from onnx import NodeProto, TensorProto, helper

from tests.onnx_models import Dim, Given, made
from tests.pages import judged, normal
from tritonrepo.tree import of_bytes, of_text

CASES = 250
TYPES = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64, "STRING": TensorProto.STRING}
NAMES = {number: name for name, number in TYPES.items()}
CONTROL = "CONTROL_SEQUENCE_START"
Tensors = list[Given]
CONTROLS: Sequence[Sequence[Dim]] = (["batch", 1], ["batch", 2], [1])
SIZES: Sequence[Dim] = ("batch", "size", 4, 1, -1)


def graph(rng: random.Random) -> tuple[Tensors, Tensors, bytes]:
    """Return inputs, outputs and bytes of a model that gives each input as an output, some with one dim more."""
    nodes, inputs, outputs = list[NodeProto](), list[Given](), list[Given]()
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [-1])
    for number in range(rng.choice([1, 1, 2, 3])):
        kind, dims = TYPES[rng.choice(list(TYPES))], _dims(rng)
        longer = rng.random() < 0.4
        more: list[Dim] = ([1] if rng.random() < 0.9 else ["more"]) if longer else []
        inputs.append((f"I{number}", kind, dims))
        nodes.append(
            helper.make_node("Unsqueeze" if longer else "Identity", _read(number, longer=longer), [f"O{number}"])
        )
        written = [dim if rng.random() < 0.95 else "other" for dim in dims] + more
        outputs.append((f"O{number}", kind, written if rng.random() < 0.95 else None))
    if rng.random() < 0.2:
        inputs.append(("START", TensorProto.FLOAT, CONTROLS[rng.randrange(3)]))
    return inputs, outputs, made(nodes, inputs, outputs, [axes])


def _read(number: int, *, longer: bool) -> list[str]:
    return [f"I{number}", "axes"] if longer else [f"I{number}"]


def _dims(rng: random.Random) -> list[Dim]:
    dims: list[Dim] = [SIZES[rng.randrange(5)] for _ in range(rng.choice([0, 1, 2, 2, 3]))]
    return ["batch", *dims[1:]] if dims and rng.random() < 0.7 else dims


def config(rng: random.Random, inputs: Tensors, outputs: Tensors) -> dict[str, Any]:
    """Return a config that nearly agrees with the graph."""
    batching = rng.random() < 0.6
    found: dict[str, Any] = {"name": "m", "max_batch_size": 8 if batching else 0}
    for kind, tensors in (("input", inputs), ("output", outputs)):
        listed = [each for each in tensors if rng.random() < 0.93 and (each[0] != "START" or rng.random() < 0.4)]
        found[kind] = [_listed(rng, each, batching=batching) for each in listed if rng.random() < 0.97]
        if rng.random() < 0.1:
            found[kind] = []
    if rng.random() < 0.15:
        pair = rng.choice(["fp32_false_true", "int32_false_true"])
        name = rng.choice(["START", "START", "STOP"])
        found["sequence_batching"] = {"control_input": [{"name": name, "control": [{"kind": CONTROL, pair: [0, 1]}]}]}
    return found


def _listed(rng: random.Random, tensor: Given, *, batching: bool) -> dict[str, Any]:
    name, kind, dims = tensor
    sizes = [size if isinstance(size, int) else -1 for size in dims or ()]
    sizes = sizes[1:] if batching and rng.random() < 0.9 else sizes
    sizes = [size if rng.random() < 0.93 else rng.choice([-1, 4, 7]) for size in sizes]
    found: dict[str, Any] = {"name": name if rng.random() < 0.95 else name.lower()}
    found["data_type"] = f"TYPE_{NAMES[kind] if rng.random() < 0.95 else 'INT64'}"
    found["dims"] = sizes or [1]
    if not sizes and batching:
        found["reshape"] = {"shape": []}
    return found | ({"optional": True} if name[0] == "I" and rng.random() < 0.03 else {})


def text(given: dict[str, Any]) -> str:
    """Return a config as config.pbtxt."""
    lines = ['backend: "onnxruntime"', f"max_batch_size: {given['max_batch_size']}"]
    for kind in ("input", "output"):
        for each in given[kind]:
            more = " reshape { shape: [ ] }" if "reshape" in each else ""
            more += " optional: true" if "optional" in each else ""
            lines.append(
                f'{kind} {{ name: "{each["name"]}" data_type: {each["data_type"]} dims: {each["dims"]}{more} }}'
            )
    for each in given.get("sequence_batching", {}).get("control_input", []):
        pair = next(key for key in each["control"][0] if key != "kind")
        control = f'control_input {{ name: "{each["name"]}" control {{ kind: {CONTROL} {pair}: [ 0, 1 ] }} }}'
        lines.append(f"sequence_batching {{ {control} }}")
    return "\n".join(lines)


class Completing:
    """What the stand-in's completion needs of Triton's ModelConfig."""

    def __init__(self, given: dict[str, Any]) -> None:
        self.given = given

    def as_dict(self) -> dict[str, Any]:
        return self.given

    def set_max_batch_size(self, size: int) -> None:
        self.given["max_batch_size"] = size

    def set_dynamic_batching(self) -> None:
        """Leave the scheduler alone: no check depends on it."""


def refusal(given: dict[str, Any], session: onnxruntime.InferenceSession, *, complete: bool) -> str:
    """Return why the backend refuses the model, "" if it does not."""
    seen = onnx_contract.read_graph(session)
    mine: Any = copy.deepcopy(given)
    try:
        if complete and not onnx_contract.is_complete(mine):
            completing: Any = Completing(mine)
            onnx_contract.complete(completing, seen, lambda _: None)
        onnx_contract.validate(mine, seen)
    except ValueError as error:
        return str(error)
    return ""


def test_what_validate_refuses_the_backend_refuses_in_the_same_words() -> None:
    """What it lets pass, the backend may refuse only for sizes of outputs that ONNX Runtime infers."""
    rng, agreed, let_pass = random.Random(20), 0, 0
    onnxruntime.set_default_logger_severity(4)
    for _ in range(CASES):
        inputs, outputs, content = graph(rng)
        given, complete = config(rng, inputs, outputs), rng.random() < 0.7
        options = "" if complete else "--no-auto-complete"
        files = {"m/config.pbtxt": of_text(text(given)), "m/1/model.onnx": of_bytes(content)}
        (verdict,) = judged(files, options).verdicts
        wanted = refusal(given, onnxruntime.InferenceSession(content), complete=complete)
        assert wanted or verdict.verdict == "ready", (text(given), inputs, outputs, verdict)
        agreed += bool(wanted) is (verdict.verdict == "refused") and normal(verdict.server_reason) in normal(wanted)
        let_pass += bool(wanted) and verdict.verdict == "ready"
    assert agreed >= CASES * 0.95, agreed
    assert let_pass <= CASES * 0.05, let_pass
