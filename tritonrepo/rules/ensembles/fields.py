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
    """An ensemble has a version directory, which may be empty."""
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
    """An ensemble has no use for the fields of a backend."""
    for name in ("default_model_filename", "parameters", "cc_model_filenames", "batch_input", "batch_output"):
        if model.is_ensemble and name in model.fields:
            yield Finding(
                model.config.get(name),
                f"{name} has no effect in an ensemble",
                hint="Move it to the models of the steps.",
            )


@rule("ensemble-decoupled-flag", Severity.INFO, "model_transaction_policy")
def decoupled_flag(model: Model) -> Iterator[Finding]:
    """Whether an ensemble is decoupled follows from its steps."""
    if model.is_ensemble:
        policy = model.config.get("model_transaction_policy")
        yield Finding(
            policy, "model_transaction_policy of an ensemble is overwritten: its steps decide", hint="Drop it."
        )


@rule("ensemble-response-cache", Severity.INFO, "response_cache")
def response_cache(model: Model) -> Iterator[Finding]:
    """An ensemble may cache its responses as a whole."""
    cache = model.config.message("response_cache")
    if model.is_ensemble and cache is not None and cache.flag("enable"):
        yield Finding(cache, "the responses of the whole ensemble are cached, where the server has a cache")
