"""What is fine between the steps of an ensemble, and good to know."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.ensembles.walk import of_rule, problems
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule


@graph_rule("ensemble-nonbatching-over-batching", Severity.INFO, "ensemble_scheduling")
def nonbatching_over_batching(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble without batching may use models that batch.

    Why:
        The ensemble loads and works: the model gets batches of one, so requests for several items have to be sent one by one.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateEnsembleConfig
    Bad:
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
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    Says:
        rag/config.pbtxt:5:22: info: model "embed" batches, but the ensemble does not: a request holds one item [ensemble-nonbatching-over-batching]
          Give the ensemble a max_batch_size where requests are to hold more.
    Good:
        -- rag/config.pbtxt --
        platform: "ensemble"
        max_batch_size: 8
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ 4 ] }
        ensemble_scheduling {
          step { model_name: "embed" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "vector" } }
        }
        -- rag/1/ --
        -- embed/config.pbtxt --
        backend: "identity"
        max_batch_size: 8
        input { name: "IN" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- embed/1/ --
    """
    return of_rule(problems(model, judging), "ensemble-nonbatching-over-batching")


@graph_rule("step-batching-shape-vs-wildcard", Severity.INFO, "ensemble_scheduling")
def shape_by_request(model: Model, judging: Judging) -> Iterator[Finding]:
    """A variable dim that meets a fixed one is checked for each request.

    Why:
        -1 fits any size when the ensemble is loaded; a request whose size is another then fails.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateTensorConsistency
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_FP32 dims: [ 1 ] }
        output { name: "vector" data_type: TYPE_FP32 dims: [ -1 ] }
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
        rag/config.pbtxt:5:118: info: tensor "vector" has dims [-1], and [4] as "OUT" of model "embed": each request is checked [step-batching-shape-vs-wildcard]
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
    return of_rule(problems(model, judging), "step-batching-shape-vs-wildcard")


@graph_rule("step-unmapped-output", Severity.INFO, "ensemble_scheduling")
def unmapped_output(model: Model, judging: Judging) -> Iterator[Finding]:
    """An output of a step's model need not be mapped.

    Why:
        The model makes it all the same, and it is dropped.
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
        output { name: "LOG" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:5:22: info: not used of model "llm": LOG [step-unmapped-output]
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
    return of_rule(problems(model, judging), "step-unmapped-output")
