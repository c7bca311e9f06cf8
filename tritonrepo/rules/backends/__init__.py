"""What the backends check: model files, vLLM's contract and model.json."""

from __future__ import annotations

from tritonrepo.rules.backends import files, vllm, vllm_arguments, vllm_json, vllm_lora, vllm_tensors

MODULES = (files, vllm, vllm_tensors, vllm_json, vllm_lora, vllm_arguments)
