"""Links that are not followed: out of the repository, or in a circle within it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span, State
from tritonrepo.repository import Model, Repository
from tritonrepo.rules.registry import Finding, repository_rule, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import HOW_TO_ALLOW, Link, Outside


@rule("link-leaves-repository", Severity.ERROR, at=Stage.UNJUDGED.first, state=State.NOT_JUDGED, after_faults=True)
def leaves(model: Model) -> Iterator[Finding]:
    """A link cannot lead out of the repository, except into a directory that --allow-links names."""
    for path, entry in model.odd:
        if isinstance(entry, Outside):
            link = f'"{path or model.name}" is a link to {entry.target}, outside the repository'
            message = f"{link}, so it is not followed and the model is not checked"
            yield Finding(path, message, hint=HOW_TO_ALLOW)


@repository_rule(
    "file-link-leaves-repository", Severity.ERROR, at=Stage.RUNTIME.after("state-input-name-missing"), state=State.READY
)
def file_leaves(repository: Repository) -> Iterator[Finding]:
    """A top-level link cannot lead to an outside file, unless --allow-links names its directory."""
    for name, entry in repository.strays.items():
        if isinstance(entry, Outside):
            message = f'"{name}" is a link to {entry.target}, outside the repository, so it is not followed'
            yield Finding(Span(name), message, hint=HOW_TO_ALLOW)


@rule("config-symbolic-link", Severity.INFO, after_faults=True)
def round_and_round(model: Model) -> Iterator[Finding]:
    """The server follows a link to a directory that contains the link, but tritonrepo does not."""
    for path, entry in model.odd:
        if isinstance(entry, Link) and not isinstance(entry, Outside):
            yield Finding(path, f'"{path or model.name}" is a link to {entry.target}, which is not followed')
