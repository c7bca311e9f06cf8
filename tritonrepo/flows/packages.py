"""The extras of this package: what each needs, what of it is installed, and which commands use it."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from contextlib import suppress

from tritonrepo.flows.checks import Check, State

USED_BY = {
    "s3": ("push", "pull", "rollback", "prune", "status", "diff"),
    "gcs": ("push", "pull", "rollback", "prune", "status", "diff"),
    "hub": ("lock", "build"),
    "server": ("smoke", "up"),
    "onnx": ("build", "index", "up"),
}
REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^]]*\])?(?:>=(?P<least>[\d.]+))?[^;]*; *extra == [\"'](?P<extra>\w+)"
)


def extras() -> Iterator[Check]:
    """Yield a check for each extra: absent if a package is missing, a warning if one is too old."""
    needed: dict[str, list[tuple[str, str]]] = {name: [] for name in USED_BY}
    with suppress(importlib.metadata.PackageNotFoundError):
        for text in importlib.metadata.requires("tritonrepo") or ():
            if (found := REQUIREMENT.match(text)) and found["extra"] in needed:
                needed[found["extra"]].append((found["name"], found["least"] or "0"))
    for extra, packages in needed.items():
        if not packages:
            continue
        lacking = [name for name, least in packages if not _new_enough(name, least)]
        seen = (
            f"{extra}: {', '.join(lacking)} missing or too old" if lacking else f"{extra}: all packages are installed"
        )
        cure = f"Run `pip install 'tritonrepo[{extra}]'`." if lacking else ""
        yield Check("packages", State.ABSENT if lacking else State.OK, seen, cure, USED_BY[extra])


def _new_enough(name: str, least: str) -> bool:
    with suppress(importlib.metadata.PackageNotFoundError):
        return _numbers(importlib.metadata.version(name)) >= _numbers(least)
    return False


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)[:3]]
