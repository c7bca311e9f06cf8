"""What fixes make of the faults of a config's text, in other places than on the rules' pages."""

from __future__ import annotations

from typing import NamedTuple

from tests.tabled import tabled
from tritonrepo.pbtxt import editor, parse


class Case(NamedTuple):
    """A rule, a text with its fault, and what the edits of this rule's faults make of it; None: there are none."""

    rule: str
    text: str
    becomes: str | None
    safe: bool = True


def mended(text: bytes, rule: str) -> tuple[bytes, set[bool]]:
    """Return the text after the edits of a rule's faults, and whether these are safe."""
    found = [fault for fault in parse(text).faults if fault.rule == rule]
    assert found
    edits = [edit for fault in found for edit in fault.edits]
    return editor.apply(text, edits), {fault.safe for fault in found if fault.edits}


COLON, COMMA, COMMENT = "missing-colon", "trailing-comma-in-list", "wrong-comment-style"
BOOL, QUOTED, ENUM = "bool-literal", "enum-quoted", "unknown-enum-value"
FIELD, TWICE, VALUE = "unknown-field", "scalar-field-twice", "parameter-value-not-message"
COLONS = {
    "none": Case(COLON, "max_batch_size 8", "max_batch_size: 8"),
    "none before a negative number": Case(COLON, "input { dims -1 }", "input { dims: -1 }"),
    "none before a list": Case(COLON, "input { dims [ 4 ] }", "input { dims: [ 4 ] }"),
    "none before an enum": Case(COLON, "input { data_type TYPE_FP32 }", "input { data_type: TYPE_FP32 }"),
    "none before a string": Case(COLON, 'name\n  "m"', 'name:\n  "m"'),
    "none before a bool": Case(COLON, "response_cache { enable true }", "response_cache { enable: true }"),
    "none before a comment": Case(COLON, "name # n\n 'm'", "name: # n\n 'm'"),
    "none, and no value": Case(COLON, 'name\nbackend: "b"', None),
    "none, and another field as value": Case(COLON, "max_batch_size name: 'm'", None),
    "none, and a value of another type": Case(COLON, "name 8", None),
    "an equals sign": Case(COLON, "name = 'm'", "name: 'm'"),
    "an equals sign alone": Case(COLON, "name='m'", "name:'m'"),
    "an equals sign after a comment": Case(COLON, "name # n\n = 'm'", "name # n\n : 'm'"),
    "an equals sign before a word": Case(COLON, "name = m", "name: m"),
    "two equals signs": Case(COLON, "name == 'm'", None),
    "an equals sign, and the next field": Case(COLON, "name =\nbackend: 'b'", None),
    "an equals sign before a message": Case("wrong-literal-type", "dynamic_batching = { }", None),
}
COMMAS = {
    "after a number": Case(COMMA, "input { dims: [ 1, 2, ] }", "input { dims: [ 1, 2 ] }"),
    "after a message, before a comment": Case(
        COMMA, "input [\n  { name: 'a' },  # a\n]\n", "input [\n  { name: 'a' }  # a\n]\n"
    ),
    "twice": Case(
        COMMA, "input { dims: [ 1, ] } output { dims: [ 1\n,\n] }", "input { dims: [ 1 ] } output { dims: [ 1\n\n] }"
    ),
    "two at the end": Case("wrong-literal-type", "input { dims: [ 1,, ] }", None),
}
COMMENTS = {
    "after a field": Case(COMMENT, "name: 'm' // it's\nbackend: 'b'", "name: 'm' # it's\nbackend: 'b'"),
    "in a message": Case(COMMENT, "input {\n  // dims\n  name: 'm' }", "input {\n  # dims\n  name: 'm' }"),
    "with an opening bracket": Case(COMMENT, "// input {\n//}", "# input {\n#}"),
    "with a closing bracket": Case(COMMENT, "input { // a }\n}", "input { # a }\n}", safe=False),
    "several": Case(COMMENT, "// a // b\r\n\t///c\r\n\r\n//\r\nname: 'm'", "# a // b\r\n\t#c\r\n\r\n#\r\nname: 'm'"),
    "two apart": Case(COMMENT, "// a\nname: 'm'\n// b", "# a\nname: 'm'\n# b"),
    "at the end": Case(COMMENT, "name: 'm' //", "name: 'm' #"),
    "in C on one line": Case(COMMENT, "/* a */\nname: 'm'", "# a\nname: 'm'"),
    "in C before a field": Case(COMMENT, "  /* a */ name: 'm'", "  # a\n  name: 'm'"),
    "in C after a field, before another": Case(
        COMMENT, "name: 'm' /** a **/ backend: 'b'", "name: 'm' # a *\nbackend: 'b'"
    ),
    "in C, empty": Case(COMMENT, "/**/", "#"),
    "in C over lines": Case(COMMENT, "/*\n * a\n *\n   b # c\n*/\nname: 'm'", "# a\n #\n   # b # c\nname: 'm'"),
    "in C over lines, text in the first and last": Case(COMMENT, "/* a\n\nb */ name: 'm'", "# a\n#\n# b\nname: 'm'"),
    "in C over lines with CR LF": Case(COMMENT, "/*\r\n a\r\n */\r\nname: 'm'", "# a\r\nname: 'm'"),
    "in C with nothing in it": Case(COMMENT, "/*\r\n*/\r\nname: 'm'", "#\r\nname: 'm'"),
    "in C, never closed": Case(COMMENT, "/* name: 'm'", None),
    "a single slash": Case("config-unparsable", "/ name: 'm'", None),
}
DATA_TYPE = "input { data_type: %s }"
WORDS = {
    "single quotes": Case(QUOTED, DATA_TYPE % "'TYPE_FP32'", DATA_TYPE % "TYPE_FP32"),
    "quotes, and no prefix": Case(QUOTED, DATA_TYPE % '"fp32"', DATA_TYPE % "TYPE_FP32"),
    "quotes around a misspelt name": Case(QUOTED, DATA_TYPE % '"TYPE_FLOAT16"', DATA_TYPE % "TYPE_FP16", safe=False),
    "quotes around two strings": Case(QUOTED, DATA_TYPE % '"TYPE_" "FP32"', None),
    "quotes around nonsense": Case(QUOTED, DATA_TYPE % '"x"', None),
    "quotes around a placeholder": Case(QUOTED, DATA_TYPE % '"${x}"', None),
    "lower case": Case(ENUM, DATA_TYPE % "type_fp32", DATA_TYPE % "TYPE_FP32"),
    "a kind without its prefix, in a list": Case(
        ENUM, "instance_group [{kind:cpu},{kind:KIND_GPU}]", "instance_group [{kind:KIND_CPU},{kind:KIND_GPU}]"
    ),
    "the clients' name of strings": Case(ENUM, DATA_TYPE % "BYTES", DATA_TYPE % "TYPE_STRING"),
    "another tool's name": Case(ENUM, DATA_TYPE % "FLOAT", DATA_TYPE % "TYPE_FP32", safe=False),
    "a misspelt name": Case(ENUM, DATA_TYPE % "TYPE_F32", DATA_TYPE % "TYPE_FP32", safe=False),
    "an unknown name": Case(ENUM, DATA_TYPE % "COMPLEX", None),
    "nothing at the end": Case("wrong-literal-type", "dynamic_batching { default_queue_policy { timeout_action:", None),
    "a name of two words": Case(ENUM, DATA_TYPE % "TYPE-FP32", None),
    "a bool in capitals": Case(BOOL, "response_cache { enable: TRUE }", "response_cache { enable: true }"),
    "a bool in quotes": Case(BOOL, 'response_cache < enable: "False">', "response_cache < enable: false>"),
    "a bool in two strings": Case(BOOL, "response_cache { enable: 't' 'rue' }", None),
    "a number as bool": Case(BOOL, "response_cache { enable: 2 }", None),
    "a negative number as bool": Case(BOOL, "response_cache { enable: -1 }", None),
    "a placeholder as bool": Case(BOOL, 'response_cache { enable: "${x}" }', None),
    "a bool with a tail": Case(BOOL, "response_cache { enable: on/off }", None),
}
PAIR = "parameters { key: 'a' value%s }"
NUMBER, STRING = "max_batch_size: %s", "backend: %s"
LITERAL, BROKEN = "wrong-literal-type", "config-unparsable"
LITERALS = {
    "a whole number with a point": Case(LITERAL, NUMBER % "8.0 # b", NUMBER % "8 # b"),
    "a number in quotes": Case(LITERAL, NUMBER % "'8'", NUMBER % "8"),
    "a number in two strings": Case(LITERAL, NUMBER % "'8' '0'", None),
    "a number with a fraction": Case(LITERAL, NUMBER % "8.5", None),
    "a negative number with a point": Case(LITERAL, NUMBER % "-8.0", None),
    "a number in quotes that would be octal": Case(LITERAL, NUMBER % "'010'", None),
    "a duration in quotes": Case(
        LITERAL,
        "dynamic_batching { max_queue_delay_microseconds: '5ms' }",
        "dynamic_batching { max_queue_delay_microseconds: 5000 }",
    ),
    "a word": Case(LITERAL, STRING % "python", STRING % '"python"'),
    "a path": Case(LITERAL, STRING % "/opt/my-model.v2;", STRING % '"/opt/my-model.v2";'),
    "a word for nothing": Case(LITERAL, STRING % "null", STRING % '"null"', safe=False),
    "a word with brackets": Case(LITERAL, STRING % "a(b)", None),
    "a word that is the next field's name": Case(LITERAL, STRING % "name: 'm'", None),
    "a placeholder": Case(LITERAL, STRING % "${a}", None),
    "words in a list": Case(
        LITERAL,
        "input { name: 'a' } optimization { }\nmodel_warmup { name: w, batch_size: 1 }",
        "input { name: 'a' } optimization { }\nmodel_warmup { name: \"w\", batch_size: 1 }",
    ),
    "a list without commas": Case(BROKEN, "input { dims: [ 1 4\n2 ] }", "input { dims: [ 1, 4,\n2 ] }"),
    "messages without a comma": Case(
        BROKEN, "input [ { name: 'a' } # a\n { name: 'b' } ]", "input [ { name: 'a' }, # a\n { name: 'b' } ]"
    ),
    "a list with another separator": Case(BROKEN, "input { dims: [ 1; 2 ] }", None),
    "a list that is never closed": Case(BROKEN, "input { dims: [ 1 data_type: TYPE_FP32 }", None),
    "a list in a list": Case(BROKEN, "input { dims: [ 1 [ 2 ] ] }", None),
}
FIELDS = {
    "camel case": Case(FIELD, "maxBatchSize: 8", "max_batch_size: 8"),
    "capitals": Case(FIELD, "Name: 'm'", "name: 'm'"),
    "dashes": Case(FIELD, "dynamic-batching { }", "dynamic_batching { }"),
    "dashes before a value of another type": Case(FIELD, "dynamic-batching: true", None),
    "a plural": Case(FIELD, "outputs [ { name: 'o' } ]", "output [ { name: 'o' } ]", safe=False),
    "a singular": Case(FIELD, "input { dim: 4 }", "input { dims: 4 }", safe=False),
    "a field that is there": Case(FIELD, "name: 'm' nam: 'n'", None),
    "a field that follows": Case(FIELD, "nam: 'n' input { name: 'i' } name: 'm'", None),
    "a field that another message has": Case(
        FIELD, "nam: 'n' input { name: 'i' }", "name: 'n' input { name: 'i' }", safe=False
    ),
    "a scheduler beside another": Case(FIELD, "sequence_batchin { } dynamic_batching { }", None),
    "a value of another type": Case(FIELD, "max_batch: 'm'", None),
    "nothing similar": Case(FIELD, "qqqqqqq: 1", None),
    "a field of another message": Case(FIELD, "preferred_batch_size: 8", None),
    "the same again": Case(TWICE, "name: 'm'\nname: 'm'\nbackend: 'b'", "name: 'm'\nbackend: 'b'"),
    "the same again, with a comment": Case(
        TWICE, "max_batch_size: -1 max_batch_size: -1; # c", "max_batch_size: -1 # c"
    ),
    "the same again, three times": Case(TWICE, "name: 'm' name: 'm' name: 'm'", "name: 'm'"),
    "the same in other quotes": Case(TWICE, "name: 'm' name: \"m\"", None),
    "the same, and more": Case(TWICE, "name: 'm' name: 'm' 'n'", None),
    "nothing the second time": Case(TWICE, "name: 'm' name:", None),
    "a string as parameter": Case(VALUE, PAIR % ": 'b'", PAIR % ": { string_value: 'b' }"),
    "a string without a colon": Case(VALUE, PAIR % " 'b'", PAIR % " { string_value: 'b' }"),
    "two strings, joined": Case(VALUE, PAIR % ": 'b'\n'c'", PAIR % ": { string_value: 'b'\n'c' }"),
    "a placeholder as parameter": Case(VALUE, PAIR % ": '${x}'", None),
    "a number as parameter": Case(VALUE, PAIR % ": 5", None),
}
ALL = COLONS | COMMAS | COMMENTS | WORDS | LITERALS | FIELDS


def test_no_two_cases_have_the_same_name() -> None:
    assert len(ALL) == sum(map(len, (COLONS, COMMAS, COMMENTS, WORDS, LITERALS, FIELDS)))


@tabled("case", ALL.values(), ids=ALL)
def test_a_text_is_mended(case: Case) -> None:
    becomes, safe = mended(case.text.encode(), case.rule)
    assert becomes.decode() == (case.text if case.becomes is None else case.becomes)
    assert safe == (set() if case.becomes is None else {case.safe})
    assert case.becomes is None or case.rule not in {fault.rule for fault in parse(becomes).faults}


MARKS = {
    "of UTF-8": (b"\xef\xbb\xbfname: 'm'", b"name: 'm'"),
    "of UTF-8 alone": (b"\xef\xbb\xbf", b""),
    "of UTF-8 twice": (b"\xef\xbb\xbf\xef\xbb\xbfname: 'm'", b"name: 'm'"),
    "of UTF-16": ("\ufeffname: 'mé'\r\n".encode("utf-16-le"), "name: 'mé'\r\n".encode()),
    "of UTF-16, big-endian": ("\ufeffname: 'm'".encode("utf-16-be"), b"name: 'm'"),
    "of UTF-16, cut off": ("\ufeffname: 'm'".encode("utf-16-le")[:-1], None),
    "of UTF-32": ("\ufeffname: 'm'".encode("utf-32-le"), None),
}


@tabled(("text", "becomes"), MARKS.values(), ids=MARKS)
def test_a_byte_order_mark_is_removed(text: bytes, becomes: bytes | None) -> None:
    found, safe = mended(text, "byte-order-mark")
    assert found == (text if becomes is None else becomes)
    assert safe == (set() if becomes is None else {True})


JSON = {
    "names as in the proto, and defaults": (
        '{"backend": "identity", "max_batch_size": 8, "version_policy": {"latest": {"num_versions": 1}}, "input": []}',
        'backend: "identity"\nversion_policy { latest { num_versions: 1 } }\nmax_batch_size: 8\n',
    ),
    "camel case, strings for integers, null": (
        '{\r\n"maxBatchSize": "8", "name": null, "input": [{"dataType": "TYPE_FP32", "dims": ["-1", 4]}]}',
        "max_batch_size: 8\ninput { data_type: TYPE_FP32 dims: [ -1, 4 ] }\n",
    ),
    "maps": (
        '{"parameters": {"a\\"é": {"string_value": "b"}}, "metric_tags": {"": "t"}}',
        'metric_tags { key: "" value: "t" }\nparameters { key: "a\\"é" value { string_value: "b" } }\n',
    ),
    "an enum's number": ('{"input": [{"data_type": 11}]}', "input { data_type: TYPE_FP32 }\n"),
    "numbers of another type": ('{"optimization": {"graph": {"level": 1.5}}}', None),
    "an unknown field": ('{"backend": "identity", "batch": 8}', None),
    "a field twice": ('{"backend": "a", "backend": "b"}', None),
    "a field in both cases": ('{"max_batch_size": 8, "maxBatchSize": 9}', None),
    "two schedulers": ('{"dynamic_batching": {}, "sequence_batching": {}}', None),
    "an enum that is unknown": ('{"input": [{"data_type": "FP32"}]}', None),
    "a bool as number": ('{"max_batch_size": true}', None),
    "a number too large": ('{"max_batch_size": 2147483648}', None),
    "a number for a string": ('{"backend": 1}', None),
    "one for several": ('{"input": {"name": "a"}}', None),
    "half a character": ('{"backend": "\\ud800"}', None),
    "not a number": ('{"backend": NaN}', None),
    "a comment": ('{"backend": "a"} // b', None),
    "a comma at the end": ('{"backend": "a",}', None),
    "nested deeper than can be read": ('{"a":' * 100_000, None),
}


@tabled(("text", "becomes"), JSON.values(), ids=JSON)
def test_json_is_converted_if_it_is_exact(text: str, becomes: str | None) -> None:
    found, safe = mended(text.encode(), "json-config")
    assert found.decode() == (text if becomes is None else becomes)
    assert safe == (set() if becomes is None else {True})
    assert becomes is None or not parse(found).faults


def test_a_template_is_not_edited() -> None:
    (fault,) = parse(b"max_batch_size = ${a}\nbackend: ${b}\n").faults
    assert fault.rule == "trtllm-template-placeholders"
    assert not fault.edits
