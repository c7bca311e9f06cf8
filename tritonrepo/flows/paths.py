"""The paths that commands are given: which of them name a stack, and what is said if one cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tritonrepo.diagnostics import unreadable

DEFAULT = "tritonrepo.yaml"


def is_stack(path: str) -> bool:
    """Whether a path names a stack file, or a directory that holds one."""
    return Path(path).is_file() or (Path(path) / DEFAULT).is_file()


@contextmanager
def reading() -> Iterator[None]:
    """Turn an OSError into a Stop: many files are read only where their content is needed."""
    try:
        yield
    except OSError as error:
        raise unreadable(error) from None
