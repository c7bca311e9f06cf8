"""What auto_complete_config sets of the config as a whole, where it does not fit what is written."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.python.completion import refused
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "python-autocomplete-max-batch",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-optional"),
)
def max_batch(model: Model) -> Iterator[Finding]:
    """A config has at most the max_batch_size that auto_complete_config sets.

    Why:
        A larger one refuses the model; a smaller one is raised to it.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        max_batch_size: 16
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
    Says:
        ranker/1/model.py:4:9: error: set_max_batch_size says 8, the config has 16 [python-autocomplete-max-batch]
          Write 8 or less in the config.
    Server says:
        ValueError: configuration specified max_batch_size 16, but in auto-complete-config function for model 'ranker' specified max_batch_size 8
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        max_batch_size: 8
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
    yield from refused(model, "python-autocomplete-max-batch")


@rule(
    "python-autocomplete-scheduler",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-max-batch"),
)
def scheduler(model: Model) -> Iterator[Finding]:
    """auto_complete_config sets no dynamic batching where the config has another scheduler.

    Why:
        The two exclude each other, and the model is refused.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        sequence_batching { }
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.set_dynamic_batching()
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:4:9: error: set_dynamic_batching, but the config has sequence_batching [python-autocomplete-scheduler]
          Drop one of the two.
    Server says:
        ValueError: Configuration specified scheduling_choice as 'sequence_batching', but auto-complete-config function for model 'ranker' tries to set scheduling_choice as 'dynamic_batching'
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        max_batch_size: 8
        sequence_batching { }
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
    yield from refused(model, "python-autocomplete-scheduler")


@rule(
    "python-autocomplete-decoupled",
    Severity.ERROR,
    "backend=python",
    at=Stage.COMPLETION.same_walk("python-autocomplete-scheduler"),
)
def decoupled(model: Model) -> Iterator[Finding]:
    """auto_complete_config says decoupled as the config does.

    Why:
        A config with a model_transaction_policy, even an empty one, says so already, and the model is refused
        where the two differ.
    Source:
        python_backend, src/resources/triton_python_backend_utils.py, ModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "python"
        model_transaction_policy { }
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.set_model_transaction_policy({"decoupled": True})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    Says:
        ranker/1/model.py:4:9: error: set_model_transaction_policy says decoupled True, the config has False [python-autocomplete-decoupled]
          Write the same in both.
    Server says:
        ValueError: trying to change decoupled property in auto-complete-config for model 'ranker', which is already set to 'False'.
    Good:
        -- ranker/config.pbtxt --
        backend: "python"
        model_transaction_policy { decoupled: true }
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/model.py --
        class TritonPythonModel:
            @staticmethod
            def auto_complete_config(config):
                config.set_model_transaction_policy({"decoupled": True})
                return config
            def execute(self, requests):
                return [None for _ in requests]
    """
    yield from refused(model, "python-autocomplete-decoupled")
