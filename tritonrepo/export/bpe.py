"""The byte-level BPE vocabulary of a GGUF file → tokenizer.json, byte for byte whatever the `tokenizers` version."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.export.container import Container

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}

PRE_TOKENIZERS: Mapping[str, list[dict[str, Any]]] = {
    "smollm": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL],
}
r"""tokenizer.ggml.pre → the library's pre-tokenizers, in order.

Source: llama.cpp, src/llama-vocab.cpp, LLAMA_VOCAB_PRE_TYPE_SMOLLM: split at each `\p{N}`, then by GPT-2's expression,
which ByteLevel applies.
"""


class Kind(IntEnum):
    """tokenizer.ggml.token_type (llama.cpp, include/llama.h, llama_token_type), as far as needed here."""

    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4


class Vocabulary(NamedTuple):
    """Tokens by id, and the ids that are matched in text before BPE: special tokens, and the model's own additions."""

    tokens: list[str]
    special: tuple[int, ...]
    added: tuple[int, ...]


def vocabulary(container: Container) -> Vocabulary:
    """Read the vocabulary; raise Stop for another kind of tokenizer, and for tokens and types that do not match."""
    kind = container.text("tokenizer.ggml.model")
    if kind != "gpt2":
        raise _unknown(container, "tokenizer.ggml.model", kind, ["gpt2"])
    tokens = container.texts("tokenizer.ggml.tokens")
    types = container.metadata.get("tokenizer.ggml.token_type")
    if not isinstance(types, list) or len(types) != len(tokens):
        raise _unfit(container, f"tokenizer.ggml.token_type must list the type of each of the {len(tokens)} tokens")
    if len(set(tokens)) != len(tokens):
        twice = next(token for token, count in Counter(tokens).items() if count > 1)
        raise _unfit(container, f"duplicate token {twice!r} in the vocabulary")
    special = tuple(at for at, kind in enumerate(types) if kind in {Kind.UNKNOWN, Kind.CONTROL})
    return Vocabulary(tokens, special, tuple(at for at, kind in enumerate(types) if kind == Kind.USER_DEFINED))


def tokenizer_json(container: Container, words: Vocabulary) -> bytes:
    """Return the file that `tokenizers.Tokenizer.from_file` loads: UTF-8, without post-processor, so without BOS."""
    pre = container.text("tokenizer.ggml.pre")
    if pre not in PRE_TOKENIZERS:
        raise _unknown(container, "tokenizer.ggml.pre", pre, list(PRE_TOKENIZERS))
    ids = {token: number for number, token in enumerate(words.tokens)}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            _added(number, words.tokens[number], special=number in words.special)
            for number in sorted(words.special + words.added)
        ],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": PRE_TOKENIZERS[pre]},
        "post_processor": None,
        "decoder": BYTE_LEVEL,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": ids,
            "merges": _merges(container, ids),
        },
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _added(number: int, token: str, *, special: bool) -> dict[str, Any]:
    sides = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": token, **sides, "special": special}


def _merges(container: Container, ids: Mapping[str, int]) -> list[str]:
    """Return the merges as in the file, `left right`; raise Stop if one makes a token outside the vocabulary."""
    merges = container.texts("tokenizer.ggml.merges")
    for merge in merges:
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= ids.keys():
            raise _unfit(container, f"merge {merge!r} uses tokens that are not in the vocabulary")
    return merges


def _unknown(container: Container, key: str, value: str, known: list[str]) -> Stop:
    return fatal(
        "gguf-tokenizer",
        str(container.path),
        f"{key} is {value!r}, but only {' and '.join(known)} can be converted",
        "Use another model.",
    )


def _unfit(container: Container, message: str) -> Stop:
    return fatal("gguf-tokenizer", str(container.path), message, "Use another GGUF file.")
