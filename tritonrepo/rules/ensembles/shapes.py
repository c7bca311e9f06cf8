"""What two models that share a tensor must agree on, and where requests fail although they do."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.walk import of_rule, problems
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule
from tritonrepo.rules.stages import Stage


@graph_rule(
    "tensor-type-differs", Severity.ERROR, "ensemble_scheduling", at=Stage.ENSEMBLE.same_walk("step-input-unknown")
)
def type_differs(model: Model, judging: Judging) -> Iterator[Finding]:
    """All models that share a tensor of an ensemble agree on its data type.

    Why:
        Nothing is converted between steps. The server compares each model with the first that has the tensor: the ensemble itself
        for its own inputs and outputs, else the first step in the order of the file.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorConsistency
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP16 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    Says:
        rag/config.pbtxt:3:36: error: tensor "vector" is TYPE_FP16 here, but TYPE_FP32 as "OUT" of model "embed" [tensor-type-differs]
          Write data_type: TYPE_FP32, or map another tensor.
    Server says:
        in ensemble rag, ensemble tensor vector: inconsistent data type: TYPE_FP16 is inferred from model rag while TYPE_FP32 is inferred from model embed
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    """
    return of_rule(problems(model, judging), "tensor-type-differs")


@graph_rule(
    "tensor-shape-differs", Severity.ERROR, "ensemble_scheduling", at=Stage.ENSEMBLE.same_walk("tensor-type-differs")
)
def shape_differs(model: Model, judging: Judging) -> Iterator[Finding]:
    """All models that share a tensor of an ensemble agree on its shape.

    Why:
        Either the dims fit one another, or they do with the batch of a batching model in front; -1 fits any size. The server
        compares each model with the first that has the tensor.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorConsistency
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 384 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 768 ] }
        -- embed/1/ --
    Says:
        rag/config.pbtxt:3:54: error: tensor "vector" has shape [384] here, but [768] as "OUT" of model "embed" [tensor-shape-differs]
          Write dims: [ 768 ]; a leading -1 in a shape is the batch.
    Server says:
        in ensemble rag, ensemble tensor vector: inconsistent shape: [384] is inferred from model rag while [768] is inferred from model embed
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 768 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 768 ] }
        -- embed/1/ --
    """
    return of_rule(problems(model, judging), "tensor-shape-differs")


@graph_rule("ensemble-batching-over-fixed", Severity.WARNING, "ensemble_scheduling")
def batching_over_fixed(model: Model, judging: Judging) -> Iterator[Finding]:
    """A batching ensemble does not meet a fixed batch in a model without batching.

    Why:
        The shapes fit, so the ensemble loads, but only requests of exactly that batch size work.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateEnsembleConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        max_batch_size: 8
        input { name: "query" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 2, 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 2, 4 ] }
        -- embed/1/ --
    Says:
        rag/config.pbtxt:6:77: warning: tensor "query" has shape [-1,4], and [2,4] as "IN" of model "embed": only requests of batch 2 work [ensemble-batching-over-fixed]
          Write -1 for the first dim of the model that does not batch, or let it batch.
        rag/config.pbtxt:6:118: warning: tensor "vector" has shape [-1,4], and [2,4] as "OUT" of model "embed": only requests of batch 2 work [ensemble-batching-over-fixed]
          Write -1 for the first dim of the model that does not batch, or let it batch.
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        max_batch_size: 8
        input { name: "query" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    """
    return of_rule(problems(model, judging), "ensemble-batching-over-fixed")


@graph_rule("ensemble-optional-to-required", Severity.WARNING, "ensemble_scheduling")
def optional_to_required(model: Model, judging: Judging) -> Iterator[Finding]:
    """An optional input of an ensemble feeds optional inputs alone.

    Why:
        The ensemble loads, but a request without the input fails in the step's model.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorMapping
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] optional: true }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    Says:
        rag/config.pbtxt:5:77: warning: ensemble input "query" is optional, but it feeds "IN", which is not [ensemble-optional-to-required]
          Drop optional of "query", or write it for the model's "IN" too.
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    """
    return of_rule(problems(model, judging), "ensemble-optional-to-required")
