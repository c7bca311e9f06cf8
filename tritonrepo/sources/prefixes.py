"""What an embedder reads before queries and before passages: the stack's prefixes, else those of the model's own files.

The names of the prompts and their order are those of sentence-transformers' `encode_query` and `encode_document`
(sentence_transformers 6.2, sentence_transformer/model.py): neither uses `default_prompt_name`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.generate.inputs import EncoderFiles, Prefixes
from tritonrepo.sources.cache import Cache
from tritonrepo.spec.part import Places
from tritonrepo.tree import File

RULE = "source-encoder"
PROMPTS = "config_sentence_transformers.json"
NAMES = {"query": ("query",), "passage": ("document", "passage", "corpus")}
COUNTER = "prefixes 1"


class Wanted(NamedTuple):
    """The prefixes that the stack file sets, and the places of its keys."""

    query: str | None
    passage: str | None
    places: Places


def prefixed(files: EncoderFiles, own: Mapping[str, File], wanted: Wanted, cache: Cache) -> EncoderFiles:
    """Return an encoder with its prefixes; `own` are the files of the model.

    Raises Stop if a prefix leaves no room for a text.
    """
    at = wanted.places["source"]
    prompts = _prompts(own, at)
    said = {kind: next((prompts[name] for name in names if name in prompts), "") for kind, names in NAMES.items()}
    found = Prefixes(
        said["query"] if wanted.query is None else wanted.query,
        said["passage"] if wanted.passage is None else wanted.passage,
    )
    for kind, size in _sizes(files, found, cache).items():
        if size >= files.max_tokens:
            message = (
                f"the prefix of {kind} and the special tokens take {size} tokens, but the embedder cuts its texts at "
                f"{files.max_tokens}"
            )
            where = wanted.places.get(kind, wanted.places.get("", at))
            raise fatal(RULE, where, message, "Set a shorter prefix, or a larger max_tokens.")
    return replace(files, prefixes=found)


def _prompts(own: Mapping[str, File], at: Span) -> dict[str, str]:
    """Return the prompts of config_sentence_transformers.json by name; raise Stop if they are not texts."""
    if PROMPTS not in own:
        return {}
    try:
        said: Any = json.loads(own[PROMPTS].content())
    except (ValueError, RecursionError) as error:
        raise fatal(RULE, at, f'"{PROMPTS}" of the embedder\'s source is not valid JSON: {error}') from None
    prompts = said.get("prompts") if isinstance(said, dict) else None
    if prompts is None and isinstance(said, dict):
        return {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        message = f'"prompts" in "{PROMPTS}" of the embedder\'s source must map names to strings'
        raise fatal(RULE, at, message, "Fix the file, or set prefixes.")
    return {name: text for name, text in prompts.items() if text is not None}


def _sizes(files: EncoderFiles, found: Prefixes, cache: Cache) -> dict[str, int]:
    """Return how many tokens each prefix takes together with the special tokens."""
    kinds = {kind: text for kind, text in found._asdict().items() if text}
    if not kinds:
        return {}

    def make(place: Path) -> None:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_str(files.tokenizer.content().decode())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        sizes = {kind: len(tokenizer.encode(text).ids) for kind, text in kinds.items()}
        (place / "sizes.json").write_text(json.dumps(sizes), "utf-8")

    key = f"{COUNTER} {files.tokenizer.sha256} {json.dumps(kinds, sort_keys=True)}"
    made = cache.tree(key, "counting the tokens of the embedder's prefixes", make)
    sizes: dict[str, int] = json.loads(made["sizes.json"].content())
    return sizes
