"""Values that a field cannot hold.

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


@rule(
    "unknown-enum-value", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("field-newer-than-server"), after_faults=True
)
def unknown_enum(model: Model) -> Iterator[Finding]:
    """An enum's value is one of its names, in capitals.

    Why:
        The names of data types begin with TYPE_, those of instance kinds with KIND_; other tools' names are
        refused.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:31: error: FP32 is no DataType [unknown-enum-value]
          Write TYPE_FP32.
    Server says:
        2:36: Unknown enumeration value of "FP32" for field "data_type".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "unknown-enum-value")


@rule("enum-quoted", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("unknown-enum-value"), after_faults=True)
def enum_quoted(model: Model) -> Iterator[Finding]:
    """An enum's value stands without quotes.

    Why:
        In quotes it is a string, which Triton refuses here.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: "TYPE_FP32" dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:31: error: "TYPE_FP32" is in quotes, and data_type is an enum [enum-quoted]
          Write TYPE_FP32.
    Server says:
        2:31: Expected integer or identifier, got: "TYPE_FP32"
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "enum-quoted")


@rule(
    "integer-out-of-range", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("message-field-twice"), after_faults=True
)
def out_of_range(model: Model) -> Iterator[Finding]:
    """A whole number fits its field.

    Why:
        Batch sizes, counts and GPUs have 32 bits, dims and versions 64; a number with a leading 0 is octal.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 4294967296
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:17: error: 4294967296 is too large for max_batch_size, which is int32 [integer-out-of-range]
          The largest is 2147483647.
    Server says:
        2:17: Integer out of range (4294967296)
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "integer-out-of-range")


@rule("wrong-literal-type", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("integer-out-of-range"), after_faults=True)
def wrong_literal(model: Model) -> Iterator[Finding]:
    """A value is of its field's kind.

    Why:
        A whole number has no point, no quotes and no plus; a text has quotes; a message has brackets.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8.0
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:17: error: 8.0 stands here, and max_batch_size needs a whole number [wrong-literal-type]
          Write 8.
    Server says:
        2:17: Expected integer, got: 8.0
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "wrong-literal-type")


@rule("bool-literal", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("wrong-literal-type"), after_faults=True)
def bool_literal(model: Model) -> Iterator[Finding]:
    """A bool is true or false.

    Why:
        Triton takes true, True, t, false, False, f, 0 and 1, and refuses yes, on, TRUE and quotes.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        model_transaction_policy { decoupled: yes }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:39: error: yes stands here, and a bool is true or false [bool-literal]
          Write true.
    Server says:
        4:43: Invalid value for boolean field "decoupled". Value: "yes".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        model_transaction_policy { decoupled: true }
        -- ranker/1/weights --
    """
    yield from of_text(model, "bool-literal")


@rule(
    "parameter-value-not-message", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("bool-literal"), after_faults=True
)
def value_not_message(model: Model) -> Iterator[Finding]:
    """The value of a parameter is { string_value: "..." }.

    Why:
        parameters is a map to messages; a plain string is refused.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters { key: "threads" value: "4" }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:36: error: "4" stands here, and value needs a message: { … } [parameter-value-not-message]
          Write { string_value: "4" }.
    Server says:
        4:36: Expected "{", found ""4"".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters { key: "threads" value { string_value: "4" } }
        -- ranker/1/weights --
    """
    yield from of_text(model, "parameter-value-not-message")
