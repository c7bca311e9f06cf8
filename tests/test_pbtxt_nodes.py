"""The tree that a text becomes: what each question about a message answers, places, comments, and the limits."""

from __future__ import annotations

import pytest

from tests.tabled import tabled
from tritonrepo.pbtxt import Enum, Message, Scalar, parse, parser
from tritonrepo.pbtxt.nodes import walk
from tritonrepo.pbtxt.schema import messages, model_config

RELEASE = "24.10"


def root_of(text: str | bytes) -> Message:
    parsed = parse(text.encode() if isinstance(text, str) else text, RELEASE)
    assert not parsed.faults
    return parsed.root


ONE = root_of("""\
name: "n"
max_batch_size: 0
max_batch_size: 4
input { name: "a" dims: [ 1, 2 ] dims: 3 data_type: TYPE_FP32 }
input [ { name: "b" dims: [ ] }, { name: "c" data_type: 99 optional: true } ]
output [ ]
sequence_batching { direct { minimum_slot_utilization: 0.5 } }
instance_group { passive: false profile: [ "x", "y" ] profile: "z" gpus: 1 gpus: [ 2 ] }
parameters { key: "p" value { string_value: "1" } }
parameters { key: "q" }
parameters { key: "p" value { string_value: "2" } }
parameters { }
cc_model_filenames { value: "f" }
""")


def test_a_field_is_the_last_one_of_its_name() -> None:
    assert (size := ONE.get("max_batch_size"))
    assert (size.line, size.name) == (3, "max_batch_size")
    assert (inputs := ONE.get("input"))
    assert [item.text("name") for item in inputs.values if isinstance(item, Message)] == ["b", "c"]
    assert ONE.get("backend") is None
    assert ONE.has("output")
    assert not ONE.has("backend")


def test_values_are_all_that_a_field_has_in_their_order() -> None:
    first, second, third = ONE.messages("input")
    assert [value.data for value in first.all("dims") if isinstance(value, Scalar)] == [1, 2, 3]
    assert first.numbers("dims") == [1, 2, 3]
    assert second.all("dims") == third.all("dims") == third.scalars("dims") == []
    assert ONE.all("output") == ONE.messages("output") == []
    assert ONE.all("input") == [first, second, third]
    assert ONE.scalars("input") == []
    assert ONE.messages("name") == []
    group = ONE.messages("instance_group")[0]
    assert (group.texts("profile"), group.numbers("gpus")) == (["x", "y", "z"], [1, 2])
    assert group.numbers("profile") == []
    assert ONE.messages("input")[2].texts("data_type") == ["99"]


def test_a_singular_value_is_the_last_one_or_its_default() -> None:
    first, _, third = ONE.messages("input")
    assert (ONE.data("max_batch_size"), ONE.integer("max_batch_size"), ONE.number("max_batch_size")) == (4, 4, 4)
    assert first.data("dims") == 3
    assert ONE.data("backend") is None
    assert ONE.data("input") is None
    assert (ONE.integer("backend"), ONE.integer("backend", 7), ONE.integer("name", 7)) == (0, 7, 7)
    assert (ONE.number("backend"), ONE.number("backend", 0.5), ONE.number("name", 0.5)) == (0, 0.5, 0.5)
    assert (ONE.text("backend"), ONE.text("backend", "b"), ONE.text("max_batch_size", "b")) == ("", "b", "b")
    assert ONE.text("name", "b") == "n"
    assert (first.enum("data_type"), third.enum("data_type"), third.enum("name")) == ("TYPE_FP32", "99", "c")
    assert (ONE.enum("backend"), ONE.enum("backend", "b")) == ("", "b")
    assert third.flag("optional")
    assert not first.flag("optional")
    assert not ONE.messages("instance_group")[0].flag("passive")
    assert not ONE.flag("max_batch_size")


def test_a_float_is_a_number_and_no_integer() -> None:
    assert (batching := ONE.message("sequence_batching"))
    assert (direct := batching.message("direct"))
    assert direct.number("minimum_slot_utilization") == 0.5
    assert direct.integer("minimum_slot_utilization", 3) == 3


def test_a_message_is_the_last_one_of_its_field() -> None:
    assert (last := ONE.message("input"))
    assert last.text("name") == "c"
    assert ONE.message("output") is None
    assert ONE.message("name") is None
    assert (chosen := ONE.chosen("scheduling_choice"))
    assert chosen.name == "sequence_batching"
    assert ONE.chosen("policy_choice") is None


def test_a_map_has_the_last_entry_of_each_key_and_zeros_for_what_is_missing() -> None:
    assert [entry.text("key") for entry in ONE.entries("parameters")] == ["p", "q", "p", ""]
    found = ONE.mapping("parameters")
    assert list(found) == ["p", "q", ""]
    assert isinstance(found["p"], Message)
    assert found["p"].text("string_value") == "2"
    assert found["q"] is None
    names = ONE.mapping("cc_model_filenames")
    assert isinstance(names[""], Scalar)
    assert names[""].data == "f"
    batching = root_of("dynamic_batching { priority_queue_policy { value { } } }").message("dynamic_batching")
    assert batching
    assert list(batching.mapping("priority_queue_policy")) == [0]
    assert ONE.mapping("metric_tags") == {}


def test_a_walk_has_every_message_in_the_order_of_the_text() -> None:
    text = "input [ { name: 'a' reshape { } }, { name: 'b' } ] output { } input { name: 'c' }"
    assert [(node.kind.name.partition(".")[2], node.column) for node in walk(root_of(text))] == [
        ("ModelConfig", 1),
        ("ModelInput", 9),
        ("ModelTensorReshape", 29),
        ("ModelInput", 36),
        ("ModelOutput", 59),
        ("ModelInput", 69),
    ]


COMMENTS = {
    "none": ("name: 'a'", []),
    "above": ("# one\n# two\nname: 'a'", ["one", "two"]),
    "indented": ("  # one\n\tname: 'a'", ["one"]),
    "with a blank line between": ("# one\n\n# two\nname: 'a'", ["two"]),
    "with a blank line below": ("# one\n\nname: 'a'", []),
    "of another field's line": ("backend: 'b' # one\nname: 'a'", []),
    "above another field of its line": ("# one\nbackend: 'b' name: 'a'", []),
    "above another field": ("# one\nbackend: 'b'\nname: 'a'", []),
    "after": ("name: 'a' # one", ["one"]),
    "after a separator": ("name: 'a' , # one\nbackend: 'b'", ["one"]),
    "after on the next line": ("name: 'a'\n# one", []),
    "after another field": ("name: 'a' backend: 'b' # one", []),
    "above and after": ("# one\nname: 'a'# two", ["one", "two"]),
    "in a string": ("name: 'a # b'", []),
    "empty": ("#\nname: 'a'", [""]),
    "between name and value": ("# one\nname: # two\n'a'", ["one"]),
}


@tabled(("text", "comments"), COMMENTS.values(), ids=COMMENTS)
def test_the_comments_of_a_field_touch_it(text: str, comments: list[str]) -> None:
    assert (field := root_of(text).get("name"))
    assert field.comments == comments


def test_nodes_end_where_their_text_ends() -> None:
    text = "input [\n  { name: 'é' 'x' , dims: - 1 }\n] ;\nname: 'n'"
    field, name = root_of(text).fields
    span = field.span("p")
    assert (span.path, span.line, span.column, span.end_line, span.end_column) == ("p", 1, 1, 3, 4)
    item = root_of(text).messages("input")[0].span("p")
    assert (item.line, item.column, item.end_line, item.end_column) == (2, 3, 2, 32)
    joined, negative = (each.value for each in root_of(text).messages("input")[0].fields)
    assert isinstance(joined, Scalar)
    assert isinstance(negative, Scalar)
    assert (joined.data, joined.written, joined.span("p").end_column) == ("éx", "'é' 'x'", 18)
    assert (negative.data, negative.written, negative.column) == (-1, "- 1", 27)
    assert (name.start, name.end, name.line) == (text.encode().index(b"name: 'n'"), len(text.encode()), 4)


SERVER = {
    "a tab at the start": ("\tfoo", "1:9"),
    "a tab after seven": ("name:'n\t' foo", "1:11"),
    "two tabs": ("\t\tfoo", "1:17"),
    "a carriage return": ("\rfoo", "1:2"),
    "bytes of a letter": ("name: 'é' foo", "1:12"),
    "a comment above": ("# é\n\n foo", "3:2"),
}


@tabled(("text", "place"), SERVER.values(), ids=SERVER)
def test_the_servers_columns_count_bytes_and_tab_stops_of_eight(text: str, place: str) -> None:
    line, column, words = parse(f"{text} ? 1".encode(), RELEASE).log[0].split(":", 2)
    assert words == ' Message type "inference.ModelConfig" has no field named "foo".'
    assert f"{line}:{int(column) - 4}" == place


REST = {
    "a field with a message": ("foo { bar: 1 }\nbar: 1", [(1, 1), (2, 1)]),
    "a field with a list of messages": ("foo: [ { a: 1 }, { b: } ] bar: 1", [(1, 1), (1, 27)]),
    "a field with several strings": ("foo: 'a' 'b' bar: 1", [(1, 1), (1, 14)]),
    "a field with a negative number": ("foo = -5, bar: 1", [(1, 1), (1, 11)]),
    "a field in angle brackets": ("foo < a: 1 > ; bar: 1", [(1, 1), (1, 16)]),
    "a field with dashes": ("foo-bar-baz: { x } bar: 1", [(1, 1), (1, 20)]),
    "a field before the message's end": ("input { foo: 1 } bar: 1", [(1, 9), (1, 18)]),
    "a value that is none": ("foo: ( 1 )\nname: 'n'\nbar: 1", [(1, 1), (3, 1)]),
    "a known field within a line": ("foo: ( name 2 )\nname: 'n'\nbar: 1", [(1, 1), (3, 1)]),
    "two values": ("foo: 1 2\nname: 'n'\nbar: 1", [(1, 1), (3, 1)]),
    "no value": ("foo:\nname: 'n'\nbar: 1", [(1, 1), (3, 1)]),
    "two separators": ("foo: 1;;\nname: 'a' bar: 1", [(1, 1), (2, 11)]),
    "up to the message's end": ("input { foo: ) bar: 1 }\nbar: 1", [(1, 9), (2, 1)]),
    "up to a known field on its line": (
        "input {\n foo: (\n backend: 'x'\n dims: x }\nbar: 1",
        [(2, 2), (4, 8), (5, 1)],
    ),
    "a field of another message is none": ("input {\n foo: (\n backend: 1\n}\nbar: 1", [(2, 2), (5, 1)]),
    "a known field inside of brackets is none": ("foo: ( {\nname: 1\n} )\nbar: 1\nname: 1", [(1, 1), (5, 7)]),
    "items of a list": (
        "input [ { name: x }, { dims: { 1 } }, 5, { foo: 1 } ]\nbar: 1",
        [(1, 17), (1, 30), (1, 39), (1, 44), (2, 1)],
    ),
    "an item of two words": ("input { dims: [ a b, c ] }\nbar: 1", [(1, 17), (1, 22), (2, 1)]),
    "an item with brackets": ("input [ foo [ 1, 2 ], bar ]\nbar: 1", [(1, 9), (1, 23), (2, 1)]),
    "a missing comma before a message": ("input [ { } { foo: 1 } ]", [(1, 13), (1, 15)]),
    "a field with a sign that is none": ("foo: +5 bar: 1", [(1, 1), (1, 9)]),
    "a field with a fraction": ("foo: .5 bar: 1", [(1, 1), (1, 9)]),
    "a field at the end of the text": ("foo: 'a\n", [(1, 1), (1, 8)]),
    "a field before the end in angle brackets": ("input < foo: 1 > bar: 1", [(1, 9), (1, 18)]),
    "after a bracket that closes nothing": ("foo: ( }\nname: 'n'\nbar: 1", [(1, 1), (3, 1)]),
    "after a list that ends in another bracket": (
        "input [ foo }\noutput { name: 'x', foo: 1 }",
        [(1, 9), (2, 21)],
    ),
    "a character that is none, before nothing": ("name = \x01", [(1, 6), (1, 8)]),
    "nothing after an open string": ("name: 'a\nfoo: 1", [(1, 9)]),
    "nothing after a bracket too many": ("}\nfoo: 1", [(1, 1)]),
}


@tabled(("text", "places"), REST.values(), ids=REST)
def test_reading_resumes_after_what_is_wrong(text: str, places: list[tuple[int, int]]) -> None:
    assert [(each.line, each.column) for each in parse(text.encode(), RELEASE).faults] == places


def test_fifty_faults_are_told_and_no_more() -> None:
    for count, told in ((49, 49), (50, 50), (51, 50), (500, 50)):
        assert len(parse(b"foo: 1\n" * count, RELEASE).faults) == told
    controls = parse(b"\x01 " * 500, RELEASE)
    assert len(controls.log) == len(controls.faults) == 50


def test_only_the_first_fault_has_the_servers_words() -> None:
    faults = parse(b"name: 1x\nfoo: 1", RELEASE).faults
    assert [each.server for each in faults] == ["1:8: Need space between number and identifier.", ""]
    log = parse(b"name: '\\q' foo: 1", RELEASE).log
    assert log == (
        "1:9: Invalid escape sequence in string literal.",
        '1:15: Message type "inference.ModelConfig" has no field named "foo".',
    )


def test_a_text_with_too_many_tokens_is_told_and_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "WINDOW", 16)
    monkeypatch.setattr(parser, "MOST_TOKENS", 90)
    text = b"cc_model_filenames { }\n" * 4
    assert len(parse(text, RELEASE).root.fields) == 4
    (fault,) = parse(text * 20, RELEASE).faults
    assert fault.message == "the file has more than 90 tokens, the most that tritonrepo reads"
    assert (fault.rule, fault.line, fault.column, fault.server) == ("config-unparsable", 1, 1, "")
    assert parse(text * 20, RELEASE).root.fields == ()


@pytest.mark.parametrize("window", range(1, 40))
def test_a_window_that_ends_anywhere_changes_nothing(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    """Names, numbers, strings, comments and gaps are cut everywhere; after a first fault the rest may stay unread."""
    texts = [
        b"name: 'abc' 'd' # c\nmax_batch_size: -0x1f input [ { dims: [ 1, 2 ] } ]",
        b"max_batch_size: 09 # c\nfoo: 1",
        b"max_batch_size: 1",
        b"input { name: 'a' dims: ",
        b"",
    ]
    whole = [parse(text, RELEASE) for text in texts]
    monkeypatch.setattr(parser, "WINDOW", window)
    cut = [parse(text, RELEASE) for text in texts]
    assert [(each.faults[:1], each.log) for each in cut] == [(each.faults[:1], each.log) for each in whole]
    assert [len(each.root.fields) for each in cut] == [3, 0, 1, 1, 0]


def test_what_was_read_is_named() -> None:
    parsed = parse(b"input { dims: 1 foo: 2 } output [ ] response_cache { enable: }", RELEASE)
    assert parsed.names == {"input", "dims", "output", "response_cache", "enable"}
    assert not parsed.unnamed
    assert parse(b"input { data_type: 99 }", RELEASE).unnamed
    assert not parse(b"input { data_type: 11 }", RELEASE).unnamed


def test_zero_without_presence_is_not_set_and_may_be_set_again() -> None:
    twice = "%s: %s %s: %s"
    for name, zero, other in (
        ("max_batch_size", "0", "1"),
        ("name", "''", "'a'"),
        ("default_model_filename", '"" ""', "'a'"),
    ):
        assert not parse((twice % (name, zero, name, other)).encode(), RELEASE).faults
        assert parse((twice % (name, other, name, zero)).encode(), RELEASE).faults
    slot = "sequence_batching { direct { minimum_slot_utilization: %s minimum_slot_utilization: 1 } }"
    assert not parse((slot % "0").encode(), RELEASE).faults
    assert parse((slot % "-0.0").encode(), RELEASE).faults
    kind = "instance_group { kind: %s kind: KIND_CPU }"
    assert not parse((kind % "KIND_AUTO").encode(), RELEASE).faults
    assert parse((kind % "KIND_GPU").encode(), RELEASE).faults
    assert parse((kind % "77").encode(), RELEASE).faults
    cache = "response_cache { enable: %s enable: true }"
    assert not parse((cache % "false").encode(), RELEASE).faults
    assert parse((cache % "true").encode(), RELEASE).faults


def test_a_member_of_a_oneof_is_set_even_with_zero() -> None:
    for text in (
        "parameters { key: '' key: 'a' }",
        "model_warmup { inputs { value { zero_data: false zero_data: true } } }",
    ):
        assert parse(text.encode(), RELEASE).faults
    for text in (
        "optimization { } optimization { }",
        "model_warmup { inputs { value { zero_data: false random_data: true } } }",
    ):
        assert parse(text.encode(), RELEASE).faults


def test_the_schema_follows_the_releases() -> None:
    """Facts of the proto's branches: common, protobuf/model_config.proto, r22.04 to r25.11."""
    assert "TYPE_BF16" not in messages("22.04")["inference.ModelInput"].fields["data_type"].enum.numbers  # type: ignore[union-attr]
    kind = messages("22.05")["inference.ModelInput"].fields["data_type"].enum
    assert kind
    assert (kind.numbers["TYPE_BF16"], kind.names[14], kind.keys[b"TYPE_BF16"]) == (14, "TYPE_BF16", Enum("TYPE_BF16"))
    types = {
        release: model_config(release).fields["dynamic_batching"].message.fields["priority_levels"].type  # type: ignore[union-attr]
        for release in ("23.06", "23.07")
    }
    assert types == {"23.06": "uint32", "23.07": "uint64"}
    assert model_config("24.10").later == {"model_metrics": "24.11"}
    assert "model_metrics" in model_config("24.11").fields
    assert model_config().fields.keys() == model_config("26.07").fields.keys()
    fields = model_config("24.10").fields
    assert [fields[name].slot for name in ("name", "input", "dynamic_batching")] == ["name", "", "scheduling_choice"]
    assert [fields[name].presence for name in ("name", "optimization", "dynamic_batching")] == [False, True, True]
    assert [fields[name].repeated for name in ("name", "input", "parameters")] == [False, True, True]
    assert next(iter(fields)) == "name"
    entry = fields["parameters"].message
    assert entry
    assert entry.is_entry
    assert entry.fields["key"].presence
    assert not fields["input"].message.is_entry  # type: ignore[union-attr]


BOUNDS = {
    "int32": ("max_batch_size: %d", -(2**31), 2**31 - 1),
    "int64": ("input { dims: %d }", -(2**63), 2**63 - 1),
    "uint32": ("version_policy { latest { num_versions: %d } }", 0, 2**32 - 1),
    "uint64": ("dynamic_batching { max_queue_delay_microseconds: %d }", 0, 2**64 - 1),
}


@pytest.mark.parametrize(("text", "least", "most"), BOUNDS.values(), ids=BOUNDS)
def test_an_integer_is_read_up_to_its_bounds(text: str, least: int, most: int) -> None:
    for number, fits in ((least, True), (least - 1, False), (most, True), (most + 1, False)):
        parsed = parse((text % number).encode(), RELEASE)
        assert (not parsed.faults) == fits, number
        data = [value.data for node in walk(parsed.root) for field in node.fields for value in node.scalars(field.name)]
        assert data == ([number] if fits else [])


def test_the_log_ends_where_the_server_stops() -> None:
    """At the first fault of the grammar: it has read one token further, and reports what is wrong with that before."""
    parsed = parse(b"foo: 1\nname: 1x\n\x01", RELEASE)
    assert parsed.log == ('1:4: Message type "inference.ModelConfig" has no field named "foo".',)
    assert [(each.line, bool(each.server)) for each in parsed.faults] == [(1, True), (2, False), (3, False)]
    assert parse(b"foo \x01 \x02", RELEASE).log == (
        "1:5: Invalid control characters encountered in text.",
        "1:7: Invalid control characters encountered in text.",
        '1:8: Message type "inference.ModelConfig" has no field named "foo".',
    )
