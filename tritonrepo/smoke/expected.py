"""What a repository says that a server should serve: each model's config, the versions that it names, their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tritonrepo.diagnostics import Span
from tritonrepo.pbtxt import parse
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository.versions import selected, versions
from tritonrepo.tree import Entry, File, Tree, below, in_bytes, in_order, is_directory, of_bytes

CONFIG = "config.pbtxt"
LARGEST = 1 << 24
"""Bytes of the largest config that is read; larger ones are no config."""


@dataclass(frozen=True, slots=True)
class Expected:
    """A model of a repository; `places` are those of the config's top fields, `contents` version → its files.

    `beside`: its files next to config and version directories. `fault` says why the config could not be read; versions
    are then unknown.
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
        """Tell whether each version that is served holds these files."""
        return bool(self.versions) and all(
            isinstance(self.contents.get(version, {}).get(name), File) for version in self.versions for name in names
        )

    def file(self, version: str, name: str) -> File:
        """Give a file that `has` saw."""
        entry = self.contents[version][name]
        assert isinstance(entry, File)  # noqa: S101  has sees to it
        return entry


def read(tree: Tree, where: str) -> dict[str, Expected]:
    """Give the models of a repository's tree by name; `where` is what a user calls it."""
    own: dict[str, dict[str, Entry]] = {}
    for path, entry in in_order(tree):
        name, slash, rest = path.partition("/")
        if slash:
            own.setdefault(name, {})[rest] = entry
    return {name: _model(name, own[name], where) for name in sorted(own)}


def _model(name: str, own: Mapping[str, Entry], where: str) -> Expected:
    at = Span(f"{where}/{name}/{CONFIG}")
    found = versions(_directories(own)).found
    contents = {str(number): below(own, directory) for number, directory in found.items()}
    versioned = {*found.values(), CONFIG}
    beside = {path: entry for path, entry in own.items() if path.partition("/")[0] not in versioned}
    entry = own.get(CONFIG, of_bytes(b""))  # without one the server completes it all
    if not isinstance(entry, File) or entry.size > LARGEST:
        return Expected(name, {}, (), at, {}, contents, beside, "there is no config.pbtxt that can be read")
    parsed = parse(entry.content())
    if parsed.faults:
        fault = parsed.faults[0]
        return Expected(name, {}, (), fault.span(at.path), {}, contents, beside, fault.message)
    config = to_plain(parsed.root)
    places = {field.name: field.span(at.path) for field in parsed.root.fields}
    served = selected(found, parsed.root.message("version_policy"))
    return Expected(name, config, tuple(map(str, served)), at, places, contents, beside)


def _directories(own: Mapping[str, Entry]) -> list[str]:
    """Give the names of a model's subdirectories, in byte order."""
    names = {path.partition("/")[0] for path, entry in own.items() if "/" in path or is_directory(entry)}
    return sorted(names, key=in_bytes)


def text_of(entry: File) -> str:
    """Give a text file's content."""
    return entry.content().decode("utf-8", "replace")
