"""Models in which no rule of one model found anything, by their files: until these change, nothing can be found.

Only that is remembered, and no finding: what users read is always found anew.
"""

from __future__ import annotations

from collections.abc import Collection

from tritonrepo.repository.model import Model
from tritonrepo.tree import File

LENGTH = 16
"""Bytes of a key."""


class Clean:
    """The keys of models that are clean: `before` of earlier runs, `found` those of this run.

    `facts` is what else decides, such as the rules and the target; without it, nothing is remembered. A file whose
    times are not before `since`, in ns, may have changed once more without a trace, so that its model has no key.
    """

    def __init__(self, facts: bytes = b"", before: Collection[bytes] = (), since: int = 0) -> None:
        self.before = frozenset(before)
        self.found = set[bytes]()
        self._facts, self._since = facts, since

    def key(self, model: Model) -> bytes:
        """Return what identifies a model with these files; b"" if a file of it may change unnoticed."""
        if not self._facts:
            return b""
        from hashlib import blake2b  # loads OpenSSL, and few models need no key

        said: list[object] = [model.name, model.odd]
        for path, entry in model.entries.items():
            state = entry.state if isinstance(entry, File) else None
            if isinstance(entry, File) and (state is None or max(state[2:]) >= self._since):
                return b""
            said += (path, state, entry.size) if isinstance(entry, File) else (path, entry)
        return blake2b(repr(said).encode("utf-8", "surrogatepass"), digest_size=LENGTH, key=self._facts).digest()
