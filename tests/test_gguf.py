"""GGUF files value by value: what their header says, how they tokenize, and what a decoder may be exported from."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from tokenizers import Tokenizer

from tests import reference
from tests.tabled import tabled
from tests.test_export import (
    TOKENS,
    TYPES,
    Generator,
    Weights,
    changed,
    cosines,
    declared,
    llama_metadata,
    llama_weights,
    write_gguf,
)
from tritonrepo.diagnostics import Severity, Stop
from tritonrepo.export import container
from tritonrepo.export.container import Container
from tritonrepo.export.gguf import chat_format
from tritonrepo.export.llama import decoder

SCALARS: dict[str, tuple[str, list[Any]]] = {
    "UINT8": ("add_uint8", [0, 255]),
    "INT8": ("add_int8", [-128, 127]),
    "UINT16": ("add_uint16", [0, 65_535]),
    "INT16": ("add_int16", [-32_768, 32_767]),
    "UINT32": ("add_uint32", [0, 2**32 - 1]),
    "INT32": ("add_int32", [-(2**31), 2**31 - 1]),
    "UINT64": ("add_uint64", [0, 2**64 - 1]),
    "INT64": ("add_int64", [-(2**63), 2**63 - 1]),
    "FLOAT32": ("add_float32", [-0.5, 1.5]),
    "FLOAT64": ("add_float64", [0.1, -1e300]),
    "BOOL": ("add_bool", [True, False]),
    "STRING": ("add_string", ["a", "naïve 東京"]),
}


@pytest.mark.parametrize(("add", "values"), SCALARS.values(), ids=SCALARS)
def test_a_value_of_each_type_is_read_at_both_ends_of_its_range(add: str, values: list[Any], tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m", "llama")
    for number, value in enumerate(values):
        getattr(writer, add)(f"key.{number}", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    read = container.read(tmp_path / "m").metadata
    found = [read[f"key.{number}"] for number in range(len(values))]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


LISTS: dict[str, list[Any]] = {
    "numbers": [1, -2, 3],
    "fractions": [0.5, -1.5],
    "flags": [True, False, True],
    "texts": ["a", "", "é"],
}


@pytest.mark.parametrize("values", LISTS.values(), ids=LISTS)
def test_a_list_and_what_follows_it_are_read(values: list[Any], tmp_path: Path) -> None:
    metadata = {"first": values, "then": "text"}
    assert container.read(write_gguf(tmp_path / "m", metadata, {})).metadata == {
        "general.architecture": "llama",
        **metadata,
    }


def text(value: str | bytes) -> bytes:
    content = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(content)) + content


def header(*values: bytes, tensors: bytes = b"", count: int = 0, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    """Return a header written by hand (ggml, docs/gguf.md), with keys and values ready-made."""
    return magic + struct.pack("<IQQ", version, count, len(values)) + b"".join(values) + tensors


def tensor(name: str, *dims: int, kind: int = 0, start: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, start)


STRING, UINT32 = 8, 4
NAMED = text("general.architecture") + struct.pack("<I", STRING) + text("llama")


def aligned(value: int) -> bytes:
    return text("general.alignment") + struct.pack("<Ii", 5, value)


BROKEN = {
    "another magic": (header(magic=b"GGML"), "it begins with b'GGML', not b'GGUF'"),
    "a version before": (header(version=1), "its version is 1, but only the little-endian versions 2 and 3"),
    "a version after": (header(version=4), "its version is 4, but"),
    "a big-endian one": (b"GGUF" + struct.pack(">I", 3), "its version is 50331648, but"),
    "a key twice": (header(NAMED, NAMED), "duplicate key general.architecture"),
    "a text that ends after the file": (header(NAMED)[:-1], "but the file has only"),
    "a text that is no UTF-8": (header(text(b"\xff")), "codec can't decode"),
    "a type of value that is unknown": (header(text("k") + struct.pack("<I", 13)), "unknown value type 13 at byte"),
    "five dimensions": (
        header(tensors=tensor("t", 1, 1, 1, 1, 1), count=1),
        "tensor t has 5 dimensions, but at most 4",
    ),
    "an alignment of zero": (header(aligned(0)), "general.alignment must be at least 1, not 0"),
    "an alignment below zero": (header(aligned(-8)), "general.alignment must be at least 1, not -8"),
    "an alignment that is text": (
        header(text("general.alignment") + struct.pack("<I", STRING) + text("32")),
        "general.alignment must be at least 1, not 32",
    ),
}


@pytest.mark.parametrize(("content", "says"), BROKEN.values(), ids=BROKEN)
def test_a_header_that_is_none_is_refused_with_the_reason(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(content)
    with pytest.raises(Stop) as stop:
        container.read(tmp_path / "m")
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert (found.rule, found.severity, found.at.path) == ("gguf-unreadable", Severity.FATAL, str(tmp_path / "m"))


@pytest.mark.parametrize("version", [2, 3])
def test_both_versions_are_read_up_to_the_last_byte(version: int, tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(header(NAMED, version=version))
    assert container.read(tmp_path / "m").metadata == {"general.architecture": "llama"}


def test_a_tensor_has_its_dims_in_the_order_of_numpy_and_starts_behind_the_header(tmp_path: Path) -> None:
    tensors = tensor("t", 2, 3, 4, 5, kind=1, start=64)
    (tmp_path / "m").write_bytes(header(NAMED, tensors=tensors, count=1))
    (place,) = container.read(tmp_path / "m").tensors.values()
    assert (place.shape, place.kind) == ((5, 4, 3, 2), 1)
    assert len(header(NAMED, tensors=tensors)) == 126
    assert place.start == 128 + 64  # the next multiple of 32


@pytest.mark.parametrize("alignment", [None, 8, 16, 64, 128])
@pytest.mark.parametrize("padding", range(0, 40, 8))
def test_tensors_are_found_whatever_the_alignment(alignment: int | None, padding: int, tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m", "llama")
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_string("padding", "x" * padding)
    want = {"a": np.arange(3, dtype=np.float32), "b": np.arange(6, dtype=np.float32).reshape(2, 3) - 9}
    for name, array in want.items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = container.read(tmp_path / "m")
    assert {name: read.array(name).tolist() for name in read.tensors} == {n: a.tolist() for n, a in want.items()}


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "Q6_K"])
@pytest.mark.parametrize("rows", [1, 3, 130])
def test_tensors_of_any_number_of_blocks_become_fp32_as_the_format_says(kind: str, rows: int, tmp_path: Path) -> None:
    kind_of = gguf.GGMLQuantizationType[kind]
    block, nbytes = gguf.GGML_QUANT_SIZES[kind_of]
    numbers = np.random.default_rng(rows)
    stored = numbers.integers(0, 60, (rows, 6 * nbytes), np.uint8)  # no byte of a scale is one of a NaN
    writer = gguf.GGUFWriter(tmp_path / "m", "llama")
    writer.add_tensor("t", stored, raw_dtype=kind_of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    want = np.concatenate([gguf.dequantize(one, kind_of) for one in stored.reshape(-1, nbytes)])
    assert container.read(tmp_path / "m").array("t").tobytes() == want.reshape(rows, 6 * block).tobytes()


def test_halves_and_blocks_of_8_bits_become_fp32(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "m", "llama")
    writer.add_tensor("half", np.array([1.5, -2], np.float16))
    # one block of 32: an FP16 scale of 0.5, then the values
    block = np.frombuffer(np.float16(0.5).tobytes() + np.arange(-16, 16, dtype=np.int8).tobytes(), np.uint8)
    writer.add_tensor("block", block.reshape(1, 34), raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    read = container.read(tmp_path / "m")
    assert read.array("half").tolist() == [1.5, -2]
    assert read.array("block").tolist() == [[value / 2 for value in range(-16, 16)]]
    assert {read.array(name).dtype for name in read.tensors} == {np.dtype(np.float32)}


def test_a_tensor_that_is_missing_or_of_an_unknown_type_is_told(tmp_path: Path) -> None:
    tensors = tensor("odd", 32, kind=999) + tensor("far", 32, start=4096)
    (tmp_path / "m").write_bytes(header(NAMED, tensors=tensors, count=2))
    read = container.read(tmp_path / "m")
    for name, says in (
        ("none", "tensor none is missing"),
        ("odd", "tensor odd of type 999 and shape [32] cannot be read"),
        ("far", "tensor far of type 0 and shape [32] cannot be read"),
    ):
        with pytest.raises(Stop) as stop:
            read.array(name)
        (found,) = stop.value.diagnostics
        assert found.message.startswith(says)
        assert (found.rule, found.at.path) == ("gguf-tensor", str(tmp_path / "m"))


def held(**metadata: Any) -> Container:  # noqa: ANN401  one value of any type that GGUF has
    return Container(Path("m.gguf"), metadata, {})


VALUES: dict[str, tuple[Callable[[], object], object]] = {
    "a text": (lambda: held(k="x").text("k"), "x"),
    "an empty text": (lambda: held(k="").text("k"), ""),
    "a text that is a number": (lambda: held(k=1).text("k"), "k must be a string, not 1"),
    "a text that is missing": (lambda: held().text("k"), "k is missing"),
    "zero": (lambda: held(k=0).whole("k"), 0),
    "an integer before its default": (lambda: held(k=3).whole("k", 5), 3),
    "zero before its default": (lambda: held(k=0).whole("k", 5), 0),
    "an integer by default": (lambda: held().whole("k", 5), 5),
    "an integer that is missing": (lambda: held().whole("k"), "k is missing"),
    "an integer below zero": (lambda: held(k=-1).whole("k"), "k must be an integer of 0 or more, not -1"),
    "an integer that is a flag": (lambda: held(k=True).whole("k"), "k must be an integer of 0 or more, not True"),
    "an integer that is a fraction": (lambda: held(k=1.0).whole("k"), "k must be an integer of 0 or more, not 1.0"),
    "a fraction": (lambda: held(k=0.5).number("k"), 0.5),
    "an integer for a number": (lambda: held(k=2).number("k"), 2.0),
    "a number by default": (lambda: held().number("k", 0.25), 0.25),
    "a number before its default": (lambda: held(k=0.5).number("k", 0.25), 0.5),
    "a number that is missing": (lambda: held().number("k"), "k is missing"),
    "a number of zero": (lambda: held(k=0.0).number("k"), "k must be a number above 0, not 0.0"),
    "a number below zero": (lambda: held(k=-0.5).number("k"), "k must be a number above 0, not -0.5"),
    "a number that is a flag": (lambda: held(k=True).number("k"), "k must be a number above 0, not True"),
    "texts": (lambda: held(k=["a", ""]).texts("k"), ["a", ""]),
    "no texts": (lambda: held(k=[]).texts("k"), []),
    "texts that are one": (lambda: held(k="ab").texts("k"), "k must be a list of strings, not 'ab'"),
    "texts with a number": (lambda: held(k=["a", 1]).texts("k"), "k must be a list of strings, not ['a', 1]"),
    "texts that are missing": (lambda: held().texts("k"), "k is missing"),
}


@tabled(("value", "want"), VALUES.values(), ids=VALUES)
def test_a_value_is_of_the_type_that_is_needed_or_refused(value: Callable[[], object], want: object) -> None:
    try:
        found = value()
    except Stop as stop:
        (said,) = stop.diagnostics
        assert said.message == want
        assert (said.rule, said.severity, said.at.path) == ("gguf-metadata", Severity.FATAL, "m.gguf")
    else:
        assert found == want
        assert type(found) is type(want)


def ended(**ids: int | None) -> dict[str, Any]:
    return changed(**{f"tokenizer__ggml__{name}_token_id": number for name, number in ids.items()})


ENDS = {
    "the end of the text": (ended(eos=1), [1]),
    "the end of a turn as well": (ended(eos=1, eot=2), [1, 2]),
    "the end of a message as well": (ended(eos=1, eom=3), [1, 3]),
    "all of them": (ended(eos=2, eot=1, eom=0), [2, 1, 0]),
    "one that is named twice": (ended(eos=1, eot=1, eom=2), [1, 2]),
}


@pytest.mark.parametrize(("metadata", "ids"), ENDS.values(), ids=ENDS)
def test_a_generation_ends_at_each_end_token_of_the_file(
    metadata: dict[str, Any], ids: list[int], tmp_path: Path
) -> None:
    source = write_gguf(tmp_path / "m.gguf", metadata, llama_weights())
    decoder(source, tmp_path / "llm")
    said = json.loads((tmp_path / "llm" / "generation.json").read_text("utf-8"))
    assert said["eos_token_ids"] == ids
    assert chat_format(source).eos_token == TOKENS[ids[0]]


BEGINNINGS: dict[str, tuple[dict[str, Any], bool, int | None, str]] = {
    "added": ({}, True, 0, "<|s|>"),
    "another token": ({"bos_token_id": 5}, True, 5, TOKENS[5]),
    "not added": ({"add_bos_token": False}, False, 0, "<|s|>"),
    "not said": ({"add_bos_token": None}, False, 0, "<|s|>"),
    "a number for yes": ({"add_bos_token": 1}, False, 0, "<|s|>"),
    "added, but which is missing": ({"bos_token_id": None}, False, None, ""),
}


@pytest.mark.parametrize(("changes", "adds", "number", "token"), BEGINNINGS.values(), ids=BEGINNINGS)
def test_a_prompt_begins_as_the_file_says(
    changes: dict[str, Any],
    adds: bool,  # noqa: FBT001
    number: int | None,
    token: str,
    tmp_path: Path,
) -> None:
    metadata = changed(**{f"tokenizer__ggml__{key}": value for key, value in changes.items()})
    source = write_gguf(tmp_path / "m.gguf", metadata, llama_weights())
    decoder(source, tmp_path / "llm")
    said = json.loads((tmp_path / "llm" / "generation.json").read_text("utf-8"))
    assert (said["adds_bos"], said["bos_token_id"]) == (adds, number)
    found = chat_format(source)
    assert (found.adds_bos, found.bos_token) == (adds, token)


TEMPLATES = {"none": (None, ""), "a list": ([1], ""), "a text": ("{{ x }}", "{{ x }}")}


@pytest.mark.parametrize(("said", "template"), TEMPLATES.values(), ids=TEMPLATES)
def test_a_chat_template_is_a_text_or_none(said: object, template: str, tmp_path: Path) -> None:
    source = write_gguf(tmp_path / "m.gguf", changed(tokenizer__chat_template=said), {})
    assert chat_format(source).chat_template == template


def test_the_context_is_that_of_the_files_architecture(tmp_path: Path) -> None:
    metadata = changed() | {"qwen2.context_length": 33}
    assert chat_format(write_gguf(tmp_path / "m.gguf", metadata, {}, "qwen2")).context_length == 33


def test_the_last_id_of_the_vocabulary_is_a_token_and_the_next_is_none(tmp_path: Path) -> None:
    last = len(TOKENS) - 1
    assert chat_format(write_gguf(tmp_path / "m.gguf", ended(eos=last), {})).eos_token == "12"
    with pytest.raises(Stop, match=f"token id {last + 1} is outside the vocabulary of {last + 1}"):
        chat_format(write_gguf(tmp_path / "n.gguf", ended(eos=last + 1), {}))


def test_special_are_unknown_and_control_tokens_only(tmp_path: Path) -> None:
    """Types 1 to 6: normal, unknown, control, user-defined, unused, byte (llama.cpp, include/llama.h)."""
    source = write_gguf(tmp_path / "m.gguf", changed(tokenizer__ggml__token_type=[3, 2, 4, 1, 5, 6, *TYPES[6:]]), {})
    found = chat_format(source)
    assert found.special_tokens == ("<|s|>", "<|e|>")
    added = json.loads(found.tokenizer_json)["added_tokens"]
    assert [(token["id"], token["content"], token["special"]) for token in added] == [
        (0, "<|s|>", True),
        (1, "<|e|>", True),
        (2, "<tag>", False),
    ]


SPELT = {
    "a word inside": ("the the", ["the", "Ġth", "e"]),
    "no space is put before": ("the", ["the"]),
    "digits one by one": ("12", ["1", "2"]),
    "digits in a word": ("a1b", ["a", "1", "b"]),
    "a special token in a word": ("a<|e|>b", ["a", "<|e|>", "b"]),
    "spaces around a special token": ("a <|e|> b", ["a", "Ġ", "<|e|>", "Ġ", "b"]),
    "an added token in a word": ("a<tag>b", ["a", "<tag>", "b"]),
    "spaces around an added token": ("a <tag> b", ["a", "Ġ", "<tag>", "Ġ", "b"]),
    "bytes": ("é", ["Ã", "©"]),
    "a contraction": ("I'the", ["I", "'", "t", "h", "e"]),
    "marks and letters apart": ("!the", ["!", "the"]),
}


@pytest.mark.parametrize(("given", "pieces"), SPELT.values(), ids=SPELT)
def test_a_text_is_split_as_the_model_was_trained(given: str, pieces: list[str], tmp_path: Path) -> None:
    found = chat_format(write_gguf(tmp_path / "m.gguf", llama_metadata(), {}))
    tokenizer = Tokenizer.from_str(found.tokenizer_json.decode())
    encoded = tokenizer.encode(given)
    assert encoded.tokens == pieces
    assert encoded.ids == [TOKENS.index(piece) for piece in pieces]
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == given


@settings(max_examples=40)
@given(given=st.text(st.sampled_from("teh12 é<>|s!'\n"), max_size=30))
def test_a_text_of_known_bytes_comes_back_whole(given: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.getbasetemp() / "whole.gguf"
    if not source.exists():
        metadata = changed(tokenizer__ggml__tokens=[*TOKENS, "Ċ"], tokenizer__ggml__token_type=[*TYPES, 1])
        write_gguf(source, metadata, {})
    tokenizer = Tokenizer.from_str(chat_format(source).tokenizer_json.decode())
    assert tokenizer.decode(tokenizer.encode(given).ids, skip_special_tokens=False) == given


UNFIT = {
    "a token twice": (changed(tokenizer__ggml__tokens=[*TOKENS[:-1], "the"]), "duplicate token 'the'"),
    "no types": (changed(tokenizer__ggml__token_type=None), "token_type must list the type of each of the 104 tokens"),
    "a type too few": (changed(tokenizer__ggml__token_type=TYPES[1:]), "must list the type of each of the 104 tokens"),
    "a type too many": (changed(tokenizer__ggml__token_type=[*TYPES, 1]), "the type of each of the 104 tokens"),
    "a merge without its left": (changed(tokenizer__ggml__merges=["Z12 1"]), "merge 'Z12 1' uses tokens"),
    "a merge without its right": (changed(tokenizer__ggml__merges=["t hh"]), "merge 't hh' uses tokens"),
    "a merge without what it makes": (changed(tokenizer__ggml__merges=["t h", "e t"]), "merge 'e t' uses tokens"),
    "a merge of one": (changed(tokenizer__ggml__merges=["the"]), "merge 'the' uses tokens"),
    "no merges": (changed(tokenizer__ggml__merges=None), "tokenizer.ggml.merges is missing"),
    "no model": (changed(tokenizer__ggml__model=None), "tokenizer.ggml.model is missing"),
    "no context": (changed(llama__context_length=None), "llama.context_length is missing"),
    "an end of turns only": (ended(eos=None, eot=1), "tokenizer.ggml.eos_token_id is missing"),
}


@pytest.mark.parametrize(("metadata", "says"), UNFIT.values(), ids=UNFIT)
def test_a_tokenizer_that_does_not_fit_is_told(metadata: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(Stop) as stop:
        chat_format(write_gguf(tmp_path / "m.gguf", metadata, {}))
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert (found.severity, found.at.path) == (Severity.FATAL, str(tmp_path / "m.gguf"))


def sized(**sizes: Any) -> dict[str, Any]:  # noqa: ANN401  one value of any type that GGUF has
    return changed(**{f"llama__{key}": value for key, value in sizes.items()})


REFUSED = {
    "a value size of its own": (sized(attention__value_length=32), "llama.attention.value_length must be 16, not 32"),
    "a part that turns": (sized(rope__dimension_count=8), "llama.rope.dimension_count must be 16, not 8"),
    "experts in use": (sized(expert_used_count=2), "llama.expert_used_count is 2, which the exported decoder"),
    "positions that are scaled": (sized(rope__scaling__factor=2.0), "llama.rope.scaling.factor is 2.0, which"),
    "a clamp": (sized(attention__clamp_kqv=8.0), "llama.attention.clamp_kqv is 8.0, which"),
    "heads that share unevenly": (sized(attention__head_count_kv=3), "64 values cannot be split evenly into 4 heads"),
    "heads that share nothing": (sized(attention__head_count_kv=0), "into 4 heads over 0 key heads"),
    "a head that attention cannot turn": (
        sized(attention__head_count=8, attention__head_count_kv=8),
        "the size of a head must be a multiple of 16, not 8",
    ),
    "no layers": (sized(block_count=0), "cannot be split evenly"),
    "nothing between": (sized(feed_forward_length=0), "cannot be split evenly"),
    "no context": (sized(context_length=0), "cannot be split evenly"),
    "a width that is no multiple of 32": (
        sized(embedding_length=48, attention__head_count=3, attention__head_count_kv=3),
        "the widths of the hidden layer (48), the feed-forward layer (96) and all heads (48) must be multiples",
    ),
    "another width": (sized(feed_forward_length=128), "tensor blk.0.ffn_gate.weight has shape [96, 64], not [128, 64]"),
    "more key heads": (
        sized(attention__head_count_kv=None),
        "tensor blk.0.attn_k.weight has shape [32, 64], not [64, 64]",
    ),
    "no epsilon": (sized(attention__layer_norm_rms_epsilon=None), "layer_norm_rms_epsilon is missing"),
    "an epsilon of zero": (sized(attention__layer_norm_rms_epsilon=0.0), "epsilon must be a number above 0, not 0.0"),
    "no layers said": (sized(block_count=None), "llama.block_count is missing"),
    "no heads said": (sized(attention__head_count=None), "llama.attention.head_count is missing"),
}


@pytest.mark.parametrize(("metadata", "says"), REFUSED.values(), ids=REFUSED)
def test_a_decoder_that_would_compute_something_else_is_refused(
    metadata: dict[str, Any], says: str, tmp_path: Path
) -> None:
    source = write_gguf(tmp_path / "m.gguf", metadata, llama_weights())
    with pytest.raises(Stop) as stop:
        decoder(source, tmp_path / "llm")
    (found,) = stop.value.diagnostics
    assert says in found.message
    assert (found.severity, found.at.path) == (Severity.FATAL, str(source))
    assert [path.name for path in tmp_path.iterdir()] == ["m.gguf"]


def test_logits_of_another_shape_are_refused(tmp_path: Path) -> None:
    weights = llama_weights() | {"output.weight": np.zeros((len(TOKENS), 32), np.float32)}
    with pytest.raises(Stop, match=r"tensor output\.weight has shape \[104, 32\], not \[104, 64\]"):
        decoder(write_gguf(tmp_path / "m.gguf", llama_metadata(), weights), tmp_path / "llm")


def test_keys_that_say_what_is_so_anyway_change_nothing(tmp_path: Path) -> None:
    plainly = sized(
        rope__scaling__type="none",
        rope__dimension_count=16,
        expert_count=0,
        expert_used_count=0,
        attention__key_length=16,
        attention__value_length=16,
        vocab_size=len(TOKENS),
    )
    weights = llama_weights()
    for name, metadata in (("without", llama_metadata()), ("with", plainly)):
        decoder(write_gguf(tmp_path / f"{name}.gguf", metadata, weights), tmp_path / name)
    assert (tmp_path / "with" / "model.onnx").read_bytes() == (tmp_path / "without" / "model.onnx").read_bytes()


def reshaped(hidden: int, heads: int, shared: int, layers: int, between: int) -> Weights:
    """Return random weights of a decoder with these sizes, under GGUF's names."""
    rng = np.random.default_rng(11)
    keys = hidden // heads * shared
    layer = {"attn_q": (hidden, hidden), "attn_k": (keys, hidden), "attn_v": (keys, hidden)}
    layer |= {"attn_output": (hidden, hidden), "ffn_gate": (between, hidden), "ffn_up": (between, hidden)}
    layer |= {"ffn_down": (hidden, between)}
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (len(TOKENS), hidden), "output_norm.weight": (hidden,)}
    for n in range(layers):
        shapes |= {f"blk.{n}.{name}.weight": shape for name, shape in layer.items()}
        shapes |= {f"blk.{n}.{name}.weight": (hidden,) for name in ("attn_norm", "ffn_norm")}
    return {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


SIZES: dict[str, tuple[tuple[int, int, int, int, int], float | None, float]] = {
    "a key head for each head, which is the default": ((128, 8, 8, 1, 96), None, 1e-5),
    "one key head for all": ((96, 2, 1, 3, 64), 10_000.0, 0.5),
    "one head": ((64, 1, 1, 1, 64), None, 1e-5),
    "three heads for each key head": ((96, 6, 2, 1, 96), 50.0, 1e-5),
}


@pytest.mark.parametrize(("sizes", "base", "epsilon"), SIZES.values(), ids=SIZES)
def test_logits_are_the_references_in_direction_and_length(
    sizes: tuple[int, int, int, int, int], base: float | None, epsilon: float, tmp_path: Path
) -> None:
    hidden, heads, shared, layers, between = sizes
    metadata = sized(
        embedding_length=hidden,
        feed_forward_length=between,
        block_count=layers,
        attention__head_count=heads,
        attention__head_count_kv=None if heads == shared else shared,
        attention__layer_norm_rms_epsilon=epsilon,
        rope__freq_base=base,
    )
    weights = reshaped(*sizes)
    decoder(write_gguf(tmp_path / "m.gguf", metadata, weights), tmp_path / "llm")
    ids = [3, 50, 7, 99, 12, 64, 31, 8, 77, 20]
    want = reference.Llama(weights, heads, shared, base=base or 10_000.0, epsilon=epsilon).logits(ids)
    at_once, in_steps = Generator(tmp_path / "llm"), Generator(tmp_path / "llm")
    stepped = [in_steps.feed([token]) for token in ids]
    for got in (at_once.feed(ids), stepped[-1]):
        # 8 bits in weights and activations
        assert cosines(got, want) > 0.997
        assert abs(np.linalg.norm(got) / np.linalg.norm(want) - 1) < 0.02


def test_rows_of_a_batch_do_not_reach_into_each_other(tmp_path: Path) -> None:
    decoder(write_gguf(tmp_path / "m.gguf", llama_metadata(), llama_weights()), tmp_path / "llm")
    rows = [[3, 50, 7, 99], [12, 64, 31, 8]]
    session = Generator(tmp_path / "llm").session
    empty = {
        tensor.name: np.zeros((2, tensor.shape[1], 0, tensor.shape[3]), np.float32)
        for tensor in session.get_inputs()
        if tensor.name.startswith("past_key_values.")
    }
    lengths = {"seqlens_k": np.array([3, 3], np.int32), "total_sequence_length": np.array(4, np.int32)}
    both = session.run(["logits"], {"input_ids": np.array(rows, np.int64), **lengths, **empty})[0]
    for row, got in zip(rows, both, strict=True):
        assert cosines(got, Generator(tmp_path / "llm").feed(row)) > 0.9999


def test_a_decoders_weights_are_the_files_to_half_a_step_of_8_bits(tmp_path: Path) -> None:
    weights = llama_weights()
    weights["blk.1.ffn_up.weight"][5, 32:] = 0  # a block of nothing
    decoder(write_gguf(tmp_path / "m.gguf", llama_metadata(), weights), tmp_path / "llm")
    graph = onnx.load(tmp_path / "llm" / "model.onnx").graph
    constants = {constant.name: numpy_helper.to_array(constant) for constant in graph.initializer}
    for name in ("token_embd.weight", "blk.0.attn_q.weight", "blk.1.ffn_up.weight"):
        blocks, scales = constants[f"{name}.blocks"], constants[f"{name}.scales"].reshape(len(weights[name]), -1, 1)
        values = (blocks.astype(np.float64) - 128) * scales
        want = weights[name].reshape(blocks.shape)
        assert (np.abs(values - want) <= scales * 0.501).all()
        # all 255 steps are used: the largest weight of each block is 127 of them
        assert np.array_equal(np.abs(blocks.astype(int) - 128).max(-1) == 127, np.abs(want).max(-1) > 0)
        assert blocks.min() >= 1
    assert not (constants["blk.1.ffn_up.weight.blocks"][5, 1] != 128).any()


def test_a_decoder_takes_and_gives_what_its_backend_expects(tmp_path: Path) -> None:
    decoder(write_gguf(tmp_path / "m.gguf", llama_metadata(), llama_weights()), tmp_path / "llm")
    proto = onnx.load(tmp_path / "llm" / "model.onnx")
    states = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    assert declared(proto.graph.input) == [
        ("input_ids", "INT64", ["batch", "new"]),
        ("seqlens_k", "INT32", ["batch"]),
        ("total_sequence_length", "INT32", []),
        *((f"past_key_values.{state}", "FP32", ["batch", 2, "past", 16]) for state in states),
    ]
    assert declared(proto.graph.output) == [
        ("logits", "FP32", ["batch", len(TOKENS)]),
        *((f"present.{state}", "FP32", ["batch", 2, "total", 16]) for state in states),
    ]
    opsets = [(opset.domain, opset.version) for opset in proto.opset_import]
    assert (proto.ir_version, opsets) == (8, [("", 17), ("com.microsoft", 1)])
    turned = next(numpy_helper.to_array(t) for t in proto.graph.initializer if t.name == "sines")
    assert turned.shape == (64, 8)
    assert turned[63, 1] == pytest.approx(np.sin(63 * 500.0 ** (-2 / 16)), abs=1e-6)
