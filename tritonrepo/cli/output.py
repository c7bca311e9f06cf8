"""What the streams can show, and what is done when nobody reads them any more."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from tritonrepo.plain import escaped, printable

if TYPE_CHECKING:
    from tritonrepo.diagnostics import Diagnostic

OTHER = re.compile(r"[^\0-\x7f]")


def colour(stream: TextIO) -> bool:
    """Whether to colour: a terminal that is not dumb, NO_COLOR unset or empty; FORCE_COLOR turns it on."""
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(*lines: str, err: bool = False) -> None:
    """Print lines, each as one: whatever foreign text is in it begins no other line and drives no terminal."""
    click.echo("\n".join(map(printable, lines)), err=err)


def piece(text: str) -> None:
    """Print a part of what a model says, with its lines; all else in it that drives a terminal is written out."""
    click.echo(escaped(text.replace("\r\n", "\n")), nl=False)


def document(text: str) -> None:
    """Print a document of `report`; a stream that is not UTF-8 gets it in ASCII, with the escapes of JSON."""
    plain = (sys.stdout.encoding or "utf-8").lower().replace("-", "") == "utf8"
    click.echo(text if plain else OTHER.sub(lambda found: json.dumps(found[0])[1:-1], text))


@contextmanager
def concluded(form: str, make: Callable[[Sequence[Diagnostic]], str]) -> Iterator[None]:
    """Print the one document of a command whose `--format` is not text.

    The diagnostics of a Stop that ends it are in it; `main` tells those on stderr as well.
    """
    from tritonrepo.diagnostics import Stop  # only here: `--help` need not pay for it

    try:
        yield
    except Stop as stop:
        if form != "text":
            document(make(stop.diagnostics))
        raise
    if form != "text":
        document(make(()))


def painted(lines: Iterable[str], *, colours: bool) -> None:
    """Print lines of `report` that are printable already, with its own colours."""
    stream = cast("TextIO", sys.stdout.patient) if isinstance(sys.stdout, Guarded) else sys.stdout
    for line in lines:
        click.echo(line, file=stream, color=colours)


class Patient:
    """A stream whose reader may leave: what is written from then on is dropped, and the work goes on.

    click itself ends a command there; `push … | head` would leave a push half done.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  all else is the stream's
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write as the stream does."""
        try:
            return self._stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Flush as the stream does."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


class Guarded(Patient):
    """A stream on which nobody drives a terminal: not a library's warning, not the text of a bug."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self.patient = Patient(stream)

    def write(self, text: str) -> int:
        """Write as the stream does, with what drives a terminal written out."""
        return super().write(escaped(text))
