"""How documents are cut: where passages end, what overlaps, what headings do, and what the lock has of it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.tabled import tabled
from tests.test_own_stacks import edited, own
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.indexing.chunks import Settings, cut, pinned, settings
from tritonrepo.indexing.documents import Document, Heading
from tritonrepo.indexing.markdown import found
from tritonrepo.indexing.passages import passages
from tritonrepo.spec import lock_text
from tritonrepo.spec.part import Encoding
from tritonrepo.spec.stack import Chunks

__all__ = ["own"]


def words() -> Tokenizer:
    """Return a tokenizer that makes a token of each word with the marks next to it."""
    made: Any = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return Tokenizer.from_str(made.to_str())


WORDS = words()
ENCODING = Encoding(
    lambda text, size, overlap: passages(text, WORDS, size, overlap),
    lambda texts, told=print: np.zeros((len(texts), 1)),  # noqa: ARG005  what an encoder takes
    lambda text: len(WORDS.encode(text).ids),
    limit=10,
)

ENDS: Mapping[str, tuple[str, int, int, list[str]]] = {
    "a text that fits is whole": ("a b. c\n\nd", 9, 4, ["a b. c\n\nd"]),
    "a paragraph in the second half": ("a b c\n\nd. e f g", 6, 0, ["a b c", "d. e f g"]),
    "the last paragraph": ("a b c\n \n\td e\n\nf g h", 6, 0, ["a b c\n \n\td e", "f g h"]),
    "no paragraph in the first half": ("a b\n\nc d e f g h", 6, 0, ["a b\n\nc d e f", "g h"]),
    "a sentence": ("a b. c d! e f g", 6, 0, ["a b. c d!", "e f g"]),
    "a sentence in quotes": ('a "b c?" d e f g h', 5, 0, ['a "b c?"', "d e f g h"]),
    "a line": ("a b\nc d\ne f g", 6, 0, ["a b\nc d", "e f g"]),
    "no sentence in the first half": ("a. b c d e f g", 5, 0, ["a. b c d e", "f g"]),
    "a number is no sentence": ("a b 1.5 c d e f", 5, 0, ["a b 1.5 c d", "e f"]),
    "words repeated": ("a b c d e f g h", 4, 1, ["a b c d", "d e f g", "g h"]),
    "a sentence repeated": ("a b c. d e. f g h. i j", 6, 2, ["a b c. d e.", "d e. f g h.", "g h. i j"]),
    "no sentence that is longer than the overlap": (
        "a b. c d e. f g h. i",
        5,
        2,
        ["a b. c d e.", "d e. f g h.", "g h. i"],
    ),
    "a sentence rather than more words": ("a b c. d e f g h i", 5, 2, ["a b c.", "b c. d e f", "e f g h i"]),
}


@tabled(("text", "size", "overlap", "cuts"), ENDS.values(), ids=ENDS)
def test_a_passage_ends_with_a_paragraph_or_a_sentence_and_the_next_repeats_its_end(
    text: str, size: int, overlap: int, cuts: list[str]
) -> None:
    assert [text[begin:end] for begin, end in passages(text, WORDS, size, overlap)] == cuts


def test_a_very_long_text_is_cut_in_blocks_of_which_nothing_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.indexing.passages.BLOCK", 12)
    text = "a b c\n\nd e f g\nh i  \n\n \n\n   \n\n   \n\nxxxxxxxxxxxxxxxxx y z"
    found = [text[begin:end] for begin, end in passages(text, WORDS, 9, 4)]
    assert found == ["a b c", "d e f g", "h i", "xxxxxxxxxxx", "xxxxxx y z"]


TEXTS = st.lists(st.sampled_from(["a", "bb.", "c!", "\n", "\n\n", " ", "d", "ee", ". ", "é"]), max_size=60).map("".join)


@given(TEXTS, st.integers(1, 9), st.integers(0, 8))
def test_passages_are_short_enough_go_on_and_have_every_word(text: str, size: int, overlap: int) -> None:
    overlap = min(overlap, (size - 1) // 2)
    cuts = [*passages(text, WORDS, size, overlap)]
    assert all(len(WORDS.encode(text[begin:end]).ids) <= size for begin, end in cuts)
    ends = [end for _, end in cuts]
    assert ends == sorted({*ends})
    covered = {place for begin, end in cuts for place in range(begin, end)}
    assert all(place in covered for place, character in enumerate(text) if not character.isspace())
    for (_, end), (begin, _) in itertools.pairwise(cuts):
        assert len(WORDS.encode(text[begin:end]).ids) <= overlap


PAGE = """\
Before all.

# Guide

## Install

### On Linux

Run it. Then wait for it.

## Use
a b c d e f g h
"""
DOCUMENT = Document("g", PAGE, {"title": "Guide", "url": "u"}, tuple(found(PAGE)))


def made(document: Document, size: int, overlap: int = 0, *, headings: bool) -> list[tuple[str, str, object]]:
    """Return id, text and headings of the passages."""
    found = [*cut(document, ENCODING, Settings(size, overlap, headings))]
    assert all(each.metadata["url"] == "u" for each in found)
    return [(each.id, each.text, each.metadata.get("headings")) for each in found]


def test_a_passage_is_known_by_the_headings_above_its_first_line() -> None:
    assert made(DOCUMENT, 9, headings=False) == [
        ("g", "Before all.\n\n# Guide\n\n## Install\n\n### On Linux", None),
        ("g#2", "Run it. Then wait for it.", ["Guide", "Install", "On Linux"]),
        ("g#3", "## Use\na b c d e f g", ["Guide", "Use"]),
        ("g#4", "h", ["Guide", "Use"]),
    ]


def test_with_headings_each_section_is_cut_by_itself_below_a_line_of_its_title_and_headings() -> None:
    assert made(DOCUMENT, 16, headings=True) == [
        ("g", "Guide\nBefore all.", None),
        ("g#2", "Guide > Install > On Linux\nRun it. Then wait for it.", ["Guide", "Install", "On Linux"]),
        ("g#3", "Guide > Use\na b c d e f g h", ["Guide", "Use"]),
    ]


def test_where_headings_would_need_more_than_half_of_a_passage_the_inner_ones_are_kept() -> None:
    found = made(DOCUMENT, 8, 1, headings=True)
    assert [text for _, text, _ in found[1:3]] == ["On Linux\nRun it. Then wait for", "On Linux\nfor it."]
    assert [text for _, text, _ in found[3:]] == [f"Guide > Use\n{each}" for each in ("a b c d", "d e f g", "g h")]


TITLED: Mapping[str, tuple[Document, list[str]]] = {
    "a title alone": (Document("x", "a b", {"title": " T\n t "}), ["T t\na b"]),
    "a title that is no text": (Document("x", "a b", {"title": 3}), ["a b"]),
    "no title": (Document("x", "a b"), ["a b"]),
    "headings alone": (Document("x", "# H", {}, (Heading(0, 3, 1, "H"),)), ["# H"]),
    "another title than the first heading": (
        Document("x", "# H\na", {"title": "T"}, (Heading(0, 3, 1, "H"),)),
        ["T > H\na"],
    ),
}


@tabled(("document", "texts"), TITLED.values(), ids=TITLED)
def test_the_line_above_a_passage_is_of_what_a_document_has(document: Document, texts: list[str]) -> None:
    assert [each.text for each in cut(document, ENCODING, Settings(20, 0, headings=True))] == texts


def test_no_passage_of_a_real_page_is_longer_than_the_real_embedder_reads(minilm_dir: Path) -> None:
    real = Tokenizer.from_file(str(minilm_dir / "tokenizer.json"))
    real.no_truncation()
    real.no_padding()

    def count(text: str) -> int:
        return len(real.encode(text, add_special_tokens=False).ids)

    encoding = Encoding(lambda t, s, o: passages(t, real, s, o), ENCODING.embed, count, 254)
    text = (Path(__file__).parent.parent / "docs" / "validate.md").read_text("utf-8")
    page = Document("x", text, {"title": "Validate a model repository"}, tuple(found(text)))
    for how in (Settings(40, 12, headings=True), Settings(40, 19, headings=False), Settings(254, 0, headings=True)):
        assert max(count(each.text) for each in cut(page, encoding, how)) <= how.size


LIMITS: Mapping[str, tuple[Chunks, Settings | str]] = {
    "by default": (Chunks(), Settings(10, 0, headings=False)),
    "all keys": (Chunks(max_tokens=9, overlap=4, headings=True), Settings(9, 4, headings=True)),
    "as many as are read": (Chunks(max_tokens=10), Settings(10, 0, headings=False)),
    "more than are read": (Chunks(max_tokens=11), 'max_tokens is 11, but "e" reads only 10 tokens of a passage'),
    "an overlap of half": (Chunks(overlap=5), "overlap must be less than half of the 10 tokens of a passage, not 5"),
    "an overlap of less": (Chunks(overlap=4), Settings(10, 4, headings=False)),
}


@tabled(("chunks", "how"), LIMITS.values(), ids=LIMITS)
def test_the_keys_must_fit_what_the_embedder_reads(chunks: Chunks, how: Settings | str) -> None:
    if isinstance(how, Settings):
        assert settings(chunks, 10, "e") == how
        return
    with pytest.raises(Stop) as stop:
        settings(chunks, 10, "e")
    (found,) = stop.value.diagnostics
    assert (found.rule, found.message) == ("stack-meaning", how)


def test_the_lock_has_the_keys_that_are_not_as_by_default() -> None:
    assert pinned(Chunks()) == ""
    assert pinned(Chunks(max_tokens=9, overlap=4, headings=True)) == '{"max_tokens": 9, "overlap": 4, "headings": true}'


R = "documents: ./d/*.jsonl"


def test_other_cuts_are_pinned_and_make_an_index_stale(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index"]) == 0
    before = (own / "tritonrepo.lock").read_text("utf-8")
    assert run(["build", "--check"]) == 1  # nothing is built yet
    assert "chunks" not in before
    edited("tritonrepo.yaml", R, f"{R}, chunks: {{max_tokens: 8, overlap: 3}}")
    capsys.readouterr()
    assert run(["build", "--locked"]) == 2
    assert 'the chunks of "r" have changed since its index was built [index-stale]' in capsys.readouterr().err
    assert run(["index"]) == 0
    lock = json.loads((own / "tritonrepo.lock").read_text("utf-8"))
    assert lock["indexes"]["r"]["made_from"]["chunks"] == '{"max_tokens": 8, "overlap": 3}'
    assert run(["build"]) == 0
    again = lock_text.load((own / "tritonrepo.lock").read_bytes(), "")
    assert lock_text.load(lock_text.dump(again).encode(), "") == again
    edited("tritonrepo.yaml", ", chunks: {max_tokens: 8, overlap: 3}", "")
    capsys.readouterr()
    assert run(["index"]) == 0
    assert json.loads((own / "tritonrepo.lock").read_text("utf-8"))["indexes"] == json.loads(before)["indexes"]


FAULTS: Mapping[str, tuple[str, str]] = {
    "an overlap of half": (
        "chunks: {max_tokens: 10, overlap: 5}",
        "overlap must be less than half of max_tokens, which is 10, not 5",
    ),
    "too few tokens": ("chunks: {max_tokens: 7}", '"max_tokens" must be at least 8, not 7'),
    "a negative overlap": ("chunks: {overlap: -1}", '"overlap" must be at least 0, not -1'),
    "more than the embedder reads": ("chunks: {max_tokens: 9999}", 'max_tokens is 9999, but "e" reads only'),
    "headings of a level": ("chunks: {headings: 2}", '"headings" must be true or false, not "2"'),
}


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(("keys", "says"), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_cut_is_told_at_its_key(keys: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    edited("tritonrepo.yaml", R, f"{R}, {keys}")
    assert run(["index"]) == 2
    told = capsys.readouterr().err
    assert says in told
    key = keys.rpartition(", ")[2].rpartition("{")[2].partition(":")[0]
    line = next(line for line in Path("tritonrepo.yaml").read_text("utf-8").splitlines() if R in line)
    column = line.index(f"{key}: ", line.index("chunks")) + 1 + len(f"{key}: ")
    assert f":{column}: fatal: " in told or says.startswith('"')


def test_an_index_of_an_earlier_version_gets_the_metadata_of_its_documents(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index"]) == 0
    documents = own / "d" / "a.jsonl"
    lines = [json.loads(line) for line in documents.read_text("utf-8-sig").splitlines() if line.strip()]
    documents.write_text("".join(json.dumps({**line, "title": "T"}) + "\n" for line in lines), "utf-8")
    lock = own / "tritonrepo.lock"
    before = json.loads(lock.read_text("utf-8"))["indexes"]["r"]
    assert run(["index"]) == 0
    data = json.loads(lock.read_text("utf-8"))
    now = data["indexes"]["r"]
    (own / "i" / "passages.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    data["indexes"]["r"] = {**now, "files": before["files"]}  # what an earlier version makes of these documents
    lock.write_text(json.dumps(data), "utf-8")
    capsys.readouterr()
    assert run(["index"]) == 0
    assert capsys.readouterr().out == "r: i holds 2 passages\n"
    assert json.loads(lock.read_text("utf-8"))["indexes"]["r"] == now
    assert run(["index"]) == 0
    assert capsys.readouterr().out == "r: i is current\n"


def test_a_directory_of_markdown_is_indexed_and_what_is_left_out_is_told(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / "notes").mkdir()
    (own / "notes" / "one.md").write_text("---\nurl: https://example.com/1\n---\n# a b\nc d\n", "utf-8")
    (own / "notes" / "empty.md").write_text("---\nurl: x\n---\n", "utf-8")
    (own / "notes" / "pic.png").touch()
    edited("tritonrepo.yaml", R, "documents: [./notes, ./d/*.jsonl]")
    assert run(["index"]) == 0
    said = capsys.readouterr()
    assert said.out == "r: i holds 3 passages\n"
    assert "r: 1 file is in formats that are not read, and left out: .png (1)\n" in said.err
    assert "r: 1 file has no text, and left out: notes/empty.md\n" in said.err
    first = json.loads((own / "i" / "passages.jsonl").read_text("utf-8").splitlines()[0])
    known = {"title": "a b", "url": "https://example.com/1", "headings": ["a b"]}
    assert first == {"id": "one", "text": "# a b\nc d", "metadata": known}


def test_headings_that_a_document_names_itself_are_kept() -> None:
    assert [*cut(Document("x", "a", {"headings": ["own"]}), ENCODING, Settings(9, 0, headings=False))] == [
        Document("x", "a", {"headings": ["own"]})
    ]
