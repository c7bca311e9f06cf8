"""Everything that a stack names, resolved: the input of `generate`, and the pins for the lock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Faults, Span, Stop
from tritonrepo.generate.inputs import Inputs
from tritonrepo.releases import RELEASES
from tritonrepo.sources import hub
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.package import WheelTag
from tritonrepo.sources.resolve import Resolved, resolve
from tritonrepo.sources.template import Jinja
from tritonrepo.sources.vendored import vendored
from tritonrepo.spec.lock import Lock, Pin
from tritonrepo.spec.part import Embeds
from tritonrepo.spec.source import Hub, Source, seen_from
from tritonrepo.spec.stack import Stack
from tritonrepo.stores.links import inside
from tritonrepo.tree import File, of_bytes, on_disk


class Gathering:
    """Resolves the sources of one stack against one lock; keeps what it read, and its pins.

    `links` are directories into which links can lead out of the stack's directory and out of its sources.
    """

    def __init__(
        self, stack: Stack, lock: Lock, cache: Cache, remake: str = "tritonrepo index", links: Sequence[Path] = ()
    ) -> None:
        self.stack = stack
        self.lock = lock
        self.cache = cache
        self.remake = remake
        self.links = links
        self.pinned = lock.pins(stack.target.arch)
        self.pins: dict[str, Pin] = {}
        self.jinja: Jinja | None = None
        self._found: dict[str, Any] = {}
        self._asked: dict[str, Pin | None] = {}

    def gathered(self, faults: Faults) -> Inputs:
        """Return all inputs, with stand-ins for those that are missing, changed or unreachable.

        What is wrong with those is added to `faults`. With faults, what is generated can be judged, but must not be
        written.
        """
        packages = faults.tried(self.vendored, None)
        if packages is not None:
            self.jinja = Jinja(packages, self.cache)
        found = {
            name: faults.tried(partial(self.files, name), self.stack.part(name).stand_in(model))
            for name, model in self.stack.models.items()
        }
        stand_ins = {name: {f"{name}/__init__.py": of_bytes(b"")} for name in self._needed()}
        return Inputs(self.stack, found, packages or stand_ins)

    def files(self, name: str) -> Any:  # noqa: ANN401  what the model's part gathers
        """Return what the part of a model gathers, which is done once; raise Stop if that fails."""
        if name not in self._found:
            try:
                self._found[name] = self.stack.part(name).gather(name, self.stack.models[name], self)
            except (Stop, OSError) as fault:
                self._found[name] = fault
        found = self._found[name]
        if isinstance(found, Exception):
            raise found
        return found

    def embeds(self, name: str) -> Embeds:
        """Return the maker of vectors from the files of a model; raise Stop if those cannot be obtained."""
        embeds = self.stack.part(name).embeds
        assert embeds is not None  # noqa: S101  spec.check refuses others
        return embeds(self.files(name))

    def vendored(self) -> dict[str, dict[str, File]]:
        """Return the vendored packages of this stack's steps."""
        target = self.stack.target
        tag = WheelTag(target.arch, RELEASES[target.release].python)
        packages, pins = vendored(self._needed(), tag, self.cache, self.pinned, self.stack.places[""])
        self.pins |= pins
        return packages

    def resolve(self, source: Source, at: Span, only: Sequence[str] = ()) -> dict[str, File]:
        """Return the files of a source, which the lock pins; `at` is where the stack file names it.

        `only` are glob patterns of the paths that are needed: others are not fetched from the Hugging Face Hub.
        """
        return self.resolved(source, at, only).files

    def resolved(self, source: Source, at: Span, only: Sequence[str] = ()) -> Resolved:
        """Return the files of a source as `resolve` does, and whether it is a single file."""
        name = self._name(source, at)
        arch, pin = self.stack.target.arch, self._pin(name)
        resolved = resolve(source, arch, self.cache, pin, at, links=self.links, only=only)
        self.pins[name] = resolved.pin
        return resolved

    def revision(self, source: Source, at: Span) -> str | None:
        """Return the commit of a source on the Hugging Face Hub, which the lock pins if the stack names none.

        None if nothing is pinned and the Hub cannot be reached, or does not show the model to this user.
        """
        if not isinstance(source, Hub):
            return None
        if source.commit:
            return source.commit
        if source.text not in self._asked:
            pin = self._pin(source.text)
            self._asked[source.text] = pin if pin and pin.revision else hub.pinned(source, self.cache, at)
        pin = self._asked[source.text]
        if pin is None:
            return None
        self.pins.setdefault(source.text, pin)
        return pin.revision

    def _pin(self, name: str) -> Pin | None:
        return self.pins.get(name) or self.pinned.get(name)

    def _name(self, source: Source, at: Span) -> str:
        """Return the name of a source in the lock: files in several directories can have `./model` of their own."""
        return seen_from(source, Path(at.path).parent, Path(self.stack.places[""].path).parent)

    def file(self, path: Path, at: Span) -> File | None:
        """Return a file that the stack file names at this place; None if it does not exist."""
        path = inside(path, Path(at.path).parent, self.links, at)
        return on_disk(path, path.stat().st_size, hasher=self.cache.digests) if path.is_file() else None

    def _needed(self) -> frozenset[str]:
        return frozenset().union(*(self.stack.part(name).vendored for name in self.stack.models))
