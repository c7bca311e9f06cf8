"""A repository under construction: models and their version numbers, which follow from their content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import resources

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.generate.own import NOTHING, Own, laid_over, origins
from tritonrepo.pbtxt.printer import Message, to_text
from tritonrepo.shared import directory
from tritonrepo.spec.lock import Version, given
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, digest, of_bytes, of_text

HEADER = "# Written by tritonrepo build; edit the stack file instead."
"""The first line of every generated file that can have a comment. It has no time and no version of tritonrepo: those
would change contents, and with them version numbers, although nothing else changes."""


@dataclass(slots=True)
class Draft:
    """A tree in progress; `numbers` are the version numbers of the lock so far, `versions` those of this build.

    `configs` are the configs as data. `origins` are the places in the stack file of each model, and of each field of
    its config and of other files.

    Models are added callees first, since a caller names the version that it calls.
    """

    numbers: Mapping[str, Version]
    tree: dict[str, File] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    configs: dict[str, Message] = field(default_factory=dict)
    origins: dict[str, Places] = field(default_factory=dict)
    faults: list[Diagnostic] = field(default_factory=list)
    """What is wrong in the stack file and shows only here."""

    unjoined: list[tuple[str, ...]] = field(default_factory=list)
    """The members of chains whose faults are told, so that those of longer chains that contain them are not."""

    completing: set[str] = field(default_factory=set)
    """Models of which the server runs the code that completes their configs, also where it is read here."""

    unknown: set[str] = field(default_factory=set)
    """Models whose files cannot be obtained, so that their tensors may not be known."""

    def number(self, name: str, content: Mapping[str, File]) -> int:
        """Add a model's content to the tree and return its version number.

        Content that the lock knows gets its number, other content the next one. A number is never reused.
        """
        content = _kept(content)
        found = digest(content)
        before = self.numbers.get(name)
        self.versions[name] = before.having(found) if before else Version(1, found)
        version = self.versions[name].version
        self.tree |= {f"{name}/{version}/{path}": file for path, file in content.items()}
        return version

    def share(self, name: str, content: Mapping[str, File]) -> str:
        """Add a directory that all versions of a model share and return its name, which a settings.json has to have."""
        top = directory(content)
        self.tree |= {f"{name}/{top}/{path}": file for path, file in content.items()}
        return top

    def place(self, name: str, versions: Mapping[int, Mapping[str, File]]) -> None:
        """Add versions of a model whose numbers the stack file sets; callers name the highest."""
        for version, content in versions.items():
            self.tree |= {f"{name}/{version}/{path}": file for path, file in _kept(content).items()}
        contents = {version: digest(_kept(content)) for version, content in versions.items()}
        self.versions[name] = given(self.numbers.get(name), contents)

    def configure(self, name: str, config: Message, origin: Places, own: Own = NOTHING) -> None:
        """Add a model's config.pbtxt, with the stack file's own fields laid over it.

        `origin` has the places of its fields, and under "" of the model.
        """
        self.configs[name] = laid_over(config, own)
        self.tree[f"{name}/config.pbtxt"] = of_text(f"{HEADER}\n{to_text(self.configs[name])}")
        self.origins[name] = {"": origin[""]}
        self.origins[f"{name}/config.pbtxt"] = origins(origin, config, own)

    def explain(self, name: str, path: str, origin: Places) -> None:
        """Record where the fields of a JSON file in the model's version directory come from."""
        self.origins[f"{name}/{self.pinned(name)}/{path}"] = origin

    @property
    def complete(self) -> bool:
        """Whether each config lists its inputs and outputs, so that auto-complete has nothing to add."""
        listed = (config.get("input") and config.get("output") for config in self.configs.values())
        return not self.completing and all(listed)

    def pinned(self, name: str) -> int:
        """Return the version of this model that callers name."""
        return self.versions[name].version


def _kept(content: Mapping[str, File]) -> Mapping[str, File]:
    """Return the files of a version directory; without any, a `.keep`: object stores have no empty directories."""
    return content or {".keep": of_bytes(b"")}


def step(name: str) -> File:
    """Return the source of a Python step, or of a module that it imports, as it is in a version directory."""
    source = resources.files("tritonrepo.generate").joinpath("steps", f"{name}.py").read_text("utf-8")
    return of_text(f"{HEADER}\n{source}")


def json_file(data: object) -> File:
    """Return data as a JSON file; equal data give equal bytes."""
    return of_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def vendored(packages: Mapping[str, Mapping[str, File]], names: Iterable[str]) -> dict[str, File]:
    """Return the files of these packages, for a directory from which steps import them."""
    return {path: file for name in names for path, file in packages[name].items()}
