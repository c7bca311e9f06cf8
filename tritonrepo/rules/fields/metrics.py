"""model_metrics: the histograms of a model and their buckets, since Triton 24.11.

Source of all: core, src/model_config_utils.cc, ValidateModelMetrics, unless a page names another.
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
    """A metric_control must have a metric_identifier."""
    for item, control in _controls(model):
        if not control.has("metric_identifier"):
            yield Finding(
                control,
                "the metric_control has no metric_identifier",
                hint='Add `metric_identifier { family: "nv_inference_first_response_histogram_ms" }`.',
                reason="metric control must specify 'metric_identifier'",
                item=item,
            )


@rule(
    "model-metrics-no-family", Severity.ERROR, "model_metrics", at=Stage.POLL.same_walk("model-metrics-no-identifier")
)
def no_family(model: Model) -> Iterator[Finding]:
    """A metric_identifier must have a family."""
    for item, control in _controls(model):
        identifier = control.message("metric_identifier")
        if identifier is not None and not identifier.text("family"):
            yield Finding(
                identifier,
                "the metric_identifier has no family",
                hint='Set family to "nv_inference_first_response_histogram_ms".',
                reason="metric identifier must specify non-empty 'family'",
                item=item,
            )


@rule("model-metrics-no-options", Severity.ERROR, "model_metrics", at=Stage.POLL.same_walk("model-metrics-no-family"))
def no_options(model: Model) -> Iterator[Finding]:
    """A metric_control must have histogram_options."""
    for item, control in _controls(model):
        if not control.has("histogram_options"):
            yield Finding(
                control,
                "the metric_control has no histogram_options",
                hint="Add `histogram_options { buckets: [ 10, 100 ] }` with your own buckets in milliseconds.",
                reason="metric control must specify 'histogram_options'",
                item=item,
            )


@rule("model-metrics-no-buckets", Severity.ERROR, "model_metrics", at=Stage.POLL.same_walk("model-metrics-no-options"))
def no_buckets(model: Model) -> Iterator[Finding]:
    """The histogram_options of a metric_control must have buckets."""
    for item, control in _controls(model):
        options = control.message("histogram_options")
        if options is not None and not options.all("buckets"):
            yield Finding(
                options,
                "the histogram_options have no buckets",
                hint="Set buckets in milliseconds, such as `[ 10, 100 ]`.",
                reason="histogram options must specify non-empty 'buckets'",
                item=item,
            )


@rule("model-metrics-unknown-family", Severity.WARNING, "model_metrics")
def unknown_family(model: Model) -> Iterator[Finding]:
    """A metric_control should name a metric whose buckets can be configured."""
    for _, control in _controls(model):
        identifier = control.message("metric_identifier")
        family = identifier.text("family") if identifier is not None else ""
        if identifier is not None and family and family not in CUSTOMIZABLE:
            yield Finding(
                identifier.scalars("family")[-1],
                f'the buckets of metric "{family}" cannot be configured',
                hint="Use nv_inference_first_response_histogram_ms, or remove this metric_control.",
            )
