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
    """A server that completes no configs needs config.pbtxt from every model.

    Why:
        With --disable-auto-complete-config Triton refuses a model without one, also one whose file tells the backend.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, InitializeModelInfo
    Run with:
        --no-auto-complete
    Bad:
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker: error: there is no config.pbtxt [config-missing-strict]
          Write one, or serve with auto-complete.
    Server says:
        failed to open text file for read ranker/config.pbtxt: No such file or directory
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
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
    """The config is called config.pbtxt, to the letter.

    Why:
        A file of another name is not read: the model loads with what its backend makes up, not with what you wrote.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, GetModelConfigFullPath
    Bad:
        -- ranker/Config.pbtxt --
        backend: "python"
        max_batch_size: 8
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/Config.pbtxt: warning: Config.pbtxt is not read: the config is called config.pbtxt [config-misnamed]
          Rename it to config.pbtxt.
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
    other = signs.misnamed_config(model) if model.parsed is None else ""
    if other and "/" not in other and not signs.refused_bare(model) and not signs.no_backend(model):
        yield Finding(other, f"{other} is not read: the config is called {CONFIG}", hint=f"Rename it to {CONFIG}.")


@rule("config-in-version-directory", Severity.WARNING)
def in_version_directory(model: Model) -> Iterator[Finding]:
    """The config lies beside the version directories, not in one.

    Why:
        In a version directory it is never read: the model loads with what its backend makes up.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, GetModelConfigFullPath
    Bad:
        -- ranker/1/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/config.pbtxt: warning: 1/config.pbtxt is not read [config-in-version-directory]
          Move it to ranker/config.pbtxt.
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
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
    """config.pbtxt is a file.

    Why:
        Where it is a directory the whole server ends as it reads it, and no other model is served either.
    Source:
        core, src/filesystem/implementations/local.h, ReadTextFile; seen on 24.10
    Bad:
        -- ranker/config.pbtxt/ranker.pbtxt --
        backend: "identity"
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt: error: config.pbtxt is a directory, which ends the whole server [config-is-directory]
          Make it a file.
    Server says:
        server ended: basic_string::_M_replace_aux
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    if CONFIG in model.children and is_directory(model.children[CONFIG]):
        message = f"{CONFIG} is a directory, which ends the whole server"
        yield Finding(CONFIG, message, hint="Make it a file.", reason="server ended: basic_string::_M_replace_aux")


@rule(
    "config-is-fifo", Severity.ERROR, at=Stage.PARSE.after("config-is-directory"), state=State.HANG, after_faults=True
)
def is_a_fifo(model: Model) -> Iterator[Finding]:
    """config.pbtxt is a file, not a FIFO.

    Why:
        The server waits for somebody to write into it, for ever: no model is served.
    Source:
        core, src/filesystem/implementations/local.h, ReadTextFile; seen on 24.10
    Bad:
        -- ranker/config.pbtxt: a FIFO --
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt: error: config.pbtxt is a FIFO, on which the whole server waits for ever [config-is-fifo]
          Make it a file.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    if model.children.get(CONFIG) is Unreadable.FIFO:
        yield Finding(CONFIG, f"{CONFIG} is a FIFO, on which the whole server waits for ever", hint="Make it a file.")


@rule("model-without-config-loads-silently", Severity.INFO)
def without_config(model: Model) -> Iterator[Finding]:
    """A model without config.pbtxt loads with what its backend completes.

    Why:
        A Python model without auto_complete_config gets no inputs and no outputs, and so can answer nothing.
    Source:
        core, src/model_repository_manager/model_repository_manager.cc, InitializeModelInfo; seen on 24.10
    Bad:
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker: info: there is no config.pbtxt; the backend "python" makes one up [model-without-config-loads-silently]
          Write one, so that inputs and outputs stay what they are.
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    """
    if model.parsed is None and model.target.auto_complete and model.inferred.backend and not signs.is_stray(model):
        message = f'there is no {CONFIG}; the backend "{model.inferred.backend}" makes one up'
        yield Finding(None, message, hint="Write one, so that inputs and outputs stay what they are.")
