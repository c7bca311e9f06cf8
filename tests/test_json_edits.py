"""Edits of hand-written JSON: what they change, that all else stays, and what becomes JSON."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.tabled import tabled
from tritonrepo.diagnostics import Fix
from tritonrepo.fixes import after
from tritonrepo.fixes import applied as fixed
from tritonrepo.repository.json_edits import Cut, applied, changed, pairs, removed, renamed, replacements
from tritonrepo.rules.backends.json_repairs import repair
from tritonrepo.tree import File, of_bytes

SPREAD = '{\r\n  "a": 1,\r\n  "b": {"a": 2},\r\n  "c": "a"\r\n}\r\n'
EDITS = {
    "the first pair goes": (SPREAD, removed(pairs(SPREAD), "a"), '{\r\n  "b": {"a": 2},\r\n  "c": "a"\r\n}\r\n'),
    "the last pair goes": (SPREAD, removed(pairs(SPREAD), "c"), '{\r\n  "a": 1,\r\n  "b": {"a": 2}\r\n}\r\n'),
    "a key gets another name": (SPREAD, renamed(pairs(SPREAD), "a", "é"), SPREAD.replace('"a": 1', '"é": 1')),
    "a value is another": (SPREAD, changed(pairs(SPREAD), "b", "x"), SPREAD.replace('{"a": 2}', '"x"')),
    "the only pair goes": ('{ "a" : [1, 2] }', removed(pairs('{ "a" : [1, 2] }'), "a"), "{  }"),
    "a key with an escape": (r'{"\u0061":1}', renamed(pairs(r'{"\u0061":1}'), "a", "b"), '{"b":1}'),
    "a key that comes twice": (
        '{"a":1,"b":2,"a":3}',
        changed(pairs('{"a":1,"b":2,"a":3}'), "a", 4),
        '{"a":1,"b":2,"a":4}',
    ),
    "both of them go": ('{"a":1,"b":2,"a":3}', removed(pairs('{"a":1,"b":2,"a":3}'), "a"), '{"b":2}'),
    "three at the end go": (
        '{"b":2, "a":1, "a":2 , "a":3}',
        removed(pairs('{"b":2, "a":1, "a":2 , "a":3}'), "a"),
        '{"b":2}',
    ),
    "nothing is there": ("{ }", removed(pairs("{ }"), "a"), "{ }"),
}


@tabled(("text", "cuts", "becomes"), EDITS.values(), ids=EDITS)
def test_an_edit_changes_its_pair_alone(text: str, cuts: list[Cut], becomes: str) -> None:
    assert applied(text, cuts) == becomes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a"\\é\n,:{', max_size=3), st.lists, max_leaves=3
)


@given(
    st.dictionaries(st.text('ab"\\é', max_size=2), JSON, max_size=4),
    st.sampled_from([None, 1, "\t"]),
    st.sampled_from([(",", ":"), (" , ", " : "), (",\r\n", ":\t")]),
    st.booleans(),
)
def test_an_edit_is_that_of_the_object(
    value: dict[str, object],
    indent: int | str | None,
    signs: tuple[str, str],
    ascii_only: bool,  # noqa: FBT001
) -> None:
    text = json.dumps(value, indent=indent, separators=signs, ensure_ascii=ascii_only)
    assert [each.key for each in pairs(text)] == list(value)
    for key in value:
        assert json.loads(applied(text, removed(pairs(text), key))) == {k: v for k, v in value.items() if k != key}
        assert json.loads(applied(text, changed(pairs(text), key, "new"))) == value | {key: "new"}
        assert list(json.loads(applied(text, renamed(pairs(text), key, "new")))) == [
            {key: "new"}.get(k, k) for k in value
        ]


REPAIRS = {
    "commas before brackets": ('{\n "a": [1, ],\n}', '{\n "a": [1 ]\n}', True),
    "a missing comma": ('{"a": "m"\n "b": 1}', '{"a": "m",\n "b": 1}', True),
    "quotes of Python": ("{'a': 'it\\'s \"x\"\\n'}", '{"a": "it\'s \\"x\\"\\n"}', True),
    "words of Python": ('{"a": [True, False, None]}', '{"a": [true, false, null]}', True),
    "names without quotes": ("{a: 1, true: 2}", '{"a": 1, "true": 2}', True),
    "a byte order mark": ('\ufeff{"a": 1}', '{"a": 1}', True),
    "comments on their lines": ('{\n  // one\n  "a": 1\n  /* two\n */\n}', '{\n  "a": 1\n}', False),
    "comments behind values": ('{"a": 1, # one\n"b": /* two */ 2 // three\n}', '{"a": 1,\n"b":  2\n}', False),
    "a comment behind a comma too many": ('{"a": 1, # one\n}', '{"a": 1\n}', False),
    "a comment where a comma is missing": ('{"a": 1 # one\n"b": 2}', '{"a": 1,\n"b": 2}', False),
    "a comment without an end of line": ('{"a": 1} # one', '{"a": 1}', False),
    "signs of comments in strings": ("{'a': '# // /* \\\\',}", '{"a": "# // /* \\\\"}', True),
    "words without quotes": ("{a: half, b: yes, c: org/m-1}", '{"a": "half", "b": true, "c": "org/m-1"}', False),
}


@tabled(("text", "becomes", "safe"), REPAIRS.values(), ids=REPAIRS)
def test_what_another_language_allows_becomes_json(text: str, becomes: str, safe: bool) -> None:  # noqa: FBT001
    found = repair(text)
    assert found is not None
    assert (applied(text, found.cuts), found.safe) == (becomes, safe)
    tree = {"f": of_bytes(text.encode())}
    entry = after(tree, fixed(tree, [Fix(replacements("f", text, found.cuts))]).steps)["f"]
    assert isinstance(entry, File)
    assert entry.content().decode() == becomes
    assert repair(becomes) is None


@tabled(
    "text",
    [
        "",
        " ",
        "a: 1",
        "[1,]",
        "{'a': 1",
        '{"a": 1}}',
        '{"a": "x" y": 1}',
        '{"a":1,,"b":2}',
        '{"a" "b"}',
        '{"a": ${A}}',
        '{"a": "\\m",}',
        "{'a': 1_0}",
    ],
)
def test_what_may_be_anything_is_not_repaired(text: str) -> None:
    assert repair(text) is None


def test_many_repairs_are_one_replacement() -> None:
    text = "{'x': [" + "True, " * 20_000 + "]}"
    found = repair(text)
    assert found is not None
    (one,) = replacements("f", text, found.cuts)
    assert json.loads("{" + one.text + text[one.at.end_column - 1 :]) == {"x": [True] * 20_000}
