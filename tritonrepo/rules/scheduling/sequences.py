"""Sequences as a whole: the cache, slots, idle time, iteration."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.completion import may_complete_inputs
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "sequence-response-cache",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.POLL.after("preserve-ordering-with-priority-delay"),
)
def response_cache(model: Model) -> Iterator[Finding]:
    """A model with sequence_batching cannot use the response cache."""
    cache = model.config.message("response_cache")
    if cache is not None and cache.flag("enable"):
        words = f"Response Cache does not currently support model {model.config_name} with sequence batching scheduler."
        yield Finding(
            cache.scalars("enable")[-1],
            "response_cache is enabled, but a model with sequence_batching cannot use it",
            hint="Remove response_cache.",
            reason=f"{words} Please disable the response cache.",
            fix=edited(model, *unset(model.config, "response_cache"), safe=True),
        )


@rule("direct-slot-utilization", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("oldest-preferred-above-max"))
def slot_utilization(model: Model) -> Iterator[Finding]:
    """minimum_slot_utilization must be from 0.0 to 1.0."""
    sequences = model.config.message("sequence_batching")
    direct = sequences.message("direct") if sequences is not None else None
    for part in direct.scalars("minimum_slot_utilization") if direct is not None else ():
        if isinstance(part.data, int | float) and (part.data < 0 or part.data > 1):
            words = "sequence batching minimum slot utilization"
            yield Finding(
                part,
                f"minimum_slot_utilization must be from 0.0 to 1.0, not {part.written}",
                hint="Set it to the fraction of the slots, such as 0.5 for half of them.",
                reason=f"{words} must be in range (0.0, 1.0] for {model.config_name}",
            )


@rule("sequence-without-batching", Severity.INFO, "sequence_batching")
def without_batching(model: Model) -> Iterator[Finding]:
    """Without max_batch_size, an instance runs only one sequence at a time."""
    field = model.config.get("sequence_batching")
    sequences = model.config.message("sequence_batching")
    if field is None or sequences is None or model.max_batch_size != 0 or sequences.has("oldest"):
        return
    if not may_complete_inputs(model):
        hint = "Set max_batch_size to the number of sequences that an instance may run, or add instances."
        yield Finding(field, "each instance runs one sequence at a time because max_batch_size is 0", hint=hint)


@rule("iterative-without-decoupled", Severity.INFO, "sequence_batching")
def iterative_without_decoupled(model: Model) -> Iterator[Finding]:
    """An iterative sequence sends only one response unless the model is decoupled."""
    sequences, policy = model.config.message("sequence_batching"), model.config.message("model_transaction_policy")
    if sequences is None or not sequences.flag("iterative_sequence") or (policy and policy.flag("decoupled")):
        return
    if not may_complete_inputs(model):
        message = "iterative_sequence is set, but a model that is not decoupled sends only one response"
        hint = "If each step should send a response, add `model_transaction_policy { decoupled: true }`."
        yield Finding(sequences.scalars("iterative_sequence")[-1], message, hint=hint)


@rule("sequence-idle-default", Severity.INFO, "sequence_batching")
def idle_default(model: Model) -> Iterator[Finding]:
    """max_sequence_idle_microseconds defaults to one second."""
    field = model.config.get("sequence_batching")
    sequences = model.config.message("sequence_batching")
    if field is None or sequences is None or sequences.flag("iterative_sequence"):
        return  # of an iterative sequence, all requests but the first come from the model
    if not sequences.integer("max_sequence_idle_microseconds"):
        hint = "Set max_sequence_idle_microseconds to how long a sequence may wait for its next request."
        yield Finding(field, "a sequence ends after 1,000,000 microseconds without a request", hint=hint)
