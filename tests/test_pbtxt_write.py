"""Writing config.pbtxt: the canonical form, edits that touch nothing else, plain data and protobuf messages."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pbtxt_descriptors import message_class
from tests.pbtxt_texts import RELEASE, text
from tritonrepo.diagnostics import Stop
from tritonrepo.pbtxt import Enum, Message, convert, editor, parse
from tritonrepo.pbtxt.editor import Edit
from tritonrepo.pbtxt.printer import Value, to_text
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


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 3.4028234663852886e38, 1.401298464324817e-45])
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


@pytest.mark.parametrize(("hand", "name", "value", "old", "new"), INSERTED.values(), ids=INSERTED)
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
