"""What is said about each fault of a text, word for word: the place from start to end, the message, and the hint."""

from __future__ import annotations

from tests.tabled import tabled
from tritonrepo.pbtxt import parse

RELEASE = "24.10"
TEMPLATE = "Replace the placeholder with a value. The file looks like an unrendered template."
BRACES = "Remove the outer braces, and write each field as `name: value`, without quotes around the name."
GROUP = "name, kind, count, rate_limiter, gpus, secondary_devices, profile, passive or host_policy"
TYPES = (
    "TYPE_BOOL, TYPE_UINT8, TYPE_UINT16, TYPE_UINT32, TYPE_UINT64, TYPE_INT8, TYPE_INT16, TYPE_INT32, TYPE_INT64, "
    "TYPE_FP16, TYPE_FP32, TYPE_FP64, TYPE_STRING or TYPE_BF16"
)


def said(text: str, release: str = RELEASE) -> list[tuple[str, str, str]]:
    """Return place, message and hint of each fault."""
    return [
        (f"{each.line}:{each.column}-{each.end_line}:{each.end_column}", each.message, each.hint)
        for each in parse(text.encode("utf-8", "surrogateescape"), release).faults
    ]


NAMES = {
    "of a later release": (
        "model_metrics { }",
        "1:1-1:14",
        'field "model_metrics" of ModelConfig requires Triton 24.11 or later',
        "Remove it, or use Triton 24.11 or later.",
    ),
    "like none": (
        "instance_group { foo: 1 }",
        "1:18-1:21",
        'unknown field "foo" in ModelInstanceGroup',
        f"Use a field of ModelInstanceGroup: {GROUP}.",
    ),
    "in a message without fields": (
        "version_policy { all { x: 1 } }",
        "1:24-1:25",
        'unknown field "x" in ModelVersionPolicy.All',
        "Remove it. ModelVersionPolicy.All has no fields.",
    ),
    "of a message in this one": (
        "profile: 'a'",
        "1:1-1:8",
        'unknown field "profile" in ModelConfig',
        'Move it into "instance_group", which has this field.',
    ),
    "in camel case": (
        "maxBatchSize: 8",
        "1:1-1:13",
        'unknown field "maxBatchSize" in ModelConfig',
        'Did you mean "max_batch_size"?',
    ),
    "in the plural": ("names: 'a'", "1:1-1:6", 'unknown field "names" in ModelConfig', 'Did you mean "name"?'),
    "in capitals": ("BACKEND: 'a'", "1:1-1:8", 'unknown field "BACKEND" in ModelConfig', 'Did you mean "backend"?'),
    "with dashes": (
        "max-batch-size: 8",
        "1:1-1:4",
        'unknown field "max-batch-size" in ModelConfig',
        'Did you mean "max_batch_size"?',
    ),
    "with a dash before a colon": (
        "max_batch-size-: 8",
        "1:1-1:10",
        'unknown field "max_batch-size" in ModelConfig',
        'Did you mean "max_batch_size"?',
    ),
    "an extension's": (
        "[a.b]: 1",
        "1:1-1:2",
        "[ starts the name of an extension, but ModelConfig has no extensions",
        "Write the name of the field without brackets.",
    ),
    "an extension's with a blank, in a message": (
        "input { [a b]: 1 }",
        "1:9-1:10",
        "[ starts the name of an extension, but ModelInput has no extensions",
        "Write the name of the field without brackets.",
    ),
    "an extension's that begins with a number": (
        "[5]",
        "1:2-1:3",
        "expected the name of a ModelConfig field, found 5",
        "",
    ),
    "in quotes": (
        "'name': 1",
        "1:1-1:7",
        "expected the name of a ModelConfig field, found 'name'",
        "Remove the quotes around the name.",
    ),
    "a number": ("input { 5 }", "1:9-1:10", "expected the name of a ModelInput field, found 5", ""),
    "a number after a list's only value": (
        "input { dims: 4, 8 }",
        "1:18-1:19",
        "expected the name of a ModelInput field, found 8",
        "Write several values in brackets, separated by commas.",
    ),
    "a negative number after another": (
        "input { dims: -1 -1 }",
        "1:18-1:19",
        "expected the name of a ModelInput field, found -",
        "Write several values in brackets, separated by commas.",
    ),
    "a minus without a number": (
        "input { dims: 4 - }",
        "1:17-1:18",
        "expected the name of a ModelInput field, found -",
        "",
    ),
    "a number after a string": ("name: 'a' 5", "1:11-1:12", "expected the name of a ModelConfig field, found 5", ""),
    "a minus before a slash": ("-/ c", "1:1-1:2", "expected the name of a ModelConfig field, found -", ""),
    "a slash": ("/ c", "1:1-1:2", "expected the name of a ModelConfig field, found /", ""),
    "a comment as in C++": (
        "// c",
        "1:1-1:2",
        "a comment must start with #, not //",
        "Write # instead of //.",
    ),
    "a comment as in C": (
        "name: 'a' /* c */",
        "1:11-1:12",
        "a comment must start with #, not /*",
        "Write # at the start of each line of the comment.",
    ),
    "JSON": (
        '{ "name": 1 }',
        "1:1-1:2",
        "the file must be protobuf text, not JSON",
        f'{BRACES} The first line becomes `name: "1"`.',
    ),
    "a message after a field": ("name: 'a' { }", "1:11-1:12", "expected the name of a ModelConfig field, found {", ""),
    "{{ }}": ("{{ x }}", "1:1-1:2", "expected the name of a ModelConfig field, found {", TEMPLATE),
    "{% %}": ("{% x %}", "1:1-1:2", "expected the name of a ModelConfig field, found {", TEMPLATE),
    "@ @": ("@x@", "1:1-1:2", "expected the name of a ModelConfig field, found @", TEMPLATE),
    "%": ("%x", "1:1-1:2", "expected the name of a ModelConfig field, found %", TEMPLATE),
    "$": ("$x", "1:1-1:2", "expected the name of a ModelConfig field, found $", TEMPLATE),
}

ENUMS = {
    "like none": (
        "input { data_type: TYPE_NEW }",
        "1:20-1:28",
        "unknown DataType TYPE_NEW",
        f"Use {TYPES}.",
    ),
    "misspelt": (
        "input { data_type: TYPE_BF17 }",
        "1:20-1:29",
        "unknown DataType TYPE_BF17",
        'Did you mean "TYPE_BF16"?',
    ),
    "without its prefix": ("input { data_type: int64 }", "1:20-1:25", "unknown DataType int64", "Use TYPE_INT64."),
    "in small letters": ("input { data_type: type_fp16 }", "1:20-1:29", "unknown DataType type_fp16", "Use TYPE_FP16."),
    "bytes": ("input { data_type: TYPE_BYTES }", "1:20-1:30", "unknown DataType TYPE_BYTES", "Use TYPE_STRING."),
    "float": ("input { data_type: float }", "1:20-1:25", "unknown DataType float", "Use TYPE_FP32."),
    "double": ("input { data_type: Double }", "1:20-1:26", "unknown DataType Double", "Use TYPE_FP64."),
    "half": ("input { data_type: half }", "1:20-1:24", "unknown DataType half", "Use TYPE_FP16."),
    "another tool's type for another enum": (
        "instance_group { kind: HALF }",
        "1:24-1:28",
        "unknown Kind HALF",
        "Use KIND_AUTO, KIND_GPU, KIND_CPU or KIND_MODEL.",
    ),
    "another enum": ("instance_group { kind: gpu }", "1:24-1:27", "unknown Kind gpu", "Use KIND_GPU."),
    "in quotes": (
        "instance_group { kind: 'KIND_GPU' }",
        "1:24-1:34",
        "kind must be a name without quotes, not 'KIND_GPU'",
        "Write KIND_GPU.",
    ),
    "in quotes without its prefix": (
        'instance_group { kind: "gpu" }',
        "1:24-1:29",
        'kind must be a name without quotes, not "gpu"',
        "Use KIND_GPU.",
    ),
    "a template in quotes": (
        "instance_group { kind: '${K}' }",
        "1:24-1:30",
        "kind must be a name without quotes, not '${K}'",
        TEMPLATE,
    ),
    "a float": (
        "input { data_type: 3.5 }",
        "1:20-1:23",
        "data_type must be a name without quotes, not 3.5",
        f"Use {TYPES}.",
    ),
    "a number too large": (
        "input { data_type: 2147483648 }",
        "1:20-1:30",
        "2147483648 is too large for an enum (int32)",
        "Use a value up to 2147483647.",
    ),
    "a number too small": (
        "input { data_type: -2147483649 }",
        "1:21-1:31",
        "-2147483649 is too small for an enum (int32)",
        "Use a value of at least -2147483648.",
    ),
    "a minus alone": ("input { data_type: - }", "1:20-1:21", "an enum has no value", "Set it to an integer."),
    "nothing before the next field": (
        "instance_group {\n kind:\n count: 1 }",
        "2:6-2:7",
        "kind has no value",
        "Set it to KIND_AUTO, KIND_GPU, KIND_CPU or KIND_MODEL.",
    ),
    "nothing before the end": (
        "instance_group { kind:",
        "1:23-1:23",
        "the file ends before the value of kind",
        "Use KIND_AUTO, KIND_GPU, KIND_CPU or KIND_MODEL.",
    ),
}

BOOLS = {
    **{
        f"{written} for {meant}": (
            f"response_cache {{ enable: {written} }}",
            f"1:26-1:{26 + len(written)}",
            f"enable must be true or false, not {written}",
            f"Write {meant}.",
        )
        for meant, words in {
            "true": ["TRUE", "yes", "y", "Y", "T", "on", "'On'", '"1"', "1.0", "enable", "Enabled"],
            "false": ["FALSE", "no", "n", "F", "off", "'Off'", '"0"', "0.0", "disable", "Disabled"],
            "true or false": ["maybe", "2", "0x2", "tr"],
        }.items()
        for written in words
    },
    "a minus": (
        "response_cache { enable: -1 }",
        "1:26-1:27",
        "enable must be true or false, not -",
        "Write true or false.",
    ),
    "a template": (
        "response_cache { enable: '${b}' }",
        "1:26-1:32",
        "enable must be true or false, not '${b}'",
        TEMPLATE,
    ),
    "nothing": ("response_cache { enable: }", "1:24-1:25", "enable has no value", "Set it to true or false."),
    "nothing before the end": (
        "response_cache { enable:",
        "1:25-1:25",
        "the file ends before the value of enable",
        "Write true or false.",
    ),
}


def integer(written: str, hint: str, shown: str = "") -> tuple[str, str, str, str]:
    end = 17 + len(shown or written)
    return (
        f"max_batch_size: {written}",
        f"1:17-1:{end}",
        f"max_batch_size must be an integer, not {shown or written}",
        hint,
    )


INTEGERS = {
    "in quotes": integer("'8'", "Write 8."),
    "in quotes with an underscore": integer("'8_000'", "Write 8000."),
    "in quotes with a plus": integer("'+8'", "Write 8."),
    "in quotes with a fraction of zero": integer('"8.0"', "Write 8."),
    "a digit that no parser reads": integer("'²'", ""),
    "a fraction of zero": integer("8.00", "Write 8."),
    "a fraction": integer("8.5", ""),
    "an exponent": integer("1e3", ""),
    "a word": integer("x", ""),
    "a list": integer("[ 4 ]", "", "["),
    "a plus": integer("+8", "Remove the plus sign.", "+"),
    "braces": (
        "max_batch_size: { 4 }",
        "1:17-1:18",
        "max_batch_size must be an integer, not { … }",
        "Remove the braces.",
    ),
    "nothing": (
        "max_batch_size:",
        "1:16-1:16",
        "the file ends before the value of max_batch_size",
        "Set it to an integer.",
    ),
    "too large for int32": (
        "max_batch_size: 2147483648",
        "1:17-1:27",
        "2147483648 is too large for max_batch_size (int32)",
        "Use a value up to 2147483647.",
    ),
    "too small for int32": (
        "max_batch_size: -2147483649",
        "1:18-1:28",
        "-2147483649 is too small for max_batch_size (int32)",
        "Use a value of at least -2147483648.",
    ),
    "too large for uint32": (
        "version_policy { latest { num_versions: 4294967296 } }",
        "1:41-1:51",
        "4294967296 is too large for num_versions (uint32)",
        "Use a value up to 4294967295.",
    ),
    "too large for int64": (
        "input { dims: 9223372036854775808 }",
        "1:15-1:34",
        "9223372036854775808 is too large for dims (int64)",
        "Use a value up to 9223372036854775807.",
    ),
    "too small for int64": (
        "input { dims: -9223372036854775809 }",
        "1:16-1:35",
        "-9223372036854775809 is too small for dims (int64)",
        "Use a value of at least -9223372036854775808.",
    ),
    "too large for uint64": (
        "dynamic_batching { max_queue_delay_microseconds: 18446744073709551616 }",
        "1:50-1:70",
        "18446744073709551616 is too large for max_queue_delay_microseconds (uint64)",
        "Use a value up to 18446744073709551615.",
    ),
    "longer than a message shows": (
        f"max_batch_size: {'9' * 41}",
        "1:17-1:58",
        f"{'9' * 39}… is too large for max_batch_size (int32)",
        "Use a value up to 2147483647.",
    ),
    "as long as a message shows": (
        f"max_batch_size: {'9' * 40}",
        "1:17-1:57",
        f"{'9' * 40} is too large for max_batch_size (int32)",
        "Use a value up to 2147483647.",
    ),
    "no octal number in a message": (
        "input { dims: [ 018446744073709551616 ] }",
        "1:19-0:0",
        "a number with a leading 0 is octal and cannot contain 8 or 9",
        "Remove the leading 0.",
    ),
    "negative for unsigned": (
        "dynamic_batching { max_queue_delay_microseconds: -5 }",
        "1:50-1:51",
        "max_queue_delay_microseconds cannot be negative",
        "Set it to 0 or a positive integer.",
    ),
    "a word for unsigned": (
        "dynamic_batching { max_queue_delay_microseconds: x }",
        "1:50-1:51",
        "max_queue_delay_microseconds must be a non-negative integer, not x",
        "",
    ),
    "a word in a list": (
        "instance_group { gpus: [ x ] }",
        "1:26-1:27",
        "each value in gpus must be an integer, not x",
        "",
    ),
    "braces for a list": (
        "input { dims: { -3, 4 } }",
        "1:15-1:16",
        "each value in dims must be an integer, not { … }",
        "Use square brackets for a list: `[ …, … ]`.",
    ),
}

STRINGS = {
    "a word": ("backend: python", "1:10-1:16", "backend must be a string in quotes, not python", 'Write "python".'),
    "a word with dashes and points": (
        "name: my-model.v2 backend: 'x'",
        "1:7-1:9",
        "name must be a string in quotes, not my-model.v2",
        'Write "my-model.v2".',
    ),
    "a path": ("name: /a/b.c", "1:7-1:8", "name must be a string in quotes, not /a/b.c", 'Write "/a/b.c".'),
    "a number": ("name: 5", "1:7-1:8", "name must be a string in quotes, not 5", 'Write "5".'),
    "a sign": ("name: ^", "1:7-1:8", "name must be a string in quotes, not ^", ""),
    "a template": ("name: @x@", "1:7-1:8", "name must be a string in quotes, not @", TEMPLATE),
    "a string in braces": (
        "name: { 'a' }",
        "1:7-1:8",
        "name must be a string in quotes, not { … }",
        "Remove the braces.",
    ),
    "a word in braces": ("name: { a }", "1:7-1:8", "name must be a string in quotes, not {", TEMPLATE),
    "nothing before the next field": (
        "name:\nbackend: 'b'",
        "1:5-1:6",
        "name has no value",
        "Set it to a string in quotes.",
    ),
    "nothing before a message on the next line": (
        "name:\ninput { }",
        "1:5-1:6",
        "name has no value",
        "Set it to a string in quotes.",
    ),
    "nothing before a list on the next line": (
        "name:\ninput [ ]",
        "1:5-1:6",
        "name has no value",
        "Set it to a string in quotes.",
    ),
}

FLOAT = "sequence_batching { direct { minimum_slot_utilization: %s } }"
NOT_A_NUMBER = "minimum_slot_utilization must be a number, not "
MESSAGES = {
    "octal for a float": (FLOAT % "010", "1:56-1:59", f"{NOT_A_NUMBER}010", ""),
    "hex for a float": (FLOAT % "0x1", "1:56-1:59", f"{NOT_A_NUMBER}0x1", ""),
    "a word for a float": (FLOAT % "Abc", "1:56-1:59", f"{NOT_A_NUMBER}Abc", ""),
    "a point for a float": (FLOAT % ".", "1:56-1:57", f"{NOT_A_NUMBER}.", ""),
    "a number for a message": (
        "input: 5",
        "1:8-1:9",
        "input must be a message in braces, not 5",
        "Write `input { … }`.",
    ),
    "a string without a colon": (
        "input 'a'",
        "1:7-1:10",
        "input must be a message in braces, not 'a'",
        'Write `input { name: "a" … }`.',
    ),
    "a template for a message": ("input: ${x}", "1:8-1:9", "input must be a message in braces, not $", TEMPLATE),
    "a number in a list of messages": (
        "input [ 5 ]",
        "1:9-1:10",
        "input must be a message in braces, not 5",
        "Write `input { … }`.",
    ),
    "a string for a parameter": (
        "parameters { key: 'a' value: 'b' }",
        "1:30-1:33",
        "value must be a message in braces, not 'b'",
        "Write `{ string_value: 'b' }`.",
    ),
    "a number for a parameter": (
        "parameters { key: 'a' value: 5 }",
        "1:30-1:31",
        "value must be a message in braces, not 5",
        "Write `value { … }`.",
    ),
    "a string for another value": (
        "model_warmup { inputs { key: 'a' value: 'b' } }",
        "1:41-1:44",
        "value must be a message in braces, not 'b'",
        "Write `value { … }`.",
    ),
}

PUNCTUATION = {
    "no colon": ("name 'a'", "1:6-1:9", 'expected a colon after "name"', "Write `name:` before the value."),
    "an equals sign": ("name = 'a'", "1:6-1:7", 'expected a colon after "name"', "Write a colon instead of =."),
    "no colon before a list": (
        "input { dims [ 1 ] }",
        "1:14-1:15",
        'expected a colon after "dims"',
        "Write `dims:` before the value.",
    ),
    "no colon before a minus": (
        "max_batch_size -1",
        "1:16-1:17",
        'expected a colon after "max_batch_size"',
        "Write `max_batch_size:` before the value.",
    ),
    "neither colon nor value": ("name", "1:5-1:5", 'expected a colon after "name"', "Write `name:` before the value."),
    "< closed by }": ("input < }", "1:9-1:10", "< must be closed by >, not }", "Write >."),
    "{ closed by >": ("input { >", "1:9-1:10", "{ must be closed by }, not >", "Write }."),
    "an item closed by >": ("input [ { > ]", "1:11-1:12", "{ must be closed by }, not >", "Write }."),
    **{
        f"{bracket} alone": (
            f"name: 'a' {bracket}",
            "1:11-1:12",
            f"{bracket} has no matching opening bracket",
            "Remove it, or check that no earlier bracket is closed too soon.",
        )
        for bracket in "}]>"
    },
    "{ not closed": (
        "input {\n name: 'a'",
        "1:7-1:8",
        "{ is never closed",
        "Add the matching } before the end of the file.",
    ),
    "< not closed": ("input <", "1:7-1:8", "< is never closed", "Add the matching > before the end of the file."),
    "[ not closed": ("input [ { }", "1:7-1:8", "[ is never closed", "Add the matching ] before the end of the file."),
    "the inner one of two not closed": (
        "input [ { dims: [ 1",
        "1:17-1:18",
        "[ is never closed",
        "Add the matching ] before the end of the file.",
    ),
    "an extension not closed": (
        "[a.",
        "1:4-1:4",
        "[ is never closed",
        "Add the matching ] before the end of the file.",
    ),
    "no comma between numbers": (
        "input { dims: [ 1 2 ] }",
        "1:19-1:20",
        "expected a comma or ] in the list dims, found 2",
        "Add the missing comma or bracket.",
    ),
    "no comma between messages": (
        "input [ { } < > ]",
        "1:13-1:14",
        "expected a comma or ] in the list input, found <",
        "Add the missing comma or bracket.",
    ),
    "a word after a number": (
        "input { dims: [ 1 x ] }",
        "1:19-1:20",
        "expected a comma or ] in the list dims, found x",
        "Add the missing comma or bracket.",
    ),
    "a comma at the end of numbers": (
        "input { dims: [ 1, ] }",
        "1:18-1:19",
        "the list ends with a comma",
        "Remove the comma.",
    ),
    "a comma at the end of messages": (
        "input [ { }, ]",
        "1:12-1:13",
        "the list ends with a comma",
        "Remove the comma.",
    ),
}

TWICE = {
    "a scalar": (
        "name: 'a'\nname: 'b'",
        "2:1-2:5",
        "name is set twice",
        "Remove this one or the one on line 1.",
    ),
    "a message": (
        "\ndynamic_batching { }\ndynamic_batching { }",
        "3:1-3:17",
        "dynamic_batching is set twice",
        "Merge it into the one on line 2.",
    ),
    "a oneof": (
        "dynamic_batching { }\n\nsequence_batching { }",
        "3:1-3:18",
        "sequence_batching cannot be combined with dynamic_batching",
        "Remove sequence_batching, or remove dynamic_batching on line 1.",
    ),
}


def string(inner: str, column: int, message: str, hint: str) -> tuple[str, str, str, str]:
    return f"name: {inner}", f"1:{column}-0:0", message, hint


ESCAPE = "Write \\\\ for a backslash."
FOREIGN = "Replace it. Look for non-breaking spaces and curly quotes."
LEXICAL = {
    "a control character": (
        "name: 'a' \x01",
        "1:11-0:0",
        "the text contains a control character",
        "Remove it, or save the file as UTF-8 text.",
    ),
    "an open string at the end": string("'a", 9, "the string is never closed", "Close the quotes."),
    "an open string on its line": string(
        "'a\n'",
        9,
        "the string is not closed on its line",
        "Close the quotes on this line. Adjacent strings are joined.",
    ),
    "an escape": string('"\\q"', 9, "unknown escape sequence \\q in the string", ESCAPE),
    "an escape of several bytes": string('"\\é"', 9, "unknown escape sequence \\é in the string", ESCAPE),
    "an escape that cannot be shown": string("'\\\x07'", 9, "unknown escape sequence \\ in the string", ESCAPE),
    "x without digits": string(
        "'\\xg'", 10, "\\x must be followed by hex digits", "Write two hex digits, such as \\x41."
    ),
    "u without four digits": string(
        "'\\u12'", 12, "\\u must be followed by four hex digits", "Write four hex digits, such as \\u00e9."
    ),
    "U without eight digits": string(
        "'\\U0011'",
        14,
        "\\U must be followed by eight hex digits up to 0010ffff",
        "Write eight hex digits, such as \\U0001f600.",
    ),
    "hex without digits": string("0x", 9, "0x must be followed by hex digits", "Add hex digits, or write 0."),
    "an octal number with a 9": string(
        "00019", 11, "a number with a leading 0 is octal and cannot contain 8 or 9", "Remove the leading 0."
    ),
    "an exponent without digits": string("1e+", 10, "the exponent has no digits", "Add digits, such as 1e3."),
    "a letter after a number": string(
        "1x", 8, "a letter directly follows the number", "Remove the letter, or add a space before it."
    ),
    "an underscore after a number": string(
        "1_", 8, "a letter directly follows the number", "Remove the letter, or add a space before it."
    ),
    "two points": string("1.2.3", 10, "the number has an extra decimal point", "Remove the extra decimal point."),
    "a point after an exponent": string(
        "1e2.3", 10, "the number has an extra decimal point", "Remove the extra decimal point."
    ),
    "a point in a hex number": string(
        "0x1.2", 10, "a hex or octal number cannot have a decimal point", "Write it as a decimal number."
    ),
    "a number after a name": (
        "name.5: 1",
        "1:5-0:0",
        "a number directly follows the name",
        "Add a colon or a space between them.",
    ),
    "a curly quote": string("“a", 7, "a character outside quotes and comments must be ASCII, not '\\u201c'", FOREIGN),
    "a byte that is no character": string(
        "\udcff", 7, "a character outside quotes and comments must be ASCII, not '\\ufffd'", FOREIGN
    ),
    "a byte order mark in the middle": string(
        "'a'\ufeff", 10, "a character outside quotes and comments must be ASCII, not '\\ufeff'", FOREIGN
    ),
    **{
        f"a byte order mark of {name}": (
            mark + "name: 'a'",
            "1:1-0:0",
            "the file starts with a byte order mark",
            "Save the file as UTF-8 without a byte order mark.",
        )
        for name, mark in {"UTF-8": "\ufeff", "UTF-16 LE": "\udcff\udcfe", "UTF-16 BE": "\udcfe\udcff"}.items()
    },
}

TABLES = {
    "name": NAMES,
    "enum": ENUMS,
    "bool": BOOLS,
    "integer": INTEGERS,
    "string": STRINGS,
    "value": MESSAGES,
    "punctuation": PUNCTUATION,
    "twice": TWICE,
    "lexical": LEXICAL,
}
ROWS = {f"{table}: {name}": row for table, rows in TABLES.items() for name, row in rows.items()}


@tabled(("text", "place", "message", "hint"), ROWS.values(), ids=ROWS)
def test_each_fault_is_told_with_its_place_and_the_next_step(text: str, place: str, message: str, hint: str) -> None:
    assert said(text)[0] == (place, message, hint)


MAP = "ensemble_scheduling { step { %s } }"
PAIRS = {
    "a string": (MAP % 'input_map: { "TEXT": "Q" }', 'input_map { key: "TEXT" value: "Q" }'),
    "two strings": (MAP % "output_map { 'A': 'B', 'C': 'D' }", 'output_map { key: "A" value: "B" }'),
    "a name": (MAP % 'input_map { TEXT: "Q" }', 'input_map { key: "TEXT" value: "Q" }'),
    "a list": (MAP % 'input_map [ { "TEXT": Q } ]', 'input_map { key: "TEXT" value: "Q" }'),
    "a parameter": ('parameters { "a": 1 }', 'parameters { key: "a" value { string_value: "1" } }'),
    "a parameter's message": ('parameters { "a": { string_value: "1" } }', 'parameters { key: "a" value { … } }'),
    "a parameter cut off": ('parameters { "a":', 'parameters { key: "a" value { … } }'),
    "a placeholder": ('metric_tags { "a": [ 1 ] }', 'metric_tags { key: "a" value: "…" }'),
    "a number": (
        "dynamic_batching { priority_queue_policy { 1: { } } }",
        "priority_queue_policy { key: 1 value { … } }",
    ),
}


@tabled(("text", "write"), PAIRS.values(), ids=PAIRS)
def test_a_map_written_as_json_is_told_as_protobuf_text(text: str, write: str) -> None:
    (_, _, hint), *others = said(text)
    assert hint == f"Write `{write}`, one for each pair."
    assert not others


DELAY = "dynamic_batching { max_queue_delay_microseconds: %s }"
MEANT = {
    "seconds": (DELAY % "5s", "Write 5000000."),
    "milliseconds": (DELAY % "100ms", "Write 100000."),
    "a fraction": (DELAY % "1.5ms", "Write 1500."),
    "in quotes": (DELAY % '"100us"', "Write 100. The unit is microseconds."),
    "no unit": (DELAY % "5x", "Remove the letter, or add a space before it."),
    "no duration": ("max_batch_size: 5s", "Remove the letter, or add a space before it."),
    "a switch": ("dynamic_batching: true", "Write `dynamic_batching { }`."),
    "a switch that is off": ("dynamic_batching: false", "Remove dynamic_batching."),
    "a switch with a field": ("response_cache: on", "Write `response_cache { enable: true }`."),
    "decoupled": ("model_transaction_policy: true", "Write `model_transaction_policy { decoupled: true }`."),
    "no switch": ("optimization: true", "Write `optimization { … }`."),
    "the latest version": ('version_policy: "latest"', "Write `version_policy { latest { num_versions: 1 } }`."),
    "all versions": ("version_policy: all", "Write `version_policy { all { } }`."),
    "versions": ("version_policy: [1, 2]", "Write `version_policy { specific { versions: [ 1, 2 ] } }`."),
    "a version": ('version_policy: "3"', "Write `version_policy { specific { versions: [ 3 ] } }`."),
    "a number of versions": ("version_policy { latest: 2 }", "Write `latest { num_versions: 2 }`."),
    "a list": ("version_policy { specific: [1, 2] }", "Write `specific { versions: [ 1, 2 ] }`."),
    "a long list": (
        "input { reshape: [1,2,3,4,5,6,7,8,9] }",
        "Write `reshape { shape: [ 1, 2, 3, 4, 5, 6, 7, 8, … ] }`.",
    ),
    "a kind": ('instance_group: "KIND_CPU"', "Write `instance_group { kind: KIND_CPU }`."),
}


@tabled(("text", "hint"), MEANT.values(), ids=MEANT)
def test_a_plain_value_is_told_as_the_message_that_is_meant(text: str, hint: str) -> None:
    assert said(text)[0][2] == hint


WHOLE = {
    "YAML": ("name: m\ninput:\n  - name: I\n    dims: [1]\noutput:\n  - name: O\n", 'name: "m"'),
    "YAML without a list": ("max_batch_size: 8\ninput:\n  name: I\n", "max_batch_size: 8"),
    "YAML with a start": ("# m\n---\nbackend: 'm' \n", 'backend: "m"'),
    "YAML with a directive": ("%YAML 1.2\n---\nbackend: m\n", 'backend: "m"'),
    "JSON": ('{\n  "max_batch_size": 8,\n  "input": [{"name": "I"}]\n}', "max_batch_size: 8"),
}


@tabled(("text", "line"), WHOLE.values(), ids=WHOLE)
def test_a_file_in_another_language_is_one_fault(text: str, line: str) -> None:
    (place, _, hint), *others = said(text)
    assert (place[:3], others) == ("1:1", [])
    assert hint.endswith(f" The first line becomes `{line}`.")


FILL, RENDER = "tools/fill_template.py", "helm template"
TEMPLATES = {
    "two": ("name: ${a}\nmax_batch_size: ${b}", ["2 placeholders are not filled in: ${a}, ${b}"], FILL),
    "one twice": ("name: ${a}\nbackend: ${a}", ["a placeholder is not filled in: ${a}"], FILL),
    "four": (
        "name: ${a}\nbackend: '${b}'\nmax_batch_size: ${c}\nplatform: '${d}'",
        ["4 placeholders are not filled in: ${a}, ${b}, ${c} and 1 more"],
        FILL,
    ),
    "another fault": (
        "nam: 1\ninput [ ${x}, ${y} ]",
        ['unknown field "nam" in ModelConfig', "2 placeholders are not filled in: ${x}, ${y}"],
        FILL,
    ),
    "Helm": (
        "name: {{ .a }}\nnam: 1\nmax_batch_size: {{ b }}",
        ["2 placeholders are not filled in: {{ .a }}, {{ b }}"],
        RENDER,
    ),
    "Jinja": ("{% if a %}\nnam: 1\n{% endif %}", ["2 placeholders are not filled in: {% if a %}, {% endif %}"], RENDER),
    "only in strings": ("name: '${a}'\nbackend: '${b}'\nnam: 1", ['unknown field "nam" in ModelConfig'], "name"),
    "only in comments": ("# ${a} ${b}\nnam: 1 # ${c} ${d}", ['unknown field "nam" in ModelConfig'], "name"),
}


@tabled(("text", "messages", "hint"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_is_one_fault_next_to_those_that_it_does_not_cause(
    text: str, messages: list[str], hint: str
) -> None:
    found = parse(text.encode(), RELEASE).faults
    assert [each.message for each in found] == messages
    assert hint in found[-1].hint
    assert [bool(each.server) for each in found] == [True, *[False] * (len(found) - 1)]


def test_an_enums_value_of_a_later_release_is_told_as_such() -> None:
    assert said("input { data_type: TYPE_BF16 }", "22.04") == [
        (
            "1:20-1:29",
            "DataType TYPE_BF16 requires Triton 22.05 or later",
            "Use another value, or Triton 22.05 or later.",
        )
    ]
    assert said("input { data_type: TYPE_BF16 }", "22.05") == []


CONTROL = "sequence_batching { control_input { control { %s } } }"
COMMAS = {
    "strings": ("instance_group { profile: [ 'a', ] }", "1:34: Expected string, got: ]"),
    "bools": (CONTROL % "bool_false_true: [ true, ]", "1:72: Expected identifier, got: ]"),
    "floats": (CONTROL % "fp32_false_true: [ 1, ]", "1:69: Expected double, got: ]"),
    "integers": (CONTROL % "int32_false_true: [ 1, ]", "1:70: Expected integer, got: ]"),
    "messages": ("input [ { }, ]", '1:14: Expected "{", found "]".'),
    "doubles": (
        "model_metrics { metric_control { histogram_options { buckets: [ 1, ] } } }",
        "1:68: Expected double, got: ]",
    ),
}


@tabled(("text", "words"), COMMAS.values(), ids=COMMAS)
def test_the_server_wants_another_value_after_a_comma(text: str, words: str) -> None:
    """Source: protobuf v21, text_format.cc, ConsumeField, which reads a value after each comma."""
    assert parse(text.encode(), "24.11").log == (words,)
