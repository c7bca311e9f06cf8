"""Prompts that are made of common words, by a seed: of a stated length, with a stated beginning in common."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tritonrepo.bench.load import Prompt
from tritonrepo.bench.prompts import Source

_WORDS = """
about above across action after again against air all almost along already also always among animal another answer
any area around ask away back base because become bed been before began behind being below best better between big
bird black blue board boat body book both bottom box boy bring brought build busy but call came can car care carry
change check city class clear close cold come common complete could country course cover cross cry cut dark day
deep did distance does dog done door down draw drive dry during each early earth east easy eat end enough even ever
every example eye face fact fall family far farm fast father feel feet few field figure fill final find fine fire
first fish five fly follow food foot for force form found four free friend from front full game gave get girl give
gold good got govern great green ground group grow had half hand happen hard have head hear heat help here high
hold home horse hot hour house hundred idea inch interest island just keep kind king knew know land language large
last late laugh lead learn leave left less letter life light like line list listen little live long look love low
machine made main make man many map mark may mean measure men might mile mind minute miss money moon more morning
most mother mountain move much music must name near need never new next night north note nothing notice noun now
number object off often old once one only open order other our out over own page paper part pass pattern people
perhaps person picture piece place plain plan plane plant play point port pose power press problem produce product
pull put question quick rain ran reach read ready real record red remember rest right river road rock room round
rule run said same saw say school science sea second see seem self sentence serve set several shape she ship short
should show side simple since sing sit six size sleep slow small snow some song soon sound south special spell
stand star start state stay step still stood stop story street strong study such sun sure surface system table
tail take talk teach tell ten test than that the their them then there these thing think this those thought
thousand three through time together told too took top toward town travel tree true try turn two under unit until
use usual very voice vowel wait walk want war warm was watch water way week well went were west what wheel when
where which while white who whole why will wind with wonder wood word work world would write year yes yet you young
"""
WORDS = tuple(_WORDS.split())
"""Short English words: most tokenizers have one token for each, with the space before it."""

QUERY_WORDS = 16
"""Words of the query with which made documents are ranked."""
BLOCK = 512
"""Tokens of a block of a trace whose `hash_ids` say which blocks its prompts share. Source: Mooncake's traces."""


@dataclass(frozen=True, slots=True)
class Making:
    """How prompts are made: their mean length and its standard deviation in tokens, and what they have in common.

    `shared` is the share of the mean length with which all begin. `count` counts the tokens of a text; without it, a
    word counts as one. With `documents`, a prompt is a query and so many documents, each of that length.
    """

    tokens: int
    spread: int = 0
    shared: float = 0.0
    documents: int = 0
    seed: int = 0
    count: Callable[[str], int] | None = None

    @property
    def source(self) -> Source:
        """The source of these prompts."""
        unit = "words" if self.count is None else "tokens"
        length = f"{self.tokens:,}±{self.spread:,}" if self.spread else f"{self.tokens:,}"
        what = f"made, {self.documents} documents of {length} {unit}" if self.documents else f"made, {length} {unit}"
        shared = f", {self.shared:.0%} shared by all" if self.shared else ""
        return Source(f"{what}{shared}, seed {self.seed}", self.make)

    def make(self, number: int) -> Prompt:
        """Return the prompt of a number."""
        chance = random.Random(f"{self.seed} prompt {number}")  # noqa: S311  no secret
        if not self.documents:
            return Prompt(self._text(chance))
        return Prompt(_words(chance, QUERY_WORDS), tuple(self._text(chance) for _ in range(self.documents)))

    def _text(self, chance: random.Random) -> str:
        tokens = max(1, round(chance.gauss(self.tokens, self.spread))) if self.spread else self.tokens
        common = min(round(self.tokens * self.shared), tokens)
        begun = text(random.Random(f"{self.seed} shared"), common, self.count) if common else ""  # noqa: S311
        return text(chance, tokens, self.count, begun)


def text(chance: random.Random, tokens: int, count: Callable[[str], int] | None = None, begun: str = "") -> str:
    """Return a text of so many tokens, of words if nothing counts them, that goes on from what is begun."""
    if count is None:
        return " ".join([begun, _words(chance, tokens - len(begun.split()))]).strip()
    words = begun.split() + _words(chance, tokens).split()
    low, high = len(begun.split()), len(words)
    while low < high:  # the most words that are not too many tokens
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(" ".join(words[:middle])) <= tokens else (low, middle - 1)
    return _filled(words[:low], tokens, count, chance)


def _filled(words: Sequence[str], tokens: int, count: Callable[[str], int], chance: random.Random) -> str:
    """Return words with more of them, until there are so many tokens, or the nearest number below."""
    made, misses = list(words), 0
    while (lacking := tokens - count(" ".join(made))) > 0 and misses < len(WORDS):
        more = [*made, chance.choice(WORDS)]
        if lacking >= count(" ".join(more)) - (tokens - lacking):
            made = more
        else:
            misses += 1
    return " ".join(made)


def blocks(ids: Sequence[int], tokens: int, seed: int) -> str:
    """Return a text of so many words whose blocks of 512 are those of ids: two texts share what their ids share."""
    parts = [_words(random.Random(f"{seed} block {each}"), BLOCK) for each in ids]  # noqa: S311
    return " ".join(" ".join(parts).split()[:tokens])


def _words(chance: random.Random, many: int) -> str:
    return " ".join(chance.choices(WORDS, k=max(0, many)))
