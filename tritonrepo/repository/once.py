"""What is computed once from a value and kept with it as long as its owner: no cache outlives a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

Memo = dict[Callable[..., Any], Any]
P = ParamSpec("P")
R = TypeVar("R")


class Keeping(Protocol):
    """A value with a place for what is computed from it."""

    memo: Memo


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
