"""What the backend completes in a config that lists no inputs or no outputs, above all max_batch_size.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::AutoCompleteMaxBatch.
"""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.repository.sessions import Session, sessions
from tritonrepo.rules.mending import edited
from tritonrepo.rules.onnx.compared import graph_of, shape, size_of
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "onnx-autofill-not-batchable",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.COMPLETION.after("python-autocomplete-return"),
)
def not_batchable(model: Model) -> Iterator[Finding]:
    """A config to be completed cannot set max_batch_size for an ONNX graph that does not batch."""
    for session in [session for session in sessions(model) if session.refused][:1]:
        name, dims = next(
            (name, value.dims or ())
            for name, value in (*session.inputs.items(), *session.outputs.items())
            if value.batches is False
        )
        kind, graph = "input" if name in session.inputs else "output", graph_of(model, session)
        shown = (
            f"shape {shape(dims)} in {graph}, whose first dimension is fixed" if dims else f"no dimensions in {graph}"
        )
        yield Finding(
            size_of(model),
            f'max_batch_size is {model.max_batch_size}, but {kind} "{name}" has {shown}',
            hint="Remove max_batch_size, or export the model with a variable first dimension.",
            reason=f"autofill failed for model '{model.name}': model does not support batching while non-zero "
            "max_batch_size is specified",
            fix=edited(model, put(model.config, "max_batch_size", 0), safe=False),
        )


@rule("onnx-autofill-raises-max-batch", Severity.WARNING, "backend=onnxruntime")
def raised(model: Model) -> Iterator[Finding]:
    """A max_batch_size of 0 should stand beside listed inputs and outputs, or ONNX models batch all the same."""
    for session in [session for session in sessions(model) if _raises(model, session)][:1]:
        yield Finding(
            size_of(model),
            f"max_batch_size: 0 counts as missing, because no {' and no '.join(sorted(session.filled))} is listed: the "
            f"backend sets it to {session.max_batch_size}",
            hint="List inputs and outputs, which keeps it at 0, or set the batch size that you want.",
            fix=edited(model, put(model.config, "max_batch_size", session.max_batch_size or 0), safe=False),
        )


def _raises(model: Model, session: Session) -> bool:
    return model.max_batch_size == 0 and bool(session.max_batch_size) and size_of(model) is not None
