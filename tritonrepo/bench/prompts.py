"""The prompts of a run: where they are from, and how much of them a prefix cache can answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

from tritonrepo.bench.load import Prompt
from tritonrepo.bench.result import Prompts

MOST_KEPT = 1 << 28
"""Characters of prompts that are kept to count what repeats; of a longer run, its first prompts."""
AHEAD = 1 << 26
"""Characters of prompts that are made before a run, so that making them delays no answer."""


class Source(NamedTuple):
    """Where prompts are from, in words, and how the prompt of a number is made, which always gives the same.

    `rows` is how many there are: of a trace all that are sent, of a file those that are sent in turns; None if each
    number has a prompt of its own.
    """

    name: str
    make: Callable[[int], Prompt]
    rows: int | None = None


def listed(prompts: Sequence[Prompt], name: str) -> Source:
    """Return the source of prompts that are sent one after the other, and then again from the first."""
    return Source(name, lambda number: prompts[number % len(prompts)], len(prompts))


@dataclass(slots=True)
class Sent:
    """The prompts of one run as they are sent; the first `ahead` of them are made before."""

    source: Source
    ahead: int = 0
    numbers: list[int] = field(default_factory=list)
    _made: dict[int, Prompt] = field(default_factory=dict)
    _kept: list[Prompt] = field(default_factory=list)
    _limits: set[int | None] = field(default_factory=set)
    _room: int = MOST_KEPT

    def __post_init__(self) -> None:
        room = AHEAD
        for number in range(self.ahead):
            prompt = self._made[number] = self.source.make(number)
            room -= _size(prompt)
            if room < 0:
                break

    def prompt(self, number: int) -> Prompt:
        """Return the prompt of a number, which counts as sent."""
        prompt = self._made.pop(number, None) or self.source.make(number)
        self._limits.add(prompt.answer_tokens)
        self._room -= _size(prompt)
        if self._room >= 0:
            self._kept.append(prompt)
        return prompt

    def described(self, max_tokens: int | None, *, exact: bool, warm_up: int = 0) -> Prompts:
        """Return what was sent; the first `warm_up` prompts count only as what others repeat.

        `max_tokens` is what an answer may have whose prompt does not say it; None if the model cannot be told.
        """
        texts = [whole(prompt) for prompt in self._kept]
        limits = set[int]()
        if max_tokens is not None:
            limits = {max_tokens if own is None else own for own in self._limits or {None}}
        exact, most = exact and len(limits) == 1, max(limits, default=None)
        return Prompts(self.source.name, len(set(texts[warm_up:])), reuse(texts, warm_up), most, exact)


def whole(prompt: Prompt) -> str:
    """Return all texts of a prompt as one."""
    return "\n".join((prompt.text, *prompt.documents)) if prompt.documents else prompt.text


def _size(prompt: Prompt) -> int:
    return len(prompt.text) + sum(map(len, prompt.documents))


def reuse(texts: Sequence[str], first: int = 0) -> float:
    """Return the share of the characters of texts, from `first` on, that an earlier one of all of them begins with too.

    Among sorted texts, the one with which a text has most in common is next to it, as far as later ones are left out:
    so each is compared with its neighbors, and not with all others.
    """
    order = sorted(range(len(texts)), key=lambda at: (texts[at], at))
    common = [_common(texts[before], texts[after]) for before, after in pairwise(order)]
    shared = [0] * len(texts)
    for at, most in _earlier(order, common):
        shared[at] = max(shared[at], most)
    for at, most in _earlier(order[::-1], common[::-1]):
        shared[at] = max(shared[at], most)
    total = sum(map(len, texts[first:]))
    return sum(shared[first:]) / total if total else 0.0


def _earlier(order: Sequence[int], common: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield each text with what it has in common with the nearest one before it in this order that was sent earlier."""
    open_: list[tuple[int, int]] = []  # texts, each sent before those after it, and what is common up to the next one
    for place, at in enumerate(order):
        least = common[place - 1] if place else 0
        while open_ and open_[-1][0] > at:
            least = min(least, open_.pop()[1])
        if open_:
            yield at, least
        open_.append((at, least))


def _common(one: str, other: str) -> int:
    """Return how many characters two texts begin with in common."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
