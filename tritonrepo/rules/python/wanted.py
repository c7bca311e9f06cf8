"""What a Python model's initialize takes out of its config and its arguments, and is not there."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.facts import has_all, has_keys, is_certain, needs
from tritonrepo.rules.python.lookups import FIELDS
from tritonrepo.rules.python.script import python_of, scripts
from tritonrepo.rules.registry import Finding, rule

ARGUMENTS = (
    "model_config",
    "model_instance_kind",
    "model_instance_name",
    "model_instance_device_id",
    "model_repository",
    "model_version",
    "model_name",
)
"""Source: python_backend, src/stub_launcher.cc, StubLauncher::ModelInstanceStubProcess."""


WITHIN = ("string_value", "data_type", "dims")
"""Keys of what is in a config, which are looked up most."""


@rule("python-tensor-not-in-config", Severity.ERROR, "backend=python")
def not_in_config(model: Model) -> Iterator[Finding]:
    """A Python model's initialize finds the inputs and outputs in the config that it looks up.

    Why:
        For a name that the config does not have, pb_utils gives None; what is taken out of it raises, and the model is
        refused with words that name no tensor. Where the model completes its config, nothing is said.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, get_output_config_by_name; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        import json
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def initialize(self, args):
                config = json.loads(args["model_config"])
                output = pb_utils.get_output_config_by_name(config, "OUTPUT")
                self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:6:61: error: initialize needs the output "OUTPUT", which the config does not have [python-tensor-not-in-config]
          It has: OUT.
    Server says:
        TypeError: 'NoneType' object is not subscriptable
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        import json
        import triton_python_backend_utils as pb_utils
        class TritonPythonModel:
            def initialize(self, args):
                config = json.loads(args["model_config"])
                output = pb_utils.get_output_config_by_name(config, "OUT")
                self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script in scripts(model):
        names = {kind: [each.name for each in model.tensors if each.kind == kind] for kind in ("input", "output")}
        said: set[tuple[str, str]] = set()
        python = python_of(model)
        for kind, name, line, column in () if has_all(script, names) else needs(script, python):
            if name not in names.get(kind, [name]) and (kind, name) not in said and is_certain(script, python):
                said.add((kind, name))
                message = f'initialize needs the {kind} "{name}", which the config does not have'
                hint = f"It has: {', '.join(names[kind])}." if names[kind] else f"It lists no {kind}s."
                reason = "TypeError: 'NoneType' object is not subscriptable"
                yield Finding(Span(f"{model.name}/{script.path}", line, column), message, hint, reason, line)


@rule("python-key-not-in-config", Severity.ERROR, "backend=python")
def key_not_in_config(model: Model) -> Iterator[Finding]:
    """A Python model's initialize finds the keys that it takes out of its config and its arguments.

    Why:
        A parameter that the config does not have raises a KeyError, which refuses the model. With .get(…) a model can do
        without.
    Source:
        python_backend, src/stub_launcher.cc, StubLauncher::ModelInstanceStubProcess; seen on 24.10
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters { key: "top-k" value { string_value: "4" } }
        -- ranker/1/model.py --
        import json
        class TritonPythonModel:
            def initialize(self, args):
                config = json.loads(args["model_config"])
                self.top = int(config["parameters"]["top_k"]["string_value"])
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:5:45: error: initialize needs the parameter "top_k", which the config does not have [python-key-not-in-config]
          It has: top-k.
    Server says:
        KeyError: 'top_k'
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        parameters { key: "top_k" value { string_value: "4" } }
        -- ranker/1/model.py --
        import json
        class TritonPythonModel:
            def initialize(self, args):
                config = json.loads(args["model_config"])
                self.top = int(config["parameters"]["top_k"]["string_value"])
            def execute(self, requests):
                return [None for _ in requests]
    """
    for script in scripts(model):
        parameters = [str(each) for each in model.config.mapping("parameters")]
        there = {"parameter": parameters, "field": FIELDS, "argument": ARGUMENTS}
        known = {*parameters, *FIELDS, *ARGUMENTS, *WITHIN}
        for kind, name, line, column in () if has_keys(script, known) else needs(script, python_of(model)):
            if name in there.get(kind, [name]) or not is_certain(script, python_of(model)):
                continue
            if kind == "parameter":
                message = f'initialize needs the parameter "{name}", which the config does not have'
                hint = f"It has: {', '.join(parameters)}." if parameters else "Write it, or take it with .get(…)."
            else:
                message = f'initialize needs "{name}" of its {"config" if kind == "field" else "arguments"}, which no model has'
                hint = "Mend its spelling." if kind == "field" else f"They have: {', '.join(ARGUMENTS)}."
            yield Finding(Span(f"{model.name}/{script.path}", line, column), message, hint, f"KeyError: {name!r}", line)
            break
