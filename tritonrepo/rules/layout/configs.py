"""Where a model's config is and what it is called: the server reads only config.pbtxt next to the versions."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.layout import signs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Unreadable, is_directory


@rule("config-missing-strict", Severity.ERROR, at=Stage.PARSE.after("config-is-fifo"))
def missing_strict(model: Model) -> Iterator[Finding]:
    """A model must have a config.pbtxt if the server does not auto-complete configs."""
    if not signs.refused_bare(model) or signs.is_stray(model):
        return
    reason = f"failed to open text file for read {model.on_server(CONFIG)}"
    if CONFIG in model.children:
        yield Finding(CONFIG, f"{CONFIG} is a dangling symbolic link", hint="Fix the link.", reason=reason)
        return
    other = signs.misnamed_config(model)
    hint = f"Rename {other} to {CONFIG}." if other else "Create it, or serve with auto-complete enabled."
    if "/" in other:
        hint = f"Move {other} next to the version directory."
    reason = f"{reason}: No such file or directory"
    yield Finding(other or None, f"{CONFIG} is missing", hint=hint, reason=reason, fix=signs.as_config(model))


@rule("config-misnamed", Severity.WARNING)
def misnamed(model: Model) -> Iterator[Finding]:
    """A model's config file should be named exactly config.pbtxt."""
    other = signs.misnamed_config(model) if model.parsed is None else ""
    if other and "/" not in other and not signs.refused_bare(model) and not signs.no_backend(model):
        message = f"Triton does not read {other} because its name is not {CONFIG}"
        yield Finding(other, message, hint=f"Rename it to {CONFIG}.", fix=signs.as_config(model))


@rule("config-in-version-directory", Severity.WARNING)
def in_version_directory(model: Model) -> Iterator[Finding]:
    """A model's config.pbtxt should be next to its version directories, not in one."""
    other = signs.misnamed_config(model) if model.parsed is None else ""
    if "/" in other and not signs.refused_bare(model) and not signs.no_backend(model):
        hint = f"Move it to {model.name}/{CONFIG}."
        yield Finding(other, f"Triton does not read {other}", hint=hint, fix=signs.as_config(model))


@rule(
    "config-is-directory",
    Severity.ERROR,
    at=Stage.PARSE.after("s3-endpoint-model-name-chars"),
    state=State.CRASH,
    after_faults=True,
)
def is_a_directory(model: Model) -> Iterator[Finding]:
    """config.pbtxt must be a file, not a directory."""
    if CONFIG in model.children and is_directory(model.children[CONFIG]):
        message = f"{CONFIG} is a directory, which crashes the server"
        yield Finding(
            CONFIG, message, hint="Replace it with a file.", reason="server ended: basic_string::_M_replace_aux"
        )


@rule(
    "config-is-fifo", Severity.ERROR, at=Stage.PARSE.after("config-is-directory"), state=State.HANG, after_faults=True
)
def is_a_fifo(model: Model) -> Iterator[Finding]:
    """config.pbtxt must be a file, not a FIFO."""
    if model.children.get(CONFIG) is Unreadable.FIFO:
        yield Finding(CONFIG, f"{CONFIG} is a FIFO, which hangs the server", hint="Replace it with a file.")


@rule("model-without-config-loads-silently", Severity.INFO)
def without_config(model: Model) -> Iterator[Finding]:
    """A model without config.pbtxt loads with the config that its backend completes."""
    if model.parsed is None and model.target.auto_complete and model.inferred.backend and not signs.is_stray(model):
        message = f'{CONFIG} is missing, so the backend "{model.inferred.backend}" completes an empty config'
        yield Finding(None, message, hint="Create it to keep the inputs and outputs stable.")
