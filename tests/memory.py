"""A store in memory, exact and quick, that records what is done and in which order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator
from functools import partial

from tritonrepo.stores.store import Capabilities, Conflict, Fetched, Send, Store, Stored, Tag, Write
from tritonrepo.tree import File, Tree, files, in_order, of_bytes


def tag_of(body: bytes) -> Tag:
    return Tag(hashlib.md5(body).hexdigest())


class Memory:
    """Objects by path; `log` has every request that is not a read, and `then` is called after each write."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = {path.replace("__", "/"): body for path, body in objects.items()}
        self.log: list[str] = []
        self.then: Callable[[Write], None] = lambda _: None
        self.caps = Capabilities(stray=Tag("0" * 32), sees_changes=True)

    def scan(self, prefix: str) -> Tree:
        head = f"{prefix}/"
        found = {path.removeprefix(head): body for path, body in self.objects.items() if path.startswith(head)}
        return dict(in_order({p: Stored(len(b), of_bytes(b).read, tag=tag_of(b)) for p, b in found.items()}))

    def files(self, prefix: str) -> Iterator[tuple[str, File]]:
        return iter(files(self.scan(prefix)).items())

    def fetch(self, path: str) -> Fetched | None:
        body = self.objects.get(path)
        return None if body is None else Fetched(body, tag_of(body))

    def put(self, path: str, file: File, *, if_absent: bool = False, if_match: Tag | None = None) -> Tag:
        tag = self._done("put", Write(path, file, if_absent, if_match))
        assert tag
        return tag

    def delete(self, path: str) -> None:
        self._done("delete", Write(path, None))

    def ticket(self, write: Write, seconds: int) -> Send:
        self.log.append(f"prepare {write.path} for {seconds} s")
        return partial(self._done, "send", write)

    def revoke(self, directory: str, there: Store | None = None) -> None:
        """A prepared write is sent whenever it is asked for."""

    def tidy(self, prefix: str = "", directories: Collection[str] = ()) -> str:  # noqa: ARG002  the Store's
        """Nothing is half-written here."""
        return ""

    def server_environment(self) -> dict[str, str]:
        return {}

    def _done(self, how: str, write: Write) -> Tag | None:
        condition = " if absent" if write.if_absent else "" if write.if_match is None else f" if {write.if_match[:4]}"
        self.log.append(f"{how} {'-' if write.file is None else ''}{write.path}{condition}")
        there = self.fetch(write.path)
        if (write.if_absent and there) or write.if_match not in {None, there and there.tag}:
            raise Conflict(write.path)
        if write.file is None:
            self.objects.pop(write.path, None)
        else:
            self.objects[write.path] = write.file.content()
        self.then(write)
        return None if write.file is None else tag_of(write.file.content())
