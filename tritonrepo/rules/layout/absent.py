"""Version directories that are missing or empty."""

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
    """A model must have a version directory, whose name is a number."""
    if model.versions.found or model.versions.overflow or model.is_ensemble or model.served:
        return
    if signs.misplaced(model) or signs.is_stray(model) or signs.no_backend(model):
        return
    reason = signs.NO_VERSION.format(model.name)
    yield Finding("", "the model has no version directory", hint=_advice(model), reason=reason)


def _advice(model: Model) -> str:
    meant = [name for name in model.versions.no_number if VERSIONISH.fullmatch(name)]
    if meant:
        return f"Rename {meant[0]} to 1. Version directories have numeric names."
    if model.versions.leading_zero:
        return f"Rename {model.versions.leading_zero[0]} to 1. Triton ignores names with a leading zero."
    numbers = [name for name, entry in model.children.items() if name.isdecimal() and not is_directory(entry)]
    if numbers:
        return f"Replace the file {numbers[0]} with a directory of that name, and put the model's files in it."
    return "Create a directory 1, and put the model's files in it."


@rule("model-files-not-in-version-directory", Severity.ERROR, at=Stage.LOAD.after("no-version-available"))
def not_in_version_directory(model: Model) -> Iterator[Finding]:
    """Model files must be in a version directory."""
    if model.versions.found:
        return
    if name := signs.misplaced(model):
        message = f"{name} is not in a version directory, and the model has none"
        is_version = model.parsed is None and model.name.isdecimal()
        hint = signs.PARENT if is_version else f"Move it to {model.name}/1/{name}."
        yield Finding(name, message, hint=hint, reason=signs.NO_VERSION.format(model.name))


@rule("empty-version-directory", Severity.INFO)
def empty_version(model: Model) -> Iterator[Finding]:
    """An empty version directory has no files for the backend."""
    for number in model.served:
        name = model.versions.found.get(number, "")
        if isinstance(model.children.get(name), Directory) and not model.is_ensemble:
            yield Finding(name, f"version {number} has no files")
