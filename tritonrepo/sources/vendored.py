"""Packages in generated steps, so that stock Triton images can run them: pinned, unpacked, never installed."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tritonrepo.diagnostics import Span
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.package import WheelTag, unpacked
from tritonrepo.spec.lock import Pin
from tritonrepo.tree import File

VERSIONS = {"tokenizers": "0.23.3", "jinja2": "3.1.6", "markupsafe": "3.0.4"}
NATIVE = frozenset({"tokenizers"})
"""Packages with a shared library; of all others, only the Python files are taken."""

EVERY_PYTHON = frozenset({"tokenizers", "jinja2", "markupsafe"})
"""Packages whose files are the same for every Python; the library of tokenizers uses abi3."""


def vendored(
    names: Collection[str], tag: WheelTag, cache: Cache, pins: Mapping[str, Pin], at: Span
) -> tuple[dict[str, dict[str, File]], dict[str, Pin]]:
    """Return package → files under its top directory, including licences, and the pins of what was read.

    `tag` is the server's: the target's for a build, and this machine's for serving here.
    """
    packages: dict[str, dict[str, File]] = {}
    got: dict[str, Pin] = {}
    for name in sorted(names):
        requirement = f"{name}=={VERSIONS[name]}"
        source = f"package:{requirement}"
        wheel, got[source] = unpacked(requirement, _wheel_tag(name, tag), cache, pins.get(source), at)
        packages[name] = {_place(path): file for path, file in wheel.items() if _wanted(name, path)}
    return packages, got


def _wheel_tag(name: str, tag: WheelTag) -> WheelTag:
    """Return the tag of this package's wheel for a server with this tag."""
    return WheelTag(tag.arch) if name in EVERY_PYTHON else tag


def differing(names: Collection[str], one: WheelTag, other: WheelTag) -> set[str]:
    """Return the packages whose files differ between these two servers."""
    return {name for name in NATIVE.intersection(names) if _wheel_tag(name, one) != _wheel_tag(name, other)}


def _wanted(name: str, path: str) -> bool:
    if ".dist-info/" in path:
        return "LICENSE" in path.rsplit("/", 1)[1].upper()
    return path.endswith(".py") or (name in NATIVE and path.endswith(".so"))


def _place(path: str) -> str:
    """Move a licence next to its code: NAME-VERSION.dist-info/licenses/LICENSE.txt → NAME/LICENSE.txt."""
    if ".dist-info/" not in path:
        return path
    return f"{path.split('-', 1)[0].lower()}/{path.rsplit('/', 1)[1]}"
