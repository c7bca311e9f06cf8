"""What one lock says that another one does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from tritonrepo.spec.lock import ANY, Lock, Pin, Version

T = TypeVar("T")
SHOWN = 12
"""Characters of a digest that tell two apart."""


class Change(NamedTuple):
    """One change: `+`, `~` or `-`; the name of a model, source or index; and its number, pin or digest."""

    sign: str
    name: str
    what: str


def changes(before: Lock, now: Lock) -> Iterator[Change]:
    """Yield the changes from one lock to another one: models, sources, indexes, each sorted by name."""
    for name, old, new in _differing(before.models, now.models):
        if new is not None:  # a lock forgets no model
            yield Change("~" if old else "+", name, _numbers(old, new))
    for name, one, other in _differing(_pins(before), _pins(now)):
        yield from _repinned(name, one, other)
    for name, index, later in _differing(before.indexes, now.indexes):
        if later is not None:
            yield Change("~" if index else "+", name, f"index {later.embeddings[:SHOWN]}")


def _repinned(name: str, one: Pin | None, other: Pin | None) -> Iterator[Change]:
    if other is None:
        yield Change("-", name, "not in the stack")
    elif one is None:
        yield Change("+", name, _shown(other))
    elif replace(one, size=other.size) != other:
        yield Change("~", name, f"{_shown(one)} → {_shown(other)}")
    elif one.size:  # what schema 1 lacks is no change
        yield Change("~", name, f"{one.size} → {other.size} bytes")


def _differing(before: Mapping[str, T], now: Mapping[str, T]) -> Iterator[tuple[str, T | None, T | None]]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            yield name, old, new


def _numbers(old: Version | None, new: Version) -> str:
    """Return a model's number, and which other numbers are newly known."""
    known = old.known if old else {}
    moved = f"{old.version} → {new.version}" if old and old.version != new.version else str(new.version)
    other = ", other content" if old and old.version == new.version and old.content != new.content else ""
    taken = [str(number) for number, digest in new.others.items() if known.get(number) != digest]
    also = f", version{'s'[: len(taken) != 1]} {', '.join(taken)} taken" if taken else ""
    return f"{moved}{other}{also}"


def _pins(lock: Lock) -> dict[str, Pin]:
    return {
        name if arch == ANY else f"{name} ({arch})": pin
        for name, pins in lock.sources.items()
        for arch, pin in pins.items()
    }


def _shown(pin: Pin) -> str:
    return " ".join(filter(None, [pin.file, pin.revision[:SHOWN] or pin.sha256[:SHOWN]]))
