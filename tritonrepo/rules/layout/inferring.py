"""How the core identifies a model's backend by its files if the config names none.

Source of all: core, src/model_config_utils.cc, AutoCompleteBackendFields; seen on 24.10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonrepo.diagnostics import Fix, Severity
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.repository.inference import FILLED, GRAPHDEF, KINDS, SAVEDMODEL, Inferred, infer
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.layout import signs
from tritonrepo.rules.mending import created, edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Entry, is_directory

FEW = 32
"""Versions up to which all are looked at: each costs a look at all files of the model."""

BY_FILE = {signs.VLLM: "vllm", "model.dali": "dali", "xgboost.json": "fil", "checkpoint.tl": "fil"}
"""Model files of backends that the core does not identify by their files."""

BY_EXTENSION = {"onnx": "onnxruntime", "plan": "tensorrt", "engine": "tensorrt", "pt": "pytorch", "py": "python"}


def _within(model: Model, directory: str) -> Mapping[str, Entry | None]:
    """Return the names directly in a subdirectory."""
    below: dict[str, Entry | None] = {}
    for path, entry in model.entries.items():
        head, _, rest = path.partition("/")
        if head == directory and rest:
            name, slash, _ = rest.partition("/")
            below[name] = None if slash else entry
    return below


def _told_by(model: Model, directory: str) -> Inferred:
    """Return what the core would infer if this were the first subdirectory."""
    return infer("", model.config, _within(model, directory), model.target, bare=model.parsed is None)


def _hiding(model: Model) -> tuple[str, Inferred] | None:
    """Return the version directory that would identify the backend if the core looked into it."""
    for name in signs.hidden_versions(model):
        told = _told_by(model, name)
        if told.backend:
            return name, told
    return None


def _naming(model: Model, told: Inferred, *, safe: bool) -> Fix | None:
    """Return the fix that writes what the core would infer: the backend, and the platform if it is not the only one."""
    fields = {"backend": told.backend}
    if told.platform not in {"", FILLED.get(told.backend, "")}:
        fields["platform"] = told.platform
    return _writing(model, fields, safe=safe)


def _writing(model: Model, fields: Mapping[str, str], *, safe: bool) -> Fix | None:
    if model.parsed is not None:
        return edited(model, *(put(model.config, name, value) for name, value in fields.items()), safe=safe)
    if CONFIG in model.children or signs.misnamed_config(model):
        return None
    return created(model, CONFIG, "".join(f'{name}: "{value}"\n' for name, value in fields.items()), safe=safe)


def _is_version(model: Model, directory: str) -> bool:
    return directory in model.versions.found.values() or directory in model.versions.collisions


@rule("backend-not-inferable", Severity.ERROR, at=Stage.POLL.after("stray-directory-at-repository-root"))
def not_inferable(model: Model) -> Iterator[Finding]:
    """A config must name its backend, or a file in the first version directory must identify it."""
    if not signs.no_backend(model) or signs.is_stray(model):
        return
    if _hiding(model) is None or _is_version(model, model.directories[0]):
        message, hint, fix = _reproach(model)
        quiet = bool(signs.misplaced(model))  # reported at the file
        yield Finding(None, message, hint=hint, reason=signs.no_backend_words(model), quiet=quiet, fix=fix)


def _reproach(model: Model) -> tuple[str, str, Fix | None]:
    if other := signs.misnamed_config(model):
        message = f"Triton does not read {other}, and no file identifies the backend"
        return message, f"Move it to {model.name}/config.pbtxt.", signs.as_config(model)
    message = "backend is missing, and no file identifies it"
    if model.config.has("ensemble_scheduling"):
        return message, 'Set platform to "ensemble".', _writing(model, {"platform": "ensemble"}, safe=True)
    if hiding := _hiding(model):
        name, told = hiding
        first = model.directories[0]
        message = f"backend is missing, and version directory {first}, the first in byte order, has no {told.filename}"
        hint = f'Set backend to "{told.backend}", which {name}/{told.filename} identifies.'
        return message, hint, _naming(model, told, safe=False)
    return message, *_advice(model)


def _advice(model: Model) -> tuple[str, Fix | None]:
    """Return how to name the backend that the files of a version seem to need, and the fix that does it."""
    names = [name for directory in model.versions.found.values() for name in _within(model, directory)]
    for name in names:
        if name in BY_FILE:
            return f'Set backend to "{BY_FILE[name]}".', _writing(model, {"backend": BY_FILE[name]}, safe=False)
    for kind in KINDS:
        if kind.filename in names:
            hint = f'Set backend to "{kind.backend}". {kind.filename} is a directory and does not identify it.'
            return hint, _writing(model, {"backend": kind.backend}, safe=False)
    known = [(name, BY_EXTENSION[end]) for name in names if (end := name.rpartition(".")[2]) in BY_EXTENSION]
    if not known:
        return "Set backend to the backend that runs the model.", None
    name, backend = known[0]
    fields = {"backend": backend, "default_model_filename": name}
    fix = _writing(model, fields, safe=False) if len({*known}) == 1 else None
    return f'Set backend to "{backend}" and default_model_filename to "{name}".', fix


@rule("extra-directory-hides-model-file", Severity.ERROR, at=Stage.POLL.after("dangling-link-in-model-directory"))
def extra_directory(model: Model) -> Iterator[Finding]:
    """If a config names no backend, its version directories must sort before all others."""
    if not signs.no_backend(model) or not model.versions.found or _is_version(model, model.directories[0]):
        return
    if hiding := _hiding(model):
        name, told = hiding
        first = model.directories[0]
        message = f"backend is missing, and {first} sorts before {name}, whose {told.filename} would identify it"
        hint = f'Set backend to "{told.backend}", or remove {first}.'
        others = {_told_by(model, each).backend for each in [*model.versions.found.values()][:FEW]}
        safe = others <= {told.backend, ""} and len(model.versions.found) <= FEW
        fix = _naming(model, told, safe=safe)
        yield Finding(first, message, hint=hint, reason=signs.no_backend_words(model), fix=fix)


@rule("inference-from-first-version-only", Severity.WARNING)
def from_first_version(model: Model) -> Iterator[Finding]:
    """All versions of a model whose config names no backend should identify the same one."""
    if not model.inferred.filename or len(model.versions.found) == 1 or _names_backend(model):
        return
    first = model.directories[0] if model.directories else ""
    if _told_by(model, first).backend != model.inferred.backend:
        return
    names = {number: model.versions.found.get(number, first) for number in model.served}
    of_all = {number: _told_by(model, name) if name != first else model.inferred for number, name in names.items()}
    for number, told in of_all.items():
        name = names[number]
        if told.backend and told.backend != model.inferred.backend:
            identified = f'version directory {first} identifies the backend as "{model.inferred.backend}"'
            message = f"{identified}, but version {number} is served"
            hint = f'Set backend to "{told.backend}", which {name}/{told.filename} identifies.'
            fix = _naming(model, told, safe=False) if {told} == {*of_all.values()} else None
            yield Finding(None, message, hint=hint, fix=fix)


def _names_backend(model: Model) -> bool:
    return not model.fields.isdisjoint({"backend", "platform", "default_model_filename"})


@rule("known-model-file-wrong-type", Severity.WARNING)
def wrong_type(model: Model) -> Iterator[Finding]:
    """model.savedmodel should be a directory, and other names that identify the backend should be files."""
    if not model.inferred.filename or not model.directories or _names_backend(model):
        return
    first = _within(model, model.directories[0])
    release = model.target.release
    known = {kind.filename: kind for kind in (SAVEDMODEL, GRAPHDEF, *KINDS) if kind.known(release)}
    for kind in known.values():
        directory = kind is SAVEDMODEL
        if kind.filename in first and not kind.directory and is_directory(first[kind.filename]) is not directory:
            what = "directory" if directory else "file"
            message = f"{kind.filename} is not a {what}, so it does not identify the backend"
            hint = f'Set backend to "{kind.backend}" or "{model.inferred.backend}".'
            yield Finding(f"{model.directories[0]}/{kind.filename}", message, hint=hint)
