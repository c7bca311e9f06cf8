"""What an ensemble needs beside its config, and which fields mean something else in it, or nothing."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "ensemble-no-version-directory",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.LOAD.after("policy-specific-none-present"),
)
def no_version_directory(model: Model) -> Iterator[Finding]:
    """An ensemble has a version directory, which may be empty.

    Why:
        An ensemble has no files of its own, but the server serves versions, and without a directory there is none.
        Git and object stores keep no empty directory: put any file in it.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, AsyncLoad
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag: error: an ensemble without a version directory [ensemble-no-version-directory]
          Make the directory rag/1; a placeholder file in it does no harm.
    Server says:
        at least one version must be available under the version policy of model 'rag'
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
    if model.is_ensemble and not model.versions.found and not model.versions.overflow:
        yield Finding(
            "",
            "an ensemble without a version directory",
            hint=f"Make the directory {model.name}/1; a placeholder file in it does no harm.",
            reason=f"at least one version must be available under the version policy of model '{model.config_name}'",
        )


@rule(
    "ensemble-ignored-fields",
    Severity.INFO,
    "default_model_filename",
    "parameters",
    "cc_model_filenames",
    "batch_input",
    "batch_output",
)
def ignored_fields(model: Model) -> Iterator[Finding]:
    """An ensemble has no use for the fields of a backend.

    Why:
        They are read and have no effect; what the steps need stands in their own configs.
    Source:
        core, src/model_config_utils.cc, ValidateEnsembleSchedulingConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        parameters { key: "temperature" value { string_value: "0.2" } }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:7:1: info: parameters has no effect in an ensemble [ensemble-ignored-fields]
          Move it to the models of the steps.
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
    for name in ("default_model_filename", "parameters", "cc_model_filenames", "batch_input", "batch_output"):
        if model.is_ensemble and name in model.fields:
            yield Finding(
                model.config.get(name),
                f"{name} has no effect in an ensemble",
                hint="Move it to the models of the steps.",
            )


@rule("ensemble-decoupled-flag", Severity.INFO, "model_transaction_policy")
def decoupled_flag(model: Model) -> Iterator[Finding]:
    """Whether an ensemble is decoupled follows from its steps.

    Why:
        The server overwrites model_transaction_policy of an ensemble: it is decoupled where one of its steps is.
    Source:
        core, src/ensemble_scheduler/ensemble_utils.cc, ValidateEnsembleConfig
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        model_transaction_policy { decoupled: true }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:7:1: info: model_transaction_policy of an ensemble is overwritten: its steps decide [ensemble-decoupled-flag]
          Drop it.
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
    if model.is_ensemble:
        policy = model.config.get("model_transaction_policy")
        yield Finding(
            policy, "model_transaction_policy of an ensemble is overwritten: its steps decide", hint="Drop it."
        )


@rule("ensemble-response-cache", Severity.INFO, "response_cache")
def response_cache(model: Model) -> Iterator[Finding]:
    """An ensemble may cache its responses as a whole.

    Why:
        The server then answers a repeated request without running a step, if it is started with a cache; before 24.05 the flag
        has no effect in an ensemble.
    Source:
        core, src/ensemble_scheduler/ensemble_scheduler.cc
    Bad:
        -- rag/config.pbtxt --
        platform: "ensemble"
        input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "answer" data_type: TYPE_STRING dims: [ 1 ] }
        ensemble_scheduling {
          step { model_name: "llm" model_version: -1 input_map { key: "IN" value: "query" } output_map { key: "OUT" value: "answer" } }
        }
        response_cache { enable: true }
        -- rag/1/ --
        -- llm/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
        output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
        -- llm/1/ --
    Says:
        rag/config.pbtxt:7:16: info: the responses of the whole ensemble are cached, where the server has a cache [ensemble-response-cache]
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
    cache = model.config.message("response_cache")
    if model.is_ensemble and cache is not None and cache.flag("enable"):
        yield Finding(cache, "the responses of the whole ensemble are cached, where the server has a cache")
