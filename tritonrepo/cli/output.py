"""Output: what may reach a terminal, and what happens when the reader of a stream is gone."""

from __future__ import annotations

import codecs
import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from tritonrepo.cli import everywhere
from tritonrepo.plain import escaped, printable

if TYPE_CHECKING:
    from rich.live import Live

    from tritonrepo.diagnostics import Diagnostic

SHOW_CURSOR = "\x1b[?25h"
"""Undoes what `live` does to a terminal."""

NO_TERMINAL = {"", "dumb", "unknown"}
"""Values of TERM with which nothing can be drawn anew."""

GONE = {errno.EPIPE, errno.EIO}
"""What a stream says whose reader or terminal is gone."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What a stream says that leads to a file for which no space is left."""

OTHER = re.compile(r"[^\0-\x7f]")


def colour(stream: TextIO) -> bool:
    """Return whether to colour: as --color says.

    With auto, that is on a terminal that is not dumb, if NO_COLOR is unset or empty, or with FORCE_COLOR.
    """
    if (when := everywhere.color()) != "auto":
        return when == "always"
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


LINE = "tritonrepo.line"
"""Where a run keeps what removes its line of progress, which must not stand in the middle of other text."""


def _apart() -> None:
    """Remove the line of progress of the run, if it has one."""
    context = click.get_current_context(silent=True)
    if context is not None and LINE in context.meta:
        context.meta[LINE]()


def say(*lines: str, err: bool = False) -> None:
    """Print each line as one line: foreign text in it cannot start another line or drive the terminal."""
    if lines:
        _apart()
        click.echo("\n".join(map(printable, lines)), err=err)


def talk(*lines: str) -> None:
    """Print lines on stderr that are neither the result nor a fault; with --quiet, they are left out."""
    if not everywhere.quiet():
        say(*lines, err=True)


def on_terminal() -> bool:
    """Return whether people read stdout as it is printed."""
    return sys.stdout is not None and sys.stdout.isatty()


def timed(text: str) -> str:
    """Return a closing line with how long the run took, if it is for a terminal; what is compared has no times."""
    context = click.get_current_context(silent=True)
    began = None if context is None else context.find_root().obj
    if not isinstance(began, float) or not on_terminal():
        return text
    return f"{text} ({time.monotonic() - began:.1f} s)"


def piece(text: str) -> None:
    """Print a piece of a model's answer, line breaks included; whatever else could drive a terminal is escaped."""
    _apart()
    click.echo(escaped(text.replace("\r\n", "\n")), nl=False)


def document(text: str) -> None:
    """Print a document of `report`; on a stream that is not UTF-8, in ASCII with the escapes of XML or JSON."""
    if (sys.stdout.encoding or "utf-8").lower().replace("-", "") != "utf8":
        import json  # --help needs none

        xml = text.startswith("<?xml")
        text = OTHER.sub(lambda found: f"&#{ord(found[0])};" if xml else json.dumps(found[0])[1:-1], text)
    _apart()
    click.echo(text)


@contextmanager
def concluded(form: str, make: Callable[[Sequence[Diagnostic]], str]) -> Iterator[None]:
    """Print the single document of a command whose `--format` is not text.

    It includes the diagnostics of a Stop that ends the command; `main` prints those on stderr as well.
    """
    from tritonrepo.diagnostics import Stop  # imported here to keep `--help` quick

    try:
        yield
    except Stop as stop:
        if form != "text":
            document(make(stop.diagnostics))
        raise
    if form != "text":
        document(make(()))


def drawable() -> bool:
    """Return whether stderr is a terminal on which a line can be drawn anew."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM", "") not in NO_TERMINAL


def live() -> Live | None:
    """Return a line of stderr that can be drawn anew; None where that is not a terminal, a dumb one, or without rich.

    It has no colours, and what it draws must be printable.
    """
    if not drawable():
        return None
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError:
        return None
    stream = cast("TextIO", sys.stderr.patient) if isinstance(sys.stderr, Guarded) else sys.stderr
    console = Console(file=stream, force_terminal=True, color_system=None, markup=False, emoji=False, highlight=False)
    return Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False)


def last_words(text: str) -> None:
    """Print a text on stderr past everything that may hold it up, where the process is about to be ended."""
    with suppress(OSError, ValueError, AttributeError):
        number = sys.stderr.fileno()
        os.write(number, ((SHOW_CURSOR if os.isatty(number) else "") + text).encode())


def painted(lines: Iterable[str], *, colours: bool) -> None:
    """Print lines of `report`, which are already printable, with the colours in them."""
    stream = cast("TextIO", sys.stdout.patient) if isinstance(sys.stdout, Guarded) else sys.stdout
    for line in lines:
        _apart()
        click.echo(line, file=stream, color=colours)


def exactly(lines: Iterable[str]) -> None:
    """Print lines with every byte of the files that they come from: for another program, and never on a terminal."""
    for line in lines:
        click.echo(line.encode("utf-8", "surrogateescape"))


class Patient:
    """Stream whose reader may leave, or whose disk may be full: what is written after that is discarded.

    The work goes on; click would end the command instead, so `push … | head` would leave a push half done. `lost` is
    why a full disk has not got everything.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.left = False
        self.lost = ""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  all else is the stream's
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as the stream does."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        """Flush as the stream does."""
        try:
            self._stream.flush()
        except OSError as error:
            self._drop(error)

    def _drop(self, error: OSError) -> None:
        if error.errno not in GONE | FULL:
            raise error
        self.left = True
        self.lost = (error.strerror or str(error)) if error.errno in FULL else ""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


def incomplete() -> str:
    """Return why stdout has not got everything, if that is a file on a full disk; else ""."""
    return sys.stdout.lost or sys.stdout.patient.lost if isinstance(sys.stdout, Guarded) else ""


def unread() -> bool:
    """Return whether the reader of stdout is known to have left, so that what goes on only to print may end."""
    return isinstance(sys.stdout, Guarded) and (sys.stdout.left or sys.stdout.patient.left)


class Guarded(Patient):
    """Stream on which nothing can drive a terminal, neither a library's warning nor a traceback."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.patient = Patient(stream)

    def write(self, text: str) -> int:
        """Write as the stream does, with whatever could drive a terminal escaped."""
        return super().write(escaped(text))


def guarded(stream: TextIO | None) -> TextIO:
    """Return the guarded stream; one in ASCII becomes UTF-8 first, and a closed one takes everything and keeps nothing.

    click would write past the guard: it replaces a stream in ASCII, which a locale without letters gives, by its own
    in UTF-8.
    """
    if stream is None:
        stream = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115  without pathlib; open to the end
    if isinstance(stream, TextIOWrapper) and codecs.lookup(stream.encoding).name == "ascii":
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    return cast("TextIO", Guarded(stream))
