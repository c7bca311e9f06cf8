"""What is at the top of a repository: every directory is a model, whatever it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Remove, Severity, Span
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.layout import signs
from tritonrepo.rules.mending import edited, unset
from tritonrepo.rules.registry import Finding, repository_rule, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Unreadable

PROJECT = re.compile(
    r"\.[^/]{0,200}|(?i:readme|license|changelog|dockerfile|makefile|requirements)[^/]{0,40}"
    r"|(?!model\.py\Z)[^/]{1,200}\.(?:md|sh|ya?ml|py|ipynb)"
)
"""What a repository in git has besides its models: nobody expects a server to read it."""

PLAIN = re.compile(r"[A-Za-z0-9_+@~,=-][A-Za-z0-9_.+@~,=-]*")


@repository_rule("repository-listing-fails", Severity.ERROR, at=Stage.PARSE.first)
def listing_fails(repository: Repository) -> Iterator[Finding]:
    """A repository cannot have a dangling symbolic link at its top level."""
    below = f"{repository.root.rstrip('/')}/" if repository.root else ""
    for item, (name, entry) in enumerate(repository.strays.items()):
        if entry is Unreadable.DANGLING:
            message = f'"{name}" is a dangling symbolic link, so Triton serves no model at all'
            yield Finding(
                Span(name),
                message,
                hint="Fix or remove the link.",
                reason=f"failed to stat file {below}{name}",
                item=item,
                fix=Fix((), safe=False, files=(Remove(name),)),
            )


@repository_rule("repository-empty", Severity.INFO)
def empty(repository: Repository) -> Iterator[Finding]:
    """A repository without directories has no models."""
    if not repository.models:
        is_model = CONFIG in repository.strays
        hint = "Use the parent directory. This one has a config.pbtxt and is itself a model." if is_model else ""
        yield Finding(Span("."), "the repository has no models", hint=hint)


@repository_rule("file-at-repository-root", Severity.INFO)
def file_at_root(repository: Repository) -> Iterator[Finding]:
    """A file at the top of a repository belongs to no model."""
    for name, entry in repository.strays.items():
        if entry is not Unreadable.DANGLING and not PROJECT.fullmatch(name):
            hint = "If this directory is itself a model, name its parent directory." if name == CONFIG else ""
            yield Finding(Span(name), f"{name} belongs to no model", hint=hint)


@rule("stray-directory-at-repository-root", Severity.ERROR, at=Stage.POLL.after("extra-directory-hides-model-file"))
def stray_directory(model: Model) -> Iterator[Finding]:
    """Every directory at the top of a repository must be a model."""
    if model.parsed is not None or not signs.is_stray(model):
        return
    reason = signs.NO_VERSION.format(model.name)
    if signs.refused_bare(model):
        reason = f"failed to open text file for read {model.on_server(CONFIG)}: No such file or directory"
    elif signs.no_backend(model):
        reason = signs.no_backend_words(model)
    message = f'"{model.name}" holds no model, but Triton treats every top-level directory as a model'
    yield Finding("", message, hint=_advice(model), reason=reason)


def _advice(model: Model) -> str:
    if any(path.endswith(f"/{CONFIG}") for path in model.entries):
        return f"Use {model.name} as a repository. Triton looks for models only at the top of one."
    if model.name.isdecimal():
        return signs.PARENT
    return "Move it out of the repository."


@rule("model-name-unusual", Severity.WARNING, after_faults=True)
def unusual_name(model: Model) -> Iterator[Finding]:
    """A model's name should contain only letters, digits, - and _."""
    if not PLAIN.fullmatch(model.name) and not signs.is_stray(model):
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", model.name).lstrip(".")
        hint = f"Rename it to {plain}." if plain.strip("_") else "Rename it, using only letters, digits, - and _."
        yield Finding("", f'the name "{model.name}" must be escaped in URLs and on command lines', hint=hint)


@rule("name-differs-from-directory", Severity.ERROR, "name", at=Stage.NAME.first)
def name_differs(model: Model) -> Iterator[Finding]:
    """A config's name must match its directory, or be left out."""
    name = model.config.text("name")
    if name and name != model.name:
        rename = f', or rename the directory to "{name}"' if PLAIN.fullmatch(name) else ""
        yield Finding(
            model.config.scalars("name")[-1],
            f'the name "{name}" does not match the directory "{model.name}"',
            hint=f'Remove name to serve the model as "{model.name}"{rename}.',
            reason=f"unexpected directory name '{model.name}' for model '{name}', directory name must equal model name",
            fix=edited(model, *unset(model.config, "name"), safe=False),
        )
