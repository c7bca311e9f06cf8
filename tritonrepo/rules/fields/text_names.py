"""Names of fields: unknown, too new, written twice.

Source of all: protobuf v21, src/google/protobuf/text_format.cc and io/tokenizer.cc, called by core,
src/filesystem/api.cc, ReadTextProto. The reason in the model index is only `failed to read text proto from PATH`; the
server's log has the line and the words that the pages give.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.model import BROKEN
from tritonrepo.rules.fields.texts import of_text
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("unknown-field", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("config-unparsable"), after_faults=True)
def unknown_field(model: Model) -> Iterator[Finding]:
    """Every field is one that the server's config has, where it stands.

    Why:
        Triton refuses a config with a name that it does not know: a slip, or a field of another message.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batchsize: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:1: error: ModelConfig has no field "max_batchsize" [unknown-field]
          Did you mean "max_batch_size"?
    Server says:
        2:14: Message type "inference.ModelConfig" has no field named "max_batchsize".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "unknown-field")


@rule("field-newer-than-server", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("unknown-field"), after_faults=True)
def newer_field(model: Model) -> Iterator[Finding]:
    """Every field and enum value is known to the release that serves.

    Why:
        A config for a newer release is refused by an older one, which does not know the name.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        model_metrics {
          metric_control { metric_identifier { family: "nv_inference_first_response_histogram_ms" } }
        }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:1: error: field "model_metrics" of ModelConfig came with 24.11, later than this server [field-newer-than-server]
          Remove it, or serve with 24.11 or newer.
    Server says:
        4:15: Message type "inference.ModelConfig" has no field named "model_metrics".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "field-newer-than-server")


@rule("scalar-field-twice", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("enum-quoted"), after_faults=True)
def scalar_twice(model: Model) -> Iterator[Finding]:
    """A field that is no list is written once.

    Why:
        Triton does not take the last value, as YAML and JSON do, but refuses the config.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        max_batch_size: 16
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:5:1: error: max_batch_size is written a second time [scalar-field-twice]
          The first one is on line 2; remove one of the two.
    Server says:
        5:15: Non-repeated field "max_batch_size" is specified multiple times.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 16
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "scalar-field-twice")


@rule("message-field-twice", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("two-schedulers"), after_faults=True)
def message_twice(model: Model) -> Iterator[Finding]:
    """A message that is no list is written once.

    Why:
        Triton does not merge the two, but refuses the config.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { preferred_batch_size: [ 8 ] }
        dynamic_batching { max_queue_delay_microseconds: 100 }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:6:1: error: dynamic_batching is written a second time [message-field-twice]
          The first one is on line 5; remove one of the two.
    Server says:
        6:18: Non-repeated field "dynamic_batching" is specified multiple times.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching {
          preferred_batch_size: [ 8 ]
          max_queue_delay_microseconds: 100
        }
        -- ranker/1/weights --
    """
    yield from of_text(model, "message-field-twice")


@rule("two-schedulers", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("scalar-field-twice"), after_faults=True)
def two_schedulers(model: Model) -> Iterator[Finding]:
    """Of fields that exclude each other only one is written.

    Why:
        A model has one scheduler: dynamic_batching, sequence_batching or ensemble_scheduling. So it is with direct
        and oldest, with latest, all and specific, and with the sources of data for a warmup.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        dynamic_batching { }
        sequence_batching { }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:6:1: error: sequence_batching and dynamic_batching exclude each other [two-schedulers]
          The first one is on line 5; remove one of the two.
    Server says:
        6:19: Field "sequence_batching" is specified along with field "dynamic_batching", another member of oneof "scheduling_choice".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        sequence_batching { }
        -- ranker/1/weights --
    """
    yield from of_text(model, "two-schedulers")
