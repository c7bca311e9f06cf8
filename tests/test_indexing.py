"""Search indexes: which documents, cut into which passages, with which vectors, and when one is built again."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from tests import reference
from tests.tabled import tabled
from tests.test_export import bert_config, bert_weights
from tests.test_export import encoder as exported
from tests.test_own_stacks import edited, own, weights
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.export.heads import Pool, Pooling
from tritonrepo.flows.index import Told, index, missing
from tritonrepo.flows.stack import Loaded, load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.indexing import encoder, files, vectors
from tritonrepo.indexing.chunks import Settings
from tritonrepo.indexing.documents import Document, DocumentFile
from tritonrepo.indexing.passages import passages
from tritonrepo.spec.part import Encoding
from tritonrepo.tree import of_bytes, on_disk

__all__ = ["own"]

AT = Span("stack/tritonrepo.yaml", 4, 30)
LIMIT = 7
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *"abcdefghijklmnopqrst"]


def tokenizer() -> str:
    """Return tokenizer.json: one id a letter, [CLS] and [SEP] around them; cut and padded for other uses."""
    made: Any = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(4)
    made.enable_padding(length=9)
    return str(made.to_str())


@pytest.fixture(scope="module")
def encoding(tmp_path_factory: pytest.TempPathFactory) -> Encoding:
    config = bert_config()
    path = tmp_path_factory.mktemp("encoder") / "model.onnx"
    path.write_bytes(exported(config, bert_weights(config), Pooling(Pool.MEAN, normalize=True)))
    files = EncoderFiles(on_disk(path, path.stat().st_size), of_bytes(tokenizer().encode()), 16, LIMIT)
    return encoder.load(files)


def test_texts_of_a_length_are_embedded_together_the_same_on_any_number_of_cores(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the two special tokens, the texts have 7, 3, 5, 7, 3 and 4 tokens, and a batch may have 14."""
    texts = ["a b c d e", "f", "g h i", "j k l m n", "o", "p q"]
    together = encoding.embed(texts)
    run, batches = onnxruntime.InferenceSession.run, list[Any]()

    def counted(session: Any, names: Any, feed: Any) -> Any:  # noqa: ANN401  the library's
        batches.append(feed)
        return run(session, names, feed)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counted)
    monkeypatch.setattr(encoder, "BATCH", 14)
    monkeypatch.setattr(encoder, "cores", lambda: 1)
    told = list[int]()
    alone = encoding.embed(texts, told.append)
    assert np.abs(alone - together).max() < 1e-6
    assert [each["input_ids"].shape for each in batches] == [(2, 7), (2, 5), (2, 3)]
    assert batches[1]["input_ids"].tolist() == [[2, 10, 11, 12, 3], [2, 19, 20, 3, 0]]
    assert batches[1]["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]]
    assert told == [2, 4, 6]
    monkeypatch.setattr(encoder, "cores", lambda: 3)
    assert encoding.embed(texts).tobytes() == alone.tobytes()
    monkeypatch.setattr(encoder, "BATCH", 1)
    batches.clear()
    encoding.embed(texts[:2])
    assert sorted(each["input_ids"].shape for each in batches) == [(1, 3), (1, 7)]


def test_of_very_long_texts_fewer_are_embedded_at_once(encoding: Encoding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Texts of 7 tokens have 49 pairs of tokens each."""
    monkeypatch.setattr(encoder, "BATCH", 7)
    monkeypatch.setattr(encoder, "cores", lambda: 4)
    run, lock, going, most = onnxruntime.InferenceSession.run, threading.Lock(), list[object](), list[int]()

    def counted(session: Any, names: Any, feed: Any) -> Any:  # noqa: ANN401  the library's
        with lock:
            going.append(feed)
            most.append(len(going))
        time.sleep(0.02)
        try:
            return run(session, names, feed)
        finally:
            with lock:
                going.pop()

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counted)
    for scores, together in ((1, 1), (49, 1), (2 * 49, 2), (9 * 49, 4)):
        monkeypatch.setattr(encoder, "SCORES", scores)
        most.clear()
        encoding.embed(["a b c d e"] * 8)
        assert max(most) <= together
        assert len(most) == 8


def test_what_breaks_off_in_the_middle_leaves_no_batches_to_wait_for(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "BATCH", 1)
    monkeypatch.setattr(encoder, "cores", lambda: 2)
    run, begun = onnxruntime.InferenceSession.run, list[object]()

    def counted(session: Any, names: Any, feed: Any) -> Any:  # noqa: ANN401  the library's
        begun.append(feed)
        time.sleep(0.01)
        return run(session, names, feed)

    def told(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counted)
    with pytest.raises(KeyboardInterrupt):
        encoding.embed(["a"] * 500, told)
    assert len(begun) < 100


def test_long_and_short_batches_take_turns_so_that_what_is_done_shows_how_long_the_rest_takes(
    encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "TURNS", 2)
    monkeypatch.setattr(encoder, "BATCH", 1)
    monkeypatch.setattr(encoder, "cores", lambda: 1)
    run, lengths = onnxruntime.InferenceSession.run, list[int]()

    def counted(session: Any, names: Any, feed: Any) -> Any:  # noqa: ANN401  the library's
        lengths.append(feed["input_ids"].shape[1])
        return run(session, names, feed)

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", counted)
    encoding.embed(["a", "a b", "a b c", "a b c d"])
    assert lengths == [6, 4, 5, 3]


PIECES = {
    "a short text": ("a b c", ["a b c"]),
    "as many tokens as are read besides the two special ones": ("a b c d e", ["a b c d e"]),
    "one more": ("a b c d e f", ["a b c d e", "f"]),
    "twice as many": ("a b c d e f g h i j", ["a b c d e", "f g h i j"]),
    "more than twice": ("a b c d e f g h i j k l", ["a b c d e", "f g h i j", "k l"]),
    "white space inside is kept, outside is not": ("  a  b\nc d e \t f  ", ["a  b\nc d e", "f"]),
    "what the tokenizer does not know": ("ä ö ü a b €", ["ä ö ü a b", "€"]),
    "a text without a token": ("", [""]),
}


@pytest.mark.parametrize(("text", "pieces"), PIECES.values(), ids=PIECES)
def test_a_document_is_cut_into_passages_that_the_embedder_reads_whole(
    text: str, pieces: list[str], encoding: Encoding
) -> None:
    assert [text[begin:end] for begin, end in encoding.cut(text, encoding.limit, 0)] == pieces


def word_pieces() -> Tokenizer:
    """Return a tokenizer of parts of words: "ef" and "gh" are a token each within a word, and two by themselves."""
    words = ["[UNK]", "ab", "##cd", "##ef", "##gh", "c", "##d", "e", "##f", "g", "##h"]
    made: Any = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return Tokenizer.from_str(made.to_str())


def bytes_alone() -> Tokenizer:
    """Return a tokenizer with a token for each byte."""
    made: Any = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return Tokenizer.from_str(made.to_str())


def letters_alone() -> Tokenizer:
    """Return a tokenizer that does not know of words: a token for each letter and space."""
    return Tokenizer(models.BPE({c: i for i, c in enumerate(" abcd")}, []))


CUTS = {
    "at a space that the tokenizer makes nothing of": (letters_alone(), "ab cd", 4, ["ab", "cd"]),
    "between words though there is room": (word_pieces(), "abcd e abcd", 4, ["abcd e", "abcd"]),
    "within a word that is too long": (word_pieces(), "ab abcdef", 2, ["ab", "abcd", "ef"]),
    "counted as it is read": (word_pieces(), "abcdefgh", 2, ["abcd", "ef", "gh"]),
    "after a mark": (word_pieces(), "ab. ab", 2, ["ab.", "ab"]),
    "never within a character": (bytes_alone(), "é🙂", 5, ["é", "🙂"]),
    "a character that is too long": (bytes_alone(), "a🙂b", 2, ["a", "🙂", "b"]),
    "no passage of white space": (bytes_alone(), "🙂 \n a", 1, ["🙂", "a"]),
}


@tabled(("tokens", "text", "size", "found"), CUTS.values(), ids=CUTS)
def test_a_text_is_cut_between_words_where_that_is_possible(
    tokens: Tokenizer, text: str, size: int, found: list[str]
) -> None:
    assert [text[begin:end] for begin, end in passages(text, tokens, size)] == found


def test_no_passage_of_a_real_text_is_cut_by_the_real_embedder_and_nothing_is_lost(minilm_dir: Path) -> None:
    real = Tokenizer.from_file(str(minilm_dir / "tokenizer.json"))
    real.no_truncation()
    real.no_padding()
    text = (Path(__file__).parent.parent / "docs" / "rules.md").read_text("utf-8")
    for size in (30, 126):
        found = [text[begin:end] for begin, end in passages(text, real, size)]
        assert max(len(real.encode(passage, add_special_tokens=False).ids) for passage in found) <= size
        assert "".join("".join(found).split()) == "".join(text.split())


def test_vectors_are_the_references_in_the_order_of_the_texts_and_over_several_batches(encoding: Encoding) -> None:
    letters = WORDS[4:]
    texts = [" ".join(letters[n % 20] for n in range(start, start + start % 5 + 1)) for start in range(70)]
    config = bert_config()
    bert = reference.Bert(config, bert_weights(config))
    ids = [[2, *(WORDS.index(letter) for letter in text.split()), 3] for text in texts]
    want = np.array([bert.embedding(each, "mean", normalize=True) for each in ids])
    got = encoding.embed(texts)
    assert got.dtype == np.float32
    assert np.abs(got - want).max() < 1e-6


def test_a_text_that_is_too_long_is_cut_as_the_served_embedder_cuts_it(encoding: Encoding) -> None:
    long, cut, shorter = encoding.embed(["a b c d e f g h", "a b c d e", "a b c d"])
    assert np.abs(long - cut).max() < 1e-6
    assert np.abs(long - shorter).max() > 1e-3


def test_documents_are_cut_the_same_after_texts_were_embedded(encoding: Encoding) -> None:
    encoding.embed(["a b c d e f g h", "a"])
    assert [*encoding.cut("a b c d e f g h i j k l", 5, 0)] == [(0, 9), (10, 19), (20, 23)]


def test_what_building_an_index_needs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Stop, match="building a search index needs onnxruntime and tokenizers") as stop:
        encoder.load(EncoderFiles(of_bytes(b""), of_bytes(b""), 16, LIMIT))
    (found,) = stop.value.diagnostics
    assert found.rule == "extra-missing"
    assert found.hint.startswith("Run `pip install 'tritonrepo[onnx]'`")


WHOLE = Settings(2, 0, headings=False)
"""Cuts of a text into passages of two characters, each of which `held` takes for a token."""


def held(vectors_of: dict[str, list[float]]) -> Encoding:
    """An encoding that knows these vectors by text, and takes each character for a token."""

    def embed(texts: Sequence[str], told: Callable[[int], object] = lambda _: None) -> NDArray[Any]:
        told(len(texts))
        return np.array([vectors_of[text] for text in texts], np.float64)

    def cut(text: str, size: int, overlap: int) -> Iterator[tuple[int, int]]:
        yield from ((start, min(start + size, len(text))) for start in range(0, max(len(text) - overlap, 1), size))

    return Encoding(cut, embed, len, 9)


def made(place: Path, encoding: Encoding, documents: list[Document], told: Told = lambda _, __: None) -> list[bytes]:
    """Return the content of an index's two files: the vectors, and the passages."""
    with vectors.drafts(place) as drafts:
        count = vectors.cut_all(documents, encoding, WHOLE, drafts)
        vectors.embed_all(encoding, drafts, count, told)
        assert not list(place.iterdir())
        return [drafts.embeddings.file().content(), drafts.passages.file().content()]


def test_an_index_has_a_vector_and_a_line_for_each_passage_in_order(tmp_path: Path) -> None:
    known: dict[str, list[float]] = {"a": [1, 2], "b1": [3, 4], "b2": [5, 6], "b3": [0, 1], "ç": [7, 8.5]}
    documents = [Document("x", "a"), Document("long", "b1b2b3"), Document("é", "ç")]
    embeddings, lines = made(tmp_path, held(known), documents)
    assert lines.decode() == (
        '{"id": "x", "text": "a"}\n'
        '{"id": "long", "text": "b1"}\n{"id": "long#2", "text": "b2"}\n{"id": "long#3", "text": "b3"}\n'
        '{"id": "é", "text": "ç"}\n'
    )
    buffer = io.BytesIO()
    np.save(buffer, np.array([[1, 2], [3, 4], [5, 6], [0, 1], [7, 8.5]], np.float32), allow_pickle=False)
    assert embeddings == buffer.getvalue()


PARTS = {
    "by their number": ("PASSAGES_AT_ONCE", 3, [3, 3, 1]),
    "by their characters": ("CHARACTERS_AT_ONCE", 4, [4, 3]),
    "all": ("PASSAGES_AT_ONCE", 100, [7]),
}


@pytest.mark.parametrize(("name", "most", "sizes"), PARTS.values(), ids=PARTS)
def test_as_many_passages_as_fit_are_embedded_at_once_and_counted(
    name: str, most: int, sizes: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, name, most)
    found, told = list[int](), list[tuple[int, int]]()
    one = held({each: [float(number)] for number, each in enumerate("abcdefg")})

    def embed(texts: Sequence[str], told: Callable[[int], object] = lambda _: None) -> NDArray[Any]:
        found.append(len(texts))
        told(1)
        return one.embed(texts, told)

    documents = [Document(f"d{each}", each) for each in "abcdefg"]
    embeddings, _ = made(tmp_path, one._replace(embed=embed), documents, lambda *done: told.append(done))
    assert np.load(io.BytesIO(embeddings)).tolist() == [[n] for n in range(7)]
    assert found == sizes
    ends = [*accumulate(sizes)]
    assert told == [(n, 7) for before, end in zip([0, *ends], ends, strict=False) for n in (before + 1, end)]


NOT_FINITE = {"not a number": float("nan"), "infinity": float("inf"), "minus infinity": float("-inf")}


@pytest.mark.parametrize("value", NOT_FINITE.values(), ids=NOT_FINITE)
def test_a_vector_that_is_not_finite_is_told_by_its_passage(value: float, tmp_path: Path) -> None:
    known = {"a": [1.0, 2.0], "b": [3.0, value], "c": [value, value]}
    with pytest.raises(Stop) as stop:
        made(tmp_path, held(known), [Document("first", "a"), Document("second", "b"), Document("third", "c")])
    (found,) = stop.value.diagnostics
    assert (found.rule, found.at.path) == ("index-vectors", "index")
    assert found.message == 'the embedder returns a vector for "second" that is not finite'


def test_an_id_that_a_further_passage_has_as_well_is_told(tmp_path: Path) -> None:
    known = {"b1": [1.0], "b2": [2.0], "c": [3.0]}
    with pytest.raises(Stop, match='"x#2" is both the id of a document and of a further passage'):
        made(tmp_path, held(known), [Document("x", "b1b2"), Document("x#2", "c")])


def written(place: Path, **contents: str | bytes) -> list[DocumentFile]:
    found = [DocumentFile(place / f"{name}.jsonl", f"{name}.jsonl") for name in contents]
    for file, content in zip(found, contents.values(), strict=True):
        file.path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return found


def read(found: list[DocumentFile]) -> list[Document]:
    return files.read(found).all


def test_documents_come_in_the_order_of_files_and_lines_as_they_are_written(tmp_path: Path) -> None:
    paths = written(
        tmp_path,
        a=b'\xef\xbb\xbf{"id": "1", "text": " one "}\r\n \n\n{"text": "two", "id": "2", "more": 3}',
        b='{"id": " 3", "text": "\\ud83d\\ude42 é"}\n',
        c="\n",
    )
    assert read(paths) == [Document("1", " one "), Document("2", "two", {"more": 3}), Document(" 3", "🙂 é")]


def told(paths: list[DocumentFile]) -> list[str]:
    with pytest.raises(Stop) as stop:
        read(paths)
    assert {found.rule for found in stop.value.diagnostics} == {"index-documents"}
    return [f"{found.at.path.rpartition('/')[2]}:{found.at.line}: {found.message}" for found in stop.value.diagnostics]


LINES = {
    "no JSON": ("nothing", "the line is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
    "a list": ('["id", "text"]', "the line is not a JSON object"),
    "a text": ('"id"', "the line is not a JSON object"),
    "bytes that are no UTF-8": (b'{"id": "a", "text": "\xff"}', "the line is not valid UTF-8"),
    "no id": ('{"text": "x"}', '"id" is missing, empty or not a string'),
    "an id that is a number": ('{"id": 1, "text": "x"}', '"id" is missing, empty or not a string'),
    "an id of white space": ('{"id": " \\t", "text": "x"}', '"id" is missing, empty or not a string'),
    "no text": ('{"id": "a"}', '"text" is missing, empty or not a string'),
    "a text of nothing": ('{"id": "a", "text": ""}', '"text" is missing, empty or not a string'),
    "a text of white space": ('{"id": "a", "text": "\\n"}', '"text" is missing, empty or not a string'),
    "a text that is a list": ('{"id": "a", "text": ["x"]}', '"text" is missing, empty or not a string'),
    "the first half of a character": ('{"id": "a", "text": "\\ud800"}', '"text" contains half of a surrogate pair'),
    "the last second half": ('{"id": "a", "text": "\\udfff"}', '"text" contains half of a surrogate pair'),
    "half a character in the id": ('{"id": "\\udc00", "text": "a"}', '"id" contains half of a surrogate pair'),
}


@pytest.mark.parametrize(("line", "says"), LINES.values(), ids=LINES)
def test_a_line_that_is_no_document_is_told_and_the_rest_is_read(line: str | bytes, says: str, tmp_path: Path) -> None:
    good = b'{"id": "good", "text": "x"}\n'
    bad = line.encode() if isinstance(line, str) else line
    (first, second) = told(written(tmp_path, a=good + b"\n" + bad + b"\n" + good))
    assert first.startswith(f"a.jsonl:3: {says}")
    assert second == 'a.jsonl:4: duplicate id "good"'


def test_what_is_next_to_half_characters_is_a_character(tmp_path: Path) -> None:
    line = json.dumps({"id": "a", "text": "\ud7ff\ue000"})
    assert read(written(tmp_path, a=line)) == [Document("a", "\ud7ff\ue000")]


KNOWN: dict[str, tuple[str, dict[str, Any]]] = {
    "every other key, of any type": (
        '"title": "Tïtle", "url": null, "tags": ["a", {"b": 1.5}], "": true',
        {"title": "Tïtle", "url": None, "tags": ["a", {"b": 1.5}], "": True},
    ),
    "those of an object called metadata": (
        '"a": 1, "metadata": {"id": 2, "text": [], "metadata": {"b": 3}}',
        {"a": 1, "id": 2, "text": [], "metadata": {"b": 3}},
    ),
    "something else called metadata": ('"metadata": "m"', {"metadata": "m"}),
    "the last of one name": ('"a": 1, "a": 2', {"a": 2}),
    "as deep as it may be": (f'"a": {"[" * 32}{"]" * 32}', {"a": json.loads("[" * 32 + "]" * 32)}),
    "as large as it may be": (f'"a": "{"x" * 65_526}"', {"a": "x" * 65_526}),
}


@pytest.mark.parametrize(("line", "known"), KNOWN.values(), ids=KNOWN)
def test_what_a_line_has_besides_is_metadata_also_of_the_index_when_it_is_read_again(
    line: str, known: dict[str, Any], tmp_path: Path
) -> None:
    paths = written(tmp_path, a=f'{{"id": "x", "text": "t", {line}}}')
    assert read(paths) == [Document("x", "t", known)]
    (place := tmp_path / "index").mkdir()
    _, lines = made(place, held({"t": [1.0]}), read(paths))
    assert read(written(tmp_path, b=lines)) == [Document("x", "t", known)]


def test_each_passage_has_the_metadata_of_its_document(tmp_path: Path) -> None:
    known = {"b1": [1.0], "b2": [2.0], "c": [3.0]}
    read = [Document("x", "b1b2", {"url": "ü"}), Document("y", "c")]
    assert made(tmp_path, held(known), read)[1].decode() == (
        '{"id": "x", "text": "b1", "metadata": {"url": "ü"}}\n'
        '{"id": "x#2", "text": "b2", "metadata": {"url": "ü"}}\n'
        '{"id": "y", "text": "c"}\n'
    )


UNSAID = {
    "no number": ('"a": NaN', '"a" contains a number that JSON cannot express: NaN or infinity'),
    "a number without end, inside": ('"a": [{"b": -Infinity}]', '"a" contains a number that JSON cannot express'),
    "a number that is too large": ('"a": 1e999', '"a" contains a number that JSON cannot express'),
    "a number of too many digits": (f'"a": {"9" * 5000}', "the line is not valid JSON: Exceeds the limit"),
    "half a character": ('"a": "\\ud800"', '"a" contains half of a surrogate pair, which is not a character'),
    "half a character in a key": ('"a\\udfff": 1', r'"a\udfff" contains half of a surrogate pair'),
    "half a character in a key inside": ('"a": {"\\ud800": 1}', '"a" contains half of a surrogate pair'),
    "lists in lists": (f'"a": {"[" * 33}{"]" * 33}', '"a" is nested more than 32 levels deep'),
    "objects in objects": (
        f'"a": {"".join(["{" + chr(34) + "b" + chr(34) + ":"] * 33)}1{"}" * 33}',
        '"a" is nested more than 32 levels deep',
    ),
    "a thousand levels": (f'"a": {"[" * 1000}{"]" * 1000}', ""),
    "a hundred thousand levels": (f'"a": {"[" * 100_000}{"]" * 100_000}', "the line is not valid JSON: "),
    "a megabyte": (
        f'"a": "{"x" * (1 << 20)}"',
        "metadata must have at most 65,536 bytes as JSON, not 1,048,585 bytes",
    ),
    "many small ones": (
        ", ".join(f'"k{n}": "{"x" * (1000 + n)}"' for n in range(70)),
        'metadata must have at most 65,536 bytes as JSON, not 73,175 bytes, most of it in "k69"',
    ),
    "a key twice": ('"a": 1, "metadata": {"a": 1}', '"a" is both a key of the line and of its "metadata"'),
}


@pytest.mark.parametrize(("line", "says"), UNSAID.values(), ids=UNSAID)
def test_metadata_that_no_server_could_return_are_told(line: str, says: str, tmp_path: Path) -> None:
    (first,) = told(written(tmp_path, a=f'{{"id": "x", "text": "t", {line}}}'))
    assert first.startswith(f"a.jsonl:1: {says}")


def test_each_further_one_of_an_id_is_told_with_the_place_of_the_first(tmp_path: Path) -> None:
    line = '{"id": "x", "text": "a"}\n'
    with pytest.raises(Stop) as stop:
        read(written(tmp_path, a=line, b=line * 2))
    found = stop.value.diagnostics
    assert [(d.at.path, d.at.line, d.message) for d in found] == [
        (str(tmp_path / "b.jsonl"), 1, 'duplicate id "x"'),
        (str(tmp_path / "b.jsonl"), 2, 'duplicate id "x"'),
    ]
    assert {d.hint for d in found} == {f"Rename this one or the one in {tmp_path / 'a.jsonl'}:1."}


@pytest.mark.parametrize(
    ("wrong", "said", "more"),
    [(19, 19, ""), (20, 20, ""), (21, 20, "\n1 more line is wrong."), (23, 20, "\n3 more lines are wrong.")],
)
def test_twenty_wrong_lines_are_told_and_the_number_of_the_others(
    wrong: int, said: int, more: str, tmp_path: Path
) -> None:
    with pytest.raises(Stop) as stop:
        read(written(tmp_path, a="x\n" * wrong))
    found = stop.value.diagnostics
    assert [d.at.line for d in found] == list(range(1, said + 1))
    assert found[-1].hint.endswith(more or "`.")
    assert not any("more line" in d.hint for d in found[:-1])


def test_files_without_a_document_are_told_by_the_first(tmp_path: Path) -> None:
    assert told(written(tmp_path, a="\n \n", b="")) == ["a.jsonl:0: the file contains no documents"]


@pytest.fixture
def stack(tmp_path: Path) -> Span:
    """The place of a pattern in a stack file, next to which there are documents."""
    for name in ("b.jsonl", "a.jsonl", "a.txt", "deep/c.jsonl", "x.jsonl/inside.jsonl"):
        (tmp_path / "docs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "docs" / name).touch()
    return Span(str(tmp_path / "tritonrepo.yaml"), 4, 30)


FOUND = {
    "files in order, no directory": ("./docs/*.jsonl", ["a.jsonl", "b.jsonl"]),
    "one file": ("docs/b.jsonl", ["b.jsonl"]),
    "a class of letters": ("docs/[b-z].jsonl", ["b.jsonl"]),
    "a class of letters in a directory": ("[d]ocs/b.jsonl", ["b.jsonl"]),
    "one letter": ("docs/?.txt", ["a.txt"]),
    "every depth": ("docs/**/c.jsonl", ["deep/c.jsonl"]),
    "a directory that varies": ("d*s/a.*", ["a.jsonl", "a.txt"]),
}


@pytest.mark.parametrize(("pattern", "names"), FOUND.values(), ids=FOUND)
@pytest.mark.parametrize("whole", [False, True], ids=["from the stack file", "from the root"])
def test_a_pattern_finds_files(pattern: str, names: list[str], stack: Span, tmp_path: Path, *, whole: bool) -> None:
    given = f"{tmp_path}/{pattern}" if whole else pattern
    assert [file.path for file in files.find([given], stack).all] == [tmp_path / "docs" / name for name in names]


def test_a_pattern_that_finds_nothing_is_told_at_its_place(stack: Span, tmp_path: Path) -> None:
    for pattern, hint in (
        ("./docs/*.json", f"Check the pattern. It is relative to {tmp_path}."),
        ("./docs/x.jsonl/*.md", f"Check the pattern. It is relative to {tmp_path}."),
        (f"{tmp_path}/docs/*.json", "Check that it matches files, not directories."),
    ):
        with pytest.raises(Stop) as stop:
            files.find([pattern], stack)
        (found,) = stop.value.diagnostics
        assert (found.at, found.message, found.hint) == (stack, f'no file matches "{pattern}"', hint)


@pytest.mark.parametrize("pattern", ["", "docs/**x"])
def test_what_is_no_pattern_is_told_at_its_place(pattern: str, stack: Span) -> None:
    with pytest.raises(Stop) as stop:
        files.find([pattern], stack)
    (found,) = stop.value.diagnostics
    assert (found.rule, found.at) == ("index-documents", stack)
    assert found.message == f'"{pattern}" is not a glob pattern of files'


@pytest.mark.parametrize(
    "pattern", ["d*s/secret.jsonl", "[d]ocs/secret.jsonl", "d?cs/secret.jsonl", "docs/*.jsonl", "docs/secret.jsonl"]
)
def test_a_link_out_of_the_directory_that_a_pattern_names_is_refused(
    pattern: str, stack: Span, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.jsonl").touch()
    (tmp_path / "docs" / "secret.jsonl").symlink_to(outside / "secret.jsonl")
    with pytest.raises(Stop, match="secret"):
        files.find([pattern], stack)
    assert tmp_path / "docs" / "secret.jsonl" in [file.path for file in files.find([pattern], stack, [outside]).all]


def test_a_link_within_the_stack_leads_out_of_the_documents_that_are_named(stack: Span, tmp_path: Path) -> None:
    (tmp_path / "notes.jsonl").touch()
    (tmp_path / "docs" / "link.jsonl").symlink_to(tmp_path / "notes.jsonl")
    for pattern in ("docs/l*.jsonl", "docs/link.jsonl"):
        with pytest.raises(Stop, match=r"link\.jsonl"):
            files.find([pattern], stack)
    assert [file.path for file in files.find(["*/link.jsonl"], stack).all] == [tmp_path / "docs" / "link.jsonl"]


def test_a_directory_of_documents_that_is_a_link_out_of_the_stack_is_refused(
    stack: Span, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "a.jsonl").touch()
    (tmp_path / "linked").symlink_to(outside)
    with pytest.raises(Stop, match="linked leads out of"):
        files.find(["linked/*.jsonl"], stack)
    found = files.find(["linked/*.jsonl"], stack, [outside]).all
    assert [file.path for file in found] == [tmp_path / "linked" / "a.jsonl"]


def test_the_digest_of_documents_is_of_their_names_and_contents_alone(tmp_path: Path) -> None:
    paths = written(tmp_path, a="one", b="two")
    lines = "".join(f"{n}.jsonl {hashlib.sha256(c).hexdigest()}\n" for n, c in (("a", b"one"), ("b", b"two")))
    assert files.digest(paths) == hashlib.sha256(lines.encode()).hexdigest()
    (tmp_path / "elsewhere").mkdir()
    assert files.digest(written(tmp_path / "elsewhere", a="one", b="two")) == files.digest(paths)


def loaded() -> Loaded:
    return load("tritonrepo.yaml", Workspace(os.environ))


def said(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    assert run(["index", *more]) == 0
    return capsys.readouterr().out


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_index_is_pinned_with_what_it_was_built_from(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys) == "r: i holds 2 passages\n"
    lock = json.loads((own / "tritonrepo.lock").read_text("utf-8"))
    pin = lock["indexes"]["r"]
    assert pin["files"] == {
        "embeddings": sha256(own / "i" / "embeddings.npy"),
        "passages": sha256(own / "i" / "passages.jsonl"),
    }
    assert (
        pin["made_from"]["documents"]
        == hashlib.sha256(f"a.jsonl {sha256(own / 'd' / 'a.jsonl')}\n".encode()).hexdigest()
    )
    assert list(lock["sources"]) == ["./w"]
    assert sorted(path.name for path in own.iterdir()) == ["d", "i", "p.j2", "tritonrepo.lock", "tritonrepo.yaml", "w"]
    assert sorted(path.name for path in (own / "i").iterdir()) == ["embeddings.npy", "passages.jsonl"]


CHANGES: dict[str, tuple[str, ...]] = {
    "its pooling": ("tritonrepo.yaml", "source: ./w", "source: ./w, pooling: cls"),
    "its limit": ("tritonrepo.yaml", "source: ./w", "source: ./w, max_tokens: 12"),
    "its weights' norm": ("w/config.json", "0.001", "0.5"),
    "its tokenizer": ("w/tokenizer.json", '"t":', '"T":'),
    "a document": ("d/a.jsonl", "a b", "a c"),
}


@pytest.mark.parametrize(("name", "old", "new"), CHANGES.values(), ids=CHANGES)
@pytest.mark.usefixtures("own")
def test_an_index_is_built_again_after_a_change_of_what_decides_it(
    capsys: pytest.CaptureFixture[str], name: str, old: str, new: str
) -> None:
    said(capsys)
    before = Path("tritonrepo.lock").read_text("utf-8")
    assert said(capsys) == "r: i is current\n"
    assert Path("tritonrepo.lock").read_text("utf-8") == before
    edited(name, old, new)
    assert said(capsys) == "r: i holds 2 passages\n"
    assert Path("tritonrepo.lock").read_text("utf-8") != before
    assert said(capsys) == "r: i is current\n"


@pytest.mark.parametrize("name", ["embeddings.npy", "passages.jsonl"])
@pytest.mark.parametrize("gone", [True, False], ids=["is gone", "was changed"])
def test_an_index_whose_file_is_not_the_pinned_one_is_built_again(
    own: Path, capsys: pytest.CaptureFixture[str], name: str, *, gone: bool
) -> None:
    said(capsys)
    assert list(missing(loaded())) == []
    content = (own / "i" / name).read_bytes()
    if gone:
        (own / "i" / name).unlink()
    else:
        (own / "i" / name).write_bytes(content[::-1])
    assert list(missing(loaded())) == (["r"] if gone else [])
    assert said(capsys) == "r: i holds 2 passages\n"
    assert (own / "i" / name).read_bytes() == content


def test_an_index_that_no_lock_knows_is_missing(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(missing(loaded())) == ["r"]
    said(capsys)
    (own / "tritonrepo.lock").unlink()
    assert list(missing(loaded())) == ["r"]


def test_only_the_index_that_is_named_is_built_and_the_pins_of_others_stay(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights(own / "w2", hidden_act="relu")
    more = "  e2: {role: embedder, source: ./w2}\n"
    more += "  r2: {role: retriever, documents: ./d/*.jsonl, index: ./i2, embed_with: e2}\nensembles:"
    edited("tritonrepo.yaml", "ensembles:", more)
    assert said(capsys, "--model", "r2") == "r2: i2 holds 2 passages\n"
    assert not (own / "i").exists()
    assert said(capsys, "--model", "r") == "r: i holds 2 passages\n"
    lock = json.loads((own / "tritonrepo.lock").read_text("utf-8"))
    assert (sorted(lock["indexes"]), sorted(lock["sources"])) == (["r", "r2"], ["./w", "./w2"])
    assert said(capsys) == "r: i is current\nr2: i2 is current\n"
    assert list(missing(loaded())) == []


def test_an_unknown_model_is_told_with_the_nearest_and_nothing_is_built(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edited("tritonrepo.yaml", "  r: {", "  retriever: {")
    edited("tritonrepo.yaml", "[e, r]", "[e, retriever]")
    assert run(["index", "--model", "retreiver"]) == 2
    error = capsys.readouterr().err
    assert 'retreiver: fatal: the stack has no retriever "retreiver" [index-model]' in error
    assert 'Did you mean "retriever"?' in error
    assert not (own / "i").exists()


def test_an_index_is_not_written_over_a_lock_that_somebody_else_has_changed(own: Path) -> None:
    before = loaded()
    (own / "tritonrepo.lock").write_text('{"schema": 1, "sources": {"x": {}}, "indexes": {}, "models": {}}', "utf-8")
    with pytest.raises(Stop, match="somebody else changed the lock file after it was read"):
        index(before)
    assert not (own / "i").exists()


@pytest.mark.usefixtures("own")
def test_what_was_built_and_the_new_lock_are_returned() -> None:
    (made,), after = index(loaded())
    assert (made.name, made.place, made.passages) == ("r", Path("i"), 2)
    assert after.lock == loaded().lock
    assert list(after.lock.indexes) == ["r"]
    (again,), same = index(after)
    assert (again.passages, same.lock) == (0, after.lock)


@pytest.mark.parametrize("name", ["embeddings.npy", "passages.jsonl"])
def test_an_index_is_not_written_through_a_link_out_of_the_stack(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "outside").write_text("mine", "utf-8")
    (own / "i").mkdir()
    (own / "i" / name).symlink_to(tmp_path / "outside")
    assert run(["index"]) == 2
    assert name in capsys.readouterr().err
    assert (tmp_path / "outside").read_text("utf-8") == "mine"
    assert (own / "i" / name).is_symlink()
