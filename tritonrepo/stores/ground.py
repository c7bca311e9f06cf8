"""What steps of fixes need to find on the disk, and what is in their way there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tritonrepo.diagnostics import Create, Move, Remove, Stop
from tritonrepo.fixes import Step, Write, paths
from tritonrepo.stores.beneath import Spot
from tritonrepo.stores.walk import WRITTEN_BY_PYTHON
from tritonrepo.tree import Entry, File, State, Tree, meet, parents, state_of

BESIDE = ".tritonrepo-fix-"
"""How the names of files begin that are not complete."""

WRITABLE = 0o222
CHANGED = "the file has changed since it was read"
AGAIN = "Run the command again."
ACCESS = "Grant this user write access, or make the change by hand."


class Obstacle(Exception):  # noqa: N818  becomes a value
    """Why a step cannot be done: the path, what is wrong there, and the next step."""

    def __init__(self, path: str, reason: str, hint: str = AGAIN) -> None:
        super().__init__(path)
        self.path, self.reason, self.hint = path, reason, hint


class Ground:
    """A directory on the disk, compared with the tree that a scan has found there."""

    def __init__(self, root: str, tree: Tree) -> None:
        self.root = root
        self._tops: dict[str, dict[str, Entry]] = {}
        for path, entry in tree.items():
            self._top(path)[path] = entry
        self._changed: list[str] = []
        self._written: dict[str, bytes] = {}

    def _top(self, path: str) -> dict[str, Entry]:
        return self._tops.setdefault(path.partition("/")[0], {})

    def begin(self) -> None:
        """Begin with steps that do not depend on earlier ones."""
        self._changed, self._written = [], {}

    def check(self, step: Step) -> None:
        """Raise an obstacle if what a step needs is not there, unless an earlier step makes it."""
        match step:
            case Write(path, content):
                if not self._is_changed(path):
                    self.current(path, content)
            case Move(path, to):
                self._present(path)
                self._vacant(to)
            case Create(path):
                self._vacant(path)
            case Remove(path):
                self._present(path)
                self._same(path)
        for path in paths(step):
            self._reachable(path)
        if not isinstance(step, Write):
            self._changed += paths(step)

    def done(self, write: Write) -> None:
        """Remember what was written."""
        self._written[write.path] = write.content

    def current(self, path: str, wanted: bytes) -> bool:
        """Return whether a file has the wanted content already; raise an obstacle if it has changed."""
        now = self._read(path)
        if now == wanted:
            return True
        if not self._is_changed(path):
            known = self._top(path).get(path)
            assert isinstance(known, File)  # noqa: S101  its text was fixed
            if now != self._written.get(path, known.content()):
                raise Obstacle(path, CHANGED)
        return False

    def _read(self, path: str) -> bytes:
        """Return the content of a file; raise an obstacle if it cannot be replaced."""
        try:
            with os.fdopen(Spot(self.root, path).open(), "rb") as stream:
                if not os.fstat(stream.fileno()).st_mode & WRITABLE or not os.access(self._full(path), os.W_OK):
                    raise Obstacle(path, "the file is read-only", ACCESS)
                return stream.read()
        except Stop as stop:
            raise Obstacle(path, stop.diagnostics[0].message) from None
        except FileNotFoundError:
            raise Obstacle(path, CHANGED) from None

    @contextmanager
    def above(self, path: str) -> Iterator[tuple[int, str]]:
        """Yield a descriptor of the directory that holds a path, and its name there; no link is followed."""
        directory, _, name = path.rpartition("/")
        try:
            descriptor = Spot(self.root, directory).directory()
        except Stop as stop:
            raise Obstacle(path, stop.diagnostics[0].message) from None
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def free(self, path: str) -> None:
        """Raise an obstacle if something is at a path."""
        if os.path.lexists(self._full(path)):
            raise Obstacle(path, "a file has appeared where the fix would create one")

    def _vacant(self, path: str) -> None:
        if not self._is_changed(path):
            self.free(path)

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}"

    def _is_changed(self, path: str) -> bool:
        """Return whether an earlier step moves, creates or removes what is at a path."""
        return any(meet(path, each) for each in self._changed)

    def _present(self, path: str) -> None:
        if not self._is_changed(path) and not os.path.lexists(self._full(path)):
            raise Obstacle(path, "the file is no longer there")

    def _same(self, path: str) -> None:
        """Raise an obstacle if what would be removed is not what was found."""
        if self._is_changed(path):
            return
        found = {each: entry for each, entry in self._top(path).items() if each == path or each.startswith(f"{path}/")}
        for each, entry in found.items():
            if isinstance(entry, File) and entry.state is not None and _state(self._full(each)) != entry.state:
                raise Obstacle(each, CHANGED)
        if not {*self._listed(path)} <= found.keys():
            raise Obstacle(path, "a file has appeared in the directory since it was read")

    def _listed(self, path: str) -> Iterator[str]:
        """Yield the paths of files and links on the disk at a path."""
        full = self._full(path)
        if os.path.islink(full) or not os.path.isdir(full):  # noqa: PTH112, PTH114  texts
            yield path
            return
        for above, directories, names in os.walk(full):
            here = above[len(self.root) + 1 :]
            linked = [each for each in directories if os.path.islink(f"{above}/{each}")]  # noqa: PTH114
            directories[:] = [each for each in directories if each != WRITTEN_BY_PYTHON]
            yield from (f"{here}/{each}" for each in (*names, *linked))

    def _reachable(self, path: str) -> None:
        """Raise an obstacle if nothing can be created or removed in the directory of a path.

        What a killed run left half-written there is removed: nobody else is at work.
        """
        above = next((each for each in parents(path) if os.path.lexists(self._full(each))), "")
        full = self._full(above)
        if not os.access(full, os.W_OK | os.X_OK):
            raise Obstacle(above or ".", "the directory is read-only", ACCESS)
        for name in os.listdir(full):  # noqa: PTH208  names only
            if name.startswith(BESIDE):
                _discard(f"{full}/{name}")


def _state(path: str) -> State | None:
    with suppress(OSError):
        return state_of(os.stat(path))  # noqa: PTH116  as the scan does
    return None


def _discard(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):  # noqa: PTH112, PTH114
        shutil.rmtree(path, ignore_errors=True)
        return
    with suppress(OSError):
        os.unlink(path)  # noqa: PTH108
