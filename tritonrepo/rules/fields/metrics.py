"""model_metrics: which histograms a model has, and their buckets; known from 24.11 on.

Source of all: core, src/model_config_utils.cc, ValidateModelMetrics, unless they name another.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

CUSTOMIZABLE = frozenset({"nv_inference_first_response_histogram_ms"})


def _controls(model: Model) -> list[tuple[int, Message]]:
    metrics = model.config.message("model_metrics")
    return list(enumerate(metrics.messages("metric_control"))) if metrics is not None else []


@rule(
    "model-metrics-no-identifier", Severity.ERROR, "model_metrics", at=Stage.POLL.after("response-cache-with-decoupled")
)
def no_identifier(model: Model) -> Iterator[Finding]:
    """A metric_control names its metric."""
    for item, control in _controls(model):
        if not control.has("metric_identifier"):
            yield Finding(
                control,
                "this metric_control has no metric_identifier",
                hint='Write metric_identifier { family: "nv_inference_first_response_histogram_ms" }.',
                reason="metric control must specify 'metric_identifier'",
                item=item,
            )


@rule(
    "model-metrics-no-family", Severity.ERROR, "model_metrics", at=Stage.POLL.same_walk("model-metrics-no-identifier")
)
def no_family(model: Model) -> Iterator[Finding]:
    """A metric_identifier has a family."""
    for item, control in _controls(model):
        identifier = control.message("metric_identifier")
        if identifier is not None and not identifier.text("family"):
            yield Finding(
                identifier,
                "this metric_identifier has no family",
                hint='Write family: "nv_inference_first_response_histogram_ms".',
                reason="metric identifier must specify non-empty 'family'",
                item=item,
            )


@rule("model-metrics-no-options", Severity.ERROR, "model_metrics", at=Stage.POLL.same_walk("model-metrics-no-family"))
def no_options(model: Model) -> Iterator[Finding]:
    """A metric_control has histogram_options."""
    for item, control in _controls(model):
        if not control.has("histogram_options"):
            yield Finding(
                control,
                "this metric_control has no histogram_options",
                hint="Write histogram_options { buckets: [ 10, 100 ] } with your buckets in milliseconds.",
                reason="metric control must specify 'histogram_options'",
                item=item,
            )


@rule("model-metrics-no-buckets", Severity.ERROR, "model_metrics", at=Stage.POLL.same_walk("model-metrics-no-options"))
def no_buckets(model: Model) -> Iterator[Finding]:
    """histogram_options have buckets."""
    for item, control in _controls(model):
        options = control.message("histogram_options")
        if options is not None and not options.all("buckets"):
            yield Finding(
                options,
                "these histogram_options have no buckets",
                hint="Write buckets: [ 10, 100 ] with your own in milliseconds.",
                reason="histogram options must specify non-empty 'buckets'",
                item=item,
            )


@rule("model-metrics-unknown-family", Severity.WARNING, "model_metrics")
def unknown_family(model: Model) -> Iterator[Finding]:
    """Only some metrics have buckets that can be chosen."""
    for _, control in _controls(model):
        identifier = control.message("metric_identifier")
        family = identifier.text("family") if identifier is not None else ""
        if identifier is not None and family and family not in CUSTOMIZABLE:
            yield Finding(
                identifier.scalars("family")[-1],
                f'the buckets of "{family}" cannot be chosen',
                hint="Name nv_inference_first_response_histogram_ms, or drop this metric_control.",
            )
