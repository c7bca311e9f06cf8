"""The machine on which something is measured, and the commit that is measured: for the heads of the pages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PAGE = "RESULTS.md"
TRIES = 3
LOOP_S = 0.27
"""What the loop takes a core of the machines of RESULTS.md when their hosts do nothing else."""

LOOP = """\
total = 0
for number in range(5_000_000):
    total += number
"""
CODE = compile(LOOP, "loop", "exec")


def commit() -> str:
    """Return the commit of this checkout, and whether it was changed, apart from the page that is being written."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True, cwd=HERE).stdout.strip()

    changed = git("status", "--porcelain", "-uno", "--", ":/", f":!{PAGE}")
    return git("rev-parse", "--short=8", "HEAD") + (", with changes" if changed else "")


def cpu() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown processor")


def system() -> str:
    """Return the operating system and the Python."""
    here = os.uname()
    return f"{here.sysname} {here.release}; Python {sys.version.split()[0]}"


@contextmanager
def on_one_core() -> Iterator[None]:
    """Keep this process, and what it starts, on one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def loop_s() -> float:
    """Return the processor seconds of a loop in plain Python, the best of three: the speed of one core now."""

    def tried() -> float:
        began = time.process_time()
        loop()
        return time.process_time() - began

    return min(tried() for _ in range(TRIES))


def loop() -> None:
    """Add five million numbers in plain Python."""
    exec(CODE, {})
