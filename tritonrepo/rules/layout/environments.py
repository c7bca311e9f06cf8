"""EXECUTION_ENV_PATH: the Python environment that a model ships with."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.paths import follow
from tritonrepo.rules.layout import signs
from tritonrepo.rules.layout.archives import Packed, packed
from tritonrepo.rules.layout.tars import fits
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, File, Unreadable

HERE = "$$TRITON_MODEL_DIRECTORY"
PARAMETER = "EXECUTION_ENV_PATH"
IN_PYTHON = frozenset({"python", "vllm"})


@rule("execution-env-missing", Severity.ERROR, "parameters", at=Stage.IMPORT.first)
def environment_missing(model: Model) -> Iterator[Finding]:
    """A Python environment that EXECUTION_ENV_PATH names in the model directory must exist."""
    value = model.parameters.get(PARAMETER)
    if model.backend not in IN_PYTHON or not isinstance(value, Message):
        return
    written = value.text("string_value")
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    if written.startswith(f"{HERE}/") and not path.startswith("../") and not _is_there(model, path):
        reason = f"Failed to get the canonical path for {model.on_server(written.removeprefix(HERE))}."
        at = value.scalars("string_value")[-1]
        message = f'the Python environment "{path}" does not exist in {model.name}/'
        hint = f"Copy the packed environment to {model.name}/{path}."
        yield Finding(at, message, hint=hint, reason=reason)


@rule("execution-env-not-activated", Severity.ERROR, "parameters", at=Stage.IMPORT.after("execution-env-missing"))
def environment_not_activated(model: Model) -> Iterator[Finding]:
    """A Python environment must contain bin/activate."""
    value = model.parameters.get(PARAMETER)
    written = value.text("string_value") if model.backend in IN_PYTHON and isinstance(value, Message) else ""
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    if not isinstance(value, Message) or not f"{written}/".startswith(f"{HERE}/") or path.startswith("../"):
        return
    script = posixpath.normpath(f"{path}/bin/activate")
    entry = follow(model, path)
    words = "does not exist. The Python environment should contain an 'activate' script."
    if isinstance(entry, File):
        yield from _without_activate(value.scalars("string_value")[-1], path, packed_environment(model), words)
    elif isinstance(entry, Directory) and not _is_there(model, script):
        yield Finding(
            value.scalars("string_value")[-1],
            f"{script} does not exist in {model.name}/",
            hint="Use an environment packed by conda-pack, or a directory with one unpacked in it.",
            reason=f"Path {model.on_server(script)} {words}",
        )


@once
def packed_environment(model: Model) -> Packed:
    """Return what is in the file that EXECUTION_ENV_PATH names, nothing if it is no file of the repository."""
    entry = _file(model)
    return packed(entry) if entry is not None else Packed()


def is_too_large(model: Model) -> bool:
    """Return whether EXECUTION_ENV_PATH names a file that is not read to its end."""
    entry = _file(model)
    return entry is not None and not fits(entry)


def _file(model: Model) -> File | None:
    written = model.parameter(PARAMETER)
    entry = follow(model, f"./{written.removeprefix(HERE)}") if written.startswith(f"{HERE}/") else None
    return entry if isinstance(entry, File) else None


def is_elsewhere(model: Model) -> bool:
    """Return whether EXECUTION_ENV_PATH names something that is not in the repository."""
    return PARAMETER in model.parameters and not model.parameter(PARAMETER).startswith(f"{HERE}/")


def _without_activate(at: Placed, path: str, found: Packed, words: str) -> Iterator[Finding]:
    names = [each.path for each in found.members]
    if found.whole and "bin/activate" not in names:
        below = next((name for name in names if name.endswith("/bin/activate")), "")
        hint = f"It contains {below}. Pack the files themselves, without the directory around them."
        hint = hint if below else "Use an environment packed by conda-pack."
        yield Finding(at, f"{path} does not contain bin/activate", hint=hint, reason=words)


@rule("python-env-archive", Severity.ERROR, "parameters", at=Stage.IMPORT.after("execution-env-not-activated"))
def not_an_archive(model: Model) -> Iterator[Finding]:
    """A packed Python environment must be a tar file, plain or compressed with gzip."""
    value = model.parameters.get(PARAMETER)
    written = value.text("string_value") if model.backend in IN_PYTHON and isinstance(value, Message) else ""
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    wrong = packed_environment(model).wrong if not path.startswith("../") else ""
    if wrong and isinstance(value, Message):
        message = f'the Python environment "{path}" is {wrong}, not a .tar.gz file'
        hint = "Download it with `git lfs pull`." if "LFS" in wrong else "Pack it again, with conda-pack or `tar -czf`."
        yield Finding(
            value.scalars("string_value")[-1], message, hint=hint, reason="archive_read_open_filename() failed."
        )


@rule("execution-env-elsewhere", Severity.INFO, "parameters")
def environment_elsewhere(model: Model) -> Iterator[Finding]:
    """A Python environment outside the model directory is looked up on the server's machine."""
    value = model.parameters.get(PARAMETER)
    written = value.text("string_value") if model.backend in IN_PYTHON and isinstance(value, Message) else ""
    if isinstance(value, Message) and written and HERE not in written:
        message = f'"{written}" must exist on the server\'s machine and was not checked'
        name = posixpath.basename(written)
        hint = f"Copy it next to config.pbtxt and use {HERE}/{name} to ship it with the model."
        yield Finding(value.scalars("string_value")[-1], message, hint=hint)


def _is_there(model: Model, path: str) -> bool:
    entry = model.entries.get(path, Unreadable.DANGLING)
    below = any(each.startswith(f"{path}/") for each in model.entries)
    return path == "." or below or entry is not Unreadable.DANGLING or signs.behind_closed(model, path)
