"""The processors that this process may use: those of its affinity, or fewer if the quota of its container is less.

Source: Linux, Documentation/admin-guide/cgroup-v2.rst, cpu.max; scheduler/sched-bwc.rst, cpu.cfs_quota_us.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

OWN, GROUPS = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")
"""The control groups of this process, and where they are mounted."""


def cores() -> int:
    """Return how many they are; a part of one counts as one."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min([count, *map(math.ceil, _quotas())])


def _quotas() -> Iterator[float]:
    """Yield how many processors' time this process and what contains it may use, as far as that is limited.

    A container may see its own group at the top, at another path than the process is said to have.
    """
    with suppress(OSError, ValueError):
        for line in OWN.read_text("utf-8").splitlines():
            _, kinds, path = line.split(":", 2)
            if kinds and "cpu" not in kinds.split(","):
                continue
            group = PurePosixPath(path.lstrip("/"))
            for each in (group, *group.parents):
                with suppress(OSError, ValueError):  # nothing is limited, as the texts say that in other words
                    time, period = _texts(GROUPS / "cpu" / each if kinds else GROUPS / each, old=bool(kinds))
                    if int(time) > 0 and int(period) > 0:
                        yield int(time) / int(period)


def _texts(group: Path, *, old: bool) -> tuple[str, ...]:
    """Return the texts of the time that a group may use in each period, and of the period, in the same unit."""
    if old:
        return tuple((group / f"cpu.cfs_{name}_us").read_text("ascii") for name in ("quota", "period"))
    return tuple((group / "cpu.max").read_text("ascii").split())
