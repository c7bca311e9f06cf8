"""The oldest strategy of sequence batching."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.batching import SIZE, above
from tritonrepo.rules.stages import Stage


def oldest(model: Model) -> Message | None:
    """Return the strategy's settings."""
    sequences = model.config.message("sequence_batching")
    return sequences.message("oldest") if sequences is not None else None


@rule("oldest-preferred-not-positive", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("corrid-data-type"))
def preferred_not_positive(model: Model) -> Iterator[Finding]:
    """A preferred batch size of the oldest strategy must be at least 1."""
    strategy = oldest(model)
    for item, size in enumerate(strategy.scalars("preferred_batch_size") if strategy is not None else ()):
        if isinstance(size.data, int) and size.data <= 0:
            yield Finding(
                size,
                f"preferred_batch_size must be at least 1, not {size.data}",
                hint=SIZE,
                reason=f"sequence batching preferred batch size must be positive for {model.config_name}",
                item=item,
            )


@rule(
    "oldest-preferred-above-max",
    Severity.ERROR,
    "sequence_batching",
    at=Stage.POLL.same_walk("oldest-preferred-not-positive"),
)
def preferred_above_max(model: Model) -> Iterator[Finding]:
    """A preferred batch size of the oldest strategy cannot exceed max_batch_size."""
    limit, strategy = model.max_batch_size, oldest(model)
    for item, size in enumerate(strategy.scalars("preferred_batch_size") if strategy is not None else ()):
        if isinstance(size.data, int) and size.data > limit >= 0 and size.data > 0:
            yield above(size, model, "sequence batching preferred batch size", item)


@rule("oldest-max-candidates", Severity.WARNING, "sequence_batching")
def max_candidates(model: Model) -> Iterator[Finding]:
    """max_candidate_sequences should be at least 1."""
    strategy = oldest(model)
    used = f"max_batch_size, {model.max_batch_size}" if model.max_batch_size > 0 else "1"
    for written in strategy.scalars("max_candidate_sequences")[-1:] if strategy is not None else ():
        if isinstance(written.data, int) and written.data <= 0:
            message = f"max_candidate_sequences should be at least 1, not {written.data}; Triton uses {used}"
            hint = "Set it to the number of sequences that an instance may choose from, or remove it."
            yield Finding(written, message, hint=hint)


@rule("oldest-candidates-below-batch", Severity.INFO, "sequence_batching")
def candidates_below_batch(model: Model) -> Iterator[Finding]:
    """With fewer candidate sequences than max_batch_size, no batch is ever full."""
    strategy = oldest(model)
    count = strategy.integer("max_candidate_sequences") if strategy is not None else 0
    if strategy is not None and 0 < count < model.max_batch_size:
        message = f"max_candidate_sequences is {count}, so no batch reaches max_batch_size {model.max_batch_size}"
        hint = f"Set max_candidate_sequences to {model.max_batch_size} or more."
        yield Finding(strategy.scalars("max_candidate_sequences")[-1], message, hint=hint)
