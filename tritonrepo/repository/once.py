"""What is computed once from a value and kept with it as long as its owner: no cache outlives a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

Memo = dict[Callable[..., Any], Any]
LASTING = dict[Callable[..., Any], Callable[..., Any]]()
"""What is asked for, and the work that it stands for, whose results are kept when the others are forgotten."""

P = ParamSpec("P")
R = TypeVar("R")


class Keeping(Protocol):
    """A value with a place for what is computed from it."""

    @property
    def memo(self) -> Memo:
        """What is kept, which grows."""


O = TypeVar("O", bound=Keeping)  # noqa: E741  the owner


def once(work: Callable[Concatenate[O, P], R]) -> Callable[Concatenate[O, P], R]:
    """Keep what a function returns in the memo of its first argument, the owner; the others must follow from it."""

    @wraps(work)
    def kept(owner: O, /, *context: P.args, **names: P.kwargs) -> R:
        memo = owner.memo
        if work not in memo:
            memo[work] = work(owner, *context, **names)
        found: R = memo[work]
        return found

    return kept


def lasting(work: Callable[Concatenate[O, P], R]) -> Callable[Concatenate[O, P], R]:
    """Keep what a function returns as `once` does, and also when `forget` is called: it must be small."""
    asked = once(work)
    LASTING[asked] = work
    return asked


def keep(owner: Keeping, asked: Callable[..., Any], found: object) -> None:
    """Keep what a lasting function would return, which is known without it."""
    owner.memo[LASTING[asked]] = found


def forget(owner: Keeping) -> None:
    """Drop what is kept, such as syntax trees, but not what is lasting."""
    memo = owner.memo
    left = {work: memo[work] for work in LASTING.values() if work in memo}
    memo.clear()
    memo.update(left)
