"""What the maps of a step name is there in its model, and the ensemble's batches fit it."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.walk import of_rule, problems
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule
from tritonrepo.rules.stages import Stage


@graph_rule(
    "step-input-unknown",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.ENSEMBLE.same_walk("ensemble-batch-above-step"),
)
def input_unknown(model: Model, judging: Judging) -> Iterator[Finding]:
    """The keys of an input_map are inputs of the step's model.

    Why:
        The key is the model's own name of a tensor, the value the ensemble's. The model is taken as its backend completes it.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorMapping
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "INN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:63: error: model "llm" has no input "INN" [step-input-unknown]
          Did you mean "IN"?
    Server says:
        in ensemble rag, ensemble tensor query is mapping to non-existing input INN in model llm
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    return of_rule(problems(model, judging), "step-input-unknown")


@graph_rule(
    "step-input-unmapped", Severity.ERROR, "ensemble_scheduling", at=Stage.ENSEMBLE.same_walk("tensor-shape-differs")
)
def input_unmapped(model: Model, judging: Judging) -> Iterator[Finding]:
    """A step gives its model every input that is not optional.

    Why:
        Without it each request of the step would fail, so Triton refuses the ensemble.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorMapping
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        input { name: "STREAM" data_type: TYPE_BOOL dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:22: error: step 0 has nothing for input "STREAM" of model "llm" [step-input-unmapped]
          Write input_map { key: "STREAM" value: "a tensor of the ensemble" }.
    Server says:
        in ensemble rag, input STREAM in model llm is not mapped to any ensemble tensors
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        input { name: "STREAM" data_type: TYPE_BOOL dims: [ 1 ] optional: true }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    return of_rule(problems(model, judging), "step-input-unmapped")


@graph_rule(
    "step-output-unknown", Severity.ERROR, "ensemble_scheduling", at=Stage.ENSEMBLE.same_walk("step-input-unmapped")
)
def output_unknown(model: Model, judging: Judging) -> Iterator[Finding]:
    """The keys of an output_map are outputs of the step's model.

    Why:
        The key is the model's own name of a tensor, the value the ensemble's. The model is taken as its backend completes it.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorMapping
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUTPUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:103: error: model "llm" has no output "OUTPUT" [step-output-unknown]
          Did you mean "OUT"?
    Server says:
        in ensemble rag, ensemble tensor answer is mapped from non-existing output OUTPUT in model llm
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    return of_rule(problems(model, judging), "step-output-unknown")


@graph_rule(
    "multiple-outputs-to-one-tensor",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.ENSEMBLE.same_walk("step-output-unknown"),
)
def several_outputs(model: Model, judging: Judging) -> Iterator[Finding]:
    """A mapped output of a step's model has its name for itself.

    Why:
        Two outputs of one name would both be the tensor, so Triton refuses the ensemble, though the model alone loads.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorMapping
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:116: error: model "llm" has 2 outputs "OUT", all for tensor "answer" [multiple-outputs-to-one-tensor]
          Give the outputs of model "llm" names of their own.
    Server says:
        in ensemble rag, multiple outputs in model llm are mapped to the same ensemble tensor answer
    Also:
        output-name-twice
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    return of_rule(problems(model, judging), "multiple-outputs-to-one-tensor")


@graph_rule("ensemble-batch-above-step", Severity.ERROR, "ensemble_scheduling", at=Stage.ENSEMBLE.first)
def batch_above_step(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble's max_batch_size is at most that of each model that batches.

    Why:
        The ensemble hands a request's batch on as it is; a model without batching may be among the steps all the same.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateEnsembleConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        max_batch_size: 8
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        max_batch_size: 4
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:2:17: error: max_batch_size 8 is above that of model "llm" in step 0, 4 [ensemble-batch-above-step]
          Write max_batch_size: 4, or raise that of model "llm".
    Server says:
        ensemble rag allows maximum batch size 8, but it contains model llm which only allows maximum batch size to be 4
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        max_batch_size: 4
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        max_batch_size: 4
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    """
    return of_rule(problems(model, judging), "ensemble-batch-above-step")
