"""Models in which no rule of one model found anything, by their files: until these change, nothing can be found.

Only that is remembered, and no finding: what users read is always found anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cache

from tritonrepo.repository.model import Model
from tritonrepo.tree import Entry, File, State, Tree, facts

LENGTH = 16
"""Bytes of a key."""


class Clean:
    """The keys of models that are clean: `before` of earlier runs, `found` those of this run.

    `facts` is what else decides, such as the rules and the target; without it, nothing is remembered. A file whose
    times are not before `since`, in ns, may change once more without a trace, as may each on a device that is
    `untraced`, so that its model has no key.
    """

    def __init__(
        self,
        facts: bytes = b"",
        before: Collection[bytes] = (),
        since: int = 0,
        untraced: Callable[[int], bool] = lambda _: False,
    ) -> None:
        self.before = frozenset(before)
        self.found = set[bytes]()
        self._facts, self._since, self._untraced = facts, since, cache(untraced)

    def key(self, model: Model) -> bytes:
        """Return what identifies a model with these files; b"" if a file of it may change unnoticed."""
        return self._key((model.name, model.odd), model.entries)

    def whole(self, tree: Tree) -> bytes:
        """Return what identifies a repository of these files; b"" if a file of it may change unnoticed."""
        return self._key((), tree)

    def _key(self, said: tuple[object, ...], entries: Mapping[str, Entry]) -> bytes:
        if not self._facts:
            return b""
        from hashlib import blake2b  # noqa: PLC0415  loads OpenSSL, and few repositories need a key

        key = blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=LENGTH, key=self._facts)
        for path, entry in entries.items():
            about: tuple[object, ...] = (path, entry)
            if isinstance(entry, File):
                if entry.state is None or not self._is_traced(entry.state):
                    return b""
                about = (path, entry.state, entry.size)
            key.update(repr(about).encode("utf-8", "surrogatepass"))
        return key.digest()

    def _is_traced(self, state: State) -> bool:
        """Whether a file in this state cannot change once more without a trace."""
        device, _, *times = facts(state)
        return max(times) < self._since and not self._untraced(device)
