"""Sequences as a whole: the cache, slots, idle time, iteration."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "sequence-response-cache",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.POLL.after("preserve-ordering-with-priority-delay"),
)
def response_cache(model: Model) -> Iterator[Finding]:
    """A model with sequence batching has no response cache."""
    cache = model.config.message("response_cache")
    if cache is not None and cache.flag("enable"):
        words = f"Response Cache does not currently support model {model.config_name} with sequence batching scheduler."
        yield Finding(
            cache.scalars("enable")[-1],
            "response_cache is enabled for a model with sequence_batching",
            hint="Drop response_cache.",
            reason=f"{words} Please disable the response cache.",
        )


@rule("direct-slot-utilization", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("oldest-preferred-above-max"))
def slot_utilization(model: Model) -> Iterator[Finding]:
    """minimum_slot_utilization is from 0 to 1."""
    sequences = model.config.message("sequence_batching")
    direct = sequences.message("direct") if sequences is not None else None
    for part in direct.scalars("minimum_slot_utilization") if direct is not None else ():
        if isinstance(part.data, int | float) and (part.data < 0 or part.data > 1):
            yield Finding(
                part,
                f"minimum_slot_utilization {part.written} is no part of 1",
                hint="Write a number from 0.0 to 1.0: 0.5 is half of the slots.",
                reason=f"sequence batching minimum slot utilization must be in range (0.0, 1.0] for {model.config_name}",
            )


@rule("sequence-without-batching", Severity.INFO, "sequence_batching")
def without_batching(model: Model) -> Iterator[Finding]:
    """Sequence batching without max_batch_size runs one sequence at a time in each instance."""
    field = model.config.get("sequence_batching")
    sequences = model.config.message("sequence_batching")
    if field is None or sequences is None or model.max_batch_size != 0 or sequences.has("oldest"):
        return
    if not may_complete(model):
        hint = "Write max_batch_size: with how many sequences an instance may run, or add instances."
        yield Finding(field, "each instance runs one sequence at a time, since max_batch_size is 0", hint=hint)


@rule("iterative-without-decoupled", Severity.INFO, "sequence_batching")
def iterative_without_decoupled(model: Model) -> Iterator[Finding]:
    """iterative_sequence is for decoupled models."""
    sequences, policy = model.config.message("sequence_batching"), model.config.message("model_transaction_policy")
    if sequences is None or not sequences.flag("iterative_sequence") or (policy and policy.flag("decoupled")):
        return
    if not may_complete(model):
        hint = "Write model_transaction_policy { decoupled: true } where each step is to send an answer."
        yield Finding(sequences.scalars("iterative_sequence")[-1], "an iterative sequence that answers once", hint=hint)


@rule("sequence-idle-default", Severity.INFO, "sequence_batching")
def idle_default(model: Model) -> Iterator[Finding]:
    """max_sequence_idle_microseconds is a second where it is not written."""
    field = model.config.get("sequence_batching")
    sequences = model.config.message("sequence_batching")
    if field is not None and sequences is not None and not sequences.integer("max_sequence_idle_microseconds"):
        hint = "Write max_sequence_idle_microseconds: with how long a sequence may wait for its next request."
        yield Finding(field, "a sequence ends when it is idle for 1,000,000 microseconds", hint=hint)
