"""Opens the ONNX file of a model as an onnxruntime session, with the options from config.pbtxt.

Source of every check and word: onnxruntime_backend, src/onnxruntime.cc, ModelState (constructor, LoadModel), and
backend, src/backend_common.cc, ParseIntValue and ParseBoolValue.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime

# Read by the real backend, and useful only on a GPU.
GPU_PARAMETERS = {"arena_extend_strategy", "cudnn_conv_algo_search", "do_copy_in_default_stream", "gpu_mem_limit"}
CPU_PARAMETERS = {
    "enable_mem_arena",
    "enable_mem_pattern",
    "execution_mode",
    "inter_op_thread_count",
    "intra_op_thread_count",
    "memory.enable_memory_arena_shrinkage",
    "session.use_device_allocator_for_initializers",
}
GRAPH_LEVELS = {-1: "ORT_ENABLE_BASIC", 1: "ORT_ENABLE_EXTENDED", 2: "ORT_DISABLE_ALL"}


def open_session(config: dict[str, Any], directory: str) -> onnxruntime.InferenceSession:
    """Return the session of the model in this version directory; raise ValueError in the real backend's words."""
    options = session_options(config)
    path = model_path(config, directory)
    refuse_accelerators(config)
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions have only this base class in common
        raise ValueError(runtime_words(error)) from error


def run_options(config: dict[str, Any]) -> onnxruntime.RunOptions:
    """Return the options of one run: `memory.enable_memory_arena_shrinkage` is the only one the backend reads."""
    options = onnxruntime.RunOptions()
    shrinkage = parameters(config).get("memory.enable_memory_arena_shrinkage")
    if shrinkage is not None:
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", shrinkage)
    return options


def runtime_words(error: Exception) -> str:
    """Return onnxruntime's message as the C++ backend words it: `onnx runtime error 7: …`."""
    return re.sub(r"^\[ONNXRuntimeError\] : (\d+) : \w+ : ", r"onnx runtime error \1: ", str(error))


def ignored(config: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each part of the configuration that has no effect on this server."""
    for name in sorted(set(parameters(config)) - CPU_PARAMETERS):
        why = "has no effect on a CPU" if name in GPU_PARAMETERS else "is not read by the onnxruntime backend"
        yield f"parameter '{name}' {why}"
    for accelerator in accelerators(config, "gpu"):
        yield f"gpu_execution_accelerator '{accelerator}' has no effect on a CPU"


def parameters(config: dict[str, Any]) -> dict[str, str]:
    """Return `parameters` of config.pbtxt as name → text."""
    return {name: value.get("string_value", "") for name, value in (config.get("parameters") or {}).items()}


def accelerators(config: dict[str, Any], device: str) -> list[str]:
    """Return the names under optimization.execution_accelerators.<device>_execution_accelerator."""
    listed = (config.get("optimization") or {}).get("execution_accelerators") or {}
    return [accelerator.get("name", "") for accelerator in listed.get(f"{device}_execution_accelerator") or []]


def refuse_accelerators(config: dict[str, Any]) -> None:
    """Reject any CPU accelerator: the real backend has only OpenVINO, which is not available here."""
    for name in accelerators(config, "cpu"):
        if name != "openvino":
            raise ValueError(f"unknown Execution Accelerator '{name}' is requested")
        raise ValueError(
            "cpu_execution_accelerator 'openvino' needs the real onnxruntime backend: this CPU stand-in has no "
            "OpenVINO; remove optimization.execution_accelerators to serve the model here"
        )


def model_path(config: dict[str, Any], directory: str) -> Path:
    """Return the path of the ONNX file; a directory of that name holds it as model.onnx."""
    path = Path(directory, config.get("default_model_filename") or "model.onnx")
    if path.is_dir():
        path /= "model.onnx"
    if not path.exists():
        raise ValueError(f"unable to find '{path}' for model instance '{config['name']}'")
    return path


def session_options(config: dict[str, Any]) -> onnxruntime.SessionOptions:
    """Return the session options for `parameters` and `optimization.graph`."""
    values, options = parameters(config), onnxruntime.SessionOptions()
    options.graph_optimization_level = graph_level(config)
    options.execution_mode = execution_mode(values)
    options.intra_op_num_threads = thread_count(values, "intra_op_thread_count") or fair_share(config)
    options.inter_op_num_threads = thread_count(values, "inter_op_thread_count")
    # Idle threads that spin would take cores from other models.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    if "enable_mem_arena" in values:
        options.enable_cpu_mem_arena = boolean(values["enable_mem_arena"])
    if "enable_mem_pattern" in values:
        options.enable_mem_pattern = boolean(values["enable_mem_pattern"])
    allocator = "session.use_device_allocator_for_initializers"
    if allocator in values:
        options.add_session_config_entry(allocator, values[allocator])
    return options


def graph_level(config: dict[str, Any]) -> onnxruntime.GraphOptimizationLevel:
    """Return the optimisation level: Triton has its own numbers, and any other number enables everything."""
    level = int(((config.get("optimization") or {}).get("graph") or {}).get("level", 0))
    return getattr(onnxruntime.GraphOptimizationLevel, GRAPH_LEVELS.get(level, "ORT_ENABLE_ALL"))


def execution_mode(values: dict[str, str]) -> onnxruntime.ExecutionMode:
    """Return sequential (0) or parallel (1) execution."""
    mode = integer(values.get("execution_mode", "0"))
    if mode not in (0, 1):
        raise ValueError(
            f"Invalid configuration value provided. Expected values for  execution_mode are 0 or 1 but got {mode} ."
        )
    parallel = onnxruntime.ExecutionMode.ORT_PARALLEL
    return parallel if mode else onnxruntime.ExecutionMode.ORT_SEQUENTIAL


def thread_count(values: dict[str, str], name: str) -> int:
    """Return the number of threads that a parameter sets; 0 if it is missing or not positive."""
    return max(0, integer(values.get(name, "0")))


def fair_share(config: dict[str, Any]) -> int:
    """Return the threads of each instance of the model: its share of the cores, at least one."""
    instances = sum(int(group.get("count") or 1) for group in config.get("instance_group") or [])
    return max(1, len(os.sched_getaffinity(0)) // max(1, instances))


def integer(text: str) -> int:
    """Read an integer as std::stoi does: leading digits are enough."""
    match = re.match(r"\s*[+-]?\d+", text)
    if match is None:
        raise ValueError(f"failed to convert '{text}' to integral number")
    return int(match.group())


def boolean(text: str) -> bool:
    """Read true, on, 1, false, off or 0 in any case."""
    if text.lower() not in ("true", "on", "1", "false", "off", "0"):
        raise ValueError(f"failed to convert '{text}' to boolean")
    return text.lower() in ("true", "on", "1")
