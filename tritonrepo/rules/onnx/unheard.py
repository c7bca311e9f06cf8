"""Options of the ONNX Runtime backend that are read for a GPU only, and what has no effect, or not the expected one.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::ModelState and LoadModel; the same text from r24.01 to
r26.06.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, nearest
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.rules.mending import edited
from tritonrepo.rules.onnx.options import CLOSE, KNOWN, ON_GPU, on_gpu, parameter, whole
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule("onnx-cudnn-algo", Severity.ERROR, "parameters", at=Stage.INSTANCE.after("onnx-trt-parameter-overflow"))
def convolution(model: Model) -> Iterator[Finding]:
    """cudnn_conv_algo_search of an ONNX model must be 0, 1 or 2."""
    return _above(model, "cudnn_conv_algo_search", "0 (exhaustive), 1 (heuristic) and 2 (default)")


@rule("onnx-arena-strategy", Severity.ERROR, "parameters", at=Stage.INSTANCE.after("onnx-cudnn-algo"))
def arena(model: Model) -> Iterator[Finding]:
    """arena_extend_strategy of an ONNX model must be 0 or 1."""
    return _above(model, "arena_extend_strategy", "0 (next power of two) and 1 (as requested)")


def _above(model: Model, name: str, choices: str) -> Iterator[Finding]:
    given = parameter(model, name) if model.backend == "onnxruntime" and on_gpu(model) else None
    number = whole(given[1]) if given is not None else None
    if given is not None and number is not None and not 0 <= number <= ON_GPU[name]:
        yield Finding(
            given[0],
            f'{name} is "{given[1]}", but only {choices} exist',
            hint="Set it to one of these.",
            reason=f"unsupported {name} value '{number}' is requested",
        )


@rule("onnx-unknown-parameter", Severity.WARNING, "parameters")
def unknown(model: Model) -> Iterator[Finding]:
    """A parameter of an ONNX model should be one that the backend reads."""
    for entry in model.config.entries("parameters") if model.backend == "onnxruntime" else ():
        name = entry.text("key")
        meant = "" if name in KNOWN else nearest(name, KNOWN, CLOSE)
        if meant:
            yield Finding(
                next(reversed(entry.scalars("key")), entry),
                f'the backend does not read the parameter "{name}"',
                hint=f'Did you mean "{meant}"?',
                fix=edited(model, put(entry, "key", meant), safe=name.casefold() == meant)
                if parameter(model, meant) is None
                else None,
            )


@rule("onnx-graph-level", Severity.WARNING, "optimization")
def graph_level(model: Model) -> Iterator[Finding]:
    """The level of graph optimisation of an ONNX model should be -1 or 1."""
    optimization: Message | None = model.config.message("optimization") if model.backend == "onnxruntime" else None
    graph = optimization.message("graph") if optimization is not None else None
    level = graph.integer("level") if graph is not None else 0
    if graph is None or level in {-1, 0, 1}:
        return
    effect = "disables every optimisation" if level == 2 else "has no effect"  # noqa: PLR2004  a level
    yield Finding(
        graph.scalars("level")[-1],
        f"level {level} of the graph {effect}",
        hint="Remove it for full optimisation, or set -1 (basic) or 1 (extended).",
    )
