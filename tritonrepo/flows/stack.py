"""What several commands begin with: reading stack files and their lock, and writing the lock."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tritonrepo import spec
from tritonrepo.diagnostics import Faults, Span, Stop, failure, fatal
from tritonrepo.flows.paths import DEFAULT, reading
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate import generate
from tritonrepo.generate.draft import Draft
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec import lock_text
from tritonrepo.spec.lock import SCHEMA, Lock, Version
from tritonrepo.spec.nodes import MAX_BYTES
from tritonrepo.spec.stack import Stack
from tritonrepo.stores import open_store
from tritonrepo.stores.links import inside
from tritonrepo.stores.store import Conflict, Tag
from tritonrepo.tree import of_bytes, of_text

Reader = Callable[[bytes, str], Lock]
"""Makes the lock of a content and the path to report; raises Stop if it is not a lock."""


class Loaded(NamedTuple):
    """Stack with its lock and the lock's path, the files that it was read from, its workspace, the lock's reader."""

    stack: Stack
    lock: Lock
    lock_path: Path
    paths: tuple[Path, ...]
    work: Workspace
    reader: Reader = lock_text.load

    @property
    def remake(self) -> str:
        """The command that builds the indexes of this stack."""
        return shlex.join(["tritonrepo", "index", *(word for path in self.paths for word in ("-f", str(path)))])

    def gathering(self) -> Gathering:
        """Return what resolves the stack's sources."""
        return Gathering(self.stack, self.lock, self.work.cache, self.remake, self.work.links)


def load(
    paths: Path | str | Sequence[Path | str], work: Workspace, reader: Reader = lock_text.load, release: str = ""
) -> Loaded:
    """Read one stack file or several, later ones merged over earlier ones, and the lock next to the first.

    `release` replaces the release of their target.
    """
    paths = [paths] if isinstance(paths, Path | str) else paths
    with reading():
        named = [path / DEFAULT if path.is_dir() else path for path in map(Path, paths)] or [Path(DEFAULT)]
        lock_path = named[0].with_suffix(".lock")
        faults = Faults()
        lock = faults.tried(lambda: _read(_bytes(lock_path, named[0], work.links), lock_path, reader), Lock())
        texts = [(str(path), faults.tried(partial(_content, path, work), None)) for path in named]
        there = [(path, text) for path, text in texts if text is not None]
        if there and release:
            there.append((there[-1][0], f'target: {{release: "{release}"}}'.encode()))
        opened = partial(_extended, work=work)
        stack = faults.tried(lambda: spec.read(there, work.environ, work.parts, opened), None) if there else None
        faults.stop()
    assert stack is not None  # noqa: S101  nothing was found
    return Loaded(stack, lock, lock_path, tuple(named), work, reader)


def drafted(gathering: Gathering, numbers: Mapping[str, Version], faults: Faults) -> Draft:
    """Return the repository of a stack with these version numbers; what is wrong with the stack is added to `faults`.

    If there are faults, stand-ins are in it: it can be judged, but must not be written.
    """
    draft = generate(gathering.gathered(faults), numbers)
    faults.add(*draft.faults)
    return draft


def not_overtaken(loaded: Loaded, lock: Lock) -> Tag | None:
    """Return the tag of the lock on disk, None if there is none.

    Raise Stop if it is neither what was read nor what is to be written.
    """
    path = loaded.lock_path
    content = _bytes(path, loaded.paths[0], loaded.work.links)
    if _read(content, path, loaded.reader) not in (loaded.lock, lock):
        raise _overtaken(path)
    return None if content is None else Tag(of_bytes(content).sha256)


def write_lock(loaded: Loaded, lock: Lock) -> None:
    """Write the lock if it changed, whole or not at all; raise Stop if somebody else has changed it since."""
    tag = not_overtaken(loaded, lock)
    path = loaded.lock_path
    if tag is not None and loaded.lock.schema == SCHEMA and loaded.lock == lock:
        return
    store, name = open_store(str(path))
    try:
        if path.is_symlink():  # the store follows none, so it knows no tag
            store.put(name, of_text(lock_text.dump(lock)))
        else:
            store.put(name, of_text(lock_text.dump(lock)), if_absent=tag is None, if_match=tag)
    except Conflict:
        raise _overtaken(path) from None
    finally:
        store.tidy()


def _overtaken(path: Path) -> Stop:
    return failure(
        "lock-overtaken", str(path), "somebody else changed the lock file after it was read", "Run the command again."
    )


def _read(content: bytes | None, path: Path, reader: Reader) -> Lock:
    return Lock() if content is None else reader(content, str(path))


def _bytes(path: Path, stack: Path, links: Sequence[Path]) -> bytes | None:
    """Return what a lock file holds, None if there is none."""
    if path == stack and path.exists():
        raise fatal(
            "stack-name", str(path), "the stack file has the path of its own lock file", "Rename it to end in .yaml."
        )
    if not inside(path, path.parent, links).exists():
        return None
    if not path.is_file():  # reading a FIFO would wait forever
        hint = "Move it elsewhere, and restore the lock file from version control."
        raise fatal("lock-syntax", str(path), "the lock file is not a regular file", hint)
    return path.read_bytes()


def _extended(name: str, at: Span, work: Workspace) -> tuple[str, bytes]:
    """Return the path and content of a stack file that another one extends at this place."""
    above, links = Path(at.path).parent, work.links
    path = inside(above / name, above, links, at)
    path = path / DEFAULT if path.is_dir() else path
    short = Path(os.path.normpath(path))
    if os.path.realpath(short) == os.path.realpath(path):  # with links, `a/..` can be another directory
        path = short
    if not path.is_file():
        state = "is not a regular file" if path.exists() else "does not exist"
        hint = f"Use a path relative to {above}/." if above.name else "Use a path relative to this file."
        raise fatal("stack-extends", at, f"the extended stack file {path} {state}", hint)
    return str(path), _text(path, work, at)


def _content(path: Path, work: Workspace) -> bytes:
    if not path.exists():
        raise fatal(
            "stack-missing",
            str(path),
            "the stack file does not exist",
            "Use the path of a stack file or its directory.",
        )
    if not path.is_file():
        raise fatal("stack-missing", str(path), "the stack file is not a regular file")
    return _text(path, work)


def _text(path: Path, work: Workspace, at: Span | None = None) -> bytes:
    with inside(path, path.parent, work.links, at).open("rb") as stream:
        return work.contents[str(path)] if str(path) in work.contents else stream.read(MAX_BYTES + 1)
