"""The names of version directories, which the server reads by std::stoll: the number that a name starts with counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.versions import NUMBER, RESERVED, selected, versions
from tritonrepo.rules.layout import signs
from tritonrepo.rules.mending import moved
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.shared import is_shared

VERSIONISH = re.compile(
    r"(v|ver|version|rev|revision|r|release)[-_. ]?[0-9]+([-_.][0-9]+)*|latest|stable|current", re.IGNORECASE
)
"""Names that are surely meant to be versions."""


@rule("version-leading-zero", Severity.WARNING, after_faults=True)
def leading_zero(model: Model) -> Iterator[Finding]:
    """A version directory's name should not have a leading zero."""
    if model.versions.found:
        for name in model.versions.leading_zero:
            if is_shared(name):
                continue
            bare = name.lstrip("0")
            is_number = is_version(bare)
            hint, fix = (f"Rename it to {bare}.", _numbered(model, name, bare)) if is_number else ("", None)
            yield Finding(name, f"Triton ignores {name} because of its leading zero", hint=hint, fix=fix)


def _numbered(model: Model, name: str, number: str) -> Fix | None:
    """Return the fix that makes a version of a directory that is none; None if another one has or may get its number.

    Which version is served may change by that.
    """
    alike = _numbers(model)[number] > 1
    taken = alike or not _is_free(model, number) or int(number) in model.versions.found
    return None if taken else moved(model, name, number, safe=False)


@once
def _numbers(model: Model) -> Counter[str]:
    """Return how many of the directories that are no versions have a number."""
    return Counter(map(first_number, (*model.versions.leading_zero, *model.versions.no_number)))


def is_version(name: str) -> bool:
    """Return whether a name is a version's number and nothing else."""
    return any(name == str(number) for number in versions([name]).found)


def first_number(name: str) -> str:
    """Return the first number in a name, without leading zeros; "" if it has none or only 0."""
    return "".join(re.findall("[0-9]+", name)[:1]).lstrip("0")


def _is_free(model: Model, name: str) -> bool:
    return name not in model.children


@rule("version-not-a-number", Severity.WARNING, after_faults=True)
def not_a_number(model: Model) -> Iterator[Finding]:
    """A version directory's name should be a number."""
    if model.versions.found:
        for name in model.versions.no_number:
            if VERSIONISH.fullmatch(name):
                digits = first_number(name)
                is_number = is_version(digits)
                hint = f"Rename it to {digits}." if is_number else "Rename it to the next version number."
                message = f"Triton ignores {name} because a version directory must have a numeric name"
                fix = _numbered(model, name, digits) if is_number else None
                yield Finding(name, message, hint=hint, fix=fix)


@rule("version-partial-number", Severity.WARNING, after_faults=True)
def partial_number(model: Model) -> Iterator[Finding]:
    """A version directory's name should be only the version number."""
    for number, name in model.versions.found.items():
        if name != str(number):
            message = f'"{name}" counts as version {number}, but the backend looks for its files in {number}/'
            hint = f"Rename it to {number}, or to a name that does not start with a number."
            yield Finding(name, message, hint=hint, fix=_renamed(model, number, name))


def _renamed(model: Model, number: int, name: str) -> Fix | None:
    """Return the fix that gives a directory the name of its version, or one that is no version if it is put aside."""
    digits = NUMBER.match(name)
    tail = name[digits.end() :] if digits else ""
    if tail.strip() and signs.ASIDE.search(tail):
        other = tail.strip("-_. ")
        is_version = NUMBER.match(other) or other in RESERVED or other in {".", ".."}
        spare = not is_version and _is_free(model, other) and _serves(model)
        return moved(model, name, other, safe=False) if spare else None
    if number < 1 or "~" in tail or not _is_free(model, str(number)):
        return None
    return moved(model, name, str(number), safe=not tail.strip())


@once
def _serves(model: Model) -> bool:
    """Return whether a version is served if only those exist whose directories have the right name."""
    plain = [number for number, name in model.versions.found.items() if name == str(number)]
    return bool(selected(plain, model.config.message("version_policy")))


@rule("version-number-collision", Severity.WARNING, after_faults=True)
def collision(model: Model) -> Iterator[Finding]:
    """Two directories should not count as the same version."""
    for name, number in model.versions.collisions.items():
        message = f'"{name}" counts as version {number}, but "{model.versions.found[number]}" already does'
        yield Finding(name, message, hint="Rename it to a name that does not start with a number.")


@rule("version-negative", Severity.WARNING, after_faults=True)
def negative(model: Model) -> Iterator[Finding]:
    """A version number should not be negative."""
    for number, name in model.versions.found.items():
        if number < 0 and name == str(number):
            message = f"version {number} loads, but no request can select it"
            yield Finding(name, message, hint="Rename it to 1 or higher.")


@rule("version-zero", Severity.WARNING, after_faults=True)
def zero(model: Model) -> Iterator[Finding]:
    """Version numbers should start at 1."""
    if model.versions.found.get(0) == "0":
        yield Finding("0", "version 0 is served, but versions should start at 1", hint="Rename it to 1 or higher.")


@rule("version-overflow", Severity.ERROR, at=Stage.LOAD.first, state=State.CRASH, after_faults=True)
def overflow(model: Model) -> Iterator[Finding]:
    """A version number must fit into 64 bits."""
    for name in model.versions.overflow:
        message = f"version number {name} does not fit into 64 bits, which crashes the server"
        hint = "Rename it to a number up to 9223372036854775807."
        yield Finding(name, message, hint=hint, reason="server ended: stoll")
