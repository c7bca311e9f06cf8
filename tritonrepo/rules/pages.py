"""Pages that lie beside the code, in one file for what one function finds: `## name (severity)`, then the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

from tritonrepo.diagnostics import Severity

HEADING = re.compile(r"^## (\S+) \((\w+)\)\n", re.MULTILINE)


class Page(NamedTuple):
    """A name that users meet in brackets, how bad it usually is, and its page: one sentence, then sections."""

    name: str
    severity: Severity
    text: str


def pages(package: str, file: str) -> Iterator[Page]:
    """Yield the pages of a package's file, in order."""
    _, *parts = HEADING.split(resources.files(package).joinpath(file).read_text("utf-8"))
    for name, severity, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        yield Page(name, Severity(severity), text.strip())
