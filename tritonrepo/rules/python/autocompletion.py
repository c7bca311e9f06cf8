"""auto_complete_config: how it is called, what it gives back; without auto-complete nobody calls it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.repository import Model
from tritonrepo.rules.python.completion import nothing_returned, unfit_signatures
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("python-autocomplete-signature", Severity.ERROR, "backend=python", at=Stage.COMPLETION.first)
def signature(model: Model) -> Iterator[Finding]:
    """auto_complete_config takes the config.

    Why:
        The backend calls it on the class with one argument: as a method of an object, with self, it cannot be
        called.
    Source:
        python_backend, src/pb_stub.cc, Stub::AutoCompleteModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            def auto_complete_config(self, config):
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:2:5: error: TritonPythonModel.auto_complete_config() missing 1 required positional argument: 'config' [python-autocomplete-signature]
          Write @staticmethod above def auto_complete_config(config):
    Server says:
        TypeError: TritonPythonModel.auto_complete_config() missing 1 required positional argument: 'config'
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    for path, told in unfit_signatures(model):
        at = Span(f"{model.name}/{path}", told.line, told.column)
        hint = "Write @staticmethod above def auto_complete_config(config):"
        yield Finding(at, told.words.removeprefix("TypeError: "), hint=hint, reason=told.words)


@rule(
    "python-autocomplete-return",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.after("python-autocomplete-decoupled"),
)
def returned(model: Model) -> Iterator[Finding]:
    """auto_complete_config gives the config back.

    Why:
        The backend takes what it returns for the completed config, and refuses the model where that is
        something else.
    Source:
        python_backend, src/pb_stub.cc, Stub::AutoCompleteModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.set_max_batch_size(8)
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:3:5: error: auto_complete_config returns no config [python-autocomplete-return]
          Write return config at its end.
    Server says:
        auto_complete_config function in model 'ranker' must return a valid pb.ModelConfig object.
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.set_max_batch_size(8)
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    for path, line, column in nothing_returned(model):
        at = Span(f"{model.name}/{path}", line, column)
        reason = (
            f"auto_complete_config function in model '{model.config_name}' must return a valid pb.ModelConfig object."
        )
        yield Finding(
            at, "auto_complete_config returns no config", hint="Write return config at its end.", reason=reason
        )
