"""Packages that generated steps carry, so that stock Triton images run them: pinned, unpacked, never installed."""

from __future__ import annotations

from collections.abc import Mapping

from tritonrepo.diagnostics import Span
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.package import unpacked
from tritonrepo.spec.lock import Pin
from tritonrepo.tree import File

VERSIONS = {"tokenizers": "0.23.3", "jinja2": "3.1.6", "markupsafe": "3.0.4"}
"""tokenizers is one abi3 library for every Python from 3.10; of the others only the Python files are taken."""

NATIVE = frozenset({"tokenizers"})


def vendored(
    names: frozenset[str], arch: str, cache: Cache, pins: Mapping[str, Pin], at: Span
) -> tuple[dict[str, dict[str, File]], dict[str, Pin]]:
    """Give package → files under its top directory, and the pins of what was read; the licences come along."""
    packages: dict[str, dict[str, File]] = {}
    got: dict[str, Pin] = {}
    for name in sorted(names):
        requirement = f"{name}=={VERSIONS[name]}"
        source = f"package:{requirement}"
        wheel, got[source] = unpacked(requirement, arch, cache, pins.get(source), at)
        packages[name] = {_place(path): file for path, file in wheel.items() if _wanted(name, path)}
    return packages, got


def _wanted(name: str, path: str) -> bool:
    if ".dist-info/" in path:
        return "LICENSE" in path.rsplit("/", 1)[1].upper()
    return path.endswith(".py") or (name in NATIVE and path.endswith(".so"))


def _place(path: str) -> str:
    """Put a licence beside the code it is for: NAME-VERSION.dist-info/licenses/LICENSE.txt → NAME/LICENSE.txt."""
    if ".dist-info/" not in path:
        return path
    return f"{path.split('-', 1)[0].lower()}/{path.rsplit('/', 1)[1]}"
