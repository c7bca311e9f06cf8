"""Texts cut into passages that an embedder reads whole."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from tokenizers import Tokenizer

PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*$")
SENTENCE = re.compile(r"(?:[.!?…][\"'”’)\]*_]{0,3}\s+|\n\s*|[。！？]\s*)$")
"""What is before a sentence: the end of another one with white space, or a line break."""

BLOCK = 1 << 19
"""Characters that are cut at once: their tokens need about 200 bytes of memory for each of them."""

SEEN = 80
"""How many characters before a place show whether a paragraph or a sentence ends there."""


class _Place(NamedTuple):
    """A place at which a text can be cut: tokens and characters before it, and whether it is between two words."""

    tokens: int
    characters: int
    between: bool


def passages(
    text: str, tokenizer: Tokenizer, size: int, overlap: int = 0, prefix: str = ""
) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the passages of a text, each of at most `size` tokens.

    A passage ends with a paragraph if that is in the second half of what it can have, or else with a sentence, or else
    with a word, and within a word only if that is longer. Each one after the first begins up to `overlap` tokens before
    the end of the one before it, which are fewer than half of `size`: with a sentence if possible, otherwise with a
    word. The tokenizer must not truncate. A passage is counted as it will be read, after the tokens of a prefix: a text
    can have more tokens than within a longer one.

    What is longer than `BLOCK` is cut in blocks, between which nothing overlaps.
    """
    for begin, end in _blocks(text):
        for first, last in _passages(text[begin:end], tokenizer, size, overlap, prefix):
            yield begin + first, begin + last


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the blocks of a text, which end with a paragraph, line or word if one ends in them."""
    begin = 0
    while len(text) - begin > BLOCK:
        ends = (text.rfind(mark, begin + 1, begin + BLOCK) for mark in ("\n\n", "\n", " "))
        end = next((end for end in ends if end > 0), begin + BLOCK)
        if text[begin:end].strip():
            yield begin, end
        begin = end
    if begin == 0 or text[begin:].strip():
        yield begin, len(text)


def _passages(text: str, tokenizer: Tokenizer, size: int, overlap: int, prefix: str) -> Iterator[tuple[int, int]]:
    """Yield begin and end of the passages of a block."""
    places, first, last = [*_places(text, tokenizer)], 0, 0
    cutting = _Cutting(text, places, tokenizer, size, prefix)
    while last < len(places) - 1:
        end = cutting.end(first)
        if end <= last:  # the overlap has no room for more
            first = last
            end = cutting.end(first)
        begin, stop = cutting.trimmed(first, end)
        if begin < stop or len(places) == 2:  # noqa: PLR2004  a text without tokens
            yield begin, stop
        first, last = cutting.overlapped(first, end, overlap), end


class _Cutting(NamedTuple):
    """A text with its places, the tokenizer that counts, the most tokens of a passage, and what is read before it."""

    text: str
    places: Sequence[_Place]
    tokenizer: Tokenizer
    size: int
    prefix: str

    def end(self, first: int) -> int:
        """Return the place at which the passage that begins at a place ends."""
        places, after = self.places, first + 1
        while after + 1 < len(places) and places[after + 1].tokens - places[first].tokens <= self.size:
            after += 1
        room = self.size + (self._count("") if self.prefix else 0)
        last = after
        for last in self._candidates(first, after):
            begin, stop = self.trimmed(first, last)
            if self._count(self.text[begin:stop]) <= room:
                break
        return last

    def overlapped(self, first: int, last: int, overlap: int) -> int:
        """Return the place at which the passage after this one begins."""
        places = self.places
        near = [
            place
            for place in range(last, first, -1)
            if places[last].tokens - places[place].tokens <= overlap and places[place].between
        ]
        sentences = [place for place in near if place != last and self._ends(place, SENTENCE)]
        return (sentences or near or [last])[-1]

    def trimmed(self, first: int, last: int) -> tuple[int, int]:
        """Return begin and end of the text between two places without white space around it."""
        begin, stop = self.places[first].characters, self.places[last].characters
        whole = self.text[begin:stop]
        return begin + len(whole) - len(whole.lstrip()), max(begin, stop - len(whole) + len(whole.rstrip()))

    def _count(self, passage: str) -> int:
        """Return the tokens of a passage with its prefix."""
        return len(self.tokenizer.encode(f"{self.prefix}{passage}", add_special_tokens=False).ids)

    def _candidates(self, first: int, after: int) -> Iterator[int]:
        """Yield the ends of a passage, the best first."""
        places = self.places
        half = (places[first].tokens + places[after].tokens) / 2
        late = [place for place in range(after, first, -1) if places[place].tokens >= half]
        yield from (place for place in late if self._ends(place, PARAGRAPH))
        yield from (place for place in late if self._ends(place, SENTENCE))
        yield from (place for place in range(after, first, -1) if places[place].between)
        yield from range(after, first, -1)

    def _ends(self, place: int, pattern: re.Pattern[str]) -> bool:
        """Return whether what a pattern describes is before a place; the end of the text ends everything."""
        end = self.places[place].characters
        before = self.text[max(0, end - SEEN) : end]
        return self.places[place].between and (end == len(self.text) or bool(pattern.search(before)))


def _places(text: str, tokenizer: Tokenizer) -> Iterator[_Place]:
    """Yield the places of a text from its start to its end; a character of several tokens is not cut."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    yield _Place(0, 0, between=True)
    tokens = enumerate(zip(encoding.offsets, encoding.word_ids, strict=True))
    for (_, ((before, _), word)), (number, ((begin, _), other)) in pairwise(tokens):
        if begin > before:
            between = word != other or text[begin - 1].isspace() or text[begin : begin + 1].isspace()
            yield _Place(number, begin, between)
    yield _Place(len(encoding.ids), len(text), between=True)
