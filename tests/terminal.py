"""A terminal on which a command runs: what it draws, as bytes and as the lines that are left."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from typing import NamedTuple

LONGEST_S = 60
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""How a terminal is driven."""


class Ran(NamedTuple):
    """How a command ended, what it drew on stderr, and what it wrote to stdout."""

    code: int
    drawn: str
    out: str

    @property
    def texts(self) -> list[str]:
        """Each text between controls and line ends, in order."""
        return [text for text in re.split(r"[\r\n]+", CONTROL.sub("\n", self.drawn)) if text]


def on_terminal(
    command: Sequence[str], environment: Mapping[str, str], columns: int = 80, resized: int | None = None
) -> Ran:
    """Run a command whose stderr is a terminal of this width, which may change as soon as something is drawn."""
    ours, theirs = pty.openpty()
    resize(ours, columns)
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        drawn = b""
        while piece := read(ours):
            drawn += piece
            if resized and b"\x1b" in piece:
                resize(ours, resized)
        assert process.stdout is not None
        out = process.stdout.read()
    os.close(ours)
    return Ran(process.returncode, drawn.decode("utf-8", "backslashreplace"), out.decode())


def read(ours: int) -> bytes:
    """Return what was drawn since; nothing once the command has ended."""
    if not select.select([ours], [], [], LONGEST_S)[0]:
        raise TimeoutError
    try:
        return os.read(ours, 65536)
    except OSError:  # Linux, where the other end is closed
        return b""


def resize(ours: int, columns: int) -> None:
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 24 if columns else 0, columns, 0, 0))
