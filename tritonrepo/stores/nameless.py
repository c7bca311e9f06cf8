"""Files without a name, for what is made piece by piece and is put into a directory once it is complete."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from tritonrepo.stores.directory import explained
from tritonrepo.tree import File


class Nameless:
    """A file that will be put at `target`: until then, it takes space on that disk, and nothing can see it.

    It is gone when its `with` block ends, or its process, however that happens. Raise Stop if it cannot be written.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        with explained(target, "write"):
            self._stream = tempfile.TemporaryFile(dir=next(each for each in target.absolute().parents if each.is_dir()))  # noqa: SIM115

    def write(self, content: bytes) -> None:
        """Add bytes at the end."""
        with explained(self._target, "write"):
            self._stream.write(content)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of what is written; nothing can be added meanwhile."""
        with explained(self._target, "write"):
            self._stream.flush()
        self._stream.seek(0)
        yield from self._stream

    def file(self) -> File:
        """Return what is written, which can be read as long as this is open."""
        with explained(self._target, "write"):
            self._stream.flush()
        descriptor = self._stream.fileno()
        return File(os.fstat(descriptor).st_size, lambda offset, n: os.pread(descriptor, n, offset))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a full disk, which was reported when the content did not fit
            self._stream.close()
