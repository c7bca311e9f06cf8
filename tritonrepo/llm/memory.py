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
from tritonrepo.llm.gpus import GIB, Range, behaviour, linked
from tritonrepo.llm.loading import SIXTEEN, Stage, stages

BLOCK = 16
"""Tokens of a block of the cache."""

PADDED = 256
"""Numbers of a key or a value of latent attention in a cache that does not hold latent vectors.

Source: vLLM, config.py, ModelConfig.get_head_size, of 0.5.5: FlashAttention has no kernel for 192.
"""

COPIES = Range(9.5, 10.5)
"""Matrices of [sequences, vocabulary] FP32 that a sampler holds at once that sorts all logits for top-k and top-p.

Logs show 9.6 (vllm-project/vllm#12529, and 1.4 GiB for 256 sequences of Qwen on several GPUs) to 10.3 (#10511): the
logits, twice as they are sorted, positions of 8 bytes with a copy for the sort, probabilities and their sums, masks.
"""

FEWEST_COPIES = 2.0
"""The same if it does not sort them."""

HIDDEN = Range(1.0, 1.07)
"""What the pass over one layer holds, relative to its largest tensors."""

LARGE = 70
"""GiB of a GPU from which on vLLM has larger defaults. Source: vllm, engine/arg_utils.py, of 0.8.4 and 0.27.1."""

GRAPHS, MORE_GRAPHS = Range(0.2, 1.1), Range(0.2, 3.5)
"""GiB of CUDA graphs, where vLLM takes an estimate of them off the cache.

The second is for experts, for layers of several kinds, and for several GPUs: from two graphs, vLLM extrapolates to all
as if none shared memory (vllm-project/vllm#45178). Logs show 0.4 to 0.8 on one GPU, 2.0 on two, 2.4 with experts.
"""

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
    latent = bool(model.kv_lora_rank)
    if latent and behaviour("latent", settings.vllm):
        return layers * (model.kv_lora_rank + model.rope_head_dim) * settings.kv_bytes
    heads = max(1, model.kv_heads // settings.tensor)
    return layers * 2 * heads * (PADDED if latent else model.head_dim) * settings.kv_bytes


def share(model: LanguageModel, settings: Settings, total: Range) -> Share:
    """Return what a GPU of this memory holds; of the stages of a pipeline, the one whose cache holds least.

    The number of the model's parameters must be known.
    """
    requested = total.times(settings.utilization)
    split, last = (settings.tensor, settings.pipeline), bool(behaviour("rest_last", settings.vllm))
    parts = stages(model, split, settings.quantization, settings.whole, rest_last=last)
    found = [_stage(model, settings, stage, requested) for stage in parts]
    return min(found, key=lambda each: each.cache.middle / max(each.per_token, 1e-9))


def _stage(model: LanguageModel, settings: Settings, stage: Stage, requested: Range) -> Share:
    low, high = stage.weights.plus(_absorbed(model, settings, stage))
    weights = Range(max(0.0, low - settings.offload), max(0.0, high - settings.offload))
    certain, held = _activation(model, settings, samples=stage.samples)
    outside = _non_torch(settings, requested.high / settings.utilization)
    graphs = _graphs(model, settings)
    taken = weights.plus(held).plus(outside).plus(graphs)
    left = requested.less(taken) if settings.cache is None else Range(settings.cache, settings.cache)
    size = per_token(model, settings, stage.layers)
    return Share(weights, held, outside, graphs, requested, size, left, settings.max_model_len, certain)


def _absorbed(model: LanguageModel, settings: Settings, stage: Stage) -> Range:
    """Return what latent attention keeps of its weights a second time, in 16 bits, so as to compute on latent vectors.

    Source: vLLM, v1/attention/backends/mla/common.py, process_weights_after_loading; before 0.9,
    attention/backends/mla/utils.py, which may multiply them with the projections of queries and of the output.
    """
    if not model.kv_lora_rank or not behaviour("latent", settings.vllm):
        return Range(0, 0)
    rank = SIXTEEN * stage.layers * model.heads * model.kv_lora_rank / settings.tensor
    least = rank * (model.nope_head_dim + model.value_head_dim)
    most = rank * ((model.q_lora_rank or model.hidden) + model.hidden)
    return Range(least, most if behaviour("absorbs", settings.vllm) else least)


def _graphs(model: LanguageModel, settings: Settings) -> Range:
    if settings.eager or not behaviour("graphs", settings.vllm):
        return Range(0, 0)
    more = model.experts or not model.plain or settings.gpus > 1
    return (MORE_GRAPHS if more else GRAPHS).times(GIB)


def _non_torch(settings: Settings, total: float) -> Range:
    """Return what CUDA, NCCL and its buffers hold: more the more GPUs there are, most with NVLink among them."""
    kinds = {1: "alone", 2: "pair"}
    kind = kinds.get(settings.gpus, "linked") if settings.gpus == 1 or linked(total) else "apart"
    return Range(*behaviour("outside", settings.vllm)[kind]).times(GIB)


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
