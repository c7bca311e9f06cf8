"""Checks and facts of a tokenizer, before anything is built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.tree import File

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RULE = "source-tokenizer"


class Traits(NamedTuple):
    """How many tokens a tokenizer adds to every text, and whether it ignores case."""

    special: int
    lowers: bool


def traits(file: File, vocabulary: int, at: Span) -> Traits:
    """Read a tokenizer.json; raise Stop if it is not one, or has ids without a vector in the weights."""
    tokenizer = _checked(file, vocabulary, at, "embedder")
    upper, lower = (tokenizer.encode(text).ids for text in ("A Model", "a model"))
    return Traits(tokenizer.num_special_tokens_to_add(is_pair=False), upper == lower)


def special(file: File, vocabulary: int, at: Span, *, pairs: bool) -> int:
    """Return how many tokens a reranker's tokenizer adds to every text or pair; raise Stop as `traits` does."""
    return int(_checked(file, vocabulary, at, "reranker").num_special_tokens_to_add(is_pair=pairs))


def _checked(file: File, vocabulary: int, at: Span, role: str) -> Tokenizer:
    """Return the tokenizer, which does not truncate."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(file.content().decode())
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        message = f"tokenizer.json of the {role}'s source is not a tokenizer: {error}"
        raise fatal(RULE, at, message, "Save it with tokenizers, or from a fast tokenizer of transformers.") from None
    largest = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=0)
    if largest >= vocabulary:
        message = f"tokenizer.json has ids up to {largest}, but the weights have only {vocabulary} vectors"
        raise fatal(RULE, at, message, "Use the tokenizer.json and the weights of the same model.")
    tokenizer.no_truncation()
    return tokenizer
