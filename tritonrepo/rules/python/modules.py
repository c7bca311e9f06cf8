"""Which modules a Python model finds in its image, according to data/python_modules.json."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, NamedTuple

from tritonrepo import packaged
from tritonrepo.diagnostics import nearest
from tritonrepo.repository import Target

Version = tuple[int, int]
BACKEND = frozenset({"triton_python_backend_utils", "c_python_backend_utils"})
"""Modules of the Python backend itself."""

CLOSE = 0.8
"""How similar a misspelt name must be to a known one."""


class Found(Enum):
    """Whether a module can be imported: surely or perhaps, probably not, or surely not."""

    PERHAPS = "perhaps"
    PROBABLY_NOT = "probably not"
    NO = "no"


class Known(NamedTuple):
    """The modules that some images have or may have, and whether they have no others."""

    names: frozenset[str]
    complete: bool


def found(module: str, target: Target, python: Version | None) -> Found:
    """Return whether a target's server finds a top-level module that is not in the repository.

    `python` is the version of the image's Python.
    """
    images = _of_images(target.release.name, target.images)
    if python is None or not target.backends or is_standard(module, python):
        return Found.PERHAPS
    if module not in images.names and module not in _any_standard():
        if target.own:
            return Found.PROBABLY_NOT if module not in public() and meant(module) else Found.PERHAPS
        common = module in public() and not images.complete
        return Found.PROBABLY_NOT if is_own(target) or common else Found.NO
    return Found.PERHAPS if module in images.names else Found.NO


def is_own(target: Target) -> bool:
    """Return whether a target's image is one's own: it is named as such, or has backends that NVIDIA's images lack."""
    return bool(target.own or target.backends - target.release.backends(target.images))


def is_standard(module: str, python: Version) -> bool:
    """Return whether a module comes with Python itself, or with the Python backend."""
    return module in BACKEND or module in _standard(python)


def standard_since(module: str) -> str:
    """Return the first Python whose standard library has a module that others lack, "" if there is no such Python."""
    return next((version for version, names in _facts()["standard_library"]["added"].items() if module in names), "")


def standard_until(module: str) -> str:
    """Return the first Python whose standard library lacks a module that earlier ones have, "" if there is none."""
    return next((version for version, names in _facts()["standard_library"]["removed"].items() if module in names), "")


def is_known(module: str) -> bool:
    """Return whether a module of this name may come from Python or a package, which goes before files of the model."""
    return module in _any_standard() or module in public()


def meant(module: str) -> str:
    """Return the known module that a misspelt name most likely means, "" if none is similar."""
    return nearest(module, sorted(_usual()), CLOSE)


@cache
def public() -> frozenset[str]:
    """Return the modules of public packages."""
    every = (names for image in _facts()["images"] for names in _names(image, "99.12"))
    return frozenset(_facts()["public"]["names"].split()).union(*every)


@cache
def _usual() -> frozenset[str]:
    every = (names for image in _facts()["images"] for names in _names(image, "99.12"))
    return (sys.stdlib_module_names | BACKEND).union(*every)


@cache
def _of_images(release: str, images: tuple[str, ...]) -> Known:
    every = (names for image in images for names in _names(image, release))
    facts = _facts()["images"]
    complete = bool(images) and all(facts.get(image, {}).get("complete") for image in images)
    return Known(frozenset().union(*every), complete)


def _names(image: str, release: str) -> Iterator[list[str]]:
    for group in _facts()["images"].get(image, {}).get("modules", ()):
        if group["since"] <= release:
            yield group["names"].split()


@cache
def _standard(python: Version) -> frozenset[str]:
    """Return the standard library of a Python version, in comparison with the one that runs this."""
    facts = _facts()["standard_library"]
    gone = {name for version, names in facts["removed"].items() if _read(version) <= python for name in names}
    later = {name for version, names in facts["added"].items() if _read(version) > python for name in names}
    return _any_standard() - gone - later


@cache
def _any_standard() -> frozenset[str]:
    facts = _facts()["standard_library"]
    return sys.stdlib_module_names.union(*facts["removed"].values(), *facts["added"].values())


def _read(version: str) -> Version:
    major, _, minor = version.partition(".")
    return int(major), int(minor)


def _facts() -> Mapping[str, Any]:
    return packaged.facts("python_modules")
