"""Tokens of a text for which no tokenizer is known: an estimate that is above the number for most texts.

Three bytes of UTF-8 are one token. Tokenizers of today's models read four characters of English as one, three of code,
and one of Chinese, which has three bytes.
"""

from __future__ import annotations

from types import SimpleNamespace

BYTES = 3


class Estimate:
    """What the prompt step uses of a tokenizer."""

    normalizer = None
    model = SimpleNamespace(unk_token=None)

    def encode(self, text: str, *, add_special_tokens: bool = True) -> Estimated:  # noqa: ARG002  a tokenizer's own
        """Return the tokens of a text."""
        return Estimated(text)


class Estimated:
    """The tokens of one text."""

    def __init__(self, text: str) -> None:
        """Take the text."""
        self.text = text

    def __len__(self) -> int:
        """Return how many they are."""
        return (len(self.text.encode("utf-8", "replace")) + BYTES - 1) // BYTES

    @property
    def offsets(self) -> list[tuple[int, int]]:
        """Where each begins and ends, in characters."""
        ends, size = list[int](), 0
        for place, character in enumerate(self.text, 1):
            size += len(character.encode("utf-8", "replace"))
            while len(ends) * BYTES < size - BYTES + 1:
                ends.append(place)
        ends += [len(self.text)] * (len(self) - len(ends))
        return list(zip([0, *ends], ends))
