"""A repository in the making: models with their version numbers, which follow the content of the version directory."""

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
"""The first line of every generated file that can have a comment: no time and no version, which would change contents
and with them the numbers of versions, where nothing else does."""


@dataclass(slots=True)
class Draft:
    """Collects the tree; `numbers` are the lock's version numbers before, `versions` those of this build.

    `origins`: where in the stack file each model comes from, and each field of its config and of other files.

    Models are added callees first, since what calls a model names its version.
    """

    numbers: Mapping[str, Version]
    tree: dict[str, File] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    origins: dict[str, Places] = field(default_factory=dict)

    def number(self, name: str, content: Mapping[str, File]) -> int:
        """Return the version number of a model's content and put the content in its place.

        Content that the lock knows keeps its number, other content gets the next one: a number is never reused.
        """
        found = digest(content)
        before = self.numbers.get(name)
        version = 1 if before is None else before.version + (before.content != found)
        self.versions[name] = Version(version, found)
        self.tree |= {f"{name}/{version}/{path}": file for path, file in content.items()}
        return version

    def configure(self, name: str, config: Message, origin: Places) -> None:
        """Put a model's config.pbtxt in its place; `origin` says where its fields, and else the model, come from."""
        self.tree[f"{name}/config.pbtxt"] = of_text(f"{HEADER}\n{to_text(config)}")
        self.origins[name] = {"": origin[""]}
        self.origins[f"{name}/config.pbtxt"] = origin

    def explain(self, name: str, path: str, origin: Places) -> None:
        """Say where the fields of a JSON file in the model's version directory come from."""
        self.origins[f"{name}/{self.pinned(name)}/{path}"] = origin

    def pinned(self, name: str) -> int:
        """Return the version that a caller of this model names."""
        return self.versions[name].version


def step(name: str) -> File:
    """Return the source of a Python step as its model.py."""
    source = resources.files("tritonrepo.generate").joinpath("steps", f"{name}.py").read_text("utf-8")
    return of_text(f"{HEADER}\n{source}")


def json_file(data: object) -> File:
    """Return data as a JSON file: equal data give equal bytes."""
    return of_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def vendor(packages: Mapping[str, Mapping[str, File]], *names: str) -> dict[str, File]:
    """Return the vendored packages' files under `vendor/`, where the steps look."""
    return {f"vendor/{path}": file for name in names for path, file in packages[name].items()}
