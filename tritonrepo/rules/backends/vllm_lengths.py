"""Numbers of tokens in model.json against each other, and against the model's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonrepo.diagnostics import Severity
from tritonrepo.llm.config import LARGEST, rope_scaling, text_part
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import objects
from tritonrepo.rules.backends.vllm_json import shown
from tritonrepo.rules.backends.vllm_model import described
from tritonrepo.rules.backends.vllm_versions import before, since
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

LENGTHS = (
    *("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "model_max_length"),
    *("max_sequence_length", "max_seq_length", "seq_len", "max_target_positions"),
)
"""Keys of config.json that can give a length. vLLM takes the smallest; here the largest counts."""

UNSCALED = {"su", "longrope", "llama3", "default", "mrope"}
"""Kinds of scaled positions that leave the length as it is. Source: vllm, config.py, _get_and_verify_max_len."""

LONG = 32768
"""Above this length, vLLM up to 0.8 splits prompts by itself. Source: engine/arg_utils.py, use_long_context."""

SEQUENCES = 256
"""max_num_seqs of vLLM up to 0.7.3 if it is not set. Source: engine/arg_utils.py, EngineArgs."""


@rule("vllm-max-model-len-too-long", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-dtype"))
def max_model_len(model: Model) -> Iterator[Finding]:
    """max_model_len cannot be more than the model was made for."""
    for each, value, config in described(model):
        wanted = value.get("max_model_len")
        if config is None or type(wanted) is not int or "rope_scaling" in value or "rope_parameters" in value:
            continue
        most = longest(config)
        if most and wanted > most:
            yield Finding(
                each.at(model, "max_model_len"),
                f"max_model_len is {shown(wanted)}, but the model was made for {most} tokens",
                hint=f"Set it to {most} or less. VLLM_ALLOW_LONG_MAX_MODEL_LEN=1 lets vLLM start anyway.",
                reason=f"User-specified max_model_len ({wanted}) is greater than the derived max_model_len",
                fix=each.changed(model, "max_model_len", most, safe=False),
            )


def longest(config: Mapping[str, Any]) -> int:
    """Return the largest length that vLLM may derive from a config.json; 0 if it may be any."""
    text = text_part(config)
    found = [number for key in LENGTHS if (number := _positive(text.get(key)) or _positive(config.get(key)))]
    scaling = rope_scaling(text)
    kind, factor = scaling.get("rope_type", scaling.get("type")), scaling.get("factor", 1)
    if not found or (scaling and not isinstance(kind, str)):
        return 0
    if kind in UNSCALED or not scaling:
        return int(max(found))
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor <= LONG:
        return 0
    original = _positive(scaling.get("original_max_position_embeddings"))
    return int((original if kind == "yarn" and original else max(found)) * factor)


@rule("vllm-batched-tokens", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-more-ranks-than-gpus"))
def batched_tokens(model: Model) -> Iterator[Finding]:
    """max_num_batched_tokens must be at least max_num_seqs, and max_model_len without chunked prefill."""
    early, obeyed = before(model, "0.8.1"), since(model, "0.11.1")
    for each, value in objects(model):
        tokens, sequences = value.get("max_num_batched_tokens"), value.get("max_num_seqs", SEQUENCES if early else None)
        if type(tokens) is not int:
            continue
        at = each.at(model, "max_num_batched_tokens")
        longest_prompt = _whole_prompt(value, early=early) if early or obeyed else 0
        if tokens < longest_prompt:
            yield Finding(
                at,
                f"max_num_batched_tokens is {tokens}, but must be at least max_model_len, which is {longest_prompt}, "
                "without chunked prefill",
                hint=f'Set it to {longest_prompt} or more, or set `"enable_chunked_prefill": true`.',
                reason=f"max_num_batched_tokens ({tokens}) is smaller than max_model_len ({longest_prompt})",
            )
        elif type(sequences) is int and tokens < sequences:
            own = "" if "max_num_seqs" in value else " if it is not set"
            yield Finding(
                at,
                f"max_num_batched_tokens is {tokens}, but must be at least max_num_seqs, which is {sequences}{own}",
                hint=f"Set it to {sequences} or more, or max_num_seqs to {tokens} or less.",
                reason=f"max_num_batched_tokens ({tokens}) must be greater than or equal to max_num_seqs ({sequences})",
            )


def _whole_prompt(value: Mapping[str, Any], *, early: bool) -> int:
    """Return the length of the longest prompt, if it is processed in one piece; otherwise 0.

    Versions between take enable_chunked_prefill for true whatever it says: arg_utils.py, _set_default_args_v1.
    """
    length, chunked = _positive(value.get("max_model_len")), value.get("enable_chunked_prefill")
    return length if chunked is False or (chunked is None and early and length <= LONG) else 0


def _positive(value: Any) -> int:  # noqa: ANN401  whatever JSON has
    return value if type(value) is int and 0 < value <= LARGEST else 0
