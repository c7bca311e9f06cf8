"""Prompts from passages of documents: the passages themselves, questions about them, or a query with some of them."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from enum import StrEnum
from string import whitespace

from tritonrepo.bench.load import Prompt
from tritonrepo.bench.prompts import Source, listed

SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+|\n+")
BEFORE, AFTER = f"#>*|`-{whitespace}", f"|`*.!?{whitespace}"
"""Markup and punctuation around a sentence."""
LEAST_WORDS = 4
MOST_WORDS = 16
PASSAGE_WORDS = 200
"""Most words of a passage that is cut from a document without a tokenizer."""


class Kind(StrEnum):
    """What is made of passages."""

    QUESTION = "questions"
    PASSAGE = "passages"
    RANKING = "rankings"


def asked(passages: Sequence[str], kind: Kind, documents: int, name: str, seed: int) -> Source:
    """Return the source of prompts about passages, in an order by seed, and then again from the first.

    A question is about a sentence of a passage and begins with it, so that questions do not begin alike; each is there
    once. A ranking is a question with the passage that it is from and others, so many together.
    """
    chance = random.Random(f"{seed} passages")  # noqa: S311  no secret
    if kind is Kind.PASSAGE:
        found = [Prompt(each) for each in dict.fromkeys(passages)]
    else:
        found = [Prompt(text, tuple(_ranked(passages, at, kind, documents, chance))) for text, at in _about(passages)]
    chance.shuffle(found)
    return listed(found, f"{kind} from {name}, seed {seed}")


def _about(passages: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Yield questions with the number of the passage; of a passage without a sentence, its first words."""
    seen: set[str] = set()
    for at, passage in enumerate(passages):
        sentences = [each.lstrip(BEFORE).rstrip(AFTER).split() for each in SENTENCE_END.split(passage)]
        usable = [words for words in sentences if len(words) >= LEAST_WORDS] or [passage.split()]
        for words in usable:
            about = " ".join(words[:MOST_WORDS])
            if about not in seen:
                seen.add(about)
                yield f'"{about}": what do the documents say about this?', at


def _ranked(passages: Sequence[str], own: int, kind: Kind, documents: int, chance: random.Random) -> list[str]:
    if kind is not Kind.RANKING:
        return []
    others = [at for at in chance.sample(range(len(passages)), min(documents, len(passages))) if at != own]
    chosen = [own, *others][:documents]
    chance.shuffle(chosen)
    return [passages[at] for at in chosen]


def cut(text: str) -> Iterator[str]:
    """Yield passages of a document: whole paragraphs, up to 200 words together; a longer one is cut between words."""
    words: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        more = paragraph.split()
        if words and len(words) + len(more) > PASSAGE_WORDS:
            yield " ".join(words)
            words = []
        words += more
        while len(words) > PASSAGE_WORDS:
            yield " ".join(words[:PASSAGE_WORDS])
            words = words[PASSAGE_WORDS:]
    if words:
        yield " ".join(words)
