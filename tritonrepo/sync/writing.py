"""The writes of a push: each conditional on the tag that was seen, none once another push holds the lock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.store import Conflict, Late, Send, Tag, Write, tag_of
from tritonrepo.sync import lock
from tritonrepo.tree import File

if TYPE_CHECKING:
    from tritonrepo.sync.lock import Hold
    from tritonrepo.sync.place import Place

AT_ONCE = 16
BATCH = 64
"""How many writes are prepared together: few enough that all are sent long before they expire."""

TRIES = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


class Writer(NamedTuple):
    """What writes at a place that others may read or write.

    Without a `hold`, someone else ensures that no other push runs; without `conditions`, the store supports none.
    """

    place: Place
    hold: Hold | None
    conditions: bool = True

    @property
    def lanes(self) -> int:
        """How many writes run at a time."""
        return AT_ONCE

    @property
    def beside(self) -> Writer:
        """What writes next to the repository, where its record is."""
        return self._replace(place=self.place.records)

    def write(self, writes: Sequence[Write]) -> list[Tag | None]:
        """Do writes that servers or other pushes see, each on its condition, and return their tags.

        Raise Stop if a condition does not hold, unless our own content is there, or if the lock is lost.
        """
        batches = [writes[start : start + BATCH] for start in range(0, len(writes), BATCH)]
        return [tag for batch in batches for tag in self._batch(batch)]

    def _batch(self, writes: Sequence[Write]) -> list[Tag | None]:
        tags: dict[Write, Tag | None] = {}
        for _ in range(TRIES):
            left = [write for write in writes if write not in tags]
            sends = list(zip(left, each(self._ticket, left, self.lanes), strict=True))
            if self.hold:
                self.hold.confirm()
            done = each(lambda item: self._sent(*item), sends, self.lanes)
            tags |= {write: tag for write, tag in zip(left, done, strict=True) if not isinstance(tag, Late)}
            if len(tags) == len(writes):
                return [tags[write] for write in writes]
        message = f"the store takes more than {lock.VALID_S} s to write a small object"
        raise failure("push-late", self.place.uri, message, "Run the command again when the store responds faster.")

    def _ticket(self, write: Write) -> Send:
        plain = write if self.conditions else Write(write.path, write.file)
        return self.place.store.ticket(plain, lock.VALID_S)

    def _sent(self, write: Write, send: Send) -> Tag | Late | None:
        try:
            with self._lasting():
                return send()
        except Late as late:
            return late
        except Conflict:
            found = self.place.store.fetch(write.path)
            if found is None and write.file is None:
                return None  # the reply to our removal was lost
            if found and write.file and found.content == write.file.content():
                return found.tag  # the reply to our write was lost
            raise self._overtaken(write.path) from None

    def add(self, path: str, file: File) -> Tag:
        """Write a file of any size where none exists, and return its tag; an existing one must have this content."""
        if self.hold:
            self.hold.recent()
        try:
            with self._lasting():
                return self.place.store.put(path, file, if_absent=self.conditions)
        except Conflict:
            folder, _, name = path.rpartition("/")
            found = self.place.store.scan(folder).get(name)
            if isinstance(found, File) and found.size == file.size and found.sha256 == file.sha256:
                return tag_of(found)
            raise self._overtaken(path) from None

    def _lasting(self) -> AbstractContextManager[None]:
        """Return a block during which the lock is not given back."""
        return self.hold.sending() if self.hold else nullcontext()

    def _overtaken(self, path: str) -> Stop:
        message = "someone else wrote this file after the plan was made"
        hint = "Find out who writes to this prefix, and run the command again."
        return failure("push-overtaken", f"{self.place.uri}: {path}", message, hint)


class Alone(NamedTuple):
    """What writes at a place where nobody else reads or writes: one file after the other, in the plan's order."""

    place: Place
    lanes: int = 1

    def write(self, writes: Sequence[Write]) -> list[Tag | None]:
        """Do writes whatever exists, and return their tags."""
        return [self._written(write) for write in writes]

    def _written(self, write: Write) -> Tag | None:
        if write.file is not None:
            return self.add(write.path, write.file)
        self.place.store.delete(write.path)
        return None

    def add(self, path: str, file: File) -> Tag:
        """Write a file whatever exists, and return its tag."""
        return self.place.store.put(path, file)


def each(do: Callable[[Item], Result], items: Iterable[Item], lanes: int) -> list[Result]:
    """Apply a function to items, `lanes` at a time, and return the results in order; start nothing after an error.

    After Ctrl-C, what has started is not waited for: the store may need minutes to answer.
    """
    if lanes == 1:
        return [do(item) for item in items]
    todo, over, errors = list(items), threading.Event(), dict[int, BaseException]()
    numbers, results = iter(range(len(todo))), cast("list[Result]", [None] * len(todo))

    def lane() -> None:  # takes one item after the other: a future for each of thousands needs more memory than they do
        for number in numbers:
            if over.is_set():
                return
            try:
                results[number] = do(todo[number])
            except BaseException as error:
                errors[number] = error
                over.set()
                raise

    pool = ThreadPoolExecutor(lanes)
    try:
        wait([pool.submit(lane) for _ in range(min(lanes, len(todo)))], return_when=FIRST_EXCEPTION)
    except KeyboardInterrupt:
        over.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    stopped = [error for error in [*errors.values()] if isinstance(error, KeyboardInterrupt)]
    pool.shutdown(wait=not stopped)
    if errors:
        raise stopped[0] if stopped else errors[min(errors)]
    return results


def both(slow: Callable[[], Item], other: Callable[[], Result]) -> tuple[Item, Result]:
    """Return what two functions return, while the first one waits for a store; its error counts if both fail.

    After Ctrl-C, it is not waited for.
    """
    pool = ThreadPoolExecutor(1)
    first = pool.submit(slow)
    pool.shutdown(wait=False)
    try:
        second = other()
    except Exception:
        first.result()
        raise
    return first.result(), second
