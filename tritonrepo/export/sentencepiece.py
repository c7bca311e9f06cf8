"""A SentencePiece vocabulary → tokenizer.json, with the same tokens as transformers gives for it.

Source of the messages: sentencepiece, src/sentencepiece_model.proto; of the conversion: transformers 4.57 and 5,
convert_slow_tokenizer.py, LlamaConverter and GemmaConverter, and models/llama/tokenization_llama.py.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import Any, NamedTuple

SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What stands for a space in pieces."""

UNIGRAM, BPE = 1, 2
"""trainer_spec.model_type."""

TURNS = frozenset({"<start_of_turn>", "<end_of_turn>"})
"""User-defined pieces of Gemma that are special tokens."""

LONGEST = 1024
"""Maximum characters of a piece: each is tried at every place where it could be cut."""

BYTES = 64 << 20
"""Maximum bytes of a ModelProto; Gemma's, with 256,000 pieces, has 4 MiB."""

LENGTH, FIXED_64, FIXED_32 = 2, 1, 5
"""Wire types of protobuf that are not varints."""


class Kind(IntEnum):
    """ModelProto.SentencePiece.Type, as far as needed here; GGUF has the same numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    BYTE = 6


class Prefix(StrEnum):
    """Where a text gets the space before its first word."""

    LEGACY = "legacy"
    """Before each text between special tokens, also if it begins with a space."""

    ALWAYS = "always"
    FIRST = "first"
    NEVER = "never"


class Piece(NamedTuple):
    """A token of the vocabulary."""

    text: str
    score: float
    kind: int


class Vocabulary(NamedTuple):
    """Pieces by id, and what the trainer says about them."""

    pieces: Sequence[Piece]
    algorithm: int = BPE
    unknown: int = 0
    bytes_left: bool = True


class UnfitError(Exception):
    """The reason why a vocabulary cannot be read or converted."""


def parsed(data: bytes) -> Vocabulary:
    """Read a ModelProto; raise UnfitError if it is none."""
    if len(data) > BYTES:
        raise UnfitError(f"it has {len(data):,} bytes, but at most {BYTES:,} are read")
    pieces, trainer = list[Piece](), dict[int, Any]()
    for field, value in _fields(data):
        if field == 1 and isinstance(value, bytes):
            pieces.append(_piece(dict(_fields(value))))
        elif field == 2 and isinstance(value, bytes):  # noqa: PLR2004  the number of trainer_spec
            trainer = dict(_fields(value))
    if not pieces:
        raise UnfitError("it has no pieces")
    # trainer_spec: model_type = 3, byte_fallback = 35, unk_id = 40
    return Vocabulary(pieces, trainer.get(3, UNIGRAM), trainer.get(40, 0), bool(trainer.get(35, 0)))


def _piece(fields: Mapping[int, Any]) -> Piece:
    text, score = fields.get(1, b""), fields.get(2, b"\0\0\0\0")
    if not isinstance(text, bytes) or not isinstance(score, bytes):
        raise UnfitError("a piece has no text or no score")
    return Piece(text.decode(), struct.unpack("<f", score)[0], int(fields.get(3, Kind.NORMAL)))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield number and value of each field: an integer, or the bytes of anything else (protobuf, encoding.md)."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        if wire == LENGTH:
            size, at = _varint(data, at)
        elif wire in {FIXED_32, FIXED_64}:
            size = 4 if wire == FIXED_32 else 8
        else:
            raise UnfitError(f"wire type {wire} at byte {at:,} is unknown")
        if at + size > len(data):
            raise UnfitError(f"a field ends at byte {at + size:,}, but there are only {len(data):,}")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:  # noqa: PLR2004  bits
        if at >= len(data):
            break
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:  # noqa: PLR2004  the last byte
            return value, at
    raise UnfitError(f"a number at byte {at:,} does not end")


def document(words: Vocabulary, prefix: Prefix, *, split: bool = False) -> dict[str, Any]:
    """Return tokenizer.json without post-processor; `split` cuts texts after each space, as Gemma does.

    Raise UnfitError for a vocabulary that cannot be converted exactly.
    """
    if split:
        normalizer, pre = _replace(" ", SPACE), {"type": "Split", "pattern": {"String": " "}, **AFTER}
    elif prefix is Prefix.LEGACY or prefix is Prefix.NEVER:
        first = [{"type": "Prepend", "prepend": SPACE}] if prefix is Prefix.LEGACY else []
        normalizer, pre = {"type": "Sequence", "normalizers": [*first, _replace(" ", SPACE)]}, None
    else:
        normalizer = None
        pre = {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": str(prefix), "split": False}
    strip = [] if prefix is Prefix.NEVER else [{"type": "Strip", "content": " ", "start": 1, "stop": 0}]
    decoders = [_replace(SPACE, " "), {"type": "ByteFallback"}, {"type": "Fuse"}, *strip]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            added(number, piece.text, special=piece.kind != Kind.USER_DEFINED or (split and piece.text in TURNS))
            for number, piece in enumerate(words.pieces)
            if piece.kind in {Kind.CONTROL, Kind.UNKNOWN, Kind.USER_DEFINED}
        ],
        "normalizer": normalizer,
        "pre_tokenizer": pre,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": _unigram(words) if words.algorithm == UNIGRAM else _bpe(words),
    }


AFTER = {"behavior": "MergedWithPrevious", "invert": False}


def added(number: int, token: str, *, special: bool) -> dict[str, Any]:
    """Return the entry of a token that is matched in a text as it is."""
    sides = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": number, "content": token, **sides, "special": special}


def _replace(found: str, by: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": {"String": found}, "content": by}


def _unigram(words: Vocabulary) -> dict[str, Any]:
    vocabulary = [[piece.text, piece.score] for piece in words.pieces]
    return {"type": "Unigram", "unk_id": words.unknown, "vocab": vocabulary, "byte_fallback": words.bytes_left}


def _bpe(words: Vocabulary) -> dict[str, Any]:
    if words.algorithm != BPE:
        raise UnfitError(f"its model_type is {words.algorithm}, but only unigram (1) and BPE (2) can be converted")
    longest = max(len(piece.text) for piece in words.pieces)
    if longest > LONGEST:
        raise UnfitError(f"a piece has {longest:,} characters, but at most {LONGEST:,} are possible")
    ids = {piece.text: number for number, piece in enumerate(words.pieces)}
    if len(ids) != len(words.pieces):
        raise UnfitError("a piece occurs twice")
    scores = [piece.score for piece in words.pieces if piece.kind == Kind.NORMAL]
    if any(later > earlier for earlier, later in pairwise(scores)):
        raise UnfitError("its pieces are not in the order of their scores")
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": words.pieces[words.unknown].text if words.unknown < len(words.pieces) else None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": words.bytes_left,
        "ignore_merges": False,
        "vocab": ids,
        "merges": _merges(words, ids),
    }


def _merges(words: Vocabulary, ids: Mapping[str, int]) -> list[list[str]]:
    """Return the pairs that make a piece, those of the best piece first (transformers 4.57, generate_merges)."""
    ranked = [
        (-piece.score, -cut, cut - len(piece.text), piece.text)
        for piece in words.pieces
        for cut in range(1, len(piece.text))
        if piece.text[:cut] in ids and piece.text[cut:] in ids
    ]
    ranked.sort(key=lambda each: each[:3])
    return [[text[:-cut], text[-cut:]] for _, cut, _, text in ranked]
