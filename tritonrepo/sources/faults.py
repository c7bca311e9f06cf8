"""Faults of parts that do not depend on one another: each part is tried, and all that failed is told in one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tritonrepo.diagnostics import Diagnostic, Stop, fatal

T = TypeVar("T")


class Faults:
    """Collects the diagnostics of what failed, each once."""

    def __init__(self) -> None:
        self.found: list[Diagnostic] = []

    def tried(self, make: Callable[[], T], otherwise: T) -> T:
        """Return what `make` does, or the stand-in `otherwise` where it cannot."""
        try:
            return make()
        except Stop as stop:
            self.add(*stop.diagnostics)
        except OSError as error:
            self.add(*unreadable(error).diagnostics)
        return otherwise

    def add(self, *diagnostics: Diagnostic) -> None:
        """Remember these diagnostics."""
        self.found += [diagnostic for diagnostic in dict.fromkeys(diagnostics) if diagnostic not in self.found]

    def stop(self) -> None:
        """Raise Stop with everything that was found, by place; do nothing where that is nothing."""
        if self.found:
            raise Stop(sorted(self.found, key=lambda diagnostic: (diagnostic.at, diagnostic.rule)))


def unreadable(error: OSError) -> Stop:
    """Return the Stop for a file that the system refuses; raise the error again where it names none."""
    if error.filename is None:
        raise error
    message = f"cannot be read: {error.strerror or error}"
    return fatal("input-access", str(error.filename), message, "Give this user access to it, or another path.")
