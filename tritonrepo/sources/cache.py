"""The content-addressed cache: each file once, read-only, under its SHA-256; trees of files under a key."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tritonrepo.diagnostics import fatal
from tritonrepo.sources.digests import Digests
from tritonrepo.sources.scratch import scratch
from tritonrepo.tree import File, amount, on_disk

RULE = "cache-access"
ROOM = "Free some space, or set XDG_CACHE_HOME to a writable directory."


def default_root(environment: Mapping[str, str]) -> Path:
    """Return `$XDG_CACHE_HOME/tritonrepo`, or the fallback of the XDG base directory specification."""
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache") / "tritonrepo"


class Cache:
    """A directory of blobs and trees of blobs; processes can share it, and can be killed at any moment."""

    def __init__(
        self,
        root: Path,
        tell: Callable[[str], None] = lambda _: None,
        count: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
        *,
        trusting: bool = True,
    ) -> None:
        self.root = root
        self.digests = Digests(root, trusting=trusting)
        self.tell = tell
        """Called with a description of slow work, before it begins."""
        self.count = count
        """Called with the description of a download, the bytes that are there, and those of the whole; 0 if unknown."""

    def tree(self, key: str, what: str, make: Callable[[Path], None]) -> dict[str, File]:
        """Return the files that `make` writes into the directory it receives; it is called only if the key is new.

        The key holds everything that the files depend on; `what` describes the work to users. If `make` raises an
        exception, nothing is kept.
        """
        known = self.known(key)
        if known is not None:
            return known
        self.tell(what)
        return self.remade(key, make)

    def known(self, key: str) -> dict[str, File] | None:
        """Return the files of a tree; None if the key is new, or one of its files is missing or damaged."""
        return self._read(self._entry(key))

    def remade(self, key: str, make: Callable[[Path], None]) -> dict[str, File]:
        """Return the files that `make` writes into the directory it receives, as the tree of this key from now on."""
        with self.writing():
            return self._made(key, make)

    def enter(self, key: str, files: Mapping[str, File]) -> None:
        """Make files that the cache already has the tree of this key."""
        with self.writing(), scratch(self.root / "work") as place:
            self._enter(key, files, place)

    def blob(self, sha256: str, size: int | None = None) -> File | None:
        """Return the file with this content, which is read to be sure; None if the cache does not have it."""
        blob = self._blob(sha256)
        with suppress(OSError):
            length = blob.stat().st_size
            if size in {None, length} and _digest(blob) == sha256:
                return on_disk(blob, length, sha256)
        return None

    def keep(self, path: Path) -> File:
        """Move a complete file of this file system into the cache, under its digest."""
        with self.writing():
            return self._keep(path)

    @contextmanager
    def partial(self, name: str, what: str) -> Iterator[BinaryIO]:
        """Yield a file, open to be read and written, that keeps what a killed download had received.

        Only one process at a time has it: another one waits, and says so. Its path is the stream's `name`.
        """
        place = self.root / "partial" / name
        with self.writing():
            place.parent.mkdir(parents=True, exist_ok=True)
            stream = self._locked(place, what)
        try:
            yield stream
        finally:
            if not os.fstat(stream.fileno()).st_size and _is_at(stream, place):  # nothing to continue from
                place.unlink()
            with suppress(OSError):  # of a full disk, which was reported when the content did not fit
                stream.close()

    def _locked(self, place: Path, what: str) -> BinaryIO:
        while True:
            stream = place.open("a+b")
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.tell(f"waiting for another process: {what}")
                fcntl.flock(stream, fcntl.LOCK_EX)
            if _is_at(stream, place):
                return stream
            stream.close()  # the other process has finished it and moved it away

    def room(self, size: int) -> None:
        """Raise Stop if the disk of the cache has less free space than this, in bytes."""
        import shutil

        with self.writing():
            self.root.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.root).free
        if size > free:
            message = f"the download needs {amount(size)}, but the disk of the cache has only {amount(free)} free"
            raise fatal(RULE, str(self.root), message, ROOM)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn an OSError into a Stop that says that the cache cannot be written."""
        try:
            yield
        except OSError as error:
            message = f"the cache cannot be written: {error.strerror or error}"
            raise fatal(RULE, str(self.root), message, ROOM) from error

    def _made(self, key: str, make: Callable[[Path], None]) -> dict[str, File]:
        with scratch(self.root / "work") as place:
            made = place / "files"
            made.mkdir()
            make(made)
            files = {
                path.relative_to(made).as_posix(): self._keep(path)
                for path in sorted(made.rglob("*"))
                if path.is_file()
            }
            self._enter(key, files, place)
            return files

    def _enter(self, key: str, files: Mapping[str, File], place: Path) -> None:
        entry = self._entry(key)
        entry.parent.mkdir(parents=True, exist_ok=True)
        listing = {path: {"sha256": file.sha256, "size": file.size} for path, file in files.items()}
        text = place / "tree.json"
        text.write_text(json.dumps({"key": key, "files": listing}, indent=1, sort_keys=True), "utf-8")
        text.replace(entry)

    def _entry(self, key: str) -> Path:
        import hashlib

        return self.root / "trees" / f"{hashlib.sha256(key.encode()).hexdigest()}.json"

    def _keep(self, path: Path) -> File:
        """Move a file to its place under its digest."""
        digest = _digest(path)
        size = path.stat().st_size
        blob = self._blob(digest)
        if not (blob.is_file() and blob.stat().st_size == size and _digest(blob) == digest):
            blob.parent.mkdir(parents=True, exist_ok=True)
            path.chmod(0o444)  # stores hard-link files that nobody can write to
            path.replace(blob)
        else:
            path.unlink()
        return on_disk(blob, size, digest)

    def _read(self, entry: Path) -> dict[str, File] | None:
        """Return the tree of an entry; None if the entry or one of its blobs is missing or incomplete."""
        try:
            made = entry.stat().st_mtime_ns
            listing = json.loads(entry.read_bytes())["files"]
            files = {path: on_disk(self._blob(f["sha256"]), f["size"], f["sha256"]) for path, f in listing.items()}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return files if all(self._sound(file, made) for file in files.values()) else None

    def _sound(self, file: File, made: int) -> bool:
        """Return whether a blob has the content that its name says; `made` is when its tree was finished, in ns.

        Repositories hold hard links to blobs, so a `chmod` or an edit there affects the blob. One that looks modified
        is read again: if its content has changed, it is removed; otherwise the cache replaces it with a separate copy.
        """
        blob = self._blob(str(file.sha256))
        try:
            facts = blob.stat()
            if facts.st_size != file.size:
                return False
            if not facts.st_mode & 0o222 and facts.st_mtime_ns <= made:
                return True
            if _digest(blob) != file.sha256:
                blob.unlink()
                return False
        except OSError:
            return False
        with suppress(OSError):  # a read-only cache works as well
            self._keep_apart(blob, made)
        return True

    def _keep_apart(self, blob: Path, made: int) -> None:
        import shutil

        with scratch(self.root / "work") as place:
            copy = place / "copy"
            shutil.copyfile(blob, copy)
            copy.chmod(0o444)
            os.utime(copy, ns=(made, made))
            copy.replace(blob)

    def _blob(self, sha256: str) -> Path:
        return self.root / "blobs" / sha256[:2] / sha256

    def directory(self, name: str, files: Mapping[str, File]) -> Path:
        """Return a directory that holds these files as links, for programs that need a path; made once per content."""
        import hashlib

        total = hashlib.sha256(json.dumps({path: file.sha256 for path, file in sorted(files.items())}).encode())
        target = self.root / "directories" / f"{name}-{total.hexdigest()[:16]}"
        if all(_same(target / path, file) for path, file in files.items()):
            return target
        with self.writing():
            return self._filled(target, files)

    def _filled(self, target: Path, files: Mapping[str, File]) -> Path:
        import shutil

        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch(self.root / "work") as place:
            for path, file in files.items():
                destination = place / "files" / path
                destination.parent.mkdir(parents=True, exist_ok=True)
                assert file.path is not None  # noqa: S101  files of the cache are on disk
                _placed(file.path, destination)
            with suppress(OSError):  # another process was first
                (place / "files").rename(target)
        return target


def _is_at(stream: BinaryIO, place: Path) -> bool:
    """Return whether an open file still has its path."""
    try:
        return os.path.samestat(place.stat(), os.fstat(stream.fileno()))
    except FileNotFoundError:
        return False


def _digest(path: Path) -> str:
    import hashlib

    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _placed(blob: Path, target: Path) -> None:
    try:
        os.link(blob, target)
    except OSError:  # a file system without links, or a file of another user
        import shutil

        shutil.copy2(blob, target)


def _same(placed: Path, file: File) -> bool:
    """Return whether a directory still has what `_placed` put into it."""
    try:
        facts, own = placed.stat(), file.path.stat() if file.path is not None else None
    except OSError:
        return False
    return own is not None and (facts.st_size, facts.st_mtime_ns) == (own.st_size, own.st_mtime_ns)
