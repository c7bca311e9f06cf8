"""Checks of `args` and `sampling` in a stack file: values that no engine, prompt step or request can use."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tritonrepo.diagnostics import nearest
from tritonrepo.spec.declare import VARIABLE

SAMPLING = frozenset(
    [
        "n",
        "presence_penalty",
        "frequency_penalty",
        "repetition_penalty",
        "temperature",
        "top_p",
        "top_k",
        "min_p",
        "seed",
        "stop",
        "stop_token_ids",
        "bad_words",
        "include_stop_str_in_output",
        "ignore_eos",
        "max_tokens",
        "min_tokens",
        "logprobs",
        "prompt_logprobs",
        "detokenize",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "truncate_prompt_tokens",
        "logit_bias",
        "allowed_token_ids",
        "structured_outputs",
        "guided_decoding",
        "extra_args",
        "lora_name",
    ]
)
"""vLLM 0.10 and newer, vllm/sampling_params.py, SamplingParams; lora_name is the backend's own (vllm_backend,
src/utils/vllm_backend_utils.py). Other names may be newer than this list, so only a misspelt one is rejected."""

TOKENS = {"type": "integer", "minimum": 1}
ARGUMENTS: Mapping[str, Any] = {
    "properties": {"max_model_len": {"anyOf": [TOKENS, {"enum": [-1]}, VARIABLE]}},
    "propertyNames": {"not": {"enum": ["model", "revision"]}},
}
PARAMETERS: Mapping[str, Any] = {"properties": {"max_tokens": {"anyOf": [TOKENS, VARIABLE]}}}
RESERVED = ("messages", "add_generation_prompt", "bos_token", "eos_token")
"""What the prompt step itself gives to a chat template."""

VARIABLES: Mapping[str, Any] = {"propertyNames": {"not": {"enum": [*RESERVED]}}}
"""What a JSON Schema can judge of `args`, of `sampling` and of `chat_template_kwargs`."""


def generating(args: Mapping[str, Any], sampling: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield key, message and hint of each fault: lengths that are not numbers of tokens, misspelt parameters."""
    length = args.get("max_model_len", 1)
    if not _whole(length) or (length < 1 and length != -1):
        yield (
            "args.max_model_len",
            f"max_model_len must be an integer of at least 1, not {json.dumps(length)}",
            "Set it to a number of tokens, or remove it to use the model's own limit.",
        )
    limit = sampling.get("max_tokens", 1)
    if not _whole(limit) or limit < 1:
        message = f"max_tokens must be an integer of at least 1, not {json.dumps(limit)}"
        yield "sampling.max_tokens", message, "Set it to a number of tokens."
    for name in sampling:
        near = nearest(name, SAMPLING, 0.8)
        if name not in SAMPLING and near:
            yield f"sampling.{name}", f'unknown sampling parameter "{name}"', f'Did you mean "{near}"?'


def templating(variables: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield key, message and hint of each variable of a chat template that cannot be set."""
    for name in filter(variables.__contains__, RESERVED):
        message = f'chat_template_kwargs cannot set "{name}", which the prompt step sets'
        yield f"chat_template_kwargs.{name}", message, f"Remove {name} from chat_template_kwargs."


def _whole(value: Any) -> bool:  # noqa: ANN401  JSON
    return isinstance(value, int) and not isinstance(value, bool)
