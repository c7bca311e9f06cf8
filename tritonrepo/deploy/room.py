"""Whether the GPUs of a pod hold an engine, as `fit` computes it: for comments, warnings and max_num_seqs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.diagnostics import either
from tritonrepo.llm.advice import options
from tritonrepo.llm.facts import LanguageModel
from tritonrepo.llm.fitting import FEW, Fits, Held, fits, held, many
from tritonrepo.llm.gpus import BFLOAT16, Gpu, Range, gpu, gpus
from tritonrepo.llm.memory import Share
from tritonrepo.plain import inline
from tritonrepo.tree import amount

OFFERED = ("T4", "L4", "A100-40GB", "L40S", "A100-80GB", "H100", "H200")
"""GPUs of servers in clouds, the smallest first: one of them is named where the user names none."""

HALF = ("half", "float16")

TYPICAL = 2048
"""Tokens of a request with its answer that are planned for; a fourth of max_model_len if that is less."""

STEP = 8
"""Large numbers of sequences are multiples of this, as the sizes of batches are for which CUDA graphs are captured.

Source: vllm, config/vllm.py, _set_cudagraph_sizes.
"""


class Engine(NamedTuple):
    """What decides on the memory of an engine: the model, its arguments with all defaults that are written, vLLM."""

    facts: LanguageModel | None
    arguments: Mapping[str, Any]
    vllm: str

    def held(self, memory: int) -> Held:
        """Return what GPUs of this memory hold."""
        return held(self.facts, self.arguments, self.vllm, memory)


class Room(NamedTuple):
    """The GPUs of an engine: what they are called, and what one of them holds, None if nothing is known of them.

    `named`: the user has named them. If not, they are the smallest that hold the engine, or the largest that are known.
    `why` says why nothing is known.
    """

    engine: Engine
    gpu: str
    held: Held | None
    named: bool
    why: str = ""

    @property
    def share(self) -> Share | None:
        """What a GPU holds."""
        return self.held.share if self.held is not None else None

    @property
    def tokens(self) -> int | None:
        """The tokens of the cache at least, if the engine starts; None if they are not known for certain."""
        share = self.share
        if not self.named or self.held is None or share is None or not share.max_model_len or self.held.doubts:
            return None
        return max(int(share.tokens.low), share.max_model_len) if fits(share) is not Fits.NO else None

    @property
    def each(self) -> int:
        """The tokens of a request that are planned for."""
        return max(1, min(TYPICAL, self.share.max_model_len // FEW)) if self.share is not None else TYPICAL

    @property
    def sequences(self) -> int | None:
        """The requests that the cache holds; None if that is not known, or as many as vLLM would run by itself."""
        settings, tokens = self.held.settings if self.held is not None else None, self.tokens
        if settings is None or tokens is None or tokens // self.each >= settings.sequences.high:
            return None
        number = tokens // self.each
        return number // STEP * STEP if number > 2 * STEP else number


def room(engine: Engine, product: str, memory: int | None) -> Room:
    """Return the GPUs: those of the user's product, those of the target with this memory, or the smallest that do."""
    known = gpu(product) if product else None
    if known is not None and known.memory is not None:
        return _known(engine, product, known.memory)
    if memory is not None:
        what = product or f"GPU with {amount(memory)}, as the target says"
        return _known(engine, what, memory)
    if product:
        return Room(engine, product, None, named=True, why=f"the memory of {inline(product)} is not known")
    return smallest(engine)


def _known(engine: Engine, what: str, memory: int) -> Room:
    found = engine.held(memory)
    return Room(engine, what, found, named=True, why=found.unread)


def smallest(engine: Engine) -> Room:
    """Return the smallest GPUs that surely hold an engine; the largest that are known if none do."""
    found = Room(engine, "", None, named=False)
    for each in map(gpus().__getitem__, OFFERED):
        if _new(each, engine.arguments):
            here = engine.held(each.memory or 0)
            found = Room(engine, each.name, here, named=False, why=here.unread)
            if here.share is None or fits(here.share) is Fits.YES:
                break
    return found


def _new(each: Gpu, arguments: Mapping[str, Any]) -> bool:
    return not each.below(BFLOAT16) or arguments.get("dtype") in HALF


def sentence(found: Room) -> str:
    """Return what is known of the GPUs, for a comment above their number."""
    if found.share is None:
        return f"Whether the model fits is not known: {inline(found.why)}.{_elsewhere(found)}"
    if found.named:
        about = "An estimate of what each holds" if found.held is not None and found.held.doubts else "What each holds"
        return f"{about} ({inline(found.gpu)}):"
    if fits(found.share) is not Fits.YES:
        return f"Not even the largest that are known surely hold the model ({found.gpu}):"
    return f"The model fits on GPUs such as {found.gpu}, and on larger ones; --gpu-product chooses nodes. There:"


def _elsewhere(found: Room) -> str:
    """Return which other GPUs hold the model, if it is only the memory of the user's that is not known."""
    other = smallest(found.engine) if found.held is None and found.engine.vllm else found
    if other.held is None or other.share is None or fits(other.share) is not Fits.YES:
        return ""
    return f" It fits on GPUs such as {other.gpu}, with {gib(other.held.total)} each."


def rows(found: Room) -> Iterator[str]:
    """Yield the arithmetic."""
    share, here = found.share, found.held
    if share is None or here is None:
        return
    yield f"{gib(here.total)}: memory of each GPU, as drivers report it"
    yield f"{gib(share.requested)}: of it for vLLM"
    why = {"activation": "a full batch as it is computed", "non-torch": "CUDA and NCCL", "CUDA graphs": "CUDA graphs"}
    for name, term in share.terms.items():
        yield f"{gib(term)}: {why.get(name, name)}"
    if share.cache.high > 0:
        yield f"{gib(share.cache)}: left for the KV cache, {_tokens(share)}"
    else:
        yield f"{gib(Range(-share.cache.high, -share.cache.low))} too little, with no room for the KV cache"
    if share.max_model_len and share.cache.high > 0:
        yield f"that is {many(share.sequences)} of max_model_len, {share.max_model_len:,} tokens"
    yield from (f"an estimate, because {each}" for each in here.doubts)


def _tokens(share: Share) -> str:
    low, high = (f"{int(each):,}" for each in share.tokens)
    return f"{low if low == high else f'{low} to {high}'} tokens"


def gib(found: Range) -> str:
    """Return a range of bytes; nothing is less than none."""
    low, high = (f"{max(0.0, bound) / (1 << 30):.1f}" for bound in found)
    return f"{low} GiB" if low == high else f"{low} to {high} GiB"


def short(found: Room) -> str:
    """Return what is too large for the GPUs; "" if the engine surely fits, or if that is not known."""
    share = found.share
    if share is None or fits(share) is Fits.YES:
        return ""
    where = f"each GPU ({inline(found.gpu)})"
    if share.cache.high <= 0:
        needs = gib(share.taken)
        return f"the engine needs {needs} of {where} before it has a KV cache, and vLLM takes {gib(share.requested)}"
    length = max(share.max_model_len, 1)
    needs = f"a sequence of max_model_len, {length:,} tokens, needs {amount(round(length * share.per_token))}"
    return f"{needs} for the KV cache of {where}, which has {gib(share.cache)}"


def remedies(found: Room) -> str:
    """Return what would fit."""
    here = found.held
    changes = list[str]()
    if here is not None and here.facts is not None and here.settings is not None:
        least = here.settings.max_model_len // FEW
        changed = options(here.facts, here.settings, here.total)
        changes = [each.change for each in changed if each.share.max_model_len >= least]
    larger = smallest(found.engine)
    if larger.share is not None and fits(larger.share) is Fits.YES:
        changes.append(f"GPUs such as {larger.gpu}")
    return f"It fits with {either(changes)}." if changes else "Use a smaller model, or one with quantized weights."


def old(engine: Engine, product: str) -> str:
    """Return that the user's GPUs cannot compute with the type of the model; "" if they can, or are not known."""
    known = gpu(product) if product else None
    if known is None or engine.arguments.get("dtype") != "bfloat16" or not known.below(BFLOAT16):
        return ""
    capability = f"{inline(product)} has compute capability {known.capability}"
    return f"dtype is bfloat16, but {capability}, and bfloat16 needs {BFLOAT16}"


def crowded(found: Room) -> str:
    """Return that far fewer sequences fit than max_num_seqs asks for; "" if they do, or if that is not known."""
    share, asked = found.share, found.engine.arguments.get("max_num_seqs")
    model = found.held.facts if found.named and found.held is not None else None
    if share is None or model is None or not model.plain or model.multimodal:
        return ""
    if type(asked) is not int or not share.max_model_len or share.sequences.high * FEW >= asked:
        return ""
    of = f"of max_model_len, {share.max_model_len:,} tokens,"
    return f"max_num_seqs is {asked:,}, but {many(share.sequences)} {of} fit into the KV cache of {inline(found.gpu)}"
