"""What a model's files say about it where its config does not; shared by the rules of this family."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix
from tritonrepo.pbtxt import parse
from tritonrepo.repository import Model
from tritonrepo.repository.inference import GRAPHDEF, KINDS, SAVEDMODEL
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.mending import moved
from tritonrepo.tree import Directory, is_directory

MISNAMED = re.compile(r"(config|.+\.pbtxt)(\..+)?", re.IGNORECASE)
ASIDE = re.compile(
    r"(?<![a-z])(?:backup|bak|old|orig|original|copy|tmp|temp|save|saved|disabled|off|unused|broken|archived?|prev"
    r"|previous|deprecated|trash|example|sample|template|tmpl)(?![a-z])",
    re.IGNORECASE,
)
"""Words in the name of what somebody has put aside on purpose."""

LARGEST = 1 << 20
"""Bytes of a file up to which it is read to see whether it is a config."""

VLLM = "model.json"
MODEL_FILES = frozenset({SAVEDMODEL.filename, GRAPHDEF.filename, *(kind.filename for kind in KINDS), VLLM})
"""The files by which the core identifies a backend, and vLLM's."""

NO_VERSION = "at least one version must be available under the version policy of model '{}'"
NO_BACKEND = (
    "Invalid model name: Could not determine backend for model '{}' with no backend in model configuration. "
    "Expected model name of the form 'model.<backend_name>'."
)


PARENT = "If the repository is itself a model, name its parent directory."


def no_backend_words(model: Model) -> str:
    """Return what the server says if it finds no backend; for a name that ends in a dot it looks for one called ""."""
    if "." in model.name:
        return f"unexpected platform type '' for {model.config_name}"
    return NO_BACKEND.format(model.name)


def refused_bare(model: Model) -> bool:
    """Return whether the server reads no config but needs one."""
    return model.parsed is None and not model.hidden and not model.target.auto_complete


def no_backend(model: Model) -> bool:
    """Return whether the core surely finds no backend; in a directory that is closed to us it may find one."""
    if any(model.inferred) or refused_bare(model) or model.hidden:
        return False
    return not model.directories or not closed(model, model.directories[0])


def closed(model: Model, directory: str) -> bool:
    """Return whether a directory exists that cannot be read from here."""
    entry = model.children.get(directory, Directory())
    return is_directory(entry) and entry is not None and not isinstance(entry, Directory)


def behind_closed(model: Model, path: str) -> bool:
    """Return whether a path leads through a directory that cannot be read from here."""
    return any(path.startswith(f"{each}/") for each, entry in model.odd if is_directory(entry))


def misnamed_config(model: Model) -> str:
    """Return what looks like the config of a model without one, as a path below the model; "" if nothing does."""
    return next(_misnamed(model), "")


def _misnamed(model: Model) -> Iterator[str]:
    if model.parsed is not None or model.hidden:
        return
    for name, entry in model.children.items():
        if not is_directory(entry) and name != CONFIG and MISNAMED.fullmatch(name):
            yield name
    yield from (f"{name}/{CONFIG}" for name in model.versions.found.values() if model.file(f"{name}/{CONFIG}"))


def as_config(model: Model) -> Fix | None:
    """Return the fix that moves the only file that looks like the config to its place; None if it is no config."""
    found = [*_misnamed(model)]
    file = model.file(found[0]) if len(found) == 1 else None
    if file is None or file.size > LARGEST or CONFIG in model.children:
        return None
    parsed = parse(file.content(), model.target.release.name)
    if parsed.faults or not parsed.root.fields:
        return None
    is_own = parsed.root.text("name") in {"", model.name}
    return moved(model, found[0], CONFIG, safe=is_own and not ASIDE.search(found[0]))


def misplaced(model: Model) -> str:
    """Return a model file that is directly in the directory of a model without versions."""
    if model.versions.found or model.versions.overflow:
        return ""
    named = model.config.text("default_model_filename")
    return next((name for name in model.children if name in MODEL_FILES or name == named), "")


def is_stray(model: Model) -> bool:
    """Return whether a top-level directory is surely not meant as a model: no config, no version, no model file."""
    if model.parsed is not None or model.hidden or model.versions.found or model.versions.overflow:
        return False
    shallow = (path.rpartition("/")[2] for path in model.entries if path.count("/") <= 1)
    return not misnamed_config(model) and not any(name in MODEL_FILES for name in shallow)


def hidden_versions(model: Model) -> Iterator[str]:
    """Return the version directories other than the first subdirectory, served ones first."""
    numbers = sorted(model.versions.found, key=lambda number: (number not in model.served, number))
    return (model.versions.found[number] for number in numbers if model.versions.found[number] != model.directories[0])
