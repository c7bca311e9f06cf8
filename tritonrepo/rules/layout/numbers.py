"""The names of version directories, which the server reads by std::stoll: what begins with a number is that version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.versions import RESERVED
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

VERSIONISH = re.compile(
    r"(v|ver|version|rev|revision|r|release)[-_. ]?[0-9]+([-_.][0-9]+)*|latest|stable|current", re.IGNORECASE
)
"""Names that are surely meant as versions."""


@rule("version-leading-zero", Severity.WARNING, after_faults=True)
def leading_zero(model: Model) -> Iterator[Finding]:
    """A version directory's name has no leading zero."""
    if model.versions.found:
        for name in model.versions.leading_zero:
            bare = name.lstrip("0")
            hint = f"Rename it to {bare}." if bare.isdecimal() else ""
            yield Finding(name, f"{name} is no version to the server, for its leading zero", hint=hint)


@rule("version-not-a-number", Severity.WARNING, after_faults=True)
def not_a_number(model: Model) -> Iterator[Finding]:
    """A version directory's name is a number."""
    if model.versions.found:
        for name in model.versions.no_number:
            if VERSIONISH.fullmatch(name):
                digits = "".join(re.findall("[0-9]+", name)[:1]).lstrip("0")
                hint = f"Rename it to {digits}." if digits else "Give it the next number."
                yield Finding(name, f"{name} is no version to the server, which counts numbers alone", hint=hint)


@rule("version-partial-number", Severity.WARNING, after_faults=True)
def partial_number(model: Model) -> Iterator[Finding]:
    """A directory whose name begins with a number is that version."""
    for number, name in model.versions.found.items():
        if name != str(number):
            message = f'"{name}" counts as version {number}, whose files the backend looks for in {number}/'
            yield Finding(name, message, hint=f"Rename it to {number}, or let its name not begin with a number.")


@rule("version-number-collision", Severity.WARNING, after_faults=True)
def collision(model: Model) -> Iterator[Finding]:
    """No two directories are the same version."""
    for name, number in model.versions.collisions.items():
        message = f'"{name}" counts as version {number}, as {model.versions.found[number]} does already'
        yield Finding(name, message, hint="Let its name not begin with a number.")


@rule("version-negative", Severity.WARNING, after_faults=True)
def negative(model: Model) -> Iterator[Finding]:
    """Versions are positive numbers."""
    for number, name in model.versions.found.items():
        if number < 0 and name == str(number):
            yield Finding(name, f"version {number} loads, and no request can ask for it", hint="Name it from 1 on.")


@rule("version-zero", Severity.WARNING, after_faults=True)
def zero(model: Model) -> Iterator[Finding]:
    """Versions count from 1."""
    if model.versions.found.get(0) == "0":
        yield Finding("0", "0 is served as version 0", hint="Name it from 1 on.")


@rule("version-overflow", Severity.ERROR, at=Stage.LOAD.first, state=State.CRASH, after_faults=True)
def overflow(model: Model) -> Iterator[Finding]:
    """A version fits into 64 bits."""
    for name in model.versions.overflow:
        message = f"{name} is too large for a version, which ends the whole server"
        yield Finding(name, message, hint="The largest is 9223372036854775807.", reason="server ended: stoll")


@rule("reserved-subdirectories", Severity.INFO, after_faults=True)
def reserved(model: Model) -> Iterator[Finding]:
    """The directories configs, warmup and initial_state are no versions."""
    for name in RESERVED & model.children.keys():
        if name in model.directories:
            yield Finding(name, f"{name} is a directory with a meaning of its own, and no version")
