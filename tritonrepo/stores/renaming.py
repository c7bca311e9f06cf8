"""A rename that never replaces what is at the new name."""

from __future__ import annotations

import ctypes
import errno
import os
import stat

NOREPLACE = 1
"""`RENAME_NOREPLACE` of Linux, include/uapi/linux/fs.h."""

LACKING = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP}
"""What a system or a disk says that does not know the flag."""

Place = tuple[int, str]
"""A descriptor of a directory, and a name in it."""


def rename_to_free(source: Place, target: Place) -> None:
    """Rename a file, link or directory; raise FileExistsError if the new name is taken.

    Where the system cannot exclude it, a name that is taken in the moment of the rename is replaced if it is a file.
    """
    number = _renamed(source, target)
    if number in LACKING:
        _fallback(source, target)
    elif number:
        raise OSError(number, os.strerror(number), target[1])


def _renamed(source: Place, target: Place) -> int:
    """Return the error of the system call, 0 if it is done."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return errno.ENOSYS
    done = rename(source[0], os.fsencode(source[1]), target[0], os.fsencode(target[1]), NOREPLACE)
    return 0 if done == 0 else ctypes.get_errno()


def _fallback(source: Place, target: Place) -> None:
    try:
        there = os.stat(target[1], dir_fd=target[0], follow_symlinks=False)
    except FileNotFoundError:
        there = None
    own = os.stat(source[1], dir_fd=source[0], follow_symlinks=False)
    same = there is not None and (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino)
    if there is not None and not (same and not stat.S_ISLNK(own.st_mode)):  # a name that differs only in case is free
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target[1])
    os.rename(source[1], target[1], src_dir_fd=source[0], dst_dir_fd=target[0])
