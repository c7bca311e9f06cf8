"""Version directories that are not there, or have nothing in them."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.layout import signs
from tritonrepo.rules.layout.numbers import VERSIONISH
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, is_directory


@rule("no-version-available", Severity.ERROR, at=Stage.LOAD.after("ensemble-no-version-directory"))
def no_version(model: Model) -> Iterator[Finding]:
    """A model has a version directory: one whose name is a number."""
    if model.versions.found or model.versions.overflow or model.is_ensemble or model.served:
        return
    if signs.misplaced(model) or signs.is_stray(model) or signs.no_backend(model):
        return
    yield Finding("", "there is no version directory", hint=_advice(model), reason=signs.NO_VERSION.format(model.name))


def _advice(model: Model) -> str:
    meant = [name for name in model.versions.no_number if VERSIONISH.fullmatch(name)]
    if meant or model.versions.leading_zero:
        return f"{(meant or model.versions.leading_zero)[0]} is none to the server: rename it to 1."
    numbers = [name for name, entry in model.children.items() if name.isdecimal() and not is_directory(entry)]
    if numbers:
        return f"{numbers[0]} is a file: make it a directory, with the model's files in it."
    return "Make a directory 1, and put the model's files into it."


@rule("model-files-not-in-version-directory", Severity.ERROR, at=Stage.LOAD.after("no-version-available"))
def not_in_version_directory(model: Model) -> Iterator[Finding]:
    """A model's files lie in a version directory."""
    if model.versions.found:
        return
    if name := signs.misplaced(model):
        message = f"{name} lies in no version directory, and there is none"
        is_version = model.parsed is None and model.name.isdecimal()
        hint = signs.PARENT if is_version else f"Move it to {model.name}/1/{name}."
        yield Finding(name, message, hint=hint, reason=signs.NO_VERSION.format(model.name))


@rule("empty-version-directory", Severity.INFO)
def empty_version(model: Model) -> Iterator[Finding]:
    """A version directory has files in it, except an ensemble's."""
    for number in model.served:
        name = model.versions.found.get(number, "")
        if isinstance(model.children.get(name), Directory) and not model.is_ensemble:
            yield Finding(name, f"version {number} has no files")
