"""Files that a command is told to read whole: tables, results, prompts, prices."""

from __future__ import annotations

from pathlib import Path

from tritonrepo.diagnostics import fatal
from tritonrepo.flows.paths import reading

LARGEST = 1 << 30
"""Most bytes that are read of a file."""


@reading()
def content(path: Path | str, rule: str, hint: str, most: int = LARGEST) -> bytes:
    """Return what is in a file; raise Stop, under the rule's name, unless it is a regular file of a sensible size."""
    path = Path(path)
    if not path.is_file():  # reading a FIFO would wait forever
        message = "the path is not a regular file" if path.exists() else "the file does not exist"
        raise fatal(rule, str(path), message, hint)
    with path.open("rb") as file:
        found = file.read(most + 1)
    if len(found) > most:
        raise fatal(rule, str(path), f"the file is larger than {most >> 20:,} MiB", hint)
    return found


def text(path: Path | str, rule: str, hint: str) -> str:
    """Return the text in a file of UTF-8; raise Stop as `content` does."""
    found = content(path, rule, hint)
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        message = f"the file is not UTF-8: {error.reason} at byte {error.start}"
        raise fatal(rule, str(path), message, hint) from None
