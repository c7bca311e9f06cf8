"""Where a model's config lies, and what it is called: the server reads config.pbtxt beside the versions, nothing else."""

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
    """A server that completes no configs needs config.pbtxt from every model."""
    if not signs.refused_bare(model) or signs.is_stray(model):
        return
    reason = f"failed to open text file for read {model.on_server(CONFIG)}"
    if CONFIG in model.children:
        yield Finding(CONFIG, f"{CONFIG} is a link to nothing", hint="Mend the link.", reason=reason)
        return
    other = signs.misnamed_config(model)
    hint = f"Rename {other} to {CONFIG}." if other else "Write one, or serve with auto-complete."
    if "/" in other:
        hint = f"Move {other} beside the version directory."
    yield Finding(other or None, f"there is no {CONFIG}", hint=hint, reason=f"{reason}: No such file or directory")


@rule("config-misnamed", Severity.WARNING)
def misnamed(model: Model) -> Iterator[Finding]:
    """The config is called config.pbtxt, to the letter."""
    other = signs.misnamed_config(model) if model.parsed is None else ""
    if other and "/" not in other and not signs.refused_bare(model) and not signs.no_backend(model):
        yield Finding(other, f"{other} is not read: the config is called {CONFIG}", hint=f"Rename it to {CONFIG}.")


@rule("config-in-version-directory", Severity.WARNING)
def in_version_directory(model: Model) -> Iterator[Finding]:
    """The config lies beside the version directories, not in one."""
    other = signs.misnamed_config(model) if model.parsed is None else ""
    if "/" in other and not signs.refused_bare(model) and not signs.no_backend(model):
        yield Finding(other, f"{other} is not read", hint=f"Move it to {model.name}/{CONFIG}.")


@rule(
    "config-is-directory",
    Severity.ERROR,
    at=Stage.PARSE.after("repository-listing-fails"),
    state=State.CRASH,
    after_faults=True,
)
def is_a_directory(model: Model) -> Iterator[Finding]:
    """config.pbtxt is a file."""
    if CONFIG in model.children and is_directory(model.children[CONFIG]):
        message = f"{CONFIG} is a directory, which ends the whole server"
        yield Finding(CONFIG, message, hint="Make it a file.", reason="server ended: basic_string::_M_replace_aux")


@rule(
    "config-is-fifo", Severity.ERROR, at=Stage.PARSE.after("config-is-directory"), state=State.HANG, after_faults=True
)
def is_a_fifo(model: Model) -> Iterator[Finding]:
    """config.pbtxt is a file, not a FIFO."""
    if model.children.get(CONFIG) is Unreadable.FIFO:
        yield Finding(CONFIG, f"{CONFIG} is a FIFO, on which the whole server waits for ever", hint="Make it a file.")


@rule("model-without-config-loads-silently", Severity.INFO)
def without_config(model: Model) -> Iterator[Finding]:
    """A model without config.pbtxt loads with what its backend completes."""
    if model.parsed is None and model.target.auto_complete and model.inferred.backend and not signs.is_stray(model):
        message = f'there is no {CONFIG}; the backend "{model.inferred.backend}" makes one up'
        yield Finding(None, message, hint="Write one, so that inputs and outputs stay what they are.")
