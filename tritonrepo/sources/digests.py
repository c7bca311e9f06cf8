"""Digests of large files on this machine, remembered while a file is the same: every build asks for those of sources.

As in Git's index (Documentation/technical/racy-git), a file that was changed just before it was read is not remembered:
a second change within the same tick of the clock would not show.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tritonrepo.sources.scratch import scratch
from tritonrepo.tree import File, hashed

SMALL = 1 << 20
"""Smaller files are read as quickly as what is remembered of them."""

YOUNG_NS = 2_000_000_000
"""The longest tick of a file system's clock, that of FAT, in ns."""


class Digests:
    """The hasher of files on disk, which remembers what it has read in the cache's directory."""

    def __init__(self, cache: Path, clock: Callable[[], int] = time.time_ns) -> None:
        self._places = cache / "digests"
        self._work = cache / "work"
        self._clock = clock

    def __call__(self, file: File) -> str:
        """Return the SHA-256 of a file in hex."""
        if file.place is None or file.size < SMALL:
            return hashed(file)
        name, state = _state(file.place)
        place = self._places / name
        with suppress(OSError, ValueError, LookupError, TypeError):
            known = json.loads(place.read_bytes())
            if known["state"] == state:
                return str(known["sha256"])
        began = self._clock()
        digest = hashed(file)
        if _state(file.place) == (name, state) and began - max(state[1:]) > YOUNG_NS:
            self._remember(place, {"state": state, "sha256": digest})
        return digest

    def _remember(self, place: Path, known: object) -> None:
        with suppress(OSError), scratch(self._work) as work:  # a read-only cache works as well
            (work / place.name).write_text(json.dumps(known), "utf-8")
            place.parent.mkdir(exist_ok=True)
            (work / place.name).replace(place)


def _state(path: str) -> tuple[str, list[int]]:
    """Return what names a file for good, and what any change of it changes: size, and times of content and of state.

    The time of the content can be set back, as by `touch` and archives, but not that of the state.
    """
    facts = os.stat(path)  # noqa: PTH116  as text, as scans have it
    return f"{facts.st_dev}-{facts.st_ino}", [facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns]
