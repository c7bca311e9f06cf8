"""A store that replies as a test tells it: one server for all tests of a module, as it takes half a second to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.proxy import Forward, Reply, Request
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Store

Then = Reply | Callable[[Request], Reply] | None


class Fake(NamedTuple):
    """A store that replies as it is told, and what it was asked."""

    store: Store
    prefix: str
    asked: list[Request]


class Told:
    """The replies of the fake store that are left, the one that follows them always, and what it was asked."""

    def __init__(self) -> None:
        self.left: list[Reply | None] = []
        self.then: Then = None
        self.asked: list[Request] = []

    def reply(self, request: Request, _: Forward) -> Reply | None:
        self.asked.append(request)
        if self.left:
            return self.left.pop(0)
        return self.then(request) if callable(self.then) else self.then

    @contextmanager
    def answering(self, uri: str, *replies: Reply | None, then: Then) -> Iterator[Fake]:
        """Yield the store of a URI, which sends these replies in turn, None being none, and then always the same."""
        self.left, self.then, self.asked = [*replies], then, []
        yield Fake(*open_store(uri), self.asked)
