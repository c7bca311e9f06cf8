"""Reading config.pbtxt: what is accepted, what each value means, and the place and message of each fault."""

from __future__ import annotations

import math
import random

from tests.tabled import tabled
from tritonrepo.pbtxt import Enum, Message, Parsed, parse
from tritonrepo.pbtxt import faults as kinds

RELEASE = "24.10"


def read(text: str | bytes, release: str = RELEASE) -> Parsed:
    return parse(text.encode() if isinstance(text, str) else text, release)


def understood(text: str | bytes) -> Message:
    parsed = read(text)
    assert not parsed.faults
    assert not parsed.log
    return parsed.root


CONFIG = """\
# the model
backend: "onnxruntime"  # of the image
max_batch_size: 0x10
input [ { name: 'IDS' data_type: TYPE_INT64, dims: [ -1, - 2 ] } ]
input < name: "MA" "SK" data_type: 9; dims: 4 dims: 010 >
dynamic_batching { }
parameters { key: "a" value { string_value: "b" } }
parameters { value: { string_value: "c" } }
"""


def test_a_config_is_read_with_values_and_places() -> None:
    root = understood(CONFIG)
    assert root.text("backend") == "onnxruntime"
    assert root.integer("max_batch_size") == 16
    inputs = root.messages("input")
    assert [item.text("name") for item in inputs] == ["IDS", "MASK"]
    assert [item.enum("data_type") for item in inputs] == ["TYPE_INT64", "TYPE_INT64"]
    assert [item.numbers("dims") for item in inputs] == [[-1, -2], [4, 8]]
    assert root.has("dynamic_batching")
    assert not root.has("sequence_batching")
    assert (chosen := root.chosen("scheduling_choice"))
    assert chosen.name == "dynamic_batching"
    values = {
        key: value.text("string_value")
        for key, value in root.mapping("parameters").items()
        if isinstance(value, Message)
    }
    assert values == {"a": "b", "": "c"}


def test_places_point_at_what_a_user_edits() -> None:
    root = understood(CONFIG)
    assert (field := root.get("max_batch_size"))
    assert (field.line, field.column, field.value.line, field.value.column) == (3, 1, 3, 17)
    second = root.messages("input")[0].scalars("dims")[1]
    assert (second.line, second.column, second.written) == (4, 58, "- 2")
    assert (root.messages("input")[1].line, root.messages("input")[1].column) == (5, 7)


def test_columns_count_characters_and_the_server_counts_bytes_and_tabs() -> None:
    parsed = read('name: "é"\tfoo: 1\n')
    assert (parsed.faults[0].line, parsed.faults[0].column) == (1, 11)
    assert parsed.faults[0].server == '1:20: Message type "inference.ModelConfig" has no field named "foo".'


def test_comments_belong_to_their_field() -> None:
    assert (field := understood(CONFIG).get("backend"))
    assert field.comments == ["the model", "of the image"]
    assert (other := understood(CONFIG).get("max_batch_size"))
    assert other.comments == []


SCALARS = [
    ("max_batch_size: 010", 8),
    ("max_batch_size: 0X4", 4),
    ("max_batch_size: -\n# c\n1", -1),
    ("max_batch_size: -2147483648", -(2**31)),
    ("default_model_filename: 'a' \"b\"", "ab"),
    ('default_model_filename: "\\101\\x41\\u00e9\\U0001f600\\n\\?"', "AAé😀\n?"),
    ('default_model_filename: "\\ud83d\\ude00"', "😀"),
    ('default_model_filename: "\\U00110000"', "\\U00110000"),
    ('default_model_filename: "\\400\\377"', "\0\udcff"),
    ('default_model_filename: "# no comment"', "# no comment"),
]


@tabled(("text", "value"), SCALARS, ids=[text for text, _ in SCALARS])
def test_values(text: str, value: object) -> None:
    assert understood(text).data(text.partition(":")[0]) == value


@tabled(
    ("written", "value"),
    [
        ("5e-1", 0.5),
        (".5f", 0.5),
        ("1.", 1),
        ("inf", math.inf),
        ("-Infinity", -math.inf),
        ("1e400", math.inf),
        ("- 1", -1),
    ],
)
def test_floats(written: str, value: float) -> None:
    root = understood(f"sequence_batching {{ direct {{ minimum_slot_utilization: {written} }} }}")
    assert (batching := root.message("sequence_batching"))
    assert (direct := batching.message("direct"))
    assert direct.number("minimum_slot_utilization") == value


@tabled("written", ["true", "True", "t", "1", "01", "0x1"])
def test_true(written: str) -> None:
    assert (
        policy := understood(f"model_transaction_policy {{ decoupled: {written} }}").message("model_transaction_policy")
    )
    assert policy.flag("decoupled")


def test_an_enum_number_becomes_a_name_if_it_has_one() -> None:
    items = understood("input [ { data_type: 11 }, { data_type: 99 }, { data_type: -1 } ]").messages("input")
    assert [item.data("data_type") for item in items] == [Enum("TYPE_FP32"), 99, -1]


ACCEPTED = {
    "empty": "",
    "only a comment": "# nothing",
    "separators": 'name: "a";\nbackend: "b",\ninput { },',
    "angle brackets": "input: < >",
    "empty lists": "input [ ] input { dims: [ ] }",
    "odd blanks": "name:\r'a'\x0b\x0cbackend:\t'b'\r\n",
    "invalid UTF-8 in strings and comments": b"name: '\xff' # \xff",
    "zero first, then another value": "max_batch_size: 0 max_batch_size: 4",
    "NUL escaped": 'name: "\\0"',
}


@tabled("text", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted(text: str | bytes) -> None:
    understood(text)


# text, rule, line and column to edit, the start of the server's words, part of the message or hint
FAULTS = {
    "misspelt field": (
        "max_batch_sise: 8",
        kinds.UNKNOWN_FIELD,
        (1, 1),
        "1:15: Message type",
        'Did you mean "max_batch_size"?',
    ),
    "camel case": ("maxBatchSize: 8", kinds.UNKNOWN_FIELD, (1, 1), "1:13: Message type", "max_batch_size"),
    "dashes": ("max-batch-size: 8", kinds.UNKNOWN_FIELD, (1, 1), "1:4: Message type", "max_batch_size"),
    "field of another message": ("dims: 1", kinds.UNKNOWN_FIELD, (1, 1), "1:5: Message type", 'Move it into "input"'),
    "newer field": (
        "model_metrics { }",
        kinds.NEWER_FIELD,
        (1, 1),
        "1:15: Message type",
        "requires Triton 24.11 or later",
    ),
    "unknown enum": (
        "input { data_type: FP32 }",
        kinds.UNKNOWN_ENUM,
        (1, 20),
        "1:25: Unknown enum",
        "Use TYPE_FP32.",
    ),
    "client's name of a type": (
        "input { data_type: TYPE_BYTES }",
        kinds.UNKNOWN_ENUM,
        (1, 20),
        "1:31: Unknown",
        "TYPE_STRING",
    ),
    "quoted enum": (
        'input { data_type: "TYPE_FP32" }',
        kinds.QUOTED_ENUM,
        (1, 20),
        "1:20: Expected",
        "Write TYPE_FP32.",
    ),
    "scalar twice": ('name: "a"\nname: "b"', kinds.SCALAR_TWICE, (2, 1), "2:5: Non-repeated", "line 1"),
    "message twice": (
        "optimization { }\noptimization { }",
        kinds.MESSAGE_TWICE,
        (2, 1),
        "2:14: Non-repeated",
        "line 1",
    ),
    "two schedulers": (
        "dynamic_batching { }\nsequence_batching { }",
        kinds.TWO_OF_ONEOF,
        (2, 1),
        '2:19: Field "sequence_batching" is specified along with field "dynamic_batching", another member of oneof',
        "cannot be combined with",
    ),
    "map key twice in one entry": (
        'parameters { key: "" key: "a" }',
        kinds.SCALAR_TWICE,
        (1, 22),
        "1:25: Non-rep",
        "set twice",
    ),
    "too large": ("max_batch_size: 2147483648", kinds.OUT_OF_RANGE, (1, 17), "1:17: Integer out of range", "int32"),
    "float for an integer": (
        "max_batch_size: 8.0",
        kinds.WRONG_LITERAL,
        (1, 17),
        "1:17: Expected integer, got: 8.0",
        "Write 8.",
    ),
    "string for an integer": (
        'max_batch_size: "8"',
        kinds.WRONG_LITERAL,
        (1, 17),
        '1:17: Expected integer, got: "8"',
        "Write 8.",
    ),
    "no quotes": (
        "backend: python",
        kinds.WRONG_LITERAL,
        (1, 10),
        "1:10: Expected string, got: python",
        'Write "python".',
    ),
    "no quotes around a name of several tokens": (
        "name: my-model.v2/x_1 backend: python",
        kinds.WRONG_LITERAL,
        (1, 7),
        "1:7: Expected string, got: my",
        'not my-model.v2/x_1\nWrite "my-model.v2/x_1".',
    ),
    "template": ("max_batch_size: ${n}", kinds.WRONG_LITERAL, (1, 17), "1:17: Expected integer, got: $", "template"),
    "template for a bool": (
        "response_cache { enable: ${b} }",
        kinds.BOOL_LITERAL,
        (1, 26),
        "1:26: Expected identifier, got: $",
        "template",
    ),
    "template for a data type": (
        "input { data_type: {{ t }} }",
        kinds.WRONG_LITERAL,
        (1, 20),
        "1:20: Expected integer or identifier, got: {",
        "template",
    ),
    "template for a text": ("name: <NAME>", kinds.WRONG_LITERAL, (1, 7), "1:7: Expected string, got: <", "template"),
    "template in quotes": (
        'max_batch_size: "${n}"',
        kinds.WRONG_LITERAL,
        (1, 17),
        '1:17: Expected integer, got: "${n}"',
        "template",
    ),
    "template for a message": (
        "instance_group [ ${g} ]",
        kinds.WRONG_LITERAL,
        (1, 18),
        '1:18: Expected "{", found "$".',
        "template",
    ),
    "template for a field": ("${fields}", kinds.UNPARSABLE, (1, 1), "1:1: Expected identifier, got: $", "template"),
    "a template's first line is not JSON": (
        "{% if gpu %}",
        kinds.UNPARSABLE,
        (1, 1),
        "1:1: Expected identifier, got: {",
        "template",
    ),
    "no data type before the next field": (
        "input {\n data_type:\n dims: 4 }",
        kinds.WRONG_LITERAL,
        (2, 11),
        '3:6: Unknown enumeration value of "dims" for field "data_type".',
        "Set it to TYPE_BOOL",
    ),
    "no kind before the message's end": (
        "instance_group { kind: }",
        kinds.WRONG_LITERAL,
        (1, 22),
        "1:24: Expected integer or identifier, got: }",
        "Set it to KIND_AUTO",
    ),
    "no bool before the next field": (
        "response_cache { enable:\n }",
        kinds.WRONG_LITERAL,
        (1, 24),
        "2:2: Expected identifier, got: }",
        "true or false",
    ),
    "no number before the message's end": (
        "instance_group { gpus: }",
        kinds.WRONG_LITERAL,
        (1, 22),
        "1:24: Expected integer, got: }",
        "an integer",
    ),
    "list in the brackets of a message": (
        "input { dims: { 3, 4 } }",
        kinds.WRONG_LITERAL,
        (1, 15),
        "1:15: Expected integer, got: {",
        "[ …, … ]",
    ),
    "value in the brackets of a message": (
        "max_batch_size: { 4 }",
        kinds.WRONG_LITERAL,
        (1, 17),
        "1:17: Expected integer, got: {",
        "Remove the braces.",
    ),
    "the hint of data types omits TYPE_INVALID": (
        "input { data_type: 3.5 }",
        kinds.WRONG_LITERAL,
        (1, 20),
        "1:20: Expected integer or identifier, got: 3.5",
        "Use TYPE_BOOL",
    ),
    "negative for unsigned": (
        "version_policy { latest { num_versions: -1 } }",
        kinds.WRONG_LITERAL,
        (1, 41),
        "1:41: Expected integer, got: -",
        "negative",
    ),
    "negative beyond the field": (
        "max_batch_size: -2147483649",
        kinds.OUT_OF_RANGE,
        (1, 18),
        "1:18: Integer out of range",
        "at least -2147483648",
    ),
    "a word for an enum's negative number": (
        "input { data_type: -x }",
        kinds.WRONG_LITERAL,
        (1, 21),
        "1:21: Expected integer, got: x",
        "an enum must be an integer, not x",
    ),
    "no value before the file's end": (
        "backend:",
        kinds.WRONG_LITERAL,
        (1, 9),
        "1:9: Expected string, got: ",
        "the file ends before the value of backend",
    ),
    "bool in capitals": (
        "response_cache { enable: TRUE }",
        kinds.BOOL_LITERAL,
        (1, 26),
        '1:31: Invalid value for boolean field "enable". Value: "TRUE".',
        "Write true.",
    ),
    "parameter as a string": (
        'parameters { key: "a" value: "b" }',
        kinds.VALUE_NOT_MESSAGE,
        (1, 30),
        '1:30: Expected "{", found ""b"".',
        'string_value: "b"',
    ),
    "no colon": ('backend "a"', kinds.MISSING_COLON, (1, 9), '1:9: Expected ":", found', "backend:"),
    "equals sign": ('backend = "a"', kinds.MISSING_COLON, (1, 9), '1:9: Expected ":", found "=".', "instead of ="),
    "comma at a list's end": (
        "input { dims: [ 4, ] }",
        kinds.TRAILING_COMMA,
        (1, 18),
        "1:20: Expected integer, got: ]",
        "Remove",
    ),
    "no comma": ("input { dims: [ 4 4 ] }", kinds.UNPARSABLE, (1, 19), '1:19: Expected ",", found "4".', "comma"),
    "C++ comment": (
        '// c\nname: "a"',
        kinds.COMMENT_STYLE,
        (1, 1),
        "1:1: Expected identifier, got: /",
        "Write # instead of //.",
    ),
    "byte order mark": (
        '\ufeffname: "a"',
        kinds.BYTE_ORDER_MARK,
        (1, 1),
        "1:1: Interpreting non ascii codepoint 239.",
        "UTF-8",
    ),
    "no-break space": (
        "name:\xa0'a'",
        kinds.UNPARSABLE,
        (1, 6),
        "1:6: Interpreting non ascii codepoint 194.",
        "outside quotes",
    ),
    "JSON": ('{ "name": "a" }', kinds.JSON, (1, 1), "1:1: Expected identifier, got: {", "JSON"),
    "unclosed": ("input [\n  { dims: 1", kinds.UNBALANCED, (2, 3), "2:12: Expected identifier, got: ", "never closed"),
    "an unclosed extension": ("[", kinds.UNBALANCED, (1, 2), "1:2: Expected identifier, got: ", "[ is never closed"),
    "closed too often": (
        "input { } }",
        kinds.UNBALANCED,
        (1, 11),
        "1:11: Expected identifier, got: }",
        "no matching opening bracket",
    ),
    "values without brackets": (
        "input { dims: 4, 8 }",
        kinds.UNPARSABLE,
        (1, 18),
        "1:18: Expected identifier, got: 8",
        "several values in brackets",
    ),
    "values without brackets and commas": (
        "input { dims: 4 -1 }",
        kinds.UNPARSABLE,
        (1, 17),
        "1:17: Expected identifier, got: -",
        "several values in brackets",
    ),
    "closed by the other": ("input < }", kinds.UNBALANCED, (1, 9), '1:9: Expected ">", found "}".', "Write >."),
    "extension": ("[a.b]: 1", kinds.EXTENSION, (1, 1), '1:6: Extension "a.b" is not defined', "no extensions"),
    "control character": ("\0", kinds.UNPARSABLE, (1, 1), "1:1: Invalid control characters", "control character"),
    "unclosed string": (
        'name: "a\n',
        kinds.UNPARSABLE,
        (1, 9),
        "1:9: String literals cannot cross",
        "Close the quotes",
    ),
    "escape": (
        'name: "\\q"',
        kinds.UNPARSABLE,
        (1, 9),
        "1:9: Invalid escape sequence in string literal.",
        "sequence \\q",
    ),
    "letter after a number": (
        "max_batch_size: 8u",
        kinds.UNPARSABLE,
        (1, 18),
        "1:18: Need space between number",
        "letter",
    ),
    "no octal": ("max_batch_size: 09", kinds.UNPARSABLE, (1, 18), "1:18: Numbers starting with leading zero", "octal"),
}


@tabled(("text", "rule", "place", "server", "says"), FAULTS.values(), ids=FAULTS)
def test_faults(text: str, rule: str, place: tuple[int, int], server: str, says: str) -> None:
    fault = read(text).faults[0]
    assert (fault.rule, (fault.line, fault.column)) == (rule, place)
    assert fault.server.startswith(server)
    assert says in f"{fault.message}\n{fault.hint}"


SEVERAL = {
    "each on its line": ("foo: 1\nmax_batch_size: x\nbackend: python\n", [1, 2, 3]),
    "inside of lists": ("input [\n  { dims: [ a, 1, b ] },\n  { data_type: FP32 }\n]\nfoo { x: 1 }", [2, 2, 3, 5]),
    "after a missing colon": ('backend "a"\nmax_batch_size 8\n', [1, 2]),
    "none that the first brings with it": ('input {\n  name: "a\n  dims: [ 1 ]\n}\n', [2]),
    "none after an open bracket": ("input [\n  { dims: 1\n", [2]),
    "after a name with dashes": ("max-batch-size: 8 name: 1", [1, 1]),
    "none on the lines after an open string": ('input { name: "a }\nbackend: "b"\n', [1]),
    "an open bracket after a lost list": ("input {\n  dims: [ (\n  dims: 1\n", [2, 1]),
    "after a missing value": ("max_batch_size:\nbackend: x\n", [1, 2]),
}


@tabled(("text", "lines"), SEVERAL.values(), ids=SEVERAL)
def test_reading_goes_on_after_a_fault(text: str, lines: list[int]) -> None:
    parsed = read(text)
    assert [fault.line for fault in parsed.faults] == lines
    assert [bool(fault.server) for fault in parsed.faults] == [True, *[False] * (len(lines) - 1)]


def test_the_readable_parts_of_a_broken_text_are_kept() -> None:
    root = read('name = "a"\nfoo: 1\ninput [ { name: "x" dims: [ a, 4 ] } ]\nmax_batch_size: 8').root
    assert (root.text("name"), root.integer("max_batch_size")) == ("a", 8)
    assert [(item.text("name"), item.numbers("dims")) for item in root.messages("input")] == [("x", [4])]


def test_a_field_has_the_type_of_its_release() -> None:
    text = "dynamic_batching { priority_levels: 4294967296 }"
    assert [fault.rule for fault in read(text, "23.05").faults] == [kinds.OUT_OF_RANGE]
    assert not read(text, "24.01").faults


def test_the_schema_is_that_of_the_release() -> None:
    text = "ensemble_scheduling { max_inflight_requests: 1 }"
    assert [fault.rule for fault in read(text, "25.10").faults] == [kinds.NEWER_FIELD]
    assert not read(text, "25.11").faults
    assert not parse(text.encode()).faults


HOSTILE = {
    "random bytes": random.Random(1).randbytes(100_000),
    "NUL": b"\0" * 100_000,
    "open brackets": b"{" * 100_000,
    "open fields": b"input{" * 100_000,
    "unknown fields in each other": b"foo{" * 100_000,
    "lists in each other": b"input[" * 100_000,
    "quotes": b'"' * 100_001,
    "escapes": b'name: "' + b"\\x" * 50_000 + b'"',
    "digits": b"max_batch_size: " + b"9" * 100_000,
    "points": b"1." * 50_000,
    "minus": b"max_batch_size: " + b"-" * 100_000,
    "bytes above 127": b"\xe9" * 100_000,
    "a long string over the first window": b'name: "' + b"a" * 600_000 + b'"',
    "many values over the first window": b"input { dims: [" + b"1," * 200_000 + b"1 ] }",
}


@tabled("text", HOSTILE.values(), ids=HOSTILE)
def test_no_bytes_raise(text: bytes) -> None:
    parsed = read(text)
    assert bool(parsed.faults) == bool(parsed.log)


def test_values_beyond_the_first_window_are_read() -> None:
    text = b"input { dims: [" + b"1," * 200_000 + b"2 ] }\nfoo: 1"
    parsed = read(text)
    assert len(parsed.root.messages("input")[0].all("dims")) == 200_001
    assert [fault.line for fault in parsed.faults] == [2]
