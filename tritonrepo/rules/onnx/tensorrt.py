"""Parameters of the tensorrt accelerator of ONNX models: their names and values.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::LoadModel, of r24.01 to r26.06; backend,
src/backend_common.cc, ParseIntValue, ParseUnsignedLongLongValue and ParseBoolValue. What a release does not have is in
the differences of data/releases.json.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State, closest, either
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.onnx.accelerators import TENSORRT, Accelerator, used
from tritonrepo.rules.onnx.options import BOOLEANS, LIMIT, whole
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

PRECISION, WORKSPACE, NATIVE = "precision_mode", "max_workspace_size_bytes", "int8_use_native_calibration_table"
FIRST = frozenset(
    {PRECISION, WORKSPACE, NATIVE, "int8_calibration_table_name", "trt_engine_cache_enable", "trt_engine_cache_path"}
)
"""The parameters of TensorRT in every release."""

INTEGERS = frozenset(
    {"trt_max_partition_iterations", "trt_min_subgraph_size", "trt_dla_core", "trt_builder_optimization_level"}
    | {"trt_auxiliary_streams", "trt_ep_context_embed_mode"}
)
TEXTS = frozenset(
    {"trt_engine_cache_prefix", "trt_timing_cache_path", "trt_tactic_sources", "trt_extra_plugin_lib_paths"}
    | {"trt_profile_min_shapes", "trt_profile_max_shapes", "trt_profile_opt_shapes", "trt_ep_context_file_path"}
)
SWITCHES = frozenset(
    {
        "trt_engine_cache_enable",
        "trt_dla_enable",
        "trt_dump_subgraphs",
        "trt_force_sequential_engine_build",
        "trt_context_memory_sharing_enable",
    }
    | {"trt_layer_norm_fp32_fallback", "trt_timing_cache_enable", "trt_force_timing_cache", "trt_detailed_build_log"}
    | {"trt_build_heuristics_enable", "trt_sparsity_enable", "trt_cuda_graph_enable", "trt_dump_ep_context_model"}
)


@rule(
    "onnx-trt-parameter-name",
    Severity.ERROR,
    "*.execution_accelerators",
    at=Stage.INSTANCE.same_walk("onnx-gpu-accelerator-name"),
)
def parameter_name(model: Model) -> Iterator[Finding]:
    """A parameter of the tensorrt accelerator must be one that the release knows."""
    known = FIRST | (INTEGERS | TEXTS | SWITCHES if model.target.release.has("onnx-tensorrt-options") else frozenset())
    for each, name, _, entry in _parameters(model):
        if name not in known:
            yield Finding(
                next(reversed(entry.scalars("key")), entry),
                f'the tensorrt accelerator has no parameter "{name}" in {model.target.release.name}',
                hint=closest(name, sorted(known)),
                reason=f"unknown parameter '{name}' is provided for TensorRT Execution Accelerator",
                item=each.item,
            )


@rule(
    "onnx-trt-precision",
    Severity.ERROR,
    "*.execution_accelerators",
    at=Stage.INSTANCE.same_walk("onnx-trt-parameter-name"),
)
def precision(model: Model) -> Iterator[Finding]:
    """The precision_mode of the tensorrt accelerator must be one that the release knows."""
    known = ("FP32", "FP16", "INT8", *(("BF16",) if model.target.release.has("onnx-tensorrt-bf16") else ()))
    for each, name, value, entry in _parameters(model):
        if name == PRECISION and value not in known:
            yield Finding(
                next(reversed(entry.scalars("value")), entry),
                f'precision_mode is "{value}", which the tensorrt accelerator does not have',
                hint=f"Set it to {either(known)}.",
                reason=f"unsupported precision mode '{value}' is requested",
                item=each.item,
            )


@rule(
    "onnx-trt-parameter-type",
    Severity.ERROR,
    "*.execution_accelerators",
    at=Stage.INSTANCE.same_walk("onnx-trt-precision"),
)
def parameter_type(model: Model) -> Iterator[Finding]:
    """A parameter of the tensorrt accelerator must have the type that the backend reads."""
    boolean = model.target.release.has("onnx-tensorrt-int8-boolean")
    integers = INTEGERS if boolean else INTEGERS | {NATIVE}
    switches = SWITCHES | {NATIVE} if boolean else SWITCHES
    for each, name, value, entry in _parameters(model):
        number = whole(value) is not None
        wanted, words = "", ""
        if name in switches and value.lower() not in BOOLEANS:
            wanted, words = "true or false", "boolean"
        elif name in integers and not number:
            wanted, words = "an integer", "integral number"
        elif name == WORKSPACE and not number:
            wanted, words = "a number of bytes", "unsigned long long integral number"
        if wanted:
            yield Finding(
                next(reversed(entry.scalars("value")), entry),
                f'{name} is "{value}", which is not {wanted}',
                hint=f"Set it to {wanted}.",
                reason=f"failed to convert '{value}' to {words}",
                item=each.item,
            )


@rule(
    "onnx-trt-parameter-overflow",
    Severity.ERROR,
    "*.execution_accelerators",
    at=Stage.INSTANCE.same_walk("onnx-trt-parameter-type"),
    state=State.CRASH,
)
def parameter_overflow(model: Model) -> Iterator[Finding]:
    """Numbers among the parameters of the tensorrt accelerator must fit into 32 bits, or 64 for bytes."""
    integers = INTEGERS if model.target.release.has("onnx-tensorrt-int8-boolean") else INTEGERS | {NATIVE}
    for each, name, value, entry in _parameters(model):
        number = whole(value) or 0
        small = name in integers and not -LIMIT <= number < LIMIT
        if small or (name == WORKSPACE and abs(number) >= 1 << 64):
            yield Finding(
                next(reversed(entry.scalars("value")), entry),
                f'{name} is "{value}", which does not fit into {32 if small else 64} bits and crashes the server',
                hint="Set it to a smaller number.",
                reason=f"server ended: {'stoi' if small else 'stoull'}",
                item=each.item,
            )


def _parameters(model: Model) -> Iterator[tuple[Accelerator, str, str, Message]]:
    """Yield the parameters of the tensorrt accelerators that are read, each with its key, value and entry."""
    for each in used(model):
        for entry in each.node.entries("parameters") if each.name == TENSORRT else ():
            yield each, entry.text("key"), entry.text("value"), entry
