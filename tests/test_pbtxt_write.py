"""Writing config.pbtxt: the canonical form, edits that touch nothing else, plain data and protobuf messages."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pbtxt_descriptors import message_class
from tests.pbtxt_texts import RELEASE, text
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.pbtxt import Enum, Message, convert, editor, parse
from tritonrepo.pbtxt.editor import Edit
from tritonrepo.pbtxt.printer import Value, quoted, to_text
from tritonrepo.pbtxt.scalars import single
from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config

KIND = model_config(RELEASE)
RANGES = {
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}


def scalars(spec: FieldType) -> st.SearchStrategy[Any]:
    if spec.enum:
        return st.sampled_from([Enum(name) for name in spec.enum.numbers])
    if spec.type in RANGES:
        return st.integers(*RANGES[spec.type])
    if spec.type == "float":
        return st.floats(width=32, allow_nan=False)
    texts = st.binary(max_size=12).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
    return {"double": st.floats(allow_nan=False), "bool": st.booleans(), "string": st.text(max_size=8) | texts}[
        spec.type
    ]


def values(spec: FieldType, depth: int) -> st.SearchStrategy[Any]:
    if spec.message and spec.message.is_entry:
        entry = spec.message.fields
        return st.dictionaries(scalars(entry["key"]), values(entry["value"], depth), min_size=1, max_size=2)
    one = messages(spec.message, depth + 1) if spec.message else scalars(spec)
    return st.lists(one, min_size=1, max_size=3) if spec.repeated else one


@st.composite
def messages(draw: st.DrawFn, kind: MessageType, depth: int = 0) -> dict[str, Any]:
    names = (
        draw(st.lists(st.sampled_from(list(kind.fields)), unique=True, max_size=4 - depth // 2)) if kind.fields else []
    )
    taken: set[str] = set()
    plain = {}
    for name in names:
        spec = kind.fields[name]
        if spec.slot not in taken:
            taken |= {spec.slot} - {""}
            plain[name] = draw(values(spec, depth))
    return plain


@given(messages(KIND))
def test_what_is_written_is_read_back_and_written_the_same(plain: dict[str, Any]) -> None:
    written = to_text(plain, KIND)
    parsed = parse(written.encode(), RELEASE)
    assert not parsed.faults
    assert convert.to_plain(parsed.root) == plain
    assert to_text(parsed.root) == written


@given(st.integers(0, 10**9).map(text))
def test_canonical_printing_is_idempotent(made: bytes) -> None:
    parsed = parse(made, RELEASE)
    written = to_text(parsed.root)
    again = parse(written.encode(), RELEASE)
    assert not again.faults
    assert to_text(again.root) == written


@given(messages(KIND))
def test_protobuf_messages_and_plain_data_are_the_same(plain: dict[str, Any]) -> None:
    message = message_class(RELEASE)()
    try:
        convert.fill(message, plain, KIND)
    except Stop as stop:
        assert stop.diagnostics[0].rule == "non-utf8-string"
        return
    from google.protobuf import text_format

    again = message_class(RELEASE)()
    text_format.Parse(to_text(plain, KIND), again)
    assert again == message
    assert convert.of_message(again, KIND) == convert.of_message(message, KIND)


def test_the_canonical_form() -> None:
    made: dict[str, Value] = {
        "max_batch_size": 8,
        "parameters": {"a": {"string_value": 'x"\n'}},
        "name": "m",
        "input": [{"dims": [-1, 4], "name": "IDS", "data_type": Enum("TYPE_INT64")}],
        "sequence_batching": {"direct": {"minimum_slot_utilization": single(0.1)}},
        "output": [],
    }
    assert to_text(made, KIND) == (
        'name: "m"\n'
        "max_batch_size: 8\n"
        'input { name: "IDS" data_type: TYPE_INT64 dims: [ -1, 4 ] }\n'
        "sequence_batching { direct { minimum_slot_utilization: 0.1 } }\n"
        'parameters { key: "a" value { string_value: "x\\"\\n" } }\n'
    )


@tabled("value", [math.inf, -math.inf, -0.0, 3.4028234663852886e38, 1.401298464324817e-45])
def test_odd_floats_are_written_so_that_they_are_read(value: float) -> None:
    root = parse(
        to_text({"sequence_batching": {"direct": {"minimum_slot_utilization": value}}}, KIND).encode(), RELEASE
    ).root
    read = root.messages("sequence_batching")[0].messages("direct")[0].number("minimum_slot_utilization")
    assert str(read) == str(value)


def test_a_string_that_is_not_utf8_does_not_fit_a_protobuf_message() -> None:
    plain = convert.to_plain(parse(b'name: "\xff"', RELEASE).root)
    with pytest.raises(Stop) as caught:
        convert.fill(message_class(RELEASE)(), plain, KIND)
    assert caught.value.diagnostics[0].at.path == "inference.ModelConfig.name"


HAND = """\
# licence

backend: "a"   # comment
max_batch_size: 8
input [
  { name: "x" dims: [ 1, 2 ] },
  {
    name: "y"   # the second
    dims: 4
  }
]
version_policy { }
"""


def root_of(written: str) -> Message:
    return parse(written.encode(), RELEASE).root


def edited(written: str, *edits: Edit) -> str:
    return editor.apply(written.encode(), edits).decode()


def test_a_value_is_changed_and_nothing_else() -> None:
    changed = edited(HAND, editor.put(root_of(HAND), "max_batch_size", 16), editor.put(root_of(HAND), "backend", "b"))
    assert changed == HAND.replace("size: 8", "size: 16").replace('"a"', '"b"')


def test_an_item_of_a_list_is_changed() -> None:
    dims = root_of(HAND).messages("input")[0].get("dims")
    assert dims
    assert edited(HAND, editor.change(dims.values[1], dims.spec, -1)) == HAND.replace("[ 1, 2 ]", "[ 1, -1 ]")


def test_a_misspelt_name_is_changed() -> None:
    field = root_of(HAND).get("backend")
    assert field
    assert edited(HAND, editor.rename(field, "platform")) == HAND.replace("backend", "platform")


INSERTED = {
    "on a line after the field before it": (HAND, "runtime", "r", "# comment\n", '# comment\nruntime: "r"\n'),
    "at the end": (HAND, "dynamic_batching", {}, "version_policy { }\n", "version_policy { }\n"),
    "in a file of comments": ("# c", "name", "n", "# c", '# c\nname: "n"\n'),
    "in an empty file": ("", "name", "n", "", 'name: "n"\n'),
    "before the first field": ("max_batch_size: 1\n", "name", "n", "max", 'name: "n"\nmax'),
    "not between a comment and its field": ('# m\nbackend: "a"\n', "name", "n", '"a"\n', '"a"\nname: "n"\n'),
    "with the file's line ends": ("max_batch_size: 1\r\n", "backend", "b", "max", 'backend: "b"\r\nmax'),
    "between fields that touch": ('name:"n"max_batch_size:1', "backend", "b", "max", ' backend: "b" max'),
    "within a line": ('name: "n" max_batch_size: 1', "backend", "b", " max", ' backend: "b" max'),
}


@tabled(("hand", "name", "value", "old", "new"), INSERTED.values(), ids=INSERTED)
def test_a_field_is_inserted(hand: str, name: str, value: Value, old: str, new: str) -> None:
    inserted = edited(hand, editor.insert(root_of(hand), name, value))
    if name == "dynamic_batching":
        assert sorted(inserted.splitlines()) == sorted([*hand.splitlines(), "dynamic_batching { }"])
    else:
        assert inserted == (hand.replace(old, new) if old else new)
    assert not parse(inserted.encode(), RELEASE).faults


def test_a_field_is_inserted_in_a_message() -> None:
    second = root_of(HAND).messages("input")[1]
    assert edited(HAND, editor.insert(second, "data_type", Enum("TYPE_FP32"))) == HAND.replace(
        "# the second\n", "# the second\n    data_type: TYPE_FP32\n"
    )
    policy = root_of(HAND).messages("version_policy")[0]
    latest = editor.insert(policy, "latest", {"num_versions": 2})
    assert "version_policy { latest { num_versions: 2 } }" in edited(HAND, latest)


def test_fields_and_items_are_deleted() -> None:
    root = root_of(HAND)
    assert (size := root.get("max_batch_size"))
    assert edited(HAND, editor.delete(size)) == HAND.replace("max_batch_size: 8\n", "")
    assert (backend := root.get("backend"))
    assert edited(HAND, editor.delete(backend)) == HAND.replace('backend: "a"', "")
    assert (dims := root.messages("input")[0].get("dims"))
    assert edited(HAND, editor.delete(dims)) == HAND.replace(" dims: [ 1, 2 ]", "")
    assert edited(HAND, editor.delete_item(dims, 0)) == HAND.replace("1, 2", "2")
    assert edited(HAND, editor.delete_item(dims, 1)) == HAND.replace("1, 2", "1")
    assert (items := root.get("input"))
    assert len(root_of(edited(HAND, editor.delete_item(items, 0))).messages("input")) == 1


@given(st.integers(0, 10**9).map(text), st.randoms(use_true_random=False), messages(KIND))
def test_an_edit_changes_only_what_it_says(made: bytes, dice: random.Random, plain: dict[str, Any]) -> None:
    parsed = parse(made, RELEASE)
    if parsed.faults:
        return
    before = convert.to_plain(parsed.root)
    for name, value in plain.items():
        expected, edit = planned(parsed.root, name, value, dice.random() < 0.5)
        after = editor.apply(made, [edit])
        assert after[: edit.start] == made[: edit.start]
        assert after[edit.start + len(edit.text) :] == made[edit.end :]
        again = parse(after, RELEASE)
        assert not again.faults
        assert (
            convert.to_plain(again.root) == before | expected if expected else name not in convert.to_plain(again.root)
        )


def planned(root: Message, name: str, value: Value, deletes: bool) -> tuple[dict[str, Any], Edit]:  # noqa: FBT001
    """Return an edit and the fields that it should have changed."""
    fields = [field for field in root.fields if field.name == name]
    others = [field for field in root.fields if KIND.fields[name].oneof and field.spec.oneof == KIND.fields[name].oneof]
    if len(fields) == 1 and deletes:
        return {}, editor.delete(fields[0])
    if KIND.fields[name].repeated or (others and not fields) or len(fields) > 1:
        return {"max_batch_size": 77}, editor.put(root, "max_batch_size", 77)
    return {name: value}, editor.put(root, name, value)


SHORTEST = {
    "one digit": "0.5",
    "six digits": "7.08228",
    "seven digits": "0.005231407",
    "eight digits": "-269.46692",
    "nine digits": "115527.086",
    "nine digits below one": "0.120951906",
    "a negative one": "-103.217316",
    "an exponent": "1e-07",
    "a whole number": "16777216.0",
}


@tabled("written", SHORTEST.values(), ids=SHORTEST)
def test_a_float_is_written_with_the_fewest_digits_that_are_read_as_it(written: str) -> None:
    """As `struct` rounds to 32 bits; nine digits are enough for any of them (IEEE 754, FLT_DECIMAL_DIG)."""
    (value,) = struct.unpack("f", struct.pack("f", float(written)))
    text = to_text({"sequence_batching": {"direct": {"minimum_slot_utilization": value}}}, KIND)
    assert text == f"sequence_batching {{ direct {{ minimum_slot_utilization: {written} }} }}\n"


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e300])
def test_a_double_keeps_all_its_digits(value: float) -> None:
    metrics = {"model_metrics": {"metric_control": [{"histogram_options": {"buckets": [value, 2.0]}}]}}
    assert f"buckets: [ {value!r}, 2.0 ]" in to_text(metrics, model_config("24.11"))


NEAR = 3.4028235677973366e38
ROUNDED = {
    "the largest float": (3.4028234663852886e38, 3.4028234663852886e38),
    "the largest double that is rounded to it": (NEAR, 3.4028234663852886e38),
    "its negative": (-NEAR, -3.4028234663852886e38),
    "the next double": (math.nextafter(NEAR, math.inf), math.inf),
    "its negative, too": (math.nextafter(-NEAR, -math.inf), -math.inf),
    "half of the smallest": (2.0**-150, 0.0),
    "the smallest": (2.0**-149, 2.0**-149),
}


@tabled(("value", "rounded"), ROUNDED.values(), ids=ROUNDED)
def test_a_double_becomes_the_float_that_protobuf_makes_of_it(value: float, rounded: float) -> None:
    """Source: protobuf v21, io/strtod.cc, SafeDoubleToFloat."""
    assert single(value) == rounded


QUOTED = {
    "quotes and backslashes": ("a\"b\\c'd", '"a\\"b\\\\c\'d"'),
    "line breaks and tabs": ("\n\r\t", '"\\n\\r\\t"'),
    "control characters": ("\0\x1f\x7f", '"\\000\\037\\177"'),
    "what begins after them": (" \x80~", '" \x80~"'),
    "letters outside ASCII": ("é😀", '"é😀"'),
    "bytes that are no text": ("\udcff\udc80", '"\\377\\200"'),
    "half a surrogate pair": ("\ud83d", '"\\355\\240\\275"'),
    "a half that is no byte": ("\udc7f\udd00", '"\\355\\261\\277\\355\\264\\200"'),
}


@tabled(("text", "literal"), QUOTED.values(), ids=QUOTED)
def test_a_string_is_quoted(text: str, literal: str) -> None:
    assert quoted(text) == literal


def lines(plain: dict[str, Value]) -> list[str]:
    return to_text(plain, KIND).splitlines()


def test_a_message_is_on_one_line_up_to_100_columns_and_two_levels() -> None:
    fits: dict[str, Value] = {"input": [{"name": "n" * (100 - len('input { name: "" }'))}]}
    assert lines(fits) == [f'input {{ name: "{"n" * 82}" }}']
    longer: dict[str, Value] = {"input": [{"name": "n" * 83}]}
    assert lines(longer) == ["input {", f'  name: "{"n" * 83}"', "}"]
    two: dict[str, Value] = {"version_policy": {"latest": {"num_versions": 1}}}
    assert lines(two) == ["version_policy { latest { num_versions: 1 } }"]
    three: dict[str, Value] = {"optimization": {"cuda": {"graph_spec": [{"batch_size": 1}]}}}
    assert lines(three) == ["optimization {", "  cuda { graph_spec { batch_size: 1 } }", "}"]


def test_empty_values_are_written_as_what_they_are() -> None:
    assert lines({"dynamic_batching": {}}) == ["dynamic_batching { }"]
    assert lines({"instance_group": [{"gpus": []}, {"passive": False}]}) == [
        "instance_group { }",
        "instance_group { passive: false }",
    ]
    assert lines({"input": [], "parameters": {}, "name": ""}) == ['name: ""']
    assert lines({"parameters": {"a": {}}}) == ['parameters { key: "a" value { } }']


def test_plain_data_is_what_the_text_says() -> None:
    text = (
        "output [ ] max_batch_size: 0 input { dims: 1 dims: [ 2, 3 ] } input [ { data_type: 11 } ] max_batch_size: 4 "
        "parameters { key: 'a' value { string_value: '1' } } parameters { } parameters { key: 'a' } "
        "dynamic_batching { priority_queue_policy { value { timeout_action: 1 } } } cc_model_filenames { key: '8.0' }"
    )
    plain = convert.to_plain(root_of(text))
    assert plain == {
        "max_batch_size": 4,
        "input": [{"dims": [1, 2, 3]}, {"data_type": "TYPE_FP32"}],
        "parameters": {"a": {}, "": {}},
        "dynamic_batching": {"priority_queue_policy": {0: {"timeout_action": "DELAY"}}},
        "cc_model_filenames": {"8.0": ""},
    }
    assert list(plain) == ["max_batch_size", "input", "parameters", "dynamic_batching", "cc_model_filenames"]
    assert isinstance(plain["input"][1]["data_type"], Enum)


def test_what_is_not_set_has_its_types_zero() -> None:
    fields = KIND.fields
    group, tensor, batching = (fields[name].message for name in ("instance_group", "input", "sequence_batching"))
    assert group
    assert tensor
    assert batching
    assert batching.fields["direct"].message
    zeros = {
        "kind": convert.zero(group.fields["kind"]),
        "passive": convert.zero(group.fields["passive"]),
        "count": convert.zero(group.fields["count"]),
        "name": convert.zero(fields["name"]),
        "reshape": convert.zero(tensor.fields["reshape"]),
        "share": convert.zero(batching.fields["direct"].message.fields["minimum_slot_utilization"]),
    }
    assert zeros == {"kind": "KIND_AUTO", "passive": False, "count": 0, "name": "", "reshape": {}, "share": 0.0}
    assert [type(zeros[name]) for name in ("kind", "passive", "count", "share")] == [Enum, bool, int, float]


def test_a_field_that_the_client_lacks_is_told() -> None:
    old = message_class("24.10")()
    kind = model_config("24.11")
    with pytest.raises(Stop) as caught:
        convert.fill(old, {"name": "m", "model_metrics": {}}, kind)
    (told,) = caught.value.diagnostics
    assert (told.rule, told.severity, told.at.path) == ("field-newer-than-client", "error", "inference.ModelConfig")
    assert told.message == 'the protobuf class has no field "model_metrics"'
    assert told.hint == "Update tritonclient."


def test_a_message_that_is_filled_has_every_kind_of_value() -> None:
    plain: dict[str, Any] = {
        "name": "m",
        "input": [{"data_type": Enum("TYPE_FP32"), "dims": [1, -1]}, {"data_type": 99}],
        "dynamic_batching": {},
        "parameters": {"a": {"string_value": "1"}, "b": {}},
        "cc_model_filenames": {"8.0": "f"},
    }
    made: Any = message_class(RELEASE)()
    convert.fill(made, plain, KIND)
    assert (made.name, [list(each.dims) for each in made.input]) == ("m", [[1, -1], []])
    assert [each.data_type for each in made.input] == [11, 99]
    assert made.HasField("dynamic_batching")
    assert not made.HasField("sequence_batching")
    assert {key: value.string_value for key, value in made.parameters.items()} == {"a": "1", "b": ""}
    assert dict(made.cc_model_filenames) == {"8.0": "f"}
    back = convert.of_message(made, KIND)
    assert back == plain
    assert list(back) == ["name", "input", "dynamic_batching", "cc_model_filenames", "parameters"]


PUT = {
    "on a new line with its indent": ("  backend: 'b' # c\n", "  backend: 'b' # c\n  max_batch_size: 3\n"),
    "after a separator on its line": ("name: 'n', backend: 'b';", "name: 'n', backend: 'b'; max_batch_size: 3"),
    "on a line before two messages": ("input { } output { }", "max_batch_size: 3\ninput { } output { }"),
    "before a message": ("\tinput { }\n", "\tmax_batch_size: 3\n\tinput { }\n"),
    "below a comment and its field": ("# c\ninput { }\n", "# c\ninput { }\nmax_batch_size: 3\n"),
    "in the place of a value": ("max_batch_size: - # c\n 1\n", "max_batch_size: 3\n"),
    "in the place of the last value": ("max_batch_size: 0 max_batch_size: 1", "max_batch_size: 0 max_batch_size: 3"),
    "at the end of a file without a line feed": ("# c", "# c\nmax_batch_size: 3\n"),
    "at the end of a file with CR LF": ("# c\r\n# d", "# c\r\n# d\r\nmax_batch_size: 3\r\n"),
    "before a tab": ("backend: 'b'\tinput { }", "backend: 'b' max_batch_size: 3\tinput { }"),
    "before a carriage return": (
        "name: 'n' backend: 'b'\rinput { }",
        "name: 'n' backend: 'b' max_batch_size: 3\rinput { }",
    ),
    "before a field that touches": ("backend: 'b'input { }", "backend: 'b' max_batch_size: 3 input { }"),
    "after a line with CR LF": ("name: 'n'\r\n# d\r\n", "name: 'n'\r\nmax_batch_size: 3\r\n# d\r\n"),
    "after a message over two lines": (
        "version_policy {\n}\ninput { }\n",
        "version_policy {\n}\nmax_batch_size: 3\ninput { }\n",
    ),
}


@tabled(("hand", "becomes"), PUT.values(), ids=PUT)
def test_a_field_is_put_where_the_text_has_room(hand: str, becomes: str) -> None:
    assert edited(hand, editor.put(root_of(hand), "max_batch_size", 3)) == becomes


def test_one_more_of_a_repeated_field_comes_after_the_last() -> None:
    hand = "name: 'n'\ninput { name: 'a' }\ninput { name: 'b' }\noutput { }\n"
    assert edited(hand, editor.insert(root_of(hand), "input", {"name": "c"})) == (
        "name: 'n'\ninput { name: 'a' }\ninput { name: 'b' }\ninput { name: \"c\" }\noutput { }\n"
    )


REMOVED = {
    "with its line": ("name: 'n'\nbackend: 'b'\nruntime: 'r'\n", "name: 'n'\nruntime: 'r'\n"),
    "with the last line": ("name: 'n'\n  backend: 'b';  ", "name: 'n'\n"),
    "but not a comment after it": ("backend: 'b' # c\n", " # c\n"),
    "with the blanks before it": ("name: 'n' \t backend: 'b'\nruntime: 'r'", "name: 'n'\nruntime: 'r'"),
    "but not the only blank between two": ("name: 'n' backend: 'b'runtime: 'r'", "name: 'n' runtime: 'r'"),
    "between two": ("name: 'n' backend: 'b' runtime: 'r'", "name: 'n' runtime: 'r'"),
    "at the start of a line": ("backend: 'b' runtime: 'r'\n", " runtime: 'r'\n"),
    "over several lines": ("name: 'n'\nbackend:\n'b'\nruntime: 'r'", "name: 'n'\nruntime: 'r'"),
    "with CR LF": ("name: 'n'\r\nbackend: 'b'\r\nruntime: 'r'", "name: 'n'\r\nruntime: 'r'"),
    "but not a comment in it": ("backend: # c\n  'b'\nruntime: 'r'", "# c\nruntime: 'r'"),
    "but not the comments in it": ("  backend: # c\r\n # d\r\n 'b' runtime: 'r'", "  # c\r\n  # d\r\n   runtime: 'r'"),
}


@tabled(("hand", "becomes"), REMOVED.values(), ids=REMOVED)
def test_a_field_is_removed(hand: str, becomes: str) -> None:
    field = root_of(hand).get("backend")
    assert field
    assert edited(hand, editor.delete(field)) == becomes


ITEMS = {
    "the first": (0, "[ 2, 3 ]"),
    "one in the middle": (1, "[ 1, 3 ]"),
    "the last": (2, "[ 1, 2 ]"),
}


@pytest.mark.parametrize(("place", "becomes"), ITEMS.values(), ids=ITEMS)
def test_an_item_is_removed_with_its_comma(place: int, becomes: str) -> None:
    hand = "input { dims: [ 1, 2, 3 ] }"
    dims = root_of(hand).messages("input")[0].get("dims")
    assert dims
    assert edited(hand, editor.delete_item(dims, place)) == f"input {{ dims: {becomes} }}"


SEVERAL = {
    "the first two": ({0, 1}, "[ 1, 2, 3 ]", "[ 3 ]"),
    "the last two": ({1, 2}, "[ 1, 2, 3 ]", "[ 1 ]"),
    "the first and the last": ({2, 0}, "[ 1, 2, 3 ]", "[ 2 ]"),
    "none": (set[int](), "[ 1 ]", "[ 1 ]"),
    "one, but not the comment before it": ({1}, "[ 1, # one\n  2 # two\n]", "[ 1 # one\n   # two\n]"),
    "the first, but not the comment after it": ({0}, "[ 1, # one\n  2 # two\n]", "[  # one\n  2 # two\n]"),
}


@tabled(("places", "items", "becomes"), SEVERAL.values(), ids=SEVERAL)
def test_items_are_removed_with_their_commas(places: set[int], items: str, becomes: str) -> None:
    hand = f"input {{ dims: {items} }}"
    dims = root_of(hand).messages("input")[0].get("dims")
    assert dims
    assert edited(hand, *editor.delete_items(dims, places)) == f"input {{ dims: {becomes} }}"


def test_the_field_of_removed_items_goes_as_well() -> None:
    hand = "input { name: 'n' dims: [ 1, 2 ] }"
    dims = root_of(hand).messages("input")[0].get("dims")
    assert dims
    assert edited(hand, *editor.delete_items(dims, {0, 1})) == "input { name: 'n' }"


def test_the_only_item_is_removed_from_its_brackets() -> None:
    hand = "input { dims: [ 1 ] }"
    dims = root_of(hand).messages("input")[0].get("dims")
    assert dims
    assert edited(hand, editor.delete_item(dims, 0)) == "input { dims: [  ] }"


def test_a_message_is_changed_in_its_braces() -> None:
    hand = "\tinput [\n\t\t{ name: 'a' }\n\t]\r\n"
    field = root_of(hand).get("input")
    assert field
    made: dict[str, Value] = {"name": "b" * 90, "dims": [1]}
    assert edited(hand, editor.change(field.value, field.spec, made)) == (
        f'\tinput [\n\t\t{{\r\n\t\t  name: "{"b" * 90}"\r\n\t\t  dims: [ 1 ]\r\n\t\t}}\n\t]\r\n'
    )


def test_edits_at_one_place_keep_their_order_and_none_overlap() -> None:
    assert editor.apply(b"abc", [Edit(2, 3, b"x"), Edit(1, 1, b"1"), Edit(1, 1, b"2"), Edit(1, 2, b"y")]) == b"a12yx"
    with pytest.raises(AssertionError):
        editor.apply(b"abc", [Edit(0, 2, b""), Edit(1, 3, b"")])
