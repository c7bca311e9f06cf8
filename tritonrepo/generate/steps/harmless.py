"""Texts of a request made harmless: nothing in them is a special token or opens a turn of the conversation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

MARKER = re.compile(r"<{1,2}[^\s<>]{1,64}>{1,2}|\[[^\s\[\]]{1,64}\]")
"""What a chat template writes around messages, such as <|im_end|> and [/INST]: often ordinary text to the tokenizer."""

PROBES = {"system": "Zqsv", "user": "Zquv", "assistant": "Zqav"}
"""A text for each role that no template writes by itself."""

CONVERSATIONS = (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("system", "user"), ("user",))
"""Roles of conversations; a template can refuse those with a system message or several turns."""


class Guard:
    """Breaks up tokens in texts.

    The tokenizer looks for an added token in the text as it is or, if it is `normalized`, in the normalized text, which
    can turn look-alikes into the token: tokenizers, tokenizer/added_vocabulary.rs, extract_and_normalize.
    """

    def __init__(self, tokenizer: Any, tokens: Iterable[str]) -> None:  # noqa: ANN401  tokenizers is imported from the model's directory
        """Find out which tokens only the tokenizer itself recognizes."""
        self.tokens, self.tokenizer = breakable(tokens), tokenizer
        known, unknown = set(self.tokens), getattr(tokenizer.model, "unk_token", None)
        added = tokenizer.get_added_tokens_decoder().items() if tokenizer.normalizer is not None else ()
        normalized = {number: token.content for number, token in added if token.normalized}
        # the unknown token also stands for what the vocabulary lacks, and it opens nothing
        self.ids = {number for number, text in normalized.items() if text.strip() in known and text != unknown}

    def harmless(self, text: str) -> str:
        """Return the text with a space inside every token, and one for what a space does not break up."""
        text = self.split(text)
        for attempt in count():
            spans = self.spans(text)
            if not spans:
                return text
            for start, end in reversed(spans):
                piece = text[start:end]
                place = start + len(piece) - len(piece.lstrip()) + 1
                inner = text[start:place] + " " + text[place:end] if not attempt and place < end else " "
                text = text[:start] + inner + text[end:]
            text = self.split(text)
        raise AssertionError  # `count` does not end

    def split(self, text: str) -> str:
        """Return the text with a space inside every token that is in it as it is written."""
        letters = set(text)  # a model can have thousands of special tokens, and most texts have none of their letters
        while found := [token for token in self.tokens if token[0] in letters and token in text]:
            for token in found:
                text = text.replace(token, token[0] + " " + token[1:])
        return text

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where the tokenizer still finds tokens, each at least one character long."""
        if not self.ids:
            return []
        found = self.tokenizer.encode(text, add_special_tokens=False)
        places = (place for number, place in zip(found.ids, found.offsets) if number in self.ids)
        return [(start, max(end, start + 1)) for start, end in places]


def breakable(tokens: Iterable[str]) -> list[str]:
    """Return the tokens that a space inside breaks up, longest first, without surrounding white space.

    A space after the first character would leave " x" and "x " as they are, and the text would grow forever.
    """
    found = {token.strip() for token in tokens}
    return sorted((token for token in found if len(token) > 1), key=lambda token: (-len(token), token))


def markers(rendered: Callable[[list[dict[str, str]]], str]) -> Iterator[str]:
    """Yield what a chat template writes in brackets around the messages of conversations that it accepts."""
    for roles in CONVERSATIONS:
        try:
            text = rendered([{"role": role, "content": PROBES[role]} for role in roles])
        except Exception:  # noqa: S112  whatever the template raises
            continue
        for probe in PROBES.values():
            text = text.replace(probe, " ")
        yield from MARKER.findall(text)


def plain(text: str) -> str:
    """Return the text without halves of characters (lone surrogates), which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
