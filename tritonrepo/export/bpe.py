"""The vocabulary of a GGUF file, or of vocab.json and merges.txt → tokenizer.json, byte for byte the same each time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.export import sentencepiece
from tritonrepo.export.container import Container
from tritonrepo.export.sentencepiece import Kind, Piece, Prefix, UnfitError, added

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}

LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
    r"\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN_2 = LLAMA_3.replace("{1,3}", "")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Split(NamedTuple):
    """How a text is cut before BPE, and what a GGUF file with this name says by it.

    A piece that is `whole` in the vocabulary is not merged from parts; BOS is added unless the file says otherwise.
    """

    pre_tokenizers: list[dict[str, Any]]
    normalizer: Mapping[str, Any] | None = None
    whole: bool = False
    adds_bos: bool = False


def _by(expression: str) -> list[dict[str, Any]]:
    return [{"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False}, BYTES]


SPLITS: Mapping[str, Split] = {
    "smollm": Split([{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]),
    "gpt-2": Split([BYTE_LEVEL]),
    "qwen2": Split(_by(QWEN_2), {"type": "NFC"}),
    "llama-bpe": Split(_by(LLAMA_3), whole=True, adds_bos=True),
    "tekken": Split(_by(TEKKEN), whole=True, adds_bos=True),
}
r"""tokenizer.ggml.pre → the split.

Source: llama.cpp, src/llama-vocab.cpp, llm_tokenizer_bpe and llama_vocab::impl::load, whose comments have the
expressions of the models' own tokenizer.json. smollm is cut at each `\p{N}`, then by GPT-2's expression, which
ByteLevel applies; the normalizer of qwen2 is in transformers, models/qwen2/tokenization_qwen2.py.
"""

SENTENCEPIECE, BYTE_BPE = "llama", "gpt2"
"""The values of tokenizer.ggml.model that can be converted."""


class Vocabulary(NamedTuple):
    """Tokens by id, and the ids that are matched in text before BPE: special tokens, and the model's own additions."""

    tokens: list[str]
    special: tuple[int, ...]
    added: tuple[int, ...]


def vocabulary(container: Container) -> Vocabulary:
    """Read the vocabulary; raise Stop for another kind of tokenizer, and for tokens and types that do not match."""
    kind = container.text("tokenizer.ggml.model")
    if kind not in {SENTENCEPIECE, BYTE_BPE}:
        raise _unknown(container, "tokenizer.ggml.model", kind, [BYTE_BPE, SENTENCEPIECE])
    tokens = container.texts("tokenizer.ggml.tokens")
    types = container.metadata.get("tokenizer.ggml.token_type")
    if not isinstance(types, list) or len(types) != len(tokens):
        raise _unfit(container, f"tokenizer.ggml.token_type must list the type of each of the {len(tokens)} tokens")
    if len(set(tokens)) != len(tokens):
        twice = next(token for token, count in Counter(tokens).items() if count > 1)
        raise _unfit(container, f"duplicate token {twice!r} in the vocabulary")
    special = tuple(at for at, kind in enumerate(types) if kind in {Kind.UNKNOWN, Kind.CONTROL})
    return Vocabulary(tokens, special, tuple(at for at, kind in enumerate(types) if kind == Kind.USER_DEFINED))


def adds_bos(container: Container) -> bool:
    """Return whether BOS is added where a file does not say it (llama.cpp, src/llama-vocab.cpp)."""
    if container.text("tokenizer.ggml.model") == SENTENCEPIECE:
        return True
    pre = SPLITS.get(str(container.metadata.get("tokenizer.ggml.pre")))
    return pre is not None and pre.adds_bos


def tokenizer_json(container: Container, words: Vocabulary) -> bytes:
    """Return the file that `tokenizers.Tokenizer.from_file` loads: UTF-8, without post-processor, so without BOS."""
    if container.text("tokenizer.ggml.model") == SENTENCEPIECE:
        return written(_pieces(container, words))
    pre = container.text("tokenizer.ggml.pre")
    if pre not in SPLITS:
        raise _unknown(container, "tokenizer.ggml.pre", pre, list(SPLITS))
    ids = {token: number for number, token in enumerate(words.tokens)}
    tokens = [
        added(number, words.tokens[number], special=number in words.special)
        for number in sorted(words.special + words.added)
    ]
    return written(document(ids, _merges(container, ids), SPLITS[pre], tokens))


def document(
    ids: Mapping[str, int], merges: Sequence[str], split: Split, tokens: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return tokenizer.json for a byte-level BPE; merges are `left right`, tokens are those that are added."""
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": list(tokens),
        "normalizer": split.normalizer,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": split.pre_tokenizers},
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
            **({"ignore_merges": True} if split.whole else {}),
            "vocab": dict(ids),
            "merges": list(merges),
        },
    }


def written(tokenizer: Mapping[str, Any]) -> bytes:
    """Return the bytes of tokenizer.json."""
    return json.dumps(tokenizer, ensure_ascii=False, separators=(",", ":")).encode()


def _pieces(container: Container, words: Vocabulary) -> dict[str, Any]:
    """Return tokenizer.json for a SentencePiece vocabulary, whose texts begin with a space unless the file says no."""
    scores, types = (container.metadata.get(f"tokenizer.ggml.{name}") for name in ("scores", "token_type"))
    assert isinstance(types, list)  # noqa: S101  see vocabulary
    if not isinstance(scores, list) or len(scores) != len(words.tokens):
        raise _unfit(container, f"tokenizer.ggml.scores must list the score of each of the {len(words.tokens)} tokens")
    pieces = [
        Piece(text, float(score), int(kind)) for text, score, kind in zip(words.tokens, scores, types, strict=True)
    ]
    unknown = container.whole("tokenizer.ggml.unknown_token_id", 0)
    begins = container.metadata.get("tokenizer.ggml.add_space_prefix", True) is not False
    made = sentencepiece.Vocabulary(pieces, unknown=unknown)
    try:
        return sentencepiece.document(made, Prefix.LEGACY if begins else Prefix.NEVER)
    except UnfitError as error:
        raise _unfit(container, f"the vocabulary cannot be converted: {error}") from None


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
        f"{key} is {value!r}, but only {', '.join(known[:-1])} and {known[-1]} can be converted",
        "Use another model.",
    )


def _unfit(container: Container, message: str) -> Stop:
    return fatal("gguf-tokenizer", str(container.path), message, "Use another GGUF file.")
