"""How versions, calls and long lists are worded in plans and messages."""

from __future__ import annotations

from collections.abc import Collection

from tritonrepo import diagnostics
from tritonrepo.sync.gating import LATEST, Model

SHOWN = 3
"""How many names a message has at most."""


def policy(have: Model, want: Model) -> str:
    """Return what is new in a config that serves the same versions."""
    if have.named is None and want.named is not None:
        return f"names {numbers(want.named)}, so that servers load no other"
    return "no longer names versions" if have.named is not None and want.named is None else "changed"


def called(name: str, version: int) -> str:
    """Return a call."""
    return f"the latest version of {name}" if version == LATEST else f"{name} version {version}"


def numbers(versions: Collection[int]) -> str:
    """Return versions as a subject."""
    return f"version{'' if len(versions) == 1 else 's'} {' and '.join(map(str, sorted(versions)))}"


def some(names: Collection[str]) -> str:
    """Return the first names, and how many more there are."""
    return diagnostics.some(names, SHOWN)


def are(versions: Collection[int]) -> str:
    """Return the verb for these versions."""
    return "is" if len(versions) == 1 else "are"
