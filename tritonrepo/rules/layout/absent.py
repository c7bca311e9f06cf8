"""Version directories that are missing or empty."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.repository import Model
from tritonrepo.repository.model import CONFIG
from tritonrepo.repository.versions import selected
from tritonrepo.rules.layout import signs
from tritonrepo.rules.layout.numbers import VERSIONISH, first_number, is_version
from tritonrepo.rules.mending import moved, together
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.shared import is_shared
from tritonrepo.tree import Directory, is_directory


@rule("no-version-available", Severity.ERROR, at=Stage.LOAD.after("ensemble-no-version-directory"))
def no_version(model: Model) -> Iterator[Finding]:
    """A model must have a version directory, whose name is a number."""
    if model.versions.found or model.versions.overflow or model.is_ensemble or model.served:
        return
    if signs.misplaced(model) or signs.is_stray(model) or signs.no_backend(model):
        return
    reason = signs.NO_VERSION.format(model.name)
    fix = _first_version(model)
    yield Finding("", "the model has no version directory", hint=_advice(model), reason=reason, fix=fix)


def _meant(model: Model) -> list[str]:
    return [name for name in model.versions.no_number if VERSIONISH.fullmatch(name)]


def _first_version(model: Model) -> Fix | None:
    """Return the fix that makes a version of the only directory that can be meant; None if it would not be served."""
    names = [*_meant(model), *_zeros(model)]
    number = _number(names[0]) if names else ""
    served = number not in model.children and selected([int(number or 0)], model.config.message("version_policy"))
    return moved(model, names[0], number, safe=True) if served and len(names) == 1 else None


def _zeros(model: Model) -> list[str]:
    return [name for name in model.versions.leading_zero if not is_shared(name)]


def _number(name: str) -> str:
    """Return the version that a name is meant to be."""
    number = first_number(name)
    return number if is_version(number) else "1"


def _advice(model: Model) -> str:
    meant, zeros = _meant(model), _zeros(model)
    if meant:
        return f"Rename {meant[0]} to {_number(meant[0])}. Version directories have numeric names."
    if zeros:
        return f"Rename {zeros[0]} to {_number(zeros[0])}. Triton ignores names with a leading zero."
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
        fix = None if is_version else _into_version(model, name)
        yield Finding(name, message, hint=hint, reason=signs.NO_VERSION.format(model.name), fix=fix)


def _into_version(model: Model, name: str) -> Fix | None:
    """Return the fix that moves the model's files into directory 1, with those that belong to them by their names.

    None if that directory would not be served, or if another one may be meant to be the version.
    """
    meant = [*model.versions.leading_zero, *_meant(model)]
    if meant or "1" in model.children or not selected([1], model.config.message("version_policy")):
        return None
    stem = f"{name.partition('.')[0]}."
    with_it = [each for each in model.children if each.startswith(stem) and not each.endswith(".pbtxt")]
    with_it += [name] if name not in with_it else []
    if name.endswith(".py"):
        with_it += [each for each in model.children if each.endswith(".py") and each not in with_it]
    beside = {CONFIG, *with_it, *(tensor.node.text("label_filename") for tensor in model.tensors)}
    rest = [each for each in model.children if each not in beside and not BESIDE.match(each)]
    sure = len([each for each in with_it if each in signs.MODEL_FILES]) <= 1 and not rest
    return together(*(moved(model, each, f"1/{each}", safe=sure) for each in with_it))


BESIDE = re.compile(r"\.|(?i:readme|license)")
"""How the names of files begin that are next to the versions, and are not the model's."""


@rule("empty-version-directory", Severity.INFO)
def empty_version(model: Model) -> Iterator[Finding]:
    """An empty version directory has no files for the backend."""
    for number in model.served:
        name = model.versions.found.get(number, "")
        if isinstance(model.children.get(name), Directory) and not model.is_ensemble:
            yield Finding(name, f"version {number} has no files")
