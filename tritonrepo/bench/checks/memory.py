"""The KV cache, and "memory efficiency"."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.bench.checks.values import EXACT, per_token, said, shown
from tritonrepo.bench.claim import Claim, Judgement, State

NEAR = 0.005
"""How near a share of memory is to a setting to be the same: half of a percent, as it is printed."""

SETTINGS = (0.9, 0.92)
"""Defaults of vLLM's gpu_memory_utilization; see `utilization` in data/gpus.json."""


def kv_cache(claim: Claim) -> Iterator[Judgement]:
    """Yield whether the KV cache has room for what is decoded; prefixes that are shared need room once.

    A sequence has its prompt in the cache, and half of its answer on average.
    """
    if not claim.kv_tokens:
        return
    rate, token = said(claim, "output_tokens_per_s"), per_token(claim)
    many = rate * token.value / 1000 if rate and token else said(claim, "concurrency")
    if not many:
        return
    room = claim.kv_tokens / many
    left = f"{shown(claim.kv_tokens)} tokens of KV cache / {shown(many)} sequences = {shown(room)} tokens each"
    if not claim.input_tokens:
        says = f"prompt and answer of a request are at most {shown(room)} tokens on average"
        yield Judgement("kv-cache", State.WEAK, left, "the length of prompts is not said", says)
        return
    needs = claim.input_tokens + (claim.output_tokens or 0.0) / 2
    right = f"{shown(claim.input_tokens)} of a prompt + half of {shown(claim.output_tokens or 0)} = {shown(needs)}"
    if needs <= room * EXACT:
        yield Judgement("kv-cache", State.HOLDS, left, right, "")
    else:
        yield Judgement("kv-cache", State.WEAK, left, right, "only possible if prompts share most of their tokens")


def memory_efficiency(claim: Claim) -> Iterator[Judgement]:
    """Yield what a "memory efficiency" says: vLLM takes the share of memory that gpu_memory_utilization sets."""
    share = claim.memory_efficiency
    if share is None:
        return
    left = f"memory efficiency {share:.0%}"
    if share > 1:
        yield Judgement("memory-efficiency", State.BROKEN, left, "100%", "more memory than all", "at most 100%")
        return
    setting = claim.memory_utilization
    given = setting if setting is not None else next((s for s in SETTINGS if abs(s - share) <= NEAR), None)
    if given is None or abs(given - share) > NEAR:
        says = "what is meant by it is not said; nothing else in the table depends on it"
        yield Judgement("memory-efficiency", State.WEAK, left, "", says)
        return
    whose = "the setting" if setting is not None else "a default of the setting"
    says = "a setting and not a result: vLLM takes this share of the memory, whatever is in it"
    yield Judgement("memory-efficiency", State.WEAK, left, f"gpu_memory_utilization {shown(given)}, {whose}", says)


def conditions(claim: Claim) -> Iterator[Judgement]:
    """Yield which conditions are not stated, without which nobody can repeat the run."""
    if claim.unstated:
        says = "nobody can repeat the run, and its figures are not comparable"
        yield Judgement("conditions", State.WEAK, f"not stated: {', '.join(claim.unstated)}", "", says)
