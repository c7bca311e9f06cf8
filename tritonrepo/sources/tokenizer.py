"""What must be known of an embedder's tokenizer before anything is built on it."""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.diagnostics import Span, fatal
from tritonrepo.tree import File

RULE = "source-tokenizer"


class Traits(NamedTuple):
    """How many tokens it adds to every text, and whether upper case means nothing to it."""

    special: int
    lowers: bool


def traits(file: File, vocabulary: int, at: Span) -> Traits:
    """Read a tokenizer.json; raise Stop where it is none, or gives ids that the weights have no vector for."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(file.content().decode())
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        message = f"tokenizer.json of the embedder's source is no tokenizer: {error}"
        raise fatal(RULE, at, message, "Save it with tokenizers, or with a fast tokenizer of transformers.") from None
    largest = max(tokenizer.get_vocab(with_added_tokens=False).values(), default=0)
    if largest >= vocabulary:
        message = f"tokenizer.json gives ids up to {largest}, and the weights have vectors for {vocabulary}"
        raise fatal(RULE, at, message, "Use tokenizer.json and weights of one model.")
    tokenizer.no_truncation()
    upper, lower = (tokenizer.encode(text).ids for text in ("A Model", "a model"))
    return Traits(tokenizer.num_special_tokens_to_add(is_pair=False), upper == lower)
