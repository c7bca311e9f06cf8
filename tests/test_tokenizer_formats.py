"""Tokenizers of other formats become tokenizer.json with the tokens that transformers gives.

tests/data/references/tokenizers was written by scripts/references/vocabularies.py, with transformers 4.57 and 5.
"""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.test_export import write_gguf
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.export import sentencepiece
from tritonrepo.export.gguf import chat_format
from tritonrepo.export.sentencepiece import UnfitError
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat_files import chat_files
from tritonrepo.tree import File, of_bytes, of_text

REFERENCES = Path(__file__).parent / "data" / "references" / "tokenizers"
AT = Span("s.yaml", 7, 3)
NAMES = ("gemma", "gpt2", "llama", "llama-legacy", "llama-unigram", "llama-without-prefix", "qwen2")
BOTH = [(name, major) for name in NAMES for major in (4, 5) if (name, major) != ("llama-unigram", 5)]


def source(name: str, **config: object) -> dict[str, File]:
    """Return a model's files, without what transformers says of them."""
    place = REFERENCES / name
    files = {path.name: of_bytes(path.read_bytes()) for path in place.iterdir() if "expected" not in path.name}
    said = json.loads((place / "tokenizer_config.json").read_text("utf-8")) | {"chat_template": "{{ messages }}"}
    more = {"tokenizer_config.json": of_text(json.dumps(said | config)), "config.json": of_text('{"seq_length": 64}')}
    return files | more


def expected(name: str, major: int) -> dict[str, Any]:
    found = json.loads((REFERENCES / name / f"expected-{major}.json").read_text("utf-8"))
    assert isinstance(found, dict)
    return found


def read(files: dict[str, File], tmp_path: Path, major: int = 5) -> tuple[ChatFiles, Tokenizer]:
    found = chat_files(files, Cache(tmp_path / "cache"), AT, by_class=major == 4)
    return found, Tokenizer.from_str(found.tokenizer.content().decode())


@pytest.mark.parametrize(("name", "major"), BOTH)
def test_a_converted_tokenizer_gives_the_tokens_of_transformers(name: str, major: int, tmp_path: Path) -> None:
    want = expected(name, major)
    found, tokenizer = read(source(name), tmp_path, major)
    ids = [tokenizer.encode(text).ids for text in want["texts"]]
    assert dict(zip(want["texts"], ids, strict=True)) == dict(zip(want["texts"], want["ids"], strict=True))
    assert [tokenizer.decode(each, skip_special_tokens=False) for each in want["ids"]] == want["decoded"]
    assert found.adds_bos is (want["ids"][0] != [])


def refused(files: dict[str, File], tmp_path: Path, major: int = 5) -> str:
    with pytest.raises(Stop) as stop:
        read(files, tmp_path, major)
    (found,) = stop.value.diagnostics
    assert (found.rule, found.at) == ("source-generator", AT)
    assert found.hint
    return found.message


def test_a_unigram_model_is_refused_where_transformers_would_read_it_as_bpe(tmp_path: Path) -> None:
    assert "unigram model, which transformers 5 reads as BPE" in refused(source("llama-unigram"), tmp_path)


def test_the_config_decides_what_is_added_around_a_text(tmp_path: Path) -> None:
    _, tokenizer = read(source("llama", add_bos_token=True), tmp_path)
    assert tokenizer.encode("dog.").tokens == ["<s>", "▁dog", "."]
    _, plain = read(source("llama", add_bos_token=False), tmp_path, major=4)
    assert plain.encode("dog.").tokens == ["▁dog", "."]
    ends = refused(source("llama", add_eos_token=True), tmp_path)
    assert ends == "the model's tokenizer adds '</s>' after every prompt, which ends the text"


def test_added_tokens_of_all_files_are_one_token_each(tmp_path: Path) -> None:
    files = source("llama", additional_special_tokens=["<|im_end|>"], pad_token="<pad>")
    files["added_tokens.json"] = of_text('{"<|im_start|>": 420, "<|im_end|>": 421}')
    found, tokenizer = read(files, tmp_path)
    assert tokenizer.encode("<|im_start|>a<|im_end|><pad>").ids == [420, 335, 421, 422]
    assert found.special_tokens == ("<unk>", "<s>", "</s>", "<|im_end|>", "<pad>")


WRONG: dict[str, tuple[str, dict[str, object], dict[str, bytes], str]] = {
    "of no class": ("llama", {"tokenizer_class": None}, {}, "its tokenizer_class is missing, and only LlamaTokenizer"),
    "of another class": ("qwen2", {"tokenizer_class": "BartTokenizer"}, {}, "tokenizer_class is BartTokenizer, and"),
    "cut short": ("llama", {}, {"tokenizer.model": b"\x0a\x7f"}, "a field ends at byte 129, but there are only 2"),
    "empty": ("llama", {}, {"tokenizer.model": b""}, "tokenizer.model of the source cannot be converted to tokenizer"),
    "a Git LFS pointer": ("llama", {}, {"tokenizer.model": b"version https://git-lfs.github.com"}, "a Git LFS pointer"),
    "words without a list": ("gpt2", {}, {"vocab.json": b"[]"}, "vocab.json of the source cannot be converted"),
    "merges of others": ("gpt2", {}, {"merges.txt": b"#version: 0.2\nq qq\n"}, "merge 'q qq' uses tokens that are not"),
    "ids that leave a gap": (
        "qwen2",
        {"added_tokens_decoder": {"309": {"content": "<|far|>", "special": True}}},
        {},
        "token '<|far|>' cannot have the id 309",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "config", "files", "says"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_converted_is_told(
    name: str, config: dict[str, object], files: dict[str, bytes], says: str, tmp_path: Path
) -> None:
    changed = source(name, **config) | {path: of_bytes(data) for path, data in files.items()}
    assert says in refused(changed, tmp_path)


def test_a_bpe_of_words_without_merges_is_told(tmp_path: Path) -> None:
    files = source("gpt2")
    del files["merges.txt"]
    assert "only as vocab.json (BPE in two files), but tokenizer.json is needed" in refused(files, tmp_path)


def test_tekken_is_refused_with_the_way_out(tmp_path: Path) -> None:
    files = {"tekken.json": of_text("{}"), "config.json": of_text("{}")}
    assert refused(files, tmp_path) == (
        "the source has its tokenizer only as tekken.json (Tekken), but tokenizer.json is needed"
    )


@given(data=st.data())
@settings(deadline=None, derandomize=True, max_examples=80)
def test_no_bytes_of_a_vocabulary_raise_anything_but_the_reason(data: st.DataObject) -> None:
    whole = (REFERENCES / "llama" / "tokenizer.model").read_bytes()
    broken = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for at in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=4)):
        broken[at : at + 1] = bytes([data.draw(st.sampled_from([0, 8, 127, 255]))])
    with suppress(UnfitError, UnicodeDecodeError):
        sentencepiece.parsed(bytes(broken))


def pieces(name: str) -> dict[str, Any]:
    """Return what a GGUF file says of a vocabulary, whose pieces are read as the format's own tests print them."""
    words = sentencepiece.parsed((REFERENCES / name / "tokenizer.model").read_bytes())
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [piece.text for piece in words.pieces],
        "tokenizer.ggml.scores": [piece.score for piece in words.pieces],
        "tokenizer.ggml.token_type": [piece.kind for piece in words.pieces],
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "llama.context_length": 64,
    }


GGUF = {
    "with a space before each text": ("llama-legacy", {}),
    "without a space before a text": ("llama-without-prefix", {"tokenizer.ggml.add_space_prefix": False}),
}


@pytest.mark.parametrize(("name", "more"), GGUF.values(), ids=GGUF)
def test_sentencepiece_in_a_gguf_file_gives_the_same_tokens(name: str, more: dict[str, Any], tmp_path: Path) -> None:
    want = expected(name, 4)
    found = chat_format(write_gguf(tmp_path / "m.gguf", pieces(name) | more, {}))
    tokenizer = Tokenizer.from_str(found.tokenizer_json.decode())
    assert [[1, *tokenizer.encode(text).ids] for text in want["texts"]] == want["ids"]
    assert (found.adds_bos, found.bos_token, found.eos_token) == (True, "<s>", "</s>")
    assert found.special_tokens == ("<unk>", "<s>", "</s>")


def test_scores_in_a_gguf_file_must_be_there_and_in_order(tmp_path: Path) -> None:
    said = pieces("llama-legacy")
    without = {key: value for key, value in said.items() if key != "tokenizer.ggml.scores"}
    with pytest.raises(Stop, match=r"tokenizer\.ggml\.scores must list the score of each of the 420 tokens"):
        chat_format(write_gguf(tmp_path / "a.gguf", without, {}))
    turned = said | {"tokenizer.ggml.scores": [float(n) for n in range(420)]}
    with pytest.raises(Stop, match="its pieces are not in the order of their scores"):
        chat_format(write_gguf(tmp_path / "b.gguf", turned, {}))


def test_a_gguf_file_of_qwen_gives_the_tokens_of_the_models_own_files(tmp_path: Path) -> None:
    place, want = REFERENCES / "qwen2", expected("qwen2", 5)
    ids = json.loads((place / "vocab.json").read_text("utf-8"))
    tokens = [*sorted(ids, key=ids.__getitem__), "<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    said = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": [1] * len(ids) + [3] * 3,
        "tokenizer.ggml.merges": (place / "merges.txt").read_text("utf-8").splitlines()[1:],
        "tokenizer.ggml.eos_token_id": 302,
        "qwen2.context_length": 64,
    }
    found = chat_format(write_gguf(tmp_path / "m.gguf", said, {}, "qwen2"))
    tokenizer = Tokenizer.from_str(found.tokenizer_json.decode())
    assert [tokenizer.encode(text).ids for text in want["texts"]] == want["ids"]
    assert found.adds_bos is False


CUT: dict[str, tuple[str, str, list[str]]] = {
    "digits by three": ("llama-bpe", "12345 it's", ["123", "45", "Ġit", "'s"]),
    "digits one by one": ("qwen2", "123 it'S", ["1", "2", "3", "Ġit", "'S"]),
    "digits together": ("gpt-2", "12345 it's", ["12345", "Ġit", "'s"]),
    "by case": ("tekken", "camelCase 12", ["camel", "Case", "Ġ", "1", "2"]),
}  # fmt: skip


@pytest.mark.parametrize(("pre", "text", "parts"), CUT.values(), ids=CUT)
def test_a_text_is_cut_as_the_pre_tokenizer_of_a_gguf_file_says(
    pre: str, text: str, parts: list[str], tmp_path: Path
) -> None:
    letters = sorted({letter for part in parts for letter in part})
    said = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": ["<|end|>", *letters],
        "tokenizer.ggml.token_type": [3] + [1] * len(letters),
        "tokenizer.ggml.merges": [],
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 0,
        "llama.context_length": 64,
    }
    del said["tokenizer.ggml.merges"]
    path = write_gguf(tmp_path / "m.gguf", said, {})
    path.write_bytes(with_empty_list(path.read_bytes(), "tokenizer.ggml.merges"))
    found = chat_format(path)
    tokenizer = Tokenizer.from_str(found.tokenizer_json.decode())
    cut = tokenizer.pre_tokenizer.pre_tokenize_str(text)
    assert [part for part, _ in cut] == parts
    assert found.adds_bos is (pre in {"llama-bpe", "tekken"})


def with_empty_list(content: bytes, key: str) -> bytes:
    """Return a GGUF file without tensors with one key more, whose value is an empty list of strings."""
    magic, version, tensors, keys = struct.unpack_from("<4sIQQ", content)
    entry = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<IIQ", 9, 8, 0)
    return struct.pack("<4sIQQ", magic, version, tensors, keys + 1) + entry + content[24:]


def test_a_vocabulary_that_would_take_forever_is_refused() -> None:
    words = sentencepiece.Vocabulary([sentencepiece.Piece("x" * 1025, 0.0, 1)])
    with pytest.raises(UnfitError, match="a piece has 1,025 characters, but at most 1,024 are possible"):
        sentencepiece.document(words, sentencepiece.Prefix.NEVER)
    with pytest.raises(UnfitError, match="at most 67,108,864 are read"):
        sentencepiece.parsed(bytes((64 << 20) + 1))
