"""The engine arguments of a model.json that decide on memory, with the defaults of the image's vLLM.

Source: vLLM, engine/arg_utils.py, EngineArgs; config.py, SchedulerConfig and CacheConfig, of 0.5.5, 0.8.4 and 0.27.1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import GIB, Range, behaviour, reported
from tritonrepo.llm.loading import SIXTEEN, THIRTY_TWO
from tritonrepo.llm.memory import BLOCK, CHUNK, LARGE, WINDOW, Settings

MOST = 1 << 40
FIRST_CHUNK = 512
"""Tokens of a chunk by default in the first versions that have chunks."""

SLOWER = "A100-80GB"
"""A GPU that has the small defaults all the same. Source: vllm-project/vllm#17885."""

LARGEST_GPU = 160 * GIB
"""From here on, vLLM profiles twice as many tokens."""

CACHES = {"auto": 0.0, "fp8": 1.0, "fp8_e4m3": 1.0, "fp8_e5m2": 1.0, "bfloat16": 2.0, "float16": 2.0, "half": 2.0}
"""Bytes of a number in the cache by kv_cache_dtype; auto is the model's own."""

DOUBTS = {
    "num_gpu_blocks_override": "num_gpu_blocks_override sets the cache",
    "speculative_config": "a draft model takes memory as well",
    "speculative_model": "a draft model takes memory as well",
    "hf_overrides": "hf_overrides changes the model",
    "decode_context_parallel_size": "the cache is divided among GPUs",
    "block_size": "blocks have another size",
    "load_format": "the weights are loaded in another format",
    "compilation_config": "the CUDA graphs are configured",
    "enable_lora": "adapters take memory as well",
    "kv_transfer_config": "the cache is transferred",
}
"""Arguments with which the result is only an estimate."""

SAME: Mapping[str, tuple[object, ...]] = {
    "block_size": (BLOCK,),
    "decode_context_parallel_size": (1,),
    "load_format": ("pt", "safetensors", "npcache", "hf", "mistral", "fastsafetensors", "runai_streamer", "dummy"),
}
"""Values of these with which it is none: the defaults, and other ways to load the same weights.

Source: vllm, config/load.py, LoadConfig; model_executor/model_loader.
"""

NOT_A_GPU = {"cpu", "tpu", "xpu", "hpu", "neuron"}


class UnreadError(ValueError):
    """An argument has a value that no engine can start with, or the model's length is not known."""


def settings(value: Mapping[str, Any], model: LanguageModel, vllm: str, memory: float) -> Settings:
    """Return the settings of an engine on GPUs of this memory in bytes; raise UnreadError if one cannot be read."""
    if _text(value, "device") in NOT_A_GPU:
        raise UnreadError("it does not run on a GPU")
    length = _length(value, model)
    return Settings(
        vllm,
        utilization(value, vllm),
        length,
        _sequences(value, vllm, memory),
        _batched(value, vllm, memory, length),
        tensor=_whole(value, "tensor_parallel_size", 1),
        pipeline=_whole(value, "pipeline_parallel_size", 1),
        replicas=_whole(value, "data_parallel_size", 1),
        kv_bytes=_cached(value),
        whole=_bytes(value),
        quantization=_text(value, "quantization"),
        eager=value.get("enforce_eager") is True,
        offload=_number(value, "cpu_offload_gb") * GIB,
        cache=_whole(value, "kv_cache_memory_bytes", 0) or None,
        doubts=tuple(_doubts(value)),
    )


def _length(value: Mapping[str, Any], model: LanguageModel) -> int:
    if value.get("max_model_len") == -1:  # as many as fit
        return 0
    found = _whole(value, "max_model_len", model.context)
    if not found:
        raise UnreadError("the model's context is not known: set max_model_len")
    return found


def utilization(value: Mapping[str, Any], vllm: str) -> float:
    """Return the share of a GPU that an engine takes; raise UnreadError if it is none."""
    written = value.get("gpu_memory_utilization")
    if written is None:
        return float(behaviour("utilization", vllm))
    if isinstance(written, bool) or not isinstance(written, int | float) or not 0 < written <= 1:
        raise UnreadError("gpu_memory_utilization is not a share")
    return float(written)


def _sequences(value: Mapping[str, Any], vllm: str, memory: float) -> Range:
    if written := _whole(value, "max_num_seqs", 0):
        return Range(written, written)
    low, high = behaviour("sequences", vllm)
    return Range(low, high if _large(memory) else min(high, 256))


def _batched(value: Mapping[str, Any], vllm: str, memory: float, length: int) -> Range:
    """Return the tokens that the engine profiles with."""
    if written := _whole(value, "max_num_batched_tokens", 0):
        return Range(written, written)
    chunked = length > WINDOW or value.get("enable_chunked_prefill") is True
    prompt = Range(FIRST_CHUNK, CHUNK) if chunked else Range(max(length, CHUNK), max(length, CHUNK))
    if not behaviour("profiles_chunks", vllm):
        return prompt
    most = prompt.high if behaviour("profiles_prompts", vllm) else CHUNK
    return Range(CHUNK, max(most, _chunk(memory)))


def _chunk(memory: float) -> int:
    return CHUNK if not _large(memory) else CHUNK * 8 if memory >= LARGEST_GPU else CHUNK * 4


def _large(memory: float) -> bool:
    """Whether vLLM has its larger defaults, unless it is not known which of several GPUs it is."""
    return memory >= LARGE * GIB and reported(int(memory))[1] != SLOWER


def _cached(value: Mapping[str, Any]) -> float:
    kind = value.get("kv_cache_dtype")
    return CACHES.get(kind, 1.0) or _bytes(value) if isinstance(kind, str) else _bytes(value)


def _bytes(value: Mapping[str, Any]) -> float:
    return THIRTY_TWO if _text(value, "dtype") in {"float32", "float"} else SIXTEEN


def _doubts(value: Mapping[str, Any]) -> Iterator[str]:
    for key, why in DOUBTS.items():
        if value.get(key) not in (None, False, "auto", "false", "False", {}, *SAME.get(key, ())):
            yield why
    if isinstance(kind := value.get("kv_cache_dtype"), str) and kind not in CACHES:
        yield "the cache has scales as well"


def _whole(value: Mapping[str, Any], key: str, otherwise: int) -> int:
    written = value.get(key)
    if written is None:
        return otherwise
    if type(written) is not int or not 0 < written <= MOST:
        raise UnreadError(f"{key} is not a count")
    return written


def _number(value: Mapping[str, Any], key: str) -> float:
    written = value.get(key)
    if isinstance(written, bool) or not isinstance(written, int | float):
        return 0.0
    return float(written) if 0 <= written <= MOST else 0.0


def _text(value: Mapping[str, Any], key: str) -> str:
    written = value.get(key)
    return written if isinstance(written, str) else ""
