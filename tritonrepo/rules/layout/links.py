"""Links that are not followed: out of the repository, or round in it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span, State
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.registry import Finding, repository_rule, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import HOW_TO_ALLOW, Link, Outside


@rule("link-leaves-repository", Severity.ERROR, at=Stage.UNJUDGED.first, state=State.NOT_JUDGED, after_faults=True)
def leaves(model: Model) -> Iterator[Finding]:
    """A link in a repository must not lead out of it, except into a directory that --allow-links names."""
    for path, entry in model.odd:
        if isinstance(entry, Outside):
            message = f'"{path or model.name}" is a link to {entry.target}, outside the repository'
            yield Finding(path, f"{message}: it is not followed, and the model is not judged", hint=HOW_TO_ALLOW)


@repository_rule(
    "file-link-leaves-repository", Severity.ERROR, at=Stage.RUNTIME.after("state-input-name-missing"), state=State.READY
)
def file_leaves(repository: Repository) -> Iterator[Finding]:
    """A link at the top of a repository must not lead to a file outside, except where --allow-links names its directory."""
    for name, entry in repository.strays.items():
        if isinstance(entry, Outside):
            message = f'"{name}" is a link to {entry.target}, outside the repository: it is not followed'
            yield Finding(Span(name), message, hint=HOW_TO_ALLOW)


@rule("config-symbolic-link", Severity.INFO, after_faults=True)
def round_and_round(model: Model) -> Iterator[Finding]:
    """A link to a directory that it lies in itself is followed by the server, and not looked into here."""
    for path, entry in model.odd:
        if isinstance(entry, Link) and not isinstance(entry, Outside):
            yield Finding(path, f'"{path or model.name}" leads to {entry.target}, which is not looked into')
