"""Texts cut into passages that an embedder reads whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class _Place(NamedTuple):
    """A place at which a text can be cut: tokens and characters before it, and whether it is between two words."""

    tokens: int
    characters: int
    between: bool


def passages(text: str, tokenizer: Tokenizer, size: int) -> Iterator[str]:
    """Yield a text in passages of at most `size` tokens each, cut between words unless a word is longer than that.

    The tokenizer must not truncate. A passage is counted as it will be read: by itself, a text can have more tokens
    than within a longer one.
    """
    places, first = [*_places(text, tokenizer)], 0
    while first < len(places) - 1:
        after = first + 1
        while after + 1 < len(places) and places[after + 1].tokens - places[first].tokens <= size:
            after += 1
        passage, last = "", after
        for last in _candidates(places, first, after):
            passage = text[places[first].characters : places[last].characters].strip()
            if len(tokenizer.encode(passage, add_special_tokens=False).ids) <= size:
                break
        if passage or len(places) == 2:  # noqa: PLR2004  a text without tokens
            yield passage
        first = last


def _places(text: str, tokenizer: Tokenizer) -> Iterator[_Place]:
    """Yield the places of a text from its start to its end; a character of several tokens is not cut."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    yield _Place(0, 0, between=True)
    tokens = enumerate(zip(encoding.offsets, encoding.word_ids, strict=True))
    for (_, ((before, _), word)), (number, ((begin, _), other)) in pairwise(tokens):
        if begin > before:
            space = any(character.isspace() for character in text[begin - 1 : begin + 1])
            yield _Place(number, begin, between=space or word != other)
    yield _Place(len(encoding.ids), len(text), between=True)


def _candidates(places: Sequence[_Place], first: int, after: int) -> Iterator[int]:
    """Yield the ends of a passage, the longest first: between words, then within its only word."""
    yield from (place for place in range(after, first, -1) if places[place].between)
    yield from range(after, first, -1)
