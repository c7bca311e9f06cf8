"""What the Python backend reads from a config: the file that it imports, and a parameter; what generated steps read."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.pbtxt.editor import Edit
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow, opened
from tritonrepo.rules.mending import edited
from tritonrepo.rules.python.renaming import renamed
from tritonrepo.rules.python.script import refused_module
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.shared import SETTINGS, named
from tritonrepo.tree import Directory

FORCE_CPU = "FORCE_CPU_ONLY_INPUT_TENSORS"
CHOICES = ("yes", "no")
SYNONYMS = {"true": "yes", "on": "yes", "1": "yes", "false": "no", "off": "no", "0": "no"}
"""What can only be meant to be one of the choices; so can another case of their letters."""

IN_PYTHON = frozenset({"python", "vllm"})
"""Backends that the Python backend runs."""


@rule("python-force-cpu-value", Severity.ERROR, "parameters", at=Stage.BACKEND.after("backend-library-not-found"))
def force_cpu(model: Model) -> Iterator[Finding]:
    """FORCE_CPU_ONLY_INPUT_TENSORS must be yes or no."""
    parameters = model.parameters if model.backend in IN_PYTHON else {}
    if FORCE_CPU not in parameters:
        return
    value = parameters[FORCE_CPU]
    written = value.text("string_value") if isinstance(value, Message) else ""
    if written not in CHOICES:
        entries = [each for each in model.config.entries("parameters") if each.text("key") == FORCE_CPU]
        at: Placed = (
            next(iter(value.scalars("string_value")[-1:]), value) if isinstance(value, Message) else entries[-1]
        )
        message = f'{FORCE_CPU} must be "yes" or "no", not "{written}"'
        reason = f"Incorrect value for {FORCE_CPU}: {written}'"
        yield Finding(at, message, hint='Set it to "yes" or "no".', reason=reason, fix=_chosen(model, at, written))


def _chosen(model: Model, at: Placed, written: str) -> Fix | None:
    """Return the fix that writes the choice that can only be meant; none if the server would then hang."""
    paths = (opened(model, version, "model.py") for version in model.served if model.backend == "python")
    lacking = any(isinstance(follow(model, path), str) for path in paths)
    hangs = lacking and not model.target.release.has("dead-stub-notice")
    word = written.strip().lower()
    meant = SYNONYMS.get(word, word)
    if not isinstance(at, Scalar) or meant not in CHOICES or hangs:
        return None
    return edited(model, Edit(at.start, at.end, f'"{meant}"'.encode()), safe=True)


@rule(
    "python-filename-extension",
    Severity.ERROR,
    "default_model_filename",
    at=Stage.IMPORT.after("python-model-file-missing"),
)
def extension(model: Model) -> Iterator[Finding]:
    """The file of a Python model must have a name that ends with .py."""
    name = model.config.text("default_model_filename").rpartition("/")[2]
    if model.backend == "python" and name and not name.endswith((".", "p", "y")):
        plain = f"{name.partition('.')[0] or 'model'}.py"
        hint = f"Rename {name} to {plain}, and update default_model_filename."
        reason = f"Model name must end with '.py'. Model name is \"{name}\"."
        message = f'the file of a Python model must have a name that ends with .py, not "{name}"'
        yield Finding(_filename(model), message, hint=hint, reason=reason, fix=_renamed(model, plain))


@rule(
    "python-filename-import",
    Severity.ERROR,
    "default_model_filename",
    at=Stage.IMPORT.after("python-filename-extension"),
)
def importable(model: Model) -> Iterator[Finding]:
    """The file of a Python model must have a name that Python can import."""
    name = model.config.text("default_model_filename")
    if model.backend != "python" or not name.endswith((".", "p", "y")):
        return
    for version in model.served:
        module = refused_module(name) or _no_module(model, name, str(version))
        if module:
            stem, dot, ending = name.rpartition("/")[2].rpartition(".")
            plain = f"{stem.replace('.', '_')}{dot}{ending}" if ending == "py" and stem else "model.py"
            dotted = "Use a file in the version directory, without ./ or ../."
            hint = dotted if module == "." else f"Rename it to {plain}."
            message = f"Python cannot import \"{name}\" because module '{module}' does not exist"
            reason = f"ModuleNotFoundError: No module named '{module}'"
            fix = _relative(model) if module == "." else _renamed(model, plain)
            yield Finding(_filename(model), message, hint=hint, reason=reason, fix=fix)
            return


@rule(
    "python-model-file-is-directory", Severity.ERROR, "backend=python", at=Stage.IMPORT.after("python-filename-import")
)
def file_is_directory(model: Model) -> Iterator[Finding]:
    """A Python model's model.py must be a file, not a directory."""
    name = model.inferred.filename or "model.py"
    stem, dot, ending = name.partition(".")
    if model.backend != "python" or "/" in name or (dot, ending) != (".", "py"):
        return
    for version in map(model.directory_of, model.served):
        beside = {path.split("/")[1] for path in model.entries if path.startswith(f"{version}/")}
        others = {each for each in beside if each == stem or each.startswith(f"{stem}.")} - {name}
        if isinstance(follow(model, f"{version}/{name}"), Directory) and not others:
            reason = f"ModuleNotFoundError: No module named '{version}.{stem}'"
            message = f"{name} is a directory, but the Python backend needs a file"
            yield Finding(f"{version}/{name}", message, hint="Replace it with the file.", reason=reason)


@rule("shared-directory-missing", Severity.WARNING, "backend=python")
def shared_missing(model: Model) -> Iterator[Finding]:
    """A Python step should find the directories that it shares with other versions."""
    for version in map(model.directory_of, model.served):
        path = f"{version}/{SETTINGS}"
        settings = model.file(path)
        for top in sorted(named(settings) - {*model.directories}) if settings is not None else ():
            message = f"the settings name {top}, a directory that does not exist next to version {version}"
            yield Finding(path, message, hint="Rebuild with `tritonrepo build`, or copy the directory as well.")


def _no_module(model: Model, name: str, version: str) -> str:
    """Return the first part of the module's name that nothing in its directory has, "" if all parts may exist."""
    path = posixpath.normpath(f"{model.directory_of(int(version))}/{name.lstrip('/')}")
    directory, _, last = path.rpartition("/")
    first, dot, _ = (last[:-3] if len(last) > 2 else last).partition(".")  # noqa: PLR2004  as the backend cuts it
    if path not in model.entries or not directory or (not dot and last.endswith(".py")):
        return ""
    beside = (each[len(directory) + 1 :] for each in model.entries if each.startswith(f"{directory}/"))
    if not first or any(
        each == f"{first}.py" or each.startswith((f"{first}/", f"{first}.")) for each in beside if each != last
    ):
        return ""
    return f"{directory.rpartition('/')[2]}.{first}"


def _renamed(model: Model, plain: str) -> Fix | None:
    """Return the fix that gives the file another name in its directory."""
    name = model.config.text("default_model_filename")
    directory, slash, _ = name.rpartition("/")
    return renamed(model, name, f"{directory}{slash}{plain}")


def _relative(model: Model) -> Fix | None:
    """Return the fix that removes ./ and ../ from the path, if it leads to a file of the version all the same."""
    name = model.config.text("default_model_filename")
    plain = posixpath.normpath(name.lstrip("/"))
    inside = all(f"{model.directory_of(version)}/{plain}" in model.entries for version in model.served)
    return renamed(model, name, plain) if inside and not plain.startswith("../") else None


def _filename(model: Model) -> Placed | None:
    return next(iter(model.config.scalars("default_model_filename")[-1:]), None)
