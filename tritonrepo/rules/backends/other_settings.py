"""Settings that are no arguments of vLLM's engine, and what sets them with Triton's backend.

Source: vLLM, vllm/entrypoints/openai/cli_args.py (options of its own server) and vllm/sampling_params.py;
vllm_backend, docs/llama_multi_lora_tutorial.md (multi_lora.json).
"""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.releases import Release

SAMPLING = frozenset(
    [
        "best_of",
        "frequency_penalty",
        "ignore_eos",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "min_p",
        "min_tokens",
        "n",
        "presence_penalty",
        "prompt_logprobs",
        "repetition_penalty",
        "skip_special_tokens",
        "stop",
        "stop_token_ids",
        "temperature",
        "top_k",
        "top_p",
    ]
)
"""Fields of SamplingParams."""

SERVER = frozenset(
    [
        "allowed_origins",
        "api_key",
        "chat_template",
        "chat_template_content_format",
        "enable_auto_tool_choice",
        "host",
        "lora_modules",
        "port",
        "prompt_adapters",
        "response_role",
        "root_path",
        "ssl_certfile",
        "ssl_keyfile",
        "tool_call_parser",
        "uvicorn_log_level",
    ]
)
"""Options of vLLM's own server."""

LORA = (
    "Remove it, set enable_lora, and create a multi_lora.json next to model.json "
    'that names the adapters: `{"NAME": "/path/of/the/adapter"}`.'
)


def hint(key: str, release: Release, known: Mapping[str, object]) -> str:
    """Return what to do with a key that is a setting of something else; "" if it is none."""
    name = key.lstrip("-").replace("-", "_")
    if name in known:
        return ""
    if name == "lora_modules" and release.has("vllm-lora"):
        return LORA
    if name in SAMPLING:
        return "Remove it, and send it as JSON in sampling_parameters of each request."
    return "Remove it. It is an option of vLLM's own server." if name in SERVER else ""
