"""Reads sampling parameters: vLLM's SamplingParams by name, honoured or rejected, never ignored.

Source of the fields, defaults, checks and words: vLLM 0.10 and newer, vllm/sampling_params.py, SamplingParams; of the
conversions: vllm_backend, src/utils/vllm_backend_utils.py, TritonSamplingParams.from_dict.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

# Fields of SamplingParams that this stand-in does not support, with the values that have no effect.
REFUSED: dict[str, tuple[object, ...]] = {
    "n": (1,),
    "best_of": (None, 1),
    "prompt_logprobs": (None,),
    "logprob_token_ids": (None,),
    "flat_logprobs": (False,),
    "detokenize": (True,),
    "spaces_between_special_tokens": (True,),
    "logits_processors": (None, []),
    "truncate_prompt_tokens": (None,),
    "guided_decoding": (None,),
    "structured_outputs": (None,),
    "logit_bias": (None, {}),
    "allowed_token_ids": (None, []),
    "bad_words": (None, []),
    "extra_args": (None, {}),
    "output_kind": (None,),
    "use_beam_search": (False,),
    "length_penalty": (1.0,),
    "early_stopping": (False,),
    "thinking_token_budget": (None,),
    "repetition_detection": (None,),
    "skip_reading_prefix_cache": (None, False),
}
GREEDY_BELOW = 1e-5
PENALTY = 2
CONVERSIONS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "bool": bool, "int | None": int}


class LoraRefused(ValueError):  # noqa: N818  named like the answer that it becomes
    """A request names a LoRA adapter, which the real backend answers with a separate message."""


@dataclass(frozen=True)
class SamplingParameters:
    """The fields that the stand-in honours, by vLLM's names and with vLLM's defaults."""

    max_tokens: int | None = 16
    min_tokens: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    stop: list[str] = field(default_factory=list)
    stop_token_ids: list[int] = field(default_factory=list)
    include_stop_str_in_output: bool = False
    ignore_eos: bool = False
    skip_special_tokens: bool = True
    logprobs: int | None = None

    @property
    def is_greedy(self) -> bool:
        """Return whether the likeliest token is always taken, as vLLM does for the lowest temperatures."""
        return self.temperature < GREEDY_BELOW


def read_sampling(text: str, max_logprobs: int, adapters: tuple[str, ...] | None = None) -> SamplingParameters:
    """Return the parameters of one request from their JSON text; raise ValueError for a wrong field.

    A request without a LoRA adapter is answered as by the real backend; `adapters` None means that LoRA is not enabled.
    """
    given = json.loads(text) if text else {}
    if not isinstance(given, dict):
        raise TypeError(f"sampling parameters must be a JSON object, not a {type(given).__name__}")
    check_adapter(given.pop("lora_name", None), adapters)
    try:
        parameters = SamplingParameters(**converted(given))
        check(parameters, max_logprobs)
    except (TypeError, ValueError) as error:
        raise ValueError(f"Was trying to create `TritonSamplingParams`, but got exception: {error}") from error
    return parameters


def check_adapter(name: object, adapters: tuple[str, ...] | None) -> None:
    """Reject a request for a LoRA adapter, in the real backend's words (src/model.py, _verify_loras) if it would."""
    if name is None:
        return
    if adapters is None:
        raise LoraRefused("LoRA feature is not enabled.")
    if name not in adapters:
        raise LoraRefused(f"LoRA {name} is not supported, we currently support {list(adapters)}")
    raise LoraRefused(f"LoRA {name} needs the real vLLM backend: this CPU stand-in for vLLM runs without adapters")


def converted(given: dict[str, Any]) -> dict[str, Any]:
    """Return the honoured fields with values of the right type; raise ValueError for a rejected or unknown name."""
    types = {item.name: str(item.type) for item in fields(SamplingParameters)}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if name in REFUSED:
            if not any(value == nothing for nothing in REFUSED[name]):
                raise ValueError(f"'{name}' = {value!r} is not supported by this CPU stand-in for vLLM")
        elif name not in types:
            raise ValueError(f"Unexpected keyword argument '{name}'")
        elif name in ("stop", "stop_token_ids"):
            found[name] = listed(name, value)
        elif value is None and types[name] == "int | None":
            found[name] = None
        else:
            found[name] = number(name, value, CONVERSIONS[types[name]])
    return found


def listed(name: str, value: object) -> list[Any]:
    """Return `stop` or `stop_token_ids` as a list; a single stop string stands for a list of one."""
    value = [] if value is None else [value] if name == "stop" and isinstance(value, str) else value
    kind, words = (str, "strings") if name == "stop" else (int, "integers")
    if not isinstance(value, list) or not all(isinstance(item, kind) for item in value):
        raise ValueError(f"{name} must contain only {words}, got {value}.")
    return value


def number(name: str, value: object, kind: Callable[[Any], Any]) -> object:
    """Return a value as the backend converts it, so that "0.5" of a gRPC parameter is a number."""
    try:
        return kind(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from error


def check(given: SamplingParameters, max_logprobs: int) -> None:
    """Reject the values that vLLM rejects, in its order and words."""
    length, logprobs = given.max_tokens, given.logprobs
    checks = (
        (abs(given.presence_penalty) <= PENALTY, f"presence_penalty must be in [-2, 2], got {given.presence_penalty}."),
        (
            abs(given.frequency_penalty) <= PENALTY,
            f"frequency_penalty must be in [-2, 2], got {given.frequency_penalty}.",
        ),
        (
            given.repetition_penalty > 0,
            f"repetition_penalty must be greater than zero, got {given.repetition_penalty}.",
        ),
        (given.temperature >= 0, f"temperature must be non-negative, got {given.temperature}."),
        (0 < given.top_p <= 1, f"top_p must be in (0, 1], got {given.top_p}."),
        (given.top_k >= -1, f"top_k must be 0 (disable), or at least 1, got {given.top_k}."),
        (0 <= given.min_p <= 1, f"min_p must be in [0, 1], got {given.min_p}."),
        (length is None or length >= 1, f"max_tokens must be at least 1, got {length}."),
        (given.min_tokens >= 0, f"min_tokens must be greater than or equal to 0, got {given.min_tokens}."),
        (
            length is None or given.min_tokens <= length,
            f"min_tokens must be less than or equal to max_tokens={length}, got {given.min_tokens}.",
        ),
        (logprobs is None or logprobs >= 0, f"logprobs must be non-negative, got {logprobs}."),
        (
            logprobs is None or logprobs <= max_logprobs,
            f"Requested sample logprobs of {logprobs}, which is greater than max allowed: {max_logprobs}",
        ),
        (all(given.stop), "stop cannot contain an empty string."),
        (given.seed is None or given.seed >= 0, f"seed must be non-negative here, got {given.seed}."),
    )
    for holds, message in checks:
        if not holds:
            raise ValueError(message)
