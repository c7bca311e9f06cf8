"""Edits of repeated fields: values go and come with their commas, and comments stay."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.pbtxt import Message, parse
from tritonrepo.pbtxt.editor import apply, delete_items
from tritonrepo.pbtxt.items import become, number

LIST = """dims: [
    1,  # one, the first
    2, # two
    3  # three
  ]"""


def tensor(dims: str) -> tuple[bytes, Message]:
    text = f"input {{ name: 'IN' {dims} }}\n".encode()
    return text, parse(text).root.messages("input")[0]


def dims_of(text: bytes) -> list[int]:
    parsed = parse(text)
    assert not parsed.faults
    return parsed.root.messages("input")[0].numbers("dims")


DROPPED = {
    "the first": ("dims: [ 1, 2, 3 ]", {0}, "dims: [ 2, 3 ]"),
    "the last": ("dims: [ 1, 2, 3 ]", {2}, "dims: [ 1, 2 ]"),
    "the last two": ("dims: [1,2,3]", {1, 2}, "dims: [1]"),
    "the first and the last": ("dims: [ 1, 2, 3 ];", {0, 2}, "dims: [ 2 ];"),
    "all": ("dims: [ 1, 2, 3 ],", {0, 1, 2}, ""),
    "the only one": ("dims: 1;", {0}, ""),
    "the last of several lines": (LIST, {2}, LIST.replace("2,", "2").replace("    3  ", "      ")),
    "the first of several lines": (LIST, {0}, LIST.replace("1,", "")),
    "a whole line": ("dims: [\n  1,\n  2\n]", {0}, "dims: [\n  2\n]"),
    "a comment before the comma": ("dims: [ 1 # a, b\n, 2 ]", {0}, "dims: [  # a, b\n 2 ]"),
}


@tabled(("dims", "places", "becomes"), DROPPED.values(), ids=DROPPED)
def test_values_go_with_their_commas(dims: str, places: set[int], becomes: str) -> None:
    text, node = tensor(dims)
    field = node.get("dims")
    assert field
    after = apply(text, delete_items(field, places)).decode()
    assert " ".join(after.split()) == " ".join(tensor(becomes)[0].decode().split())


NUMBERS = {
    "one less, which is the first": ("dims: [ -1, 4 ]", [4], "dims: [ 4 ]"),
    "one more": ("dims: [ 4 ]", [-1, 4], "dims: [ -1, 4 ]"),
    "one more, not in a list": ("dims: 4;", [-1, 4], "dims: [ -1, 4 ];"),
    "one by one": ("dims: -1 dims: 8", [4], "dims: 4"),
    "two lists": ("dims: [ -1 ] dims: [ -1, 8 ]", [8], "dims: [ 8 ]"),
    "none": ("dims: [ ]", [1], "dims: [ ] dims: [ 1 ]"),
    "one in hex stays": ("dims: [ 0x4, 2 ]", [4, 3], "dims: [ 0x4, 3 ]"),
    "a bracket in a comment": ("dims: # [\n4", [-1, 4], "dims: # [\n[ -1, 4 ]"),
    "comments stay": (LIST, [3, 4], LIST.replace("1,", "").replace("2,", "3,").replace("    3 ", "    4 ")),
}


@tabled(("dims", "to", "becomes"), NUMBERS.values(), ids=NUMBERS)
def test_only_the_numbers_that_differ_are_changed(dims: str, to: Sequence[int], becomes: str) -> None:
    text, node = tensor(dims)
    after = apply(text, number(node, "dims", to)).decode()
    assert " ".join(after.split()) == " ".join(tensor(becomes)[0].decode().split())


PIECES = st.lists(st.lists(st.sampled_from(["-1", "2 # a, ]\n", "0x3", "- 4", "5\n", "#,\n6"]), max_size=4), max_size=4)
BLANKS = ("", " ", "\r\n", "\n\t#;,[\n")


@given(PIECES, st.lists(st.integers(-1, 9), min_size=1, max_size=5), st.sampled_from(BLANKS))
def test_any_list_becomes_any_other(pieces: list[list[str]], to: list[int], blank: str) -> None:
    text, node = tensor(" ".join(f"dims:{blank}[{f',{blank}'.join(piece)}{blank}];" for piece in pieces))
    after = apply(text, number(node, "dims", to))
    assert dims_of(after) == to


BECOMES = {
    "a list": ("dims: [ 1,\n 2 ]; dims: 3", "allow_ragged_batch: true; dims: 3"),
    "no blank behind": ("dims: [1]dims: 3", "allow_ragged_batch: true dims: 3"),
    "comments inside": ("dims: [ 1, # one\n 2 ] dims: 3", "allow_ragged_batch: true # one\n dims: 3"),
    "comments behind": ("dims: 1 # one\n", "allow_ragged_batch: true # one\n"),
}


@pytest.mark.parametrize(("dims", "becomes"), BECOMES.values(), ids=BECOMES)
def test_a_field_becomes_another(dims: str, becomes: str) -> None:
    text, node = tensor(dims)
    edit = become(node.fields[1], node, "allow_ragged_batch", value=True)
    after = apply(text, [edit])
    assert not parse(after).faults
    assert " ".join(after.decode().split()) == " ".join(tensor(becomes)[0].decode().split())
