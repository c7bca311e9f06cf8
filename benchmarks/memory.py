"""The memory of a command with all its processes, at its peak."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from benchmarks.pairs import tree

EVERY_S = 0.1


def peak_mb(command: Sequence[str], variables: Mapping[str, str], codes: Collection[int] = (0,)) -> float:
    """Return the most memory, in MB, that a command and what it starts have at once, by looking again and again.

    Pages that forked processes share count once: it is the sum of the proportional set sizes (proc(5), smaps_rollup).
    Raise RuntimeError if the exit code is another one.
    """
    peak = 0
    with subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_pss_kib, tree(process.pid))))
            time.sleep(EVERY_S)
    if process.returncode not in codes:
        raise RuntimeError(f"{' '.join(command[:4])} … ended with {process.returncode}")
    return peak * 1024 / 1e6


def _pss_kib(process: int) -> int:
    with contextlib.suppress(OSError):  # it has ended
        for line in Path(f"/proc/{process}/smaps_rollup").read_text("ascii", "replace").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0
