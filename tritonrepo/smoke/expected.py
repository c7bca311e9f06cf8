"""What a server should serve according to a repository: each model's config, its versions, their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritonrepo.diagnostics import Span
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.model import CONFIG
from tritonrepo.tree import Entry, File, below


@dataclass(frozen=True, slots=True)
class Expected:
    """A model of a repository; `places` are those of the config's top fields, `contents` is version → its files.

    `beside`: its files next to config and version directories. `fault` says why the config could not be read; the
    versions are then unknown.
    """

    name: str
    config: Mapping[str, Any]
    versions: tuple[str, ...]
    at: Span
    places: Mapping[str, Span]
    contents: Mapping[str, Mapping[str, Entry]]
    beside: Mapping[str, Entry]
    fault: str = ""

    def has(self, *names: str) -> bool:
        """Return whether each served version has these files."""
        return bool(self.versions) and all(
            isinstance(self.contents.get(version, {}).get(name), File) for version in self.versions for name in names
        )

    def file(self, version: str, name: str) -> File:
        """Return a file that `has` saw."""
        entry = self.contents[version][name]
        assert isinstance(entry, File)  # noqa: S101  has sees to it
        return entry


def of(found: Repository, where: str) -> dict[str, Expected]:
    """Return the models of a repository by name; `where` is what a user calls it."""
    return {name: _expected(model, where) for name, model in found.models.items() if model.entries}


def _expected(model: Model, where: str) -> Expected:
    """Return what a model says; one without a config says nothing, and the server completes everything."""
    name, own, found = model.name, model.entries, model.versions.found
    at = Span(f"{where}/{name}/{CONFIG}")
    contents = {str(number): below(own, directory) for number, directory in found.items()}
    versioned = {*found.values(), CONFIG}
    beside = {path: entry for path, entry in own.items() if path.partition("/")[0] not in versioned}
    if model.parsed is None and CONFIG in own:
        return Expected(name, {}, (), at, {}, contents, beside, "config.pbtxt is not a readable file")
    if model.parsed is not None and model.parsed.faults:
        fault = model.parsed.faults[0]
        return Expected(name, {}, (), fault.span(at.path), {}, contents, beside, fault.message)
    places = {field.name: field.span(at.path) for field in model.config.fields}
    served = tuple(map(str, model.served))
    return Expected(name, to_plain(model.config), served, at, places, contents, beside)


def text_of(entry: File) -> str:
    """Return a text file's content."""
    return entry.content().decode("utf-8", "replace")
