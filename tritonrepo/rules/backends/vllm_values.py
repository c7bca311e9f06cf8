"""The values in model.json against what the release's vLLM takes: types, bounds and choices.

Source: vllm, config.py (the package config since 0.10), whose classes check their fields: with comparisons before 0.9,
with pydantic after it. A value is wrong only if no reading of it can be right.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tritonrepo.diagnostics import Fix, Severity, nearest
from tritonrepo.repository import Model
from tritonrepo.rules.backends.arguments import Arguments, objects
from tritonrepo.rules.backends.vllm_arguments import letters, vllm
from tritonrepo.rules.backends.vllm_json import not_int, shown
from tritonrepo.rules.backends.vllm_model import described, quantized
from tritonrepo.rules.backends.vllm_versions import Accepted, accepted, values
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

BOOLEANS = {"0", "off", "f", "false", "n", "no", "1", "on", "t", "true", "y", "yes"}
"""The strings that pydantic reads as booleans, in any case. Source: pydantic, docs, conversion table."""

OWN_RULE = {"dtype", "kv_cache_dtype", "max_lora_rank", "quantization", "tokenizer_mode"}
"""Keys with a rule of their own for values that are not among the choices."""

STORED = {"awq", "gptq", "fp8", "compressed-tensors", "bitsandbytes"}
"""Methods of which none reads weights of another. Source: layers/quantization, override_quantization_method of each."""

WORDS = {"int": "an integer", "float": "a number", "bool": "a boolean", "str": "a string", "list": "an array"}
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,17})?")
TENTH, PERCENT = 10, 100
MOST_CHOICES = 8
"""The most choices that a hint lists."""


@rule("vllm-value-type", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-model-key-missing"))
def value_type(model: Model) -> Iterator[Finding]:
    """A value in model.json must have a type and a size that vLLM takes."""
    for each, key, value, taken in _known(model):
        if (key == "gpu_memory_utilization" and _number(value)) or not_int(model, key, value):
            continue
        wrong = _wrong_type(value, taken) or _wrong_size(value, taken)
        wrong = wrong or (_wrong_choice(value, taken) if key not in OWN_RULE else "")
        if wrong:
            yield Finding(
                each.at(model, key),
                f"{key} {wrong}, not {shown(value)}",
                hint="Write it without quotes." if _quoted(value, taken) else f"Fix it, or remove {key}.",
                reason=_reason(taken, "not supported between instances of"),
                fix=_unquoted(model, each, key, taken),
            )


@rule("vllm-gpu-memory-utilization", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-quantization"))
def gpu_memory_utilization(model: Model) -> Iterator[Finding]:
    """gpu_memory_utilization must be a fraction: more than 0, and at most 1."""
    for each, key, value, taken in _known(model, "gpu_memory_utilization"):
        share = _number(value)
        if share is None or not (share > 1 or share <= 0) or (share <= 0 and "num_gpu_blocks_override" in each.value):
            continue
        late = "No available memory for the cache blocks" if share <= 0 else "GPU memory utilization must be less than"
        meant = share / (TENTH if share < TENTH else PERCENT) if 1 < share <= PERCENT else 0
        yield Finding(
            each.at(model, key),
            f"gpu_memory_utilization is {shown(value)}, but must be more than 0 and at most 1: "
            "it is the part of a GPU's memory that the engine takes",
            hint=f"Did you mean {meant:g}?" if meant else "Set it to 0.9 or less, or remove it.",
            reason=_reason(taken, late) if share > 1 or taken.above is not None else late,
            fix=each.changed(model, key, float(f"{meant:g}"), safe=False) if meant else None,
        )


@rule("vllm-dtype", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-llama31-too-old"))
def dtype(model: Model) -> Iterator[Finding]:
    """The dtype must be a type that vLLM computes with."""
    yield from _choice(model, "dtype", "Unknown dtype: ")


@rule("vllm-tokenizer-mode", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-max-model-len-too-long"))
def tokenizer_mode(model: Model) -> Iterator[Finding]:
    """tokenizer_mode must be a mode that vLLM has."""
    for finding, each in _choices(model, "tokenizer_mode", "Unknown tokenizer mode: "):
        if not each.value.get("skip_tokenizer_init"):
            yield finding


@rule("vllm-quantization", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-tokenizer-mode"))
def quantization(model: Model) -> Iterator[Finding]:
    """The quantization must be a method that vLLM knows, and that of the weights."""
    yield from _choice(model, "quantization", "Unknown quantization method: ")
    for each, value, config in described(model):
        wanted, own = value.get("quantization"), quantized(config)
        if isinstance(wanted, str) and wanted.lower() in STORED and own in STORED and wanted.lower() != own:
            yield Finding(
                each.at(model, "quantization"),
                f"quantization is {shown(wanted)}, but the config.json of the weights says {shown(own)}",
                hint="Remove it: vLLM reads it from config.json.",
                reason=f"Quantization method specified in the model config ({own}) does not match the quantization "
                f"method specified in the `quantization` argument ({wanted.lower()}).",
                fix=each.removed(model, "quantization"),
            )


@rule("vllm-kv-cache-dtype", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-gpu-memory-utilization"))
def kv_cache_dtype(model: Model) -> Iterator[Finding]:
    """kv_cache_dtype must be a type in which vLLM can keep keys and values."""
    yield from _choice(model, "kv_cache_dtype", "Unknown kv cache dtype: ")


@rule("vllm-lora-limits", Severity.ERROR, "backend=vllm", at=Stage.INSTANCE.after("vllm-batched-tokens"))
def lora_limits(model: Model) -> Iterator[Finding]:
    """The limits on LoRA adapters must be some that vLLM takes."""
    yield from _choice(model, "max_lora_rank", "max_lora_rank (")
    for each, value in objects(model):
        most, on_cpu = value.get("max_loras", 1), value.get("max_cpu_loras")
        if not value.get("enable_lora") or type(most) is not int:
            continue
        if most < 1 and not any(taken.min for *_, taken in _known(model, "max_loras")):
            reason = f"max_loras ({most}) must be >= 1"
            message = f"max_loras must be at least 1, not {most}"
            yield Finding(each.at(model, "max_loras"), message, hint="Remove it.", reason=reason)
        if type(on_cpu) is int and 0 < on_cpu < most:
            yield Finding(
                each.at(model, "max_cpu_loras"),
                f"max_cpu_loras is {on_cpu}, but cannot be less than max_loras, which is {most}",
                hint=f"Set it to {most} or more, or remove it.",
                reason=f"max_cpu_loras ({on_cpu}) must be >= max_",
            )


def _known(model: Model, *wanted: str) -> Iterator[tuple[Arguments, str, Any, Accepted]]:
    """Yield the keys of model.json of whose values something is known, null aside."""
    for each, value in objects(model):
        lora = bool(value.get("enable_lora"))
        for key in wanted or value:
            taken = accepted(model, key) if key in values() and value.get(key) is not None else None
            if taken is not None and (lora or not taken.with_lora):
                yield each, key, value[key], taken


def _wrong_type(value: object, taken: Accepted) -> str:
    """Return what a value must be if it is of no type that can be taken for one of these."""
    types = taken.types
    if not types or any(_fits(value, kind, checked=bool(taken.config)) for kind in types):
        return ""
    if taken.choices and isinstance(value, str) and "str" in types:
        return ""
    said = [WORDS.get(kind, "an object") for kind in ("int", "float", "bool", "str", "list", "dict") if kind in types]
    if not taken.config:  # Python compares them with a number
        said = ["a number"]
    return f"must be {' or '.join(said)}"


def _fits(value: object, kind: str, *, checked: bool) -> bool:
    """Whether a value is of a type, or if it is `checked`, may be converted to it."""
    if isinstance(value, bool):
        return kind in {"bool", "int", "float"}
    if isinstance(value, int):
        return kind in {"int", "float"} or (kind == "bool" and value in {0, 1})
    if isinstance(value, float):
        return (
            kind == "float"
            or (kind == "int" and (not checked or value % 1 == 0))
            or (kind == "bool" and value in {0, 1})
        )
    if isinstance(value, str):
        return kind == "str" or (checked and _read(value, kind))
    return kind == type(value).__name__


def _read(text: str, kind: str) -> bool:
    """Whether pydantic may read a string as a number or a boolean."""
    if kind == "bool":
        return text.strip().lower() in BOOLEANS
    if kind not in {"int", "float"}:
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _wrong_size(value: object, taken: Accepted) -> str:
    number = _number(value) if not isinstance(value, bool) else None
    if number is None:
        return ""
    if taken.above is not None and number <= taken.above:
        return f"must be more than {taken.above:g}"
    if taken.min is not None and number < taken.min:
        return f"must be at least {taken.min:g}"
    if taken.below is not None and number >= taken.below:
        return f"must be less than {taken.below:g}"
    return f"must be at most {taken.max:g}" if taken.max is not None and number > taken.max else ""


def _wrong_choice(value: object, taken: Accepted) -> str:
    if not taken.choices or isinstance(value, bool | float):
        return ""
    found = value.lower() if taken.lower and isinstance(value, str) else value
    return "" if found in taken.choices else f"must be {_listed(taken.choices)}"


def _choice(model: Model, key: str, reason: str) -> Iterator[Finding]:
    yield from (finding for finding, _ in _choices(model, key, reason))


def _choices(model: Model, key: str, reason: str) -> Iterator[tuple[Finding, Arguments]]:
    """Yield a finding if a value is not among the choices, and the model.json that has it."""
    for each, _, value, taken in _known(model, key):
        if _wrong_type(value, taken) or not _wrong_choice(value, taken):
            continue
        near = nearest(value, [str(choice) for choice in taken.choices]) if isinstance(value, str) else ""
        said = value.lower() if taken.lower and isinstance(value, str) else value
        yield (
            Finding(
                each.at(model, key),
                f"{vllm(model)}, has no {key} {shown(value)}",
                hint=f'Did you mean "{near}"?' if near else f"Use {_listed(taken.choices)}.",
                reason=_reason(taken, f"{reason}{said}" if isinstance(value, str | int) else ""),
                fix=each.changed(model, key, near, safe=True) if near and letters(near) == letters(value) else None,
            ),
            each,
        )


def _listed(choices: tuple[Any, ...]) -> str:
    said = [json.dumps(choice) for choice in choices]
    if len(said) > MOST_CHOICES:
        return f"{', '.join(said[:MOST_CHOICES])} or another one that it has"
    return f"{', '.join(said[:-1])} or {said[-1]}" if len(said) > 1 else said[0]


def _reason(taken: Accepted, plain: str) -> str:
    return f"validation error for {taken.config}" if taken.config else plain


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _unquoted(model: Model, each: Arguments, key: str, taken: Accepted) -> Fix | None:
    """Return the fix for a number in quotes, if it is one without them that the key can have."""
    value = each.value[key]
    if not _quoted(value, taken) or not NUMBER.fullmatch(value):
        return None
    number = json.loads(value)
    fits = 0 < number <= 1 if key == "gpu_memory_utilization" else isinstance(number, int) and number > 0
    return each.changed(model, key, number, safe=True) if fits else None


def _quoted(value: object, taken: Accepted) -> bool:
    return isinstance(value, str) and bool({"int", "float"} & taken.types) and _read(value, "float")
