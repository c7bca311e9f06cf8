"""Which models of a directory were clean in earlier runs, kept in the cache: most of a large repository stays the same.

As in `digests`, a file in memory, of an image, or on FAT or FUSE is not remembered, nor one that was changed so shortly
before the scan that a further change through memory might not show: whether a process has it open for writing is not
asked of thousands of files. What is kept is a digest for each model, of its files' names, sizes, inodes and times and
of what judges them: damage makes it match nothing.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import cache
from pathlib import Path

from tritonrepo.repository.clean import LENGTH, Clean
from tritonrepo.repository.model import Repository
from tritonrepo.repository.target import Target
from tritonrepo.sources.digests import WRITTEN_BACK_NS, untraced
from tritonrepo.sources.scratch import scratch
from tritonrepo.tree import Tree

FEW = 100
"""So many models are judged about as quickly as what is known of them is read."""

KEPT = 4
"""How often as many keys as models are kept: those of other targets, and of a state that comes back."""

PACKAGE = Path(__file__).parent.parent

IMPORTED_NS = time.time_ns() - 60_000_000_000
"""When this process had surely not begun to import this package: what has changed since may not be what runs."""

ROOT = 0

ENTRY = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
"""Opened without blocking, as something else may be in its place."""


@contextmanager
def remembered(cache: Path | None, there: Repository, began_ns: int) -> Iterator[Clean]:
    """Yield what is known of a repository on disk, whose scan began at a time, and keep what is found out about it.

    Without a cache, nothing is known, and nothing is kept.
    """
    facts = _facts(there.target) if len(there.models) >= FEW else b""
    if cache is None or not facts:
        yield Clean()
        return
    place, most = _place(cache / "clean", there.root), KEPT * len(there.models)
    before = _read(place, began_ns, most)
    clean = Clean(facts, before, began_ns - WRITTEN_BACK_NS, untraced)
    yield clean
    if not clean.found <= clean.before:
        left = [key for key in before if key not in clean.found]
        _keep(cache, place, [*sorted(clean.found), *left][:most])


@contextmanager
def accepted(cache: Path | None, tree: Tree, server: Target, at: tuple[str, int]) -> Iterator[bool]:
    """Yield whether a repository is known to have no error for this server, and keep that it has none.

    If the block raises an exception, nothing is kept, and what was known is forgotten. Without a cache, nothing is
    kept. `at` is its directory, and when the scan of it began.
    """
    if cache is None:
        yield False
        return
    directory, began_ns = at
    place = _place(cache / "accepted", directory)
    key = Clean(_facts(server), (), began_ns - WRITTEN_BACK_NS, untraced).whole(tree)
    known = bool(key) and _read(place, began_ns, 1) == [key]
    try:
        yield known
    except BaseException:
        if known:
            with suppress(OSError):
                place.unlink()
        raise
    if key and not known:
        _keep(cache, place, [key])


def _place(kept: Path, root: str) -> Path:
    from hashlib import blake2b  # loads OpenSSL, which few models do not need

    return kept / blake2b(os.fsencode(Path(root).absolute()), digest_size=LENGTH).hexdigest()


def _keep(cache: Path, place: Path, keys: list[bytes]) -> None:
    with suppress(OSError), scratch(cache / "work") as work:  # a read-only cache works as well
        (work / place.name).write_bytes(b"".join(keys))
        place.parent.mkdir(exist_ok=True)
        (work / place.name).replace(place)


def is_known(cache: Path, root: str) -> bool:
    """Return whether earlier runs have kept anything about the repository at this path that this user can see."""
    return os.path.exists(_place(cache / "clean", root))  # noqa: PTH110  Path.exists raises other errors


def _read(place: Path, began_ns: int, most: int) -> list[bytes]:
    """Return what this user, or root, has kept; nothing if the clock was set back since, as times then come again."""
    content = b""
    with suppress(OSError), os.fdopen(os.open(place, ENTRY), "rb") as stream:
        status = os.fstat(stream.fileno())
        own = stat.S_ISREG(status.st_mode) and status.st_uid in {os.geteuid(), ROOT}
        if own and max(status.st_mtime_ns, status.st_ctime_ns) <= began_ns:
            content = stream.read(most * LENGTH)
    return [content[at : at + LENGTH] for at in range(0, len(content) - LENGTH + 1, LENGTH)]


def _facts(target: Target) -> bytes:
    """Return what decides besides a model's files: our code and data, this Python, the target; b"" if it is unknown."""
    own = package()
    if not own or max(max(times) for _, _, *times in own) >= IMPORTED_NS:
        return b""
    from hashlib import blake2b

    said = {field.name: getattr(target, field.name) for field in fields(target)}
    said |= {"release": target.release.name, "backends": sorted(target.backends)}
    return blake2b(repr((own, sys.version, said)).encode("utf-8", "surrogatepass")).digest()


@cache
def package() -> tuple[tuple[str, int, int, int], ...]:
    """Return the files of this package, their sizes, and the times of their contents and states, in ns.

    Archives can give a file the time of the one that it replaces. There are none if the package is not on disk, or if
    something in it cannot be looked at, such as a file that an upgrade removes meanwhile, or the lock of an editor.
    """
    found, ahead = list[tuple[str, int, int, int]](), [str(PACKAGE)] if PACKAGE.is_dir() else []
    with suppress(OSError):
        while ahead:
            with os.scandir(ahead.pop()) as scan:
                for entry in scan:
                    if entry.is_dir(follow_symlinks=False):
                        ahead.append(entry.path)
                    elif entry.name.endswith((".py", ".json")):
                        state = entry.stat()
                        found.append((entry.path, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
        return tuple(sorted(found))
    return ()
