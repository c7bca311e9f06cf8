"""Who holds a lock: the process, on which machine, and whether it still runs. A lock is foreign text."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tritonrepo.diagnostics import Stop, failure
from tritonrepo.stores.directory import runs

if TYPE_CHECKING:
    from tritonrepo.sync.place import Place


def name(holder: Mapping[str, str]) -> str:
    """Return the user and the machine."""
    return f"{holder.get('by', 'someone')} on {holder.get('host', 'an unknown machine')}"


def described(holder: Mapping[str, str]) -> str:
    """Return who holds a lock, on which machine, and since when."""
    return f"{name(holder)} has held the lock since {holder.get('at', 'an unknown time')}"


def running(holder: Mapping[str, str]) -> bool | None:
    """Whether the holder of a lock still runs; None if it is on another machine, where that cannot be seen."""
    if holder.get("machine") != machine():
        return None
    since = born(holder.get("pid", ""))
    return bool(since) and since == holder.get("born")


def machine() -> str:
    """Return what identifies the scope of process numbers: the machine, its boot, and the container."""
    parts = [platform.node()]
    with suppress(OSError):
        parts += [Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip(), os.readlink("/proc/self/ns/pid")]  # noqa: PTH115  it points to no path
    return " ".join(parts)


def born(pid: str) -> str:
    """Return when a process started, in ticks since boot; "" if it no longer runs or is a zombie."""
    if not re.fullmatch("[0-9]+", pid):  # a lock is foreign text
        return ""
    try:
        state, *rest = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self").exists() or not runs(pid) else "running"
    return "" if state in {"Z", "X"} else rest[18]


class Held(Stop):
    """The end of a push because another one, the holder, has the lock."""

    def __init__(self, place: Place, holder: Mapping[str, str]) -> None:
        self.holder = holder
        since = holder.get("at", "just now")
        doing, what = ("rolling back", "rollback") if holder.get("rollback") else ("pushing to", "push")
        message = f"{name(holder)} has been {doing} this prefix since {since}; nothing was sent"
        hint = f"Run the command again when that {what} has finished."
        super().__init__(failure("push-locked", place.uri, message, hint).diagnostics)
