"""The questions, and which of them share no content word with the passage that answers them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

PLACE = Path(__file__).parent / "questions.jsonl"

_FUNCTION_WORDS = """
    a about after again against all also although am an and another any are aren as at be because been before being
    between both but by can cannot could did do does doing done down during each else ever every everything few for
    from further had has have having he her here him his how however i if in instead into is it its itself just less
    let like many me might mine more most much must my neither never no nobody none nor not nothing now of off on once
    one only or other others our out over own per rather same she should since so some something still such than that
    the their them then there these they thing this those though through to together too under until up upon us very
    via was way we well were what when where whether which while who whole whose why will with within without would yes
    yet you your
    """
FUNCTION_WORDS = frozenset(re.findall(r"\w+", _FUNCTION_WORDS))
"""Words without content: articles, pronouns, prepositions, conjunctions, auxiliaries, and adverbs of degree."""

ENDINGS = ("ings", "ing", "ed", "ies", "es", "s", "ly")
SHORTEST = 3


class Question(NamedTuple):
    """A question, and the id of the passage that answers it."""

    text: str
    id: str


def questions() -> list[Question]:
    """Return all questions in the order of their file."""
    rows = map(json.loads, PLACE.read_text("utf-8").splitlines())
    return [Question(row["question"], row["id"]) for row in rows]


def content_words(text: str) -> set[str]:
    """Return the words of a text that have content, in lower case and without English endings."""
    return {_stem(word) for word in re.findall(r"[a-z0-9]+", text.lower()) if word not in FUNCTION_WORDS}


def shares_words(question: Question, passages: dict[str, str]) -> bool:
    """Return whether a question has a content word of the passage that answers it."""
    return not content_words(question.text).isdisjoint(content_words(passages[question.id]))


def _stem(word: str) -> str:
    ending = next((e for e in ENDINGS if word.endswith(e) and len(word) - len(e) >= SHORTEST), "")
    return word.removesuffix(ending)
