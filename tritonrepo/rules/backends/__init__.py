"""What the backends check: model files, vLLM's contract and model.json."""

from __future__ import annotations

from tritonrepo.rules.backends import (
    files,
    gpus,
    memory,
    model_files,
    openvino,
    pytorch,
    vllm,
    vllm_arguments,
    vllm_json,
    wrong_files,
)

MODULES = (files, model_files, wrong_files, vllm, vllm_json, vllm_arguments, memory, pytorch, openvino, gpus)
