"""What lies at the top of a repository: every directory is a model, whatever it is called."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.model import CONFIG
from tritonrepo.rules.layout import signs
from tritonrepo.rules.registry import Finding, repository_rule, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Unreadable

PLAIN = re.compile(r"[A-Za-z0-9_+@~,=-][A-Za-z0-9_.+@~,=-]*")


@repository_rule("repository-listing-fails", Severity.ERROR, at=Stage.PARSE.first)
def listing_fails(repository: Repository) -> Iterator[Finding]:
    """No link at the top of a repository leads to nothing."""
    below = f"{repository.root.rstrip('/')}/" if repository.root else ""
    for item, (name, entry) in enumerate(repository.strays.items()):
        if entry is Unreadable.DANGLING:
            message = f'"{name}" is a link to nothing, for which no model at all is served'
            yield Finding(
                Span(name),
                message,
                hint="Mend the link, or remove it.",
                reason=f"failed to stat file {below}{name}",
                item=item,
            )


@repository_rule("repository-empty", Severity.INFO)
def empty(repository: Repository) -> Iterator[Finding]:
    """A repository without directories has no models."""
    if not repository.models:
        hint = "It has a config.pbtxt itself: name its parent directory." if CONFIG in repository.strays else ""
        yield Finding(Span("."), "the repository has no models", hint=hint)


@repository_rule("file-at-repository-root", Severity.INFO)
def file_at_root(repository: Repository) -> Iterator[Finding]:
    """A file at the top of a repository belongs to no model."""
    for name, entry in repository.strays.items():
        if entry is not Unreadable.DANGLING:
            hint = "Is this directory a model itself? Then name its parent." if name == CONFIG else ""
            yield Finding(Span(name), f"{name} belongs to no model", hint=hint)


@rule("stray-directory-at-repository-root", Severity.ERROR, at=Stage.POLL.after("extra-directory-hides-model-file"))
def stray_directory(model: Model) -> Iterator[Finding]:
    """Every directory at the top of a repository is a model."""
    if model.parsed is not None or not signs.is_stray(model):
        return
    reason = signs.NO_VERSION.format(model.name)
    if signs.refused_bare(model):
        reason = f"failed to open text file for read {model.on_server(CONFIG)}: No such file or directory"
    elif signs.no_backend(model):
        reason = signs.no_backend_words(model)
    message = f'"{model.name}" holds no model, and the server takes every directory of a repository for one'
    yield Finding("", message, hint=_advice(model), reason=reason)


def _advice(model: Model) -> str:
    if any(path.endswith(f"/{CONFIG}") for path in model.entries):
        return f"Models are not looked for below it: name {model.name} itself as a repository."
    if model.name.isdecimal():
        return signs.PARENT
    return "Move it out of the repository."


@rule("model-name-unusual", Severity.WARNING, after_faults=True)
def unusual_name(model: Model) -> Iterator[Finding]:
    """A model's name is made of letters, digits, - and _."""
    if not PLAIN.fullmatch(model.name) and not signs.is_stray(model):
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", model.name).lstrip(".")
        hint = f"Rename it: {plain}." if plain.strip("_") else "Rename it."
        yield Finding("", f'the name "{model.name}" is awkward in URLs and on command lines', hint=hint)


@rule("name-differs-from-directory", Severity.ERROR, "name", at=Stage.NAME.first)
def name_differs(model: Model) -> Iterator[Finding]:
    """A config's name is that of its directory, or is left out."""
    name = model.config.text("name")
    if name and name != model.name:
        yield Finding(
            model.config.scalars("name")[-1],
            f'the name "{name}" is not that of the directory, "{model.name}"',
            hint="Drop it: the directory's name is taken then.",
            reason=f"unexpected directory name '{model.name}' for model '{name}', directory name must equal model name",
        )
