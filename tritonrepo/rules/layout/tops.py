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
    """No link at the top of a repository leads to nothing.

    Why:
        Triton looks at every entry before it reads a model; one dangling link, and it serves none of them.
    Source:
        core, src/filesystem/implementations/local.h, GetDirectorySubdirs; seen on 24.10
    Bad:
        -- old: a link to nothing --
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        old: error: "old" is a link to nothing, for which no model at all is served [repository-listing-fails]
          Mend the link, or remove it.
    Server says:
        failed to stat file old
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
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
    """A repository without directories has no models.

    Why:
        The server gets ready and serves nothing; often the path is one level too deep, or too high.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, Poll
    Bad:
        -- README.md --
        Models to come.
    Says:
        .: info: the repository has no models [repository-empty]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    if not repository.models:
        hint = "It has a config.pbtxt itself: name its parent directory." if CONFIG in repository.strays else ""
        yield Finding(Span("."), "the repository has no models", hint=hint)


@repository_rule("file-at-repository-root", Severity.INFO)
def file_at_root(repository: Repository) -> Iterator[Finding]:
    """A file at the top of a repository belongs to no model.

    Why:
        The server takes no notice of it.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, Poll
    Bad:
        -- labels.txt --
        cat
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        labels.txt: info: labels.txt belongs to no model [file-at-repository-root]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/labels.txt --
        cat
        -- ranker/1/weights --
    """
    for name, entry in repository.strays.items():
        if entry is not Unreadable.DANGLING:
            hint = "Is this directory a model itself? Then name its parent." if name == CONFIG else ""
            yield Finding(Span(name), f"{name} belongs to no model", hint=hint)


@rule("stray-directory-at-repository-root", Severity.ERROR, at=Stage.POLL.after("extra-directory-hides-model-file"))
def stray_directory(model: Model) -> Iterator[Finding]:
    """Every directory at the top of a repository is a model.

    Why:
        Triton takes .git, docs and lost+found for models, too, and refuses them; a server that loads all models then
        ends, unless it runs with --exit-on-error=false.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, Poll; seen on 24.10
    Bad:
        -- docs/ranker.md --
        The ranker scores a query against documents.
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        docs: error: "docs" holds no model, and the server takes every directory of a repository for one [stray-directory-at-repository-root]
          Move it out of the repository.
    Server says:
        Invalid model name: Could not determine backend for model 'docs' with no backend in model configuration. Expected model name of the form 'model.<backend_name>'.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/docs/ranker.md --
        The ranker scores a query against documents.
        -- ranker/1/weights --
    """
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
    """A model's name is made of letters, digits, - and _.

    Why:
        Others load, but a URL has to escape them, and a blank breaks the command line of the process that runs a
        Python model: the server waits for it for ever.
    Source:
        python_backend, src/stub_launcher.cc, StubLauncher::Launch; seen on 24.10
    Bad:
        -- ranker:en/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker:en/1/weights --
    Says:
        ranker:en: warning: the name "ranker:en" is awkward in URLs and on command lines [model-name-unusual]
          Rename it: ranker_en.
    Good:
        -- ranker_en/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker_en/1/weights --
    """
    if not PLAIN.fullmatch(model.name) and not signs.is_stray(model):
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", model.name).lstrip(".")
        hint = f"Rename it: {plain}." if plain.strip("_") else "Rename it."
        yield Finding("", f'the name "{model.name}" is awkward in URLs and on command lines', hint=hint)


@rule("name-differs-from-directory", Severity.ERROR, "name", at=Stage.NAME.first)
def name_differs(model: Model) -> Iterator[Finding]:
    """A config's name is that of its directory, or is left out.

    Why:
        Triton refuses a model whose config has another name, down to capitals and blanks.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, InitializeModelInfo
    Bad:
        -- ranker/config.pbtxt --
        name: "reranker"
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:1:7: error: the name "reranker" is not that of the directory, "ranker" [name-differs-from-directory]
          Drop it: the directory's name is taken then.
    Server says:
        unexpected directory name 'ranker' for model 'reranker', directory name must equal model name
    Good:
        -- ranker/config.pbtxt --
        name: "ranker"
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    name = model.config.text("name")
    if name and name != model.name:
        yield Finding(
            model.config.scalars("name")[-1],
            f'the name "{name}" is not that of the directory, "{model.name}"',
            hint="Drop it: the directory's name is taken then.",
            reason=f"unexpected directory name '{model.name}' for model '{name}', directory name must equal model name",
        )
