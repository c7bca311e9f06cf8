"""config.pbtxt: read exactly as the server reads it, with positions, and edited without touching another byte.

The modules, one thing each: `tokens` and `lexical` (what a token is, and what is wrong with one), `parser` (what a
field is: the grammar), `scalars` (what a value is), `complaints` and `spelling` (the messages about faults), `recovery`
(where reading goes on), `nodes` (the tree), `schema` (what ModelConfig has in a release), `printer` (the canonical
form), `editor` (edits of a hand-written text), `convert` (plain data, protobuf messages). What the rules use:

    parsed = parse(text: bytes, release="24.10")     never raises, whatever the bytes; None is the newest release
    parsed.root      Message: what was understood, also of a text with faults
    parsed.faults    tuple[TextFault, ...]: where the server stops, then the others; empty if it reads the file
    parsed.log       tuple[str, ...]: the server's own lines, "2:17: Expected integer, got: 8.0"

    fault.rule, fault.message, fault.hint, fault.line, fault.column     ours; the place is the token to edit
    fault.server     the server's words with its line and column; "" from the second fault on, which it never reaches

    message.get("max_batch_size")        Field | None; the last one where the text has several
    message.integer("max_batch_size")    int, with the default 0 or the one given; number() gives floats too
    message.text("backend")              str; message.flag("decoupled") -> bool
    message.enum("data_type")            str: "TYPE_FP32"; a number that the enum lacks as text: "99"
    message.message("dynamic_batching")  Message | None
    message.messages("input")            list[Message]: repeated fields and lists alike
    message.all("dims")                  list[Scalar] (or messages): each with its place
    message.numbers("dims")              list[int]; message.texts("profile") -> list[str]
    message.mapping("parameters")        dict[key, Scalar | Message]; a missing key is "" or 0, the last one wins
    message.entries("parameters")        list[Message] with "key" and "value", as written, twice and all
    message.chosen("scheduling_choice")  Field | None: the member of a oneof that is there
    message.has("input")                 whether the text names it (an empty list counts)

    Field: name, value (the last), values, spec (its `schema.FieldType`); line, column: of the NAME
    Scalar: data (int, float, bool, str, or `Enum`, which is a str), written; line, column: of the VALUE
    Message: kind (its `schema.MessageType`), fields; line, column: of its opening bracket
    Each has start and end (byte offsets), and `source.text`. Columns count characters from 1, a tab is one.
"""

from __future__ import annotations

from tritonrepo.pbtxt.faults import TextFault
from tritonrepo.pbtxt.nodes import Field, Message, Scalar
from tritonrepo.pbtxt.parser import Parsed, parse
from tritonrepo.pbtxt.schema import Enum

__all__ = ["Enum", "Field", "Message", "Parsed", "Scalar", "TextFault", "parse"]
