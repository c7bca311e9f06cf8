"""The strategy `oldest` of sequence batching."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.scheduling.batching import above
from tritonrepo.rules.stages import Stage


def oldest(model: Model) -> Message | None:
    """Return the strategy's settings."""
    sequences = model.config.message("sequence_batching")
    return sequences.message("oldest") if sequences is not None else None


@rule("oldest-preferred-not-positive", Severity.ERROR, "sequence_batching", at=Stage.POLL.after("corrid-data-type"))
def preferred_not_positive(model: Model) -> Iterator[Finding]:
    """A preferred batch size of the strategy oldest is at least 1.

    Why:
        A batch has at least one request. To let the server choose, leave preferred_batch_size out.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 8 preferred_batch_size: [ 0 ] } }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:5:81: error: preferred_batch_size 0 is not a batch [oldest-preferred-not-positive]
          Write a size from 1 to max_batch_size, or leave it out: then batches grow up to max_batch_size.
    Server says:
        sequence batching preferred batch size must be positive for tracker
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 8 } }
        -- tracker/1/weights --
    """
    strategy = oldest(model)
    for item, size in enumerate(strategy.scalars("preferred_batch_size") if strategy is not None else ()):
        if isinstance(size.data, int) and size.data <= 0:
            yield Finding(
                size,
                f"preferred_batch_size {size.data} is not a batch",
                hint="Write a size from 1 to max_batch_size, or leave it out: then batches grow up to max_batch_size.",
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
    """A preferred batch size of the strategy oldest is at most max_batch_size.

    Why:
        The scheduler could never form such a batch, so Triton refuses the model.
    Source:
        core, src/model_config_utils.cc, ValidateModelConfig
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 16 preferred_batch_size: [ 4, 16 ] } }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:5:85: error: preferred_batch_size 16 is above max_batch_size 8 [oldest-preferred-above-max]
          Raise max_batch_size to 16, or drop 16 from preferred_batch_size.
    Server says:
        sequence batching preferred batch size must be <= max batch size for tracker
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 16
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 16 preferred_batch_size: [ 4, 16 ] } }
        -- tracker/1/weights --
    """
    limit, strategy = model.max_batch_size, oldest(model)
    for item, size in enumerate(strategy.scalars("preferred_batch_size") if strategy is not None else ()):
        if isinstance(size.data, int) and size.data > limit >= 0 and size.data > 0:
            yield above(size, model, "sequence batching preferred batch size", item)


@rule("oldest-max-candidates", Severity.WARNING, "sequence_batching")
def max_candidates(model: Model) -> Iterator[Finding]:
    """A max_candidate_sequences that is written is positive.

    Why:
        It is how many sequences an instance chooses from. Where it is 0 or negative the server takes max_batch_size, 1
        at least, as if it were not written, and says nothing.
    Source:
        core, src/sequence_batch_scheduler/sequence_batch_scheduler.cc, SequenceBatchScheduler::Create
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 0 } }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:5:55: warning: max_candidate_sequences 0 is taken as max_batch_size, 8 [oldest-max-candidates]
          Write how many sequences an instance may choose from, or drop it.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 8 } }
        -- tracker/1/weights --
    """
    strategy = oldest(model)
    for written in strategy.scalars("max_candidate_sequences")[-1:] if strategy is not None else ():
        if isinstance(written.data, int) and written.data <= 0:
            message = (
                f"max_candidate_sequences {written.data} is taken as max_batch_size, {max(1, model.max_batch_size)}"
            )
            yield Finding(written, message, hint="Write how many sequences an instance may choose from, or drop it.")


@rule("oldest-candidates-below-batch", Severity.INFO, "sequence_batching")
def candidates_below_batch(model: Model) -> Iterator[Finding]:
    """The strategy oldest has as many candidate sequences as a batch takes.

    Why:
        A batch has at most one request of a sequence, so with fewer candidates no full batch is formed.
    Source:
        core, src/sequence_batch_scheduler/sequence_batch_scheduler.cc, SequenceBatchScheduler::Create
    Bad:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 4 } }
        -- tracker/1/weights --
    Says:
        tracker/config.pbtxt:5:55: info: 4 candidate sequences never fill a batch of max_batch_size 8 [oldest-candidates-below-batch]
          Write max_candidate_sequences: 8 or more.
    Good:
        -- tracker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { oldest { max_candidate_sequences: 8 } }
        -- tracker/1/weights --
    """
    strategy = oldest(model)
    count = strategy.integer("max_candidate_sequences") if strategy is not None else 0
    if strategy is not None and 0 < count < model.max_batch_size:
        message = f"{count} candidate sequences never fill a batch of max_batch_size {model.max_batch_size}"
        hint = f"Write max_candidate_sequences: {model.max_batch_size} or more."
        yield Finding(strategy.scalars("max_candidate_sequences")[-1], message, hint=hint)
