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
    """A link in a repository must not lead out of it, except into a directory that --allow-links names.

    Why:
        The server would follow it; tritonrepo does not, since a repository from elsewhere could bring what only its
        reader may see, such as credentials, into logs and buckets. The model is not judged, nor is an ensemble with it.
    Source:
        core, src/filesystem/implementations/local.h, ReadTextFile and IsDirectory: links are followed wherever they lead
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1: a link out to /srv --
    Says:
        ranker/1: error: "1" is a link to /srv, outside the repository: it is not followed, and the model is not judged [link-leaves-repository]
          Put the file itself there. If what the link leads to may be read, name its directory: --allow-links DIR
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    for path, entry in model.odd:
        if isinstance(entry, Outside):
            message = f'"{path or model.name}" is a link to {entry.target}, outside the repository'
            yield Finding(path, f"{message}: it is not followed, and the model is not judged", hint=HOW_TO_ALLOW)


@repository_rule(
    "file-link-leaves-repository", Severity.ERROR, at=Stage.RUNTIME.after("state-input-name-missing"), state=State.READY
)
def file_leaves(repository: Repository) -> Iterator[Finding]:
    """A link at the top of a repository must not lead to a file outside, except where --allow-links names its directory.

    Why:
        The server takes no notice of a file there, and tools that copy the repository would follow the link.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, Poll
    Bad:
        -- README.md: a link out to the file /srv/README.md --
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        README.md: error: "README.md" is a link to /srv/README.md, outside the repository: it is not followed [file-link-leaves-repository]
          Put the file itself there. If what the link leads to may be read, name its directory: --allow-links DIR
    Good:
        -- README.md --
        Models to come.
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    for name, entry in repository.strays.items():
        if isinstance(entry, Outside):
            message = f'"{name}" is a link to {entry.target}, outside the repository: it is not followed'
            yield Finding(Span(name), message, hint=HOW_TO_ALLOW)


@rule("config-symbolic-link", Severity.INFO, after_faults=True)
def round_and_round(model: Model) -> Iterator[Finding]:
    """A link to a directory that it lies in itself is followed by the server, and not looked into here.

    Why:
        What it leads to has been looked into already, and following it would never end.
    Source:
        core, src/filesystem/implementations/local.h, IsDirectory
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1: a link to .. --
    Says:
        ranker/1: info: "1" leads to .., which is not looked into [config-symbolic-link]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    for path, entry in model.odd:
        if isinstance(entry, Link) and not isinstance(entry, Outside):
            yield Finding(path, f'"{path or model.name}" leads to {entry.target}, which is not looked into')
