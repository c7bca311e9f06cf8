"""Sums whose terms are shown next to their result: bytes of shared memory, seconds of a start."""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.tree import amount

MIB, GIB = 1 << 20, 1 << 30


class Term(NamedTuple):
    """A part of a sum, in bytes or seconds, and where it comes from."""

    value: int
    why: str


class Sum(NamedTuple):
    """Terms, and the number that is written for their sum: `factor` times as much, rounded up to a multiple."""

    terms: tuple[Term, ...]
    multiple: int
    factor: int = 1

    @property
    def total(self) -> int:
        """The number that is written."""
        exact = self.factor * sum(term.value for term in self.terms)
        return -(-exact // self.multiple) * self.multiple

    def bytes(self) -> list[str]:
        """Return the terms as lines, for numbers of bytes."""
        return [f"{amount(term.value)}: {term.why}" for term in self.terms]

    def seconds(self) -> list[str]:
        """Return the terms as lines, for numbers of seconds."""
        return [f"{term.value} s: {term.why}" for term in self.terms]
