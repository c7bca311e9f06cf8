"""The text of a lock: its form, the form that it had before, and what is no lock, each with its line."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import EXAMPLE
from tests.tabled import tabled
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.spec import lock_text
from tritonrepo.spec.lock import Index, Lock, Pin, Version

WHEEL = "t-1-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
FULL = Lock(
    {
        "t": {
            "x86_64": Pin("3", WHEEL, size=9),
            "aarch64": Pin("4", WHEEL.replace("x86_64", "aarch64"), size=8),
        },
        "b": {"any": Pin("1", "x-1-py3-none-any.whl")},
        "a": {"any": Pin(revision="r")},
    },
    {"i": Index("1", "2", "3", "4")},
    {"n": Version(1, "z"), "m": Version(3, "x", {10: "y", 2: ""})},
)
TEXT = """\
{
  "schema": 2,
  "indexes": {
    "i": {
      "files": {
        "embeddings": "3",
        "passages": "4"
      },
      "made_from": {
        "documents": "1",
        "embedder": "2"
      }
    }
  },
  "models": {
    "m": {
      "version": 3,
      "contents": {
        "2": null,
        "3": "x",
        "10": "y"
      }
    },
    "n": {
      "version": 1,
      "contents": {
        "1": "z"
      }
    }
  },
  "sources": {
    "a": {
      "any": {
        "revision": "r"
      }
    },
    "b": {
      "any": {
        "file": "x-1-py3-none-any.whl",
        "sha256": "1"
      }
    },
    "t": {
      "aarch64": {
        "file": "t-1-cp310-abi3-manylinux_2_17_aarch64.manylinux2014_aarch64.whl",
        "sha256": "4",
        "size": 8
      },
      "x86_64": {
        "file": "t-1-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "sha256": "3",
        "size": 9
      }
    }
  }
}
"""
EMPTY = '{\n  "schema": 2,\n  "indexes": {\n  },\n  "models": {\n  },\n  "sources": {\n  }\n}\n'


def test_a_lock_is_sorted_text_with_numbers_in_their_own_order_and_nothing_empty_on_one_line() -> None:
    assert lock_text.dump(FULL) == TEXT
    assert lock_text.load(TEXT.encode(), "l") == FULL
    assert lock_text.dump(Lock()) == EMPTY
    assert lock_text.load(b"\xef\xbb\xbf" + EMPTY.encode(), "l") == Lock()


words = st.text('a0é"\n', max_size=2)
some = st.text('a0é"\n', min_size=1, max_size=2)
pins = st.builds(Pin, words, words, words, st.integers(0))


def numbered(known: dict[int, str]) -> Version:
    (current, content), *others = known.items()
    return Version(current, content, dict(others))


LOCKS = st.builds(
    Lock,
    st.dictionaries(words, st.dictionaries(st.sampled_from(["any", "aarch64", "x86_64"]), pins), max_size=2),
    st.dictionaries(words, st.builds(Index, words, words, words, words), max_size=2),
    st.dictionaries(
        words,
        st.lists(
            st.tuples(st.integers(1, 12), some), min_size=1, unique_by=(lambda one: one[0], lambda one: one[1])
        ).map(lambda known: numbered(dict(known))),
        max_size=2,
    ),
)


@settings(max_examples=50)
@given(LOCKS)
def test_every_lock_survives_its_text(made: Lock) -> None:
    text = lock_text.dump(made)
    assert lock_text.load(text.encode(), "l") == made
    assert lock_text.dump(lock_text.load(text.encode(), "l")) == text


FIRST = """{"schema": 1,
"indexes": {"i": {"documents": "1", "embedder": "2", "embeddings": "3", "passages": "4"}},
"models": {"m": {"content": "x", "version": 3}},
"sources": {"a": {"revision": "r"}, "t": {"file": "%s", "sha256": "3"}, "./w": {"sha256": "5"}}}""".replace("%s", WHEEL)


def test_a_lock_of_schema_1_has_the_same_numbers_pins_and_digests() -> None:
    found = lock_text.load(FIRST.encode(), "l")
    assert found == Lock(
        {
            "a": {"any": Pin(revision="r")},
            "t": {"x86_64": Pin("3", WHEEL)},
            "./w": {"any": Pin("5")},
        },
        FULL.indexes,
        {"m": Version(3, "x")},
    )
    sized = {"t": {"x86_64": Pin("3", WHEEL, size=9)}}
    now = replace(found, sources={**found.sources, **sized})
    assert found.agrees(now)  # it has no sizes
    assert not lock_text.load(lock_text.dump(found).encode(), "l").agrees(now)
    assert not found.agrees(replace(now, models={}))
    assert json.loads(lock_text.dump(found))["schema"] == 2


ARCHES = {
    "a pure wheel": ("x-1-py3-none-any.whl", "any"),
    "a wheel for one processor": ("x-1-cp310-abi3-manylinux_2_28_aarch64.whl", "aarch64"),
    "a wheel for several systems": (WHEEL, "x86_64"),
    "a wheel that is only named so": ("x86_64-1-py3-none-any.whl", "any"),
    "a file that is no wheel": ("model-x86_64", "any"),
    "no file": ("", "any"),
}


@tabled(("file", "arch"), ARCHES.values(), ids=ARCHES)
def test_a_wheel_is_pinned_for_the_processor_of_its_tags(file: str, arch: str) -> None:
    assert Pin("1", file).arch == arch


def test_a_server_gets_the_pins_of_its_processor_and_new_ones_leave_those_of_others() -> None:
    x86, arm, other = Pin("1", WHEEL), Pin("2", WHEEL.replace("x86_64", "aarch64")), Pin("3", WHEEL)
    pure = Pin("4", "t-1-py3-none-any.whl")
    lock = Lock({"t": {"x86_64": x86, "aarch64": arm}, "w": {"any": pure}, "u": {"aarch64": arm}})
    assert lock.pins("x86_64") == {"t": x86, "w": pure}
    assert lock.pins("aarch64") == {"t": arm, "w": pure, "u": arm}
    assert lock.pinned({"t": other}) == {"t": {"x86_64": other, "aarch64": arm}}
    assert lock.pinned({"t": pure}) == {"t": {"any": pure}}
    assert lock.pinned({"w": x86, "new": arm}) == {"w": {"x86_64": x86}, "new": {"aarch64": arm}}


def test_the_committed_lock_of_the_example_is_in_the_form_that_a_build_writes() -> None:
    text = (EXAMPLE / "tritonrepo.lock").read_text("utf-8")
    assert lock_text.dump(lock_text.load(text.encode(), "l")) == text


def test_a_lock_names_no_place_and_no_time() -> None:
    text = (EXAMPLE / "tritonrepo.lock").read_text("utf-8")
    assert not re.search(r"https?://|/home|/work|/tmp|[0-9]{4}-[0-9]{2}-[0-9]{2}", text)


def changed(old: str, new: str) -> tuple[str, int]:
    """Return the text with this change, and the line that it is on."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new), TEXT[: TEXT.index(old)].count("\n") + 1


WRONG: dict[str, tuple[tuple[str, int], str]] = {
    "a number that is 0": (changed('"version": 3', '"version": 0'), '"version" of "m" is 0, not a number from 1 to 92'),
    "a number below it": (changed('"version": 3', '"version": -1'), '"version" of "m" is -1, not a number'),
    "a number as text": (changed('"version": 3', '"version": "3"'), '"version" of "m" is "3", not a number'),
    "a number that is a flag": (changed('"version": 3', '"version": true'), '"version" of "m" is true, not a number'),
    "a number with a fraction": (changed('"version": 3', '"version": 3.0'), '"version" of "m" is 3.0, not a number'),
    "a number too large": (
        changed('"version": 3', '"version": 9223372036854775808'),
        '"version" of "m" is 9223372036854775808, not a number from 1 to 9223372036854775807',
    ),
    "no number": (changed('"version": 3,', '"note": 3,'), '"m" lacks "version"'),
    "a number that is not among the known ones": (
        changed('"version": 3', '"version": 4'),
        'version 4 of "m" is missing from its contents',
    ),
    "a known number that is 0": (changed('"10": "y"', '"0": "y"'), '"0" of "m" is not a version number from 1 to 92'),
    "a known number with a zero before it": (changed('"10": "y"', '"010": "y"'), '"010" of "m" is not a version'),
    "a known number in other digits": (changed('"10": "y"', '"\\u0661": "y"'), '"\\u0661" of "m" is not a version'),
    "a known number too large": (
        changed('"10": "y"', '"9223372036854775808": "y"'),
        '"9223372036854775808" of "m" is not a version number',
    ),
    "a known number of many digits": (changed('"10": "y"', f'"{"9" * 5000}": "y"'), "is not a version number"),
    "a number of many digits": (changed('"version": 3', f'"version": {"9" * 5000}'), "Exceeds the limit"),
    "a number twice": (changed('"10": "y"', '"3": "y"'), '"3" is set twice'),
    "a model twice": (changed('"n": {', '"m": {'), '"m" is set twice'),
    "two numbers with one content": (
        changed('"10": "y"', '"10": "x"'),
        'version 10 of "m" has the content of an earlier version: null belongs to one',
    ),
    "content that is a number": (changed('"10": "y"', '"10": 5'), 'the content of "m" version 10 is 5'),
    "content that is empty": (changed('"10": "y"', '"10": ""'), 'the content of "m" version 10 is ""'),
    "a digest that is none": (changed('"sha256": "4"', '"sha256": null'), '"sha256" of "aarch64" is null'),
    "a size that is text": (changed('"size": 9', '"size": "9"'), '"size" of "x86_64" is "9"'),
    "a key that no pin has": (changed('"size": 9', '"bytes": 9'), '"bytes" of "x86_64" is not known'),
    "a processor that no server has": (
        changed('"aarch64": {', '"sparc": {'),
        '"t" is pinned for "sparc", not for any, aarch64 or x86_64',
    ),
    "an index without documents": (changed('"documents": "1",', ""), '"i" lacks "documents"'),
    "an index that is text": (changed('"embeddings": "3"', '"embeddings": 3'), '"embeddings" of "i" is 3'),
    "a comma too few": (changed('"2": null,', '"2": null'), "Expecting ',' delimiter"),
}
ELSEWHERE = {
    "no number": 16,
    "a number of many digits": 0,
    "an index without documents": 4,
    "a comma too few": 20,
}
"""Lines of mistakes that are told at another one than the change is on; 0 for none."""


@tabled(("name", "content", "says"), [(name, *row) for name, row in WRONG.items()], ids=WRONG)
def test_what_is_no_lock_is_told_with_its_line(name: str, content: tuple[str, int], says: str) -> None:
    with pytest.raises(Stop) as stop:
        lock_text.load(content[0].encode(), "a.lock")
    (found,) = stop.value.diagnostics
    assert (found.rule, found.severity, found.at.path) == ("lock-syntax", Severity.FATAL, "a.lock")
    assert found.message.startswith("the file is not a valid lock file: ")
    assert says in found.message
    assert found.at.line == ELSEWHERE.get(name, content[1])
    assert "`tritonrepo lock --from URI`" in found.hint


WHOLLY_WRONG = {
    "no JSON": (b"{", "l:1:2: fatal: the file is not a valid lock file: Expecting property name"),
    "empty": (b"", "l:1:1: fatal: the file is not a valid lock file: Expecting value"),
    "no object": (b"[]", "l: fatal: the file is not a valid lock file: the top level is [], not an object"),
    "binary": (b"\xff\0", "l: fatal: the file is not a valid lock file: it is not valid UTF-8 at byte 0"),
    "nested without end": (b"[" * 100_000, "l: fatal: the file is not a valid lock file"),
    "no schema": (b"{}", 'l: fatal: the file is not a valid lock file: "schema" is missing'),
    "a section missing": (b'{"schema": 2}', 'l: fatal: the file is not a valid lock file: "indexes" is null'),
    "schema 0": (b'{"schema": 0}', "l: fatal: the lock file has schema 0, but this tritonrepo reads schemas 1 to 2"),
    "schema 3": (b'{"schema": 3}', "l: fatal: the lock file has schema 3, but this tritonrepo reads schemas 1 to 2"),
    "schema true": (b'{"schema": true}', "l: fatal: the lock file has schema true"),
    "a long list": (b'{"schema": 2, "indexes": [%s0]}' % (b"0, " * 999), '"indexes" is [0, 0, '),
    "a model of schema 1 without content": (FIRST.replace('"content": "x", ', "").encode(), "l:3: fatal: the file"),
    "a number of schema 1 that is 0": (FIRST.replace('"version": 3', '"version": 0').encode(), "l:3: fatal: the file"),
}


@tabled(("content", "says"), WHOLLY_WRONG.values(), ids=WHOLLY_WRONG)
def test_what_is_nothing_like_a_lock_is_told_in_one_short_line(content: bytes, says: str) -> None:
    with pytest.raises(Stop) as stop:
        lock_text.load(content, "l")
    assert says in str(stop.value)
    assert all(len(found.message) < 200 for found in stop.value.diagnostics)


@settings(max_examples=100)
@given(
    st.one_of(
        st.binary(max_size=40),
        st.recursive(
            st.none() | st.integers() | words,
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(
                    st.sampled_from(["schema", "models", "sources", "indexes", "version", "contents", "1"]), inner
                )
            ),
        ).map(
            lambda data: json.dumps(
                {"schema": 2, "indexes": {}, "models": {}, "sources": {}, "x": data}
                | (data if isinstance(data, dict) else {})
            ).encode()
        ),
    )
)
def test_no_bytes_raise_anything_but_a_stop(content: bytes) -> None:
    for read in (lock_text.load, lock_text.merged):
        try:
            read(content, "l")
        except Stop as stop:
            assert stop.diagnostics
