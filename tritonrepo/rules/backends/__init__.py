"""What the backends check: model files, vLLM's contract and model.json."""

from __future__ import annotations

from tritonrepo.rules.backends import (
    files,
    forests,
    gpus,
    memory,
    model_files,
    openvino,
    pytorch,
    tensorrt,
    vllm,
    vllm_arguments,
    vllm_json,
    vllm_lengths,
    vllm_parallel,
    vllm_settings,
    vllm_values,
    vllm_weights,
    wrong_files,
)

MODULES = (
    files,
    model_files,
    wrong_files,
    vllm,
    vllm_json,
    vllm_arguments,
    memory,
    pytorch,
    openvino,
    gpus,
    vllm_values,
    vllm_lengths,
    vllm_parallel,
    vllm_weights,
    vllm_settings,
    tensorrt,
    forests,
)
