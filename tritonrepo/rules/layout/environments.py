"""EXECUTION_ENV_PATH: the Python environment that a model brings along."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.rules.layout import signs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, Unreadable

HERE = "$$TRITON_MODEL_DIRECTORY"
PARAMETER = "EXECUTION_ENV_PATH"
IN_PYTHON = frozenset({"python", "vllm"})


@rule("execution-env-missing", Severity.ERROR, "parameters", at=Stage.IMPORT.first)
def environment_missing(model: Model) -> Iterator[Finding]:
    """The Python environment that EXECUTION_ENV_PATH names beside the config is there.

    Why:
        The Python backend unpacks it before it starts the model, and refuses the model without it. A path that does not
        begin with $$TRITON_MODEL_DIRECTORY is one of the server's machine, and not looked for.
    Source:
        python_backend, src/pb_env.cc, EnvironmentManager::ExtractIfNotExtracted; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters {
          key: "EXECUTION_ENV_PATH"
          value { string_value: "$$TRITON_MODEL_DIRECTORY/env.tar.gz" }
        }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/config.pbtxt:6:25: error: there is no "env.tar.gz" in ranker/ [execution-env-missing]
          Put the packed environment there.
    Server says:
        Failed to get the canonical path for ranker/env.tar.gz.
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
    value = model.config.mapping("parameters").get(PARAMETER)
    if model.backend not in IN_PYTHON or not isinstance(value, Message):
        return
    written = value.text("string_value")
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    if written.startswith(f"{HERE}/") and not path.startswith("../") and not _is_there(model, path):
        reason = f"Failed to get the canonical path for {model.on_server(written.removeprefix(HERE))}."
        at = value.scalars("string_value")[-1]
        yield Finding(
            at, f'there is no "{path}" in {model.name}/', hint="Put the packed environment there.", reason=reason
        )


@rule("execution-env-not-activated", Severity.ERROR, "parameters", at=Stage.IMPORT.after("execution-env-missing"))
def environment_not_activated(model: Model) -> Iterator[Finding]:
    """A Python environment that is a directory has its bin/activate.

    Why:
        The Python backend does not unpack a directory: it runs its bin/activate before the model, and refuses the model
        without it.
    Source:
        python_backend, src/pb_env.cc, ExtractIfNotExtracted; src/stub_launcher.cc; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters { key: "EXECUTION_ENV_PATH" value { string_value: "$$TRITON_MODEL_DIRECTORY/env" } }
        -- ranker/env/lib/site.py --
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/config.pbtxt:4:62: error: there is no env/bin/activate in ranker/ [execution-env-not-activated]
          Name a packed environment (conda-pack), or a directory with one unpacked in it.
    Server says:
        Path ranker/env/bin/activate does not exist. The Python environment should contain an 'activate' script.
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
    value = model.config.mapping("parameters").get(PARAMETER)
    written = value.text("string_value") if model.backend in IN_PYTHON and isinstance(value, Message) else ""
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    if not isinstance(value, Message) or not f"{written}/".startswith(f"{HERE}/") or path.startswith("../"):
        return
    script = posixpath.normpath(f"{path}/bin/activate")
    is_directory = isinstance(follow(model, path), Directory)
    if is_directory and not _is_there(model, script):
        words = "does not exist. The Python environment should contain an 'activate' script."
        yield Finding(
            value.scalars("string_value")[-1],
            f"there is no {script} in {model.name}/",
            hint="Name a packed environment (conda-pack), or a directory with one unpacked in it.",
            reason=f"Path {model.on_server(script)} {words}",
        )


@rule("execution-env-elsewhere", Severity.INFO, "parameters")
def environment_elsewhere(model: Model) -> Iterator[Finding]:
    """A Python environment that is not beside the config is the server's affair.

    Why:
        The Python backend refuses the model where the path is not there. A repository cannot tell: the path is one of
        the server's machine, and a bucket does not bring it along.
    Source:
        python_backend, src/python_be.cc, ModelState::ModelState; src/pb_env.cc, ExtractIfNotExtracted; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/opt/envs/ranker.tar.gz" } }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/config.pbtxt:4:62: info: "/opt/envs/ranker.tar.gz" must be on the server's machine; it was not looked for [execution-env-elsewhere]
          To bring it along, put it beside the config and write $$TRITON_MODEL_DIRECTORY/ranker.tar.gz.
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
    value = model.config.mapping("parameters").get(PARAMETER)
    written = value.text("string_value") if model.backend in IN_PYTHON and isinstance(value, Message) else ""
    if isinstance(value, Message) and written and HERE not in written:
        message = f'"{written}" must be on the server\'s machine; it was not looked for'
        name = posixpath.basename(written)
        hint = f"To bring it along, put it beside the config and write {HERE}/{name}."
        yield Finding(value.scalars("string_value")[-1], message, hint=hint)


def _is_there(model: Model, path: str) -> bool:
    entry = model.entries.get(path, Unreadable.DANGLING)
    below = any(each.startswith(f"{path}/") for each in model.entries)
    return path == "." or below or entry is not Unreadable.DANGLING or signs.behind_closed(model, path)
