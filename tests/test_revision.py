"""The record of a push: its text, what it lends to a scan, and what it says about a push that was interrupted."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.memory import Memory, tag_of
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.stores.store import Stored, Tag
from tritonrepo.sync import revision as revisions
from tritonrepo.sync.revision import Object, Revision
from tritonrepo.tree import Directory, Entry, File, Tree, of_bytes, of_text

TEXT = """\
{
 "files": {
  "m/1/a": [
   "6b86b2",
   1,
   "t1"
  ]
 },
 "local": {
  "o/m": "./x.gguf"
 },
 "made": {
  "by": "me"
 },
 "name": "rag",
 "schema": 1,
 "target": {
  "gpus": 2
 }
}
"""
FULL = Revision("rag", {"gpus": 2}, {"o/m": "./x.gguf"}, {"m/1/a": Object("6b86b2", 1, Tag("t1"))}, {"by": "me"})


def test_a_record_is_this_text_at_this_place_and_nothing_else() -> None:
    assert revisions.dump(FULL).content().decode() == TEXT
    assert revisions.load(TEXT.encode(), "r") == FULL
    more = replace(FULL, contents={"m/1": "c", "m/2": "d"})
    assert json.loads(revisions.dump(more).content())["contents"] == {"m/1": "c", "m/2": "d"}
    assert revisions.load(revisions.dump(more).content(), "r") == more
    assert revisions.record_path("a/prod") == "a/prod.tritonrepo/release.json"
    store = Memory()
    assert revisions.read(store, "prod", "s3://b/prod") == (None, None)
    store.objects = {"prod.tritonrepo/release.json": TEXT.encode()}
    assert revisions.read(store, "prod", "s3://b/prod") == (FULL, tag_of(TEXT.encode()))


def test_a_record_is_json_whatever_its_texts_hold() -> None:
    odd = '\n "files": {'
    there = {name: Object(name, 1, Tag(name)) for name in ("z", 'a"\\', odd, "é", "\udc80")}
    for files in ({}, {"m/1/a": Object("1", 2, Tag("3"))}, there):
        made = Revision(odd, {"files": {}, odd: [1, None]}, {odd: odd}, files, {"files": odd}, {odd: odd}, 1, odd)
        content = revisions.dump(made).content()
        assert content.decode() == json.dumps(json.loads(content), indent=1, sort_keys=True) + "\n"
        assert revisions.load(content, "r") == made


def spoilt(**changes: object) -> bytes:
    return json.dumps({**json.loads(TEXT), **changes}).encode()


WRONG = {
    "a digest that is a number": spoilt(files={"a": [1, 1, "t"]}),
    "a size that is a text": spoilt(files={"a": ["d", "1", "t"]}),
    "no tag": spoilt(files={"a": ["d", 1, None]}),
    "one value too many": spoilt(files={"a": ["d", 1, "t", 1]}),
    "no list": spoilt(files={"a": "d"}),
    "files in a list": spoilt(files=["a"]),
    "a target in a list": spoilt(target=["a"]),
    "a content that is a number": spoilt(contents={"m/1": 1}),
    "contents in a list": spoilt(contents=["m/1"]),
    "nested too deep": b"[" * 100_000,
    "bytes": b"\xff",
}


@tabled("content", WRONG.values(), ids=WRONG)
def test_what_is_not_a_record_is_told_with_its_place(content: bytes) -> None:
    store = Memory()
    store.objects = {"prod.tritonrepo/release.json": content}
    with pytest.raises(Stop) as stop:
        revisions.read(store, "prod", "s3://b/prod")
    (told,) = stop.value.diagnostics
    assert str(told).startswith("s3://b/prod: prod.tritonrepo/release.json: fatal: the file is not a release record: ")
    assert (told.rule, told.hint) == ("record-syntax", "Delete the file: the next push reads the objects themselves.")


@pytest.mark.parametrize("schema", [0, 2])
def test_a_record_of_another_schema_is_told_with_both(schema: int) -> None:
    with pytest.raises(Stop) as stop:
        revisions.load(spoilt(schema=schema), "r")
    assert str(stop.value) == (
        f"r: fatal: the release record has schema {schema}, but this tritonrepo reads schema 1 [record-schema]\n"
        "  Upgrade tritonrepo."
    )


def stored(content: bytes, tag: str) -> Stored:
    return Stored(len(content), of_bytes(content).read, tag=Tag(tag))


def test_a_digest_is_lent_only_to_an_object_of_the_same_tag_and_size() -> None:
    tree: Tree = {
        "same": stored(b"1", "t"),
        "tag": stored(b"1", "u"),
        "size": stored(b"22", "t"),
        "unknown": stored(b"1", "t"),
        "disk": of_text("1"),
        "empty": Directory(),
    }
    record = Revision(files=dict.fromkeys(["same", "tag", "size", "disk", "empty"], Object("lent", 1, Tag("t"))))
    lent = revisions.known(tree, record)
    digests = {path: file.known_sha256 for path, file in lent.items() if isinstance(file, File)}
    assert digests == {"same": "lent", "tag": None, "size": None, "unknown": None, "disk": None}
    assert list(lent) == list(tree)
    assert revisions.known(tree, None) is tree


RECORDED = Revision(files={f"{name}/config.pbtxt": Object("d", 1, Tag("old")) for name in ("a", "b", "gone")})
MOVED: dict[str, tuple[dict[str, Entry], set[str]]] = {
    "nothing": ({"a/config.pbtxt": stored(b"1", "old"), "b/config.pbtxt": stored(b"1", "old")}, set()),
    "one config": ({"a/config.pbtxt": stored(b"1", "new"), "b/config.pbtxt": stored(b"1", "old")}, {"a"}),
    "a new config": ({"c/config.pbtxt": stored(b"1", "old")}, {"c"}),
    "other files": ({"a/2/weights": stored(b"1", "new"), "a/2/config.pbtxt": stored(b"1", "new")}, set()),
}  # fmt: skip


@pytest.mark.parametrize(("have", "models"), MOVED.values(), ids=MOVED)
def test_a_push_was_interrupted_where_a_config_is_not_the_recorded_one(have: Tree, models: set[str]) -> None:
    assert revisions.unfinished(have, RECORDED) == models
    assert revisions.unfinished(have, None) == {path[0] for path in have if path[2:] == "config.pbtxt"}


def removed(offset: int, count: int) -> bytes:
    raise FileNotFoundError(f"{count} bytes at {offset}")


def test_a_new_record_has_what_was_written_and_the_rest_as_it_was_found() -> None:
    have: Tree = {
        "m/1/a": stored(b"1", "old a"),
        "m/config.pbtxt": stored(b"1", "old config"),
        "m/1/gone": File(1, removed),
        "other/1/x": stored(b"1", "other"),
    }
    want: Tree = {
        "m/1/a": of_text("1"),
        "m/config.pbtxt": of_text("22"),
        "m/2": Directory(),
        "top.json": of_text("x"),
    }
    written = {"m/config.pbtxt": Tag("new config"), "m/2/.keep": Tag("keep"), "m/1/gone": None}
    made = revisions.objects(want, have, written)
    assert made.is_in(Revision(files=dict(made)))
    assert not made.is_in(Revision(files={**made, "m/1/gone": made["m/1/a"]}))
    assert not made.is_in(Revision(files={**made, "m/1/a": made["m/2/.keep"]}))
    assert not made.is_in(Revision(files={path: each for path, each in made.items() if path != "m/1/a"}))
    assert made == {
        "m/1/a": Object("6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b", 1, Tag("old a")),
        "m/config.pbtxt": Object(
            "785f3ec7eb32f30b90cd0fcf3657d388b5ff4297f2f9716ff66e9b69c05ddd09", 2, Tag("new config")
        ),
        "m/2/.keep": Object("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", 0, Tag("keep")),
    }


def test_versions_are_directories_with_something_in_them() -> None:
    paths = ("m/1/a", "m/7", "m/07/a", "m/x/a", "m/12/sub/a", "n/config.pbtxt")
    record = Revision(files=dict.fromkeys(paths, Object("d", 1, Tag("t"))))
    assert revisions.versions(record) == {"m": {1, 12}, "n": set()}
