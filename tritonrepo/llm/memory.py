"""How much memory of a GPU an engine of vLLM needs, and how many tokens its cache then holds.

Source: vLLM, v1/worker/gpu_worker.py, determine_available_memory; worker/worker.py, determine_num_available_blocks, of
0.5.5; config.py, ModelConfig.get_num_kv_heads; the overheads are those of published start-up logs, which the tests
list. What vLLM measures at start is given here as a range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.gpus import GIB, Range, behaviour
from tritonrepo.llm.loading import SIXTEEN, Stage, stages

BLOCK = 16
"""Tokens of a block of the cache."""

COPIES = Range(9.3, 10.6)
"""Matrices of [sequences, vocabulary] FP32 that a sampler holds at once that sorts all logits for top-k and top-p."""

FEWEST_COPIES = 2.0
"""The same if it does not sort them."""

HIDDEN = Range(1.0, 1.07)
"""What the pass over one layer holds, relative to its largest tensors."""

NON_TORCH = {1: Range(0.03, 0.4), 2: Range(0.25, 3.6), 4: Range(0.25, 5.8)}
"""GiB outside PyTorch by the number of GPUs of an engine, at least: CUDA, NCCL and its buffers."""

LARGE, BUFFERS = 64, 1.0
"""GPUs of fewer GiB were never seen with more GiB of buffers than this: they have no fast links among them."""

GRAPHS = Range(0.2, 1.1)
"""GiB of CUDA graphs, where vLLM takes them off the cache."""

WINDOW = 32768
"""Tokens of max_model_len from which V0 profiles a chunk by default."""

CHUNK = 2048


@dataclass(frozen=True, slots=True)
class Settings:
    """The engine arguments that decide, with vLLM's defaults; `batched` and `sequences` are ranges where they depend.

    `kv_bytes` are the bytes of a number in the cache, `whole` those of a weight that is not quantized. `cache` is the
    size of the cache where it is written, None if vLLM measures what is left. A `max_model_len` of 0 is the longest
    that fits. `doubts` say why this is an estimate.
    """

    vllm: str
    utilization: float
    max_model_len: int
    sequences: Range
    batched: Range
    tensor: int = 1
    pipeline: int = 1
    replicas: int = 1
    kv_bytes: float = 2.0
    whole: float = SIXTEEN
    quantization: str = ""
    eager: bool = False
    offload: float = 0.0
    cache: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def gpus(self) -> int:
        """The number of GPUs that the engine takes."""
        return self.tensor * self.pipeline * self.replicas


@dataclass(frozen=True, slots=True)
class Share:
    """What one GPU of an engine holds, in bytes, for its smallest cache; `per_token` are the bytes of a token in it.

    `certain` is what activation takes even with a sampler that sorts nothing, which the environment can choose.
    """

    weights: Range
    activation: Range
    non_torch: Range
    graphs: Range
    requested: Range
    per_token: float
    cache: Range
    max_model_len: int
    certain: float = 0.0

    @property
    def taken(self) -> Range:
        """What vLLM holds before it makes the cache."""
        return self.weights.plus(self.activation).plus(self.non_torch).plus(self.graphs)

    @property
    def tokens(self) -> Range:
        """The tokens that the cache holds, in whole blocks."""
        size = self.per_token * BLOCK
        return Range(*(max(0, math.floor(bound / size)) * BLOCK if size else 0 for bound in self.cache))

    @property
    def sequences(self) -> Range:
        """How many sequences of max_model_len fit at once."""
        return self.tokens.times(1 / max(1, self.max_model_len))

    @property
    def terms(self) -> Mapping[str, Range]:
        """What vLLM holds before it makes the cache, by name."""
        return {
            "weights": self.weights,
            "activation": self.activation,
            "non-torch": self.non_torch,
            "CUDA graphs": self.graphs,
        }

    @property
    def deciding(self) -> str:
        """The largest term."""
        return max(self.terms, key=lambda name: self.terms[name].middle)

    @property
    def widest(self) -> str:
        """The term that is known least."""
        return max(self.terms, key=lambda name: self.terms[name].high - self.terms[name].low)


def doubts(model: LanguageModel, settings: Settings) -> tuple[str, ...]:
    """Return why the size of a token, or what is left for the cache, is only an estimate; none for a plain model."""
    reasons = list(settings.doubts)
    if not model.plain:
        reasons.append("not every layer keeps all tokens")
    if model.multimodal:
        reasons.append("the memory of the vision or audio encoder is not known")
    if model.experts and settings.replicas > 1:
        reasons.append("replicas may share the experts")
    if model.quantization.get("kv_cache_scheme") or model.quantization.get("kv_cache_quant_algo"):
        reasons.append("the checkpoint may set the bits of the cache")
    if model.quantization.get("lm_head"):
        reasons.append("the output layer may be quantized as well")
    return tuple(reasons)


def per_token(model: LanguageModel, settings: Settings, layers: int) -> float:
    """Return the bytes of one token in the cache of one GPU; latent attention is not divided among GPUs."""
    if model.kv_lora_rank:
        return layers * (model.kv_lora_rank + model.rope_head_dim) * settings.kv_bytes
    heads = max(1, model.kv_heads // settings.tensor)
    return layers * 2 * heads * model.head_dim * settings.kv_bytes


def share(model: LanguageModel, settings: Settings, total: Range) -> Share:
    """Return what a GPU of this memory holds; of the stages of a pipeline, the one whose cache holds least.

    The number of the model's parameters must be known.
    """
    requested = total.times(settings.utilization)
    found = [
        _stage(model, settings, stage, requested)
        for stage in stages(model, (settings.tensor, settings.pipeline), settings.quantization, settings.whole)
    ]
    return min(found, key=lambda each: each.cache.middle / max(each.per_token, 1e-9))


def _stage(model: LanguageModel, settings: Settings, stage: Stage, requested: Range) -> Share:
    low, high = stage.weights
    weights = Range(max(0.0, low - settings.offload), max(0.0, high - settings.offload))
    certain, held = _activation(model, settings, samples=stage.samples)
    outside = _non_torch(settings, requested.high / settings.utilization)
    graphs = GRAPHS.times(GIB) if behaviour("graphs", settings.vllm) and not settings.eager else Range(0, 0)
    taken = weights.plus(held).plus(outside).plus(graphs)
    left = requested.less(taken) if settings.cache is None else Range(settings.cache, settings.cache)
    size = per_token(model, settings, stage.layers)
    return Share(weights, held, outside, graphs, requested, size, left, settings.max_model_len, certain)


def _non_torch(settings: Settings, total: float) -> Range:
    low, high = NON_TORCH[max(number for number in NON_TORCH if number <= settings.gpus)]
    return Range(low, high if total >= LARGE * GIB else min(high, BUFFERS)).times(GIB)


def _activation(model: LanguageModel, settings: Settings, *, samples: bool) -> tuple[float, Range]:
    """Return the peak of the pass that vLLM profiles: over a layer, or in the sampler, which comes after it.

    Before it comes what it takes with any sampler.
    """
    wide = model.experts_used * model.expert_intermediate if model.experts else model.intermediate
    split = 3 * wide + (model.heads + 2 * model.kv_heads) * model.head_dim
    token = 2 * (split / settings.tensor + model.hidden)
    factor = Range(0.5, 2.0) if model.experts or not model.plain else HIDDEN
    layer = Range(settings.batched.low * token * factor.low, settings.batched.high * token * factor.high)
    fewest = COPIES.low if behaviour("whole_sort", settings.vllm) else FEWEST_COPIES
    rows = Range(min(settings.sequences.low, settings.batched.low), min(settings.sequences.high, settings.batched.high))
    matrix = 4 * model.vocabulary * samples
    sampler = Range(rows.low * matrix * fewest, rows.high * matrix * COPIES.high)
    more = 4 * model.hidden * wide / settings.tensor if _unpacks(model, settings) else 0
    most = max(layer.high, sampler.high) + more
    if model.multimodal:
        most *= 2
    return max(layer.low, rows.low * matrix * FEWEST_COPIES), Range(max(layer.low, sampler.low), most)


def _unpacks(model: LanguageModel, settings: Settings) -> bool:
    """Whether a layer's weights are unpacked to 16 bits for the pass."""
    return "bitsandbytes" in (settings.quantization, model.quantization.get("quant_method"))
