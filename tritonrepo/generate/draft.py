"""A repository under construction: models and their version numbers, which follow from their content."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from tritonrepo.pbtxt.printer import Message, to_text
from tritonrepo.spec.lock import Version
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, digest, of_text

HEADER = "# Written by tritonrepo build; edit the stack file instead."
"""The first line of every generated file that can have a comment. It has no time and no version of tritonrepo: those
would change contents, and with them version numbers, although nothing else changes."""


@dataclass(slots=True)
class Draft:
    """A tree in progress; `numbers` are the version numbers of the lock so far, `versions` those of this build.

    `origins` are the places in the stack file of each model, and of each field of its config and of other files.

    Models are added callees first, since a caller names the version that it calls.
    """

    numbers: Mapping[str, Version]
    tree: dict[str, File] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    origins: dict[str, Places] = field(default_factory=dict)

    def number(self, name: str, content: Mapping[str, File]) -> int:
        """Add a model's content to the tree and return its version number.

        Content that the lock knows keeps its number, other content gets the next one. A number is never reused.
        """
        found = digest(content)
        before = self.numbers.get(name)
        version = 1 if before is None else before.version + (before.content != found)
        self.versions[name] = Version(version, found)
        self.tree |= {f"{name}/{version}/{path}": file for path, file in content.items()}
        return version

    def configure(self, name: str, config: Message, origin: Places) -> None:
        """Add a model's config.pbtxt; `origin` has the places of its fields, and under "" of the model."""
        self.tree[f"{name}/config.pbtxt"] = of_text(f"{HEADER}\n{to_text(config)}")
        self.origins[name] = {"": origin[""]}
        self.origins[f"{name}/config.pbtxt"] = origin

    def explain(self, name: str, path: str, origin: Places) -> None:
        """Record where the fields of a JSON file in the model's version directory come from."""
        self.origins[f"{name}/{self.pinned(name)}/{path}"] = origin

    def pinned(self, name: str) -> int:
        """Return the version of this model that callers name."""
        return self.versions[name].version


def step(name: str) -> File:
    """Return the source of a Python step as its model.py."""
    source = resources.files("tritonrepo.generate").joinpath("steps", f"{name}.py").read_text("utf-8")
    return of_text(f"{HEADER}\n{source}")


def json_file(data: object) -> File:
    """Return data as a JSON file; equal data give equal bytes."""
    return of_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def vendor(packages: Mapping[str, Mapping[str, File]], *names: str) -> dict[str, File]:
    """Return the files of vendored packages under `vendor/`, from which the steps import."""
    return {f"vendor/{path}": file for name in names for path, file in packages[name].items()}
