"""Programs that are asked one thing: within a time, with all that they start, and without filling the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

MOST_BYTES = 1 << 20


class Heard(NamedTuple):
    """What a program answered: its exit code, negative for a signal's number, and its two outputs."""

    code: int
    out: str
    err: str


def heard(command: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None) -> Heard:
    """Return what a program answers; raise OSError if it cannot be started, and TimeoutError if it does not end.

    A pipe would stay open as long as any process that the program has started, so its output goes to files. One that
    writes more than a mebibyte is ended by the system.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(
            [*command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=environment,
            start_new_session=True,
        )
        try:
            _limited(process.pid)
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            if process.returncode is None or process.returncode < 0:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read(MOST_BYTES).decode("utf-8", "replace"))
        return Heard(code, *texts)


def _limited(pid: int) -> None:
    with suppress(ImportError, AttributeError, OSError):
        import resource  # not on Windows; prlimit only on Linux

        resource.prlimit(pid, resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
