"""The length at which an embedder with a graph of its own cuts texts: the stack's, else that of the model's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.export.fields import is_count
from tritonrepo.sources import tokenizer
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.encoder import Wish
from tritonrepo.sources.encoder_files import RULE, Files, mapping
from tritonrepo.tree import File

READER = "tokenizer 1"
TOKENIZER = "tokenizer.json"
ANY_VOCABULARY = 1 << 62
"""How many vectors a graph has is not looked up: its weights may be in another file."""

LONGEST = 1_000_000
"""Above this, transformers' `model_max_length` says that nothing is known (tokenization_utils_base.py,
LARGE_INTEGER is 1e20)."""

SHIFTED = frozenset({"roberta", "xlm-roberta", "camembert", "mpnet", "xlm-roberta-xl", "longformer"})
"""Types of models whose positions begin after the id of the padding token (transformers, modeling_roberta.py)."""


def limit(model: Wish, own: Files, cache: Cache) -> int:
    """Return the limit in tokens; raise Stop with what is wrong with it."""
    at = model.places["source"]
    config, lengths, kept = (
        mapping(own, name, at) for name in ("config.json", "sentence_bert_config.json", "tokenizer_config.json")
    )
    positions = _positions(config)
    known: list[Any] = [lengths.get("max_seq_length"), kept.get("model_max_length"), positions]
    said: int = model.max_tokens or next((each for each in known if is_count(each) and each < LONGEST), 0)
    if not said:
        message = "max_tokens is missing, and neither the ONNX file in source nor the files around it say it"
        raise fatal(RULE, at, message, "Set max_tokens to the length at which texts are cut.")
    place = model.places.get("max_tokens", at)
    if model.max_tokens and positions and model.max_tokens > positions:
        message = f"max_tokens is {said}, but the model has only {positions} positions"
        raise fatal(RULE, place, message, f"Set max_tokens to at most {positions}.")
    found = min(said, positions or LONGEST)
    if TOKENIZER in own:
        traits = _traits(own[TOKENIZER], model.places.get("tokenizer", at), cache)
        if found <= traits.special:
            message = f"max_tokens is {found}, but the tokenizer adds {traits.special} tokens to every text"
            raise fatal(RULE, place, message, f"Set max_tokens to at least {traits.special + 1}.")
        if lengths.get("do_lower_case") and not traits.lowers:
            message = "the embedder's own files require lower case, but its tokenizer.json does not convert texts to it"
            raise fatal(RULE, at, message, "Use a model whose tokenizer.json converts texts to lower case.")
    return found


def _positions(config: Mapping[str, Any]) -> int:
    """Return the number of positions that the model has for tokens; 0 if that is not known."""
    count = config.get("max_position_embeddings")
    if not is_count(count):
        return 0
    padding = config.get("pad_token_id", 1)
    shifted = config.get("model_type") in SHIFTED and is_count(padding, least=0)
    return int(str(count)) - (int(padding) + 1 if shifted else 0)


def _traits(tokens: File, at: Span, cache: Cache) -> tokenizer.Traits:
    """Return the facts of the tokenizer; raise Stop if the file is not one."""

    def make(place: Path) -> None:
        said = tokenizer.traits(tokens, ANY_VOCABULARY, at)
        (place / "facts.json").write_text(json.dumps(said._asdict()), "utf-8")

    made = cache.tree(f"{READER} {tokens.sha256}", "reading the embedder's tokenizer", make)
    return tokenizer.Traits(**json.loads(made["facts.json"].content()))
