"""The inputs and outputs of auto_complete_config, where they do not fit those that are written."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.python.completion import refused
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "python-autocomplete-property",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-raises"),
)
def properties(model: Model) -> Iterator[Finding]:
    """auto_complete_config gives a tensor its name, data_type and dims, and nothing unknown.

    Why:
        A method of the config that gets other keys raises, which refuses the model. An input may say optional,
        too.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "type": "TYPE_FP32", "dims": [4]})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:4:9: error: add_input takes no "type" [python-autocomplete-property]
          It takes name, data_type, dims, optional.
    Server says:
        ValueError: input 'IN' in auto-complete-config function for model 'ranker' contains property other than
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [4]})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    yield from refused(model, "python-autocomplete-property")


@rule(
    "python-autocomplete-dtype",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-property"),
)
def dtype(model: Model) -> Iterator[Finding]:
    """auto_complete_config has the data types of the config.

    Why:
        A type that is written otherwise refuses the model. Where the config has none, it gets this one.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP16", "dims": [4]})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:4:9: error: add_input says TYPE_FP16, but the config has TYPE_FP32 for input "IN" [python-autocomplete-dtype]
          Write the same in both, or in one of them.
    Server says:
        ValueError: unable to load model 'ranker', configuration expects datatype TYPE_FP32 for input 'IN', model provides TYPE_FP16
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [4]})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    yield from refused(model, "python-autocomplete-dtype")


@rule(
    "python-autocomplete-dims",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-dtype"),
)
def dims(model: Model) -> Iterator[Finding]:
    """auto_complete_config has the dims of the config.

    Why:
        They are compared as lists: [-1] and [4] differ, too. Where the config has none, it gets these.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [-1]})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:4:9: error: add_input says dims [-1], but the config has [4] for input "IN" [python-autocomplete-dims]
          Write the same in both, or in one of them.
    Server says:
        ValueError: model 'ranker', tensor 'IN': the model expects dims [-1] but the model configuration specifies dims [4]
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [4]})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    yield from refused(model, "python-autocomplete-dims")


@rule(
    "python-autocomplete-optional",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-dims"),
)
def optional(model: Model) -> Iterator[Finding]:
    """auto_complete_config says optional where the config does.

    Why:
        An input that is listed in the config without optional counts as one that says optional: false.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [4], "optional": True})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:4:9: error: add_input says optional True, but the config has optional False for input "IN" [python-autocomplete-optional]
          Write it in the config, too.
    Server says:
        ValueError: model 'ranker', tensor 'IN': the model expects optional True but the model configuration specifies optional False
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] optional: true }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.add_input({"name": "IN", "data_type": "TYPE_FP32", "dims": [4], "optional": True})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    yield from refused(model, "python-autocomplete-optional")
