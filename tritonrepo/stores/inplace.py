"""Steps of fixes carried out in a directory: each file whole or not at all, and none that has changed meanwhile.

What a step writes is beside its file until it is complete. No link is followed on the way.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Create, Move, Remove
from tritonrepo.fixes import Step, Write, paths
from tritonrepo.stores.directory import alone
from tritonrepo.stores.ground import ACCESS, BESIDE, Ground, Obstacle
from tritonrepo.stores.renaming import rename_to_free
from tritonrepo.tree import Tree, parents

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
"""What keeps every later file from being written as well."""

SPACE = "Free some space and run the command again. It continues from this point."
PRIVATE, USUAL = 0o600, 0o666
"""The modes of a file that replaces another until it has the other's, and of a new one, which the umask reduces."""


class Undone(NamedTuple):
    """Steps that are not carried out: the path that is the reason, what is wrong there, and the next step.

    `tops` are the names at the top of the directory below which nothing more is done.
    """

    path: str
    reason: str
    hint: str
    tops: frozenset[str]


def carry_out(top: Path, tree: Tree, steps: Sequence[Step]) -> list[Undone]:
    """Carry out steps for what a scan has found in a directory; return what is not done, and why.

    The steps of a model are done if all of them can be; whatever is in the way of one model's is not in that of others.
    """
    undone: list[Undone] = []
    with alone(top):
        ground = Ground(os.path.realpath(top), tree)
        groups = _groups(steps)
        for number, (tops, group) in enumerate(groups):
            try:
                _do(ground, group)
            except Obstacle as found:
                undone.append(Undone(found.path, found.reason, found.hint, tops))
            except OSError as error:
                full = error.errno in FULL
                rest = (others for others, _ in groups[number + 1 :] if full)
                reason = f"the file cannot be written: {error.strerror or error}"
                undone.append(Undone(group[0].path, reason, SPACE if full else ACCESS, tops.union(*rest)))
                if full:
                    break
    return undone


def _groups(steps: Iterable[Step]) -> list[tuple[frozenset[str], list[Step]]]:
    """Return the steps by the names at the top of the directory; those that a move connects are one group."""
    found: dict[str, tuple[set[str], list[Step]]] = {}
    for step in steps:
        tops, group = set[str](), list[Step]()
        for name in {path.partition("/")[0] for path in paths(step)}:
            others, earlier = found.get(name, ({name}, []))
            tops |= others
            if earlier is not group:
                group = earlier + group if group else earlier
        group.append(step)
        found |= dict.fromkeys(tops, (tops, group))
    return [*{id(group): (frozenset(tops), group) for tops, group in found.values()}.values()]


def _do(ground: Ground, steps: Sequence[Step]) -> None:
    """Do all steps once it is clear that they can be done."""
    ground.begin()
    for step in steps:
        ground.check(step)
    for step in steps:
        match step:
            case Write():
                _write(ground, step)
            case Move(path, to):
                _make_room(ground, to)
                with ground.above(path) as source, ground.above(to) as target:
                    rename_to_free(source, target)
            case Create(path, text):
                _make_room(ground, path)
                _create(ground, path, text)
            case Remove(path):
                _remove(ground, path)


def _write(ground: Ground, step: Write) -> None:
    """Replace the content of a file; if it has other names, they keep the old file."""
    with ground.above(step.path) as (above, name):
        before = os.stat(name, dir_fd=above, follow_symlinks=False)
        with _beside(above, step.content, PRIVATE) as (beside, descriptor):
            with suppress(OSError):  # it belongs to another user
                os.fchown(descriptor, before.st_uid, before.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            if not ground.current(step.path, step.content):
                os.rename(beside, name, src_dir_fd=above, dst_dir_fd=above)
    ground.done(step)


def _create(ground: Ground, path: str, text: str | None) -> None:
    with ground.above(path) as (above, name):
        if text is None:
            os.mkdir(name, dir_fd=above)
            return
        with _beside(above, text.encode("utf-8", "surrogateescape"), USUAL) as (beside, _):
            rename_to_free((above, beside), (above, name))


def _remove(ground: Ground, path: str) -> None:
    """Remove a file or link, or a directory once nobody sees it."""
    with ground.above(path) as (above, name):
        if not stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            os.unlink(name, dir_fd=above)
            return
        beside = BESIDE + secrets.token_hex(8)
        rename_to_free((above, name), (above, beside))
        shutil.rmtree(beside, dir_fd=above)


def _make_room(ground: Ground, path: str) -> None:
    """Create the directories above a path that are missing; raise an obstacle if something is at the path."""
    ground.free(path)
    for each in reversed(parents(path)):
        with ground.above(each) as (above, name), suppress(FileExistsError):
            os.mkdir(name, dir_fd=above)


@contextmanager
def _beside(above: int, content: bytes, mode: int) -> Iterator[tuple[str, int]]:
    """Yield the name and descriptor of a complete file next to where it belongs; it is removed if it stays there."""
    name = BESIDE + secrets.token_hex(8)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, mode, dir_fd=above)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        yield name, descriptor
    finally:
        os.close(descriptor)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=above)
