"""Tokenizers of other formats than tokenizer.json, converted as the server's transformers converts them.

Source: transformers 4.57 and 5, convert_slow_tokenizer.py and models/{llama,gemma,gpt2,qwen2}/tokenization_*.py; the
tokens of both are in tests/data/references/tokenizers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span, Stop, fatal
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import RULE
from tritonrepo.tree import File, digest

READER = "tokenizer formats 1"
TOKENIZER = "tokenizer.json"
PIECES = "tokenizer.model"
WORDS, MERGES = "vocab.json", "merges.txt"
ADDED = "added_tokens.json"

OTHERS = {
    PIECES: "SentencePiece",
    "tekken.json": "Tekken",
    "spiece.model": "SentencePiece",
    WORDS: "BPE in two files",
}
"""Formats of tokenizers which the `tokenizers` library does not read."""

READ = (*OTHERS, MERGES, ADDED)
"""All files of these formats; the last two are only parts of a tokenizer."""

SPLIT = {"GPT2Tokenizer": "gpt-2", "Qwen2Tokenizer": "qwen2"}
"""How the classes with two files cut a text, by its name in `export.bpe`."""

LLAMA, GEMMA = "LlamaTokenizer", "GemmaTokenizer"
CONVERTED = {PIECES: (LLAMA, GEMMA), WORDS: tuple(SPLIT)}
"""The classes whose files are converted, by the first of the files."""

HINT = (
    "Write it with `AutoTokenizer.from_pretrained(MODEL).save_pretrained(DIRECTORY)` of transformers, and set "
    "tokenizer to that directory."
)


class Said(NamedTuple):
    """What a model says of its tokenizer: tokenizer_config.json, its class, and its named special tokens.

    `by_class` says that the server's transformers is older than 5.
    """

    config: Mapping[str, Any]
    kind: str
    special: Mapping[str, str]
    by_class: bool


def tokenizer(files: Mapping[str, File], said: Said, cache: Cache, at: Span) -> File:
    """Return the tokenizer.json of a source that has none; raise Stop if it cannot be converted exactly."""
    other = next((name for name in OTHERS if name in files), None)
    if other is None:
        message = f"the source has neither {TOKENIZER} nor a GGUF file"
        hint = f"Use a model's own directory or a GGUF file. The source contains: {', '.join(sorted(files)[:8])}."
        raise fatal(RULE, at, message, hint)
    used = {name: files[name] for name in READ if name in files}

    def make(place: Path) -> None:
        from tritonrepo.export import bpe

        (place / TOKENIZER).write_bytes(bpe.written(_document(used, other, said, at)))

    order = json.dumps([*said[:3]], sort_keys=True)
    key = f"{READER} {said.by_class} {digest(used)} {order}"
    return cache.tree(key, "converting the model's tokenizer", make)[TOKENIZER]


def _document(files: Mapping[str, File], other: str, said: Said, at: Span) -> dict[str, Any]:
    from tritonrepo.export.sentencepiece import UnfitError

    try:
        if other == PIECES and said.kind in {LLAMA, GEMMA}:
            made = _of_pieces(files[PIECES].content(), said)
        elif other == WORDS and MERGES in files and said.kind in SPLIT:
            made = _of_words(files, said)
        else:
            message = f"the source has its tokenizer only as {other} ({OTHERS[other]}), but {TOKENIZER} is needed"
            if other in CONVERTED:
                known, kind = " and ".join(CONVERTED[other]), said.kind or "missing"
                message += f": its tokenizer_class is {kind}, and only {known} can be converted"
            raise fatal(RULE, at, message, HINT)
        made["added_tokens"] = _added(made, files, said)
        made["post_processor"] = _ends(made, said)
        _checked(made)
    except (UnfitError, ValueError, RecursionError, TypeError, KeyError) as error:
        raise _unfit(other, error, at) from None
    return made


def _unfit(other: str, error: Exception, at: Span) -> Stop:
    return fatal(RULE, at, f"{other} of the source cannot be converted to {TOKENIZER}: {error}", HINT)


def _of_pieces(data: bytes, said: Said) -> dict[str, Any]:
    from tritonrepo.export import sentencepiece
    from tritonrepo.export.sentencepiece import Prefix, UnfitError

    if data.startswith(b"version https://git-lfs"):
        raise UnfitError("it is a Git LFS pointer, not the file")
    words = sentencepiece.parsed(data)
    if words.algorithm == sentencepiece.UNIGRAM and not said.by_class:
        raise UnfitError("it is a unigram model, which transformers 5 reads as BPE")
    if said.kind == GEMMA:
        return sentencepiece.document(words, Prefix.NEVER, split=True)
    legacy = said.config.get("legacy")
    if said.config.get("add_prefix_space") is False:
        prefix = Prefix.NEVER
    elif said.by_class:
        prefix = Prefix.FIRST if legacy is False else Prefix.LEGACY
    else:
        prefix = Prefix.ALWAYS if legacy is True else Prefix.FIRST
    return sentencepiece.document(words, prefix)


def _of_words(files: Mapping[str, File], said: Said) -> dict[str, Any]:
    from tritonrepo.export import bpe

    if said.config.get("add_prefix_space") is True:
        raise ValueError("add_prefix_space is true")
    ids = json.loads(files[WORDS].content().decode())
    if not isinstance(ids, dict):
        raise TypeError(f"{WORDS} must hold a JSON object")
    lines = files[MERGES].content().decode().splitlines()
    merges = [line for line in lines if line and not line.startswith("#version")]
    for merge in merges:
        left, _, right = merge.partition(" ")
        if not {left, right, left + right} <= ids.keys():
            raise ValueError(f"merge {merge!r} uses tokens that are not in {WORDS}")
    return bpe.document(ids, merges, bpe.SPLITS[SPLIT[said.kind]], [])


def _vocabulary(made: Mapping[str, Any]) -> dict[str, int]:
    words = made["model"]["vocab"]
    return dict(words) if isinstance(words, dict) else {text: number for number, (text, _) in enumerate(words)}


def _added(made: Mapping[str, Any], files: Mapping[str, File], said: Said) -> list[dict[str, Any]]:
    """Return the added tokens of the vocabulary, of tokenizer_config.json and of added_tokens.json, by id."""
    found = {token["content"]: token for token in made["added_tokens"]}
    for number, token in (said.config.get("added_tokens_decoder") or {}).items():
        flags = {name: token.get(name) is True for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
        found[token["content"]] = {"id": int(number), "content": token["content"], **flags}
    ids = _vocabulary(made)
    older = json.loads(files[ADDED].content()) if ADDED in files else {}
    free = max([*ids.values(), *(token["id"] for token in found.values()), *older.values()], default=-1) + 1
    for text, special in [*_named(said.special.values()), *((text, False) for text in older)]:
        number = older.get(text, ids.get(text, free))
        if text in found:
            found[text] = found[text] | {"special": special or found[text]["special"]}
        else:
            found[text] = _plain(text, number, special=special)
            free += number == free
    return sorted(found.values(), key=lambda token: int(token["id"]))


def _named(tokens: Iterable[str]) -> Iterator[tuple[str, bool]]:
    yield from ((token, True) for token in dict.fromkeys(tokens) if token)


def _plain(text: str, number: int, *, special: bool) -> dict[str, Any]:
    from tritonrepo.export.sentencepiece import added

    return added(number, text, special=special)


def _ends(made: Mapping[str, Any], said: Said) -> dict[str, Any] | None:
    """Return the post-processor that adds BOS and EOS (transformers, update_post_processor)."""
    default = said.by_class and said.kind in {LLAMA, GEMMA}
    begins, ends = said.config.get("add_bos_token", default) is True, said.config.get("add_eos_token") is True
    names = {
        "before": said.special.get("bos_token") if begins else "",
        "after": said.special.get("eos_token") if ends else "",
    }
    chosen = {place: name for place, name in names.items() if name}
    if not chosen:
        return None
    ids = {token["content"]: token["id"] for token in made["added_tokens"]}

    def around(sequence: str) -> list[dict[str, Any]]:
        token = {place: [{"SpecialToken": {"id": name, "type_id": 0}}] for place, name in chosen.items()}
        return [*token.get("before", []), {"Sequence": {"id": sequence, "type_id": 0}}, *token.get("after", [])]

    return {
        "type": "TemplateProcessing",
        "single": around("A"),
        "pair": [*around("A"), *around("B")],
        "special_tokens": {
            name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in sorted(set(chosen.values()))
        },
    }


def _checked(made: Mapping[str, Any]) -> None:
    """Raise ValueError if the library gives an added token another id: it numbers them by itself."""
    from tokenizers import Tokenizer

    try:
        read = Tokenizer.from_str(json.dumps(made))
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        raise ValueError(str(error)) from None
    for token in made["added_tokens"]:
        if read.token_to_id(token["content"]) != token["id"]:
            raise ValueError(f"token {token['content']!r} cannot have the id {token['id']}")
