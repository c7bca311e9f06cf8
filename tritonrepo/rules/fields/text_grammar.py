"""What is no protobuf text at all: brackets, colons, commas, comments, encodings.

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


@rule("config-unparsable", Severity.ERROR, BROKEN, at=Stage.PARSE.after("config-missing-strict"), after_faults=True)
def unparsable(model: Model) -> Iterator[Finding]:
    """config.pbtxt is protobuf text.

    Why:
        Triton reads nothing of a config past a place that it does not understand, and refuses the model. This rule
        names what none of its refinements does: a stray character, a string over two lines, a missing comma.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:51: error: 4 stands here, and a list needs a comma or ] [config-unparsable]
          In dims.
    Server says:
        2:51: Expected ",", found "4".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4, 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "config-unparsable")


@rule(
    "missing-colon", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("parameter-value-not-message"), after_faults=True
)
def missing_colon(model: Model) -> Iterator[Finding]:
    """A colon follows the name of a field that is no message.

    Why:
        Only before a message or a list of messages may the colon be left out.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend = "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:1:9: error: no colon follows "backend" [missing-colon]
          A colon is due, not =.
    Server says:
        1:9: Expected ":", found "=".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "missing-colon")


@rule("trailing-comma-in-list", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("missing-colon"), after_faults=True)
def trailing_comma(model: Model) -> Iterator[Finding]:
    """A list does not end with a comma.

    Why:
        Unlike in Python the comma only separates; Triton takes the bracket after it for a value and refuses the
        config.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4, ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:2:50: error: a comma stands before the list's end [trailing-comma-in-list]
          Remove it.
    Server says:
        2:52: Expected integer, got: ]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "trailing-comma-in-list")


@rule(
    "wrong-comment-style", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("trailing-comma-in-list"), after_faults=True
)
def comment_style(model: Model) -> Iterator[Finding]:
    """Comments begin with #.

    Why:
        Protobuf text knows neither // nor /* */.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        // Scores a query against documents.
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:1:1: error: // stands here, and a comment begins with # [wrong-comment-style]
          Write # for //.
    Server says:
        1:1: Expected identifier, got: /
    Good:
        -- ranker/config.pbtxt --
        # Scores a query against documents.
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "wrong-comment-style")


@rule("byte-order-mark", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("wrong-comment-style"), after_faults=True)
def byte_order_mark(model: Model) -> Iterator[Finding]:
    """The file is plain text without a byte order mark.

    Why:
        Editors on Windows may save an invisible mark before the first character, or UTF-16; Triton refuses both.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        \ufeffbackend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:1:1: error: the file begins with a byte order mark [byte-order-mark]
          Save it as UTF-8 without one.
    Server says:
        1:1: Interpreting non ascii codepoint 239.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "byte-order-mark")


@rule("json-config", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("byte-order-mark"), after_faults=True)
def json_config(model: Model) -> Iterator[Finding]:
    """config.pbtxt is protobuf text, not JSON.

    Why:
        Triton's HTTP API answers with a config as JSON, which it does not take back as a file.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        {
          "backend": "identity",
          "max_batch_size": 8
        }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:1:1: error: the file is JSON [json-config]
          Write protobuf text: name: value, without quotes around names.
    Server says:
        1:1: Expected identifier, got: {
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "json-config")


@rule("unbalanced-brackets", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("json-config"), after_faults=True)
def unbalanced(model: Model) -> Iterator[Finding]:
    """Every bracket is closed, by its own kind.

    Why:
        Where one is missing Triton reads on into the next field and refuses the config at its end.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ]
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:3:8: error: { is never closed [unbalanced-brackets]
          The file ends before.
    Server says:
        4:1: Expected identifier, got:
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    yield from of_text(model, "unbalanced-brackets")


@rule("unknown-extension", Severity.ERROR, BROKEN, at=Stage.PARSE.same_walk("unbalanced-brackets"), after_faults=True)
def extension(model: Model) -> Iterator[Finding]:
    """A name in brackets is no field.

    Why:
        Protobuf text reads [name] as an extension of the message, of which Triton's config has none.
    Source:
        protobuf v21, src/google/protobuf/text_format.cc, called by core, src/filesystem/api.cc, ReadTextProto
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        [max_batch_size]: 8
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:1: error: ModelConfig has no extensions, and [ begins the name of one [unknown-extension]
    Server says:
        4:17: Extension "max_batch_size" is not defined or is not an extension of "inference.ModelConfig".
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        max_batch_size: 8
        -- ranker/1/weights --
    """
    yield from of_text(model, "unknown-extension")
