"""The server's walk over an ensemble's steps once their models are loaded: each tensor against its first definition.

Source: core, src/ensemble_scheduler/ensemble_utils.cc, ValidateEnsembleConfig and ValidateTensorMapping.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.editor import put
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.completion import Port, completed
from tritonrepo.repository.once import once
from tritonrepo.rules.ensembles import agreement
from tritonrepo.rules.ensembles.agreement import EVERY, UNKNOWN, Definition
from tritonrepo.rules.ensembles.comparison import Problem, Visit, Walk, agree, optional
from tritonrepo.rules.ensembles.naming import other_key
from tritonrepo.rules.ensembles.steps import Step, nearest, steps
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, Scope, rules
from tritonrepo.rules.stages import Stage
from tritonrepo.vllm_contract import by_name, same_text


@once
def problems(model: Model, judging: Judging) -> Sequence[Problem]:
    """Return all that the walk finds; cached, because every rule of the walk needs it."""
    if not model.is_ensemble:
        return ()
    own = completed(model)
    batching = (model.max_batch_size > 0,)
    tensors: dict[str, Definition] = {}
    for port in (*own.inputs, *own.outputs):
        tensors.setdefault(port.name, Definition(model.name, _reshaped(port), batching))
    walk = Walk(model, tensors)
    for step in steps(model):
        callee = judging.models.get(step.model)
        if callee is not None and _readable(callee, judging):
            visit = Visit(step, callee, completed(callee))
            _batch_size(walk, visit)
            _one_item(walk, visit)
            _inputs(walk, visit)
            _outputs(walk, visit)
        for mapped in (*step.inputs.values(), *step.outputs.values()):
            tensors.setdefault(mapped.tensor, UNKNOWN)
    return walk.found


def _readable(callee: Model, judging: Judging) -> bool:
    """Return whether a model's config can be compared: not if its own I/O is faulty, or if it is hidden."""
    verdict = judging.verdicts.get(callee.name)
    return not callee.hidden and judging.polled(callee.name) and verdict is not None and verdict.stage != "io"


def _reshaped(port: Port) -> Port:
    """Return an ensemble's own tensor as the walk sees it: its reshape counts, unlike that of a step's model."""
    reshape = port.listed.reshape if port.listed is not None else None
    return port if reshape is None else port._replace(dims=tuple(reshape.numbers("shape")))


def _batch_size(walk: Walk, visit: Visit) -> None:
    ensemble, step, ours, theirs = walk.model, visit.step, walk.model.max_batch_size, visit.seen.max_batch_size
    if 0 < theirs < ours:
        written = ensemble.config.get("max_batch_size")
        walk.add(
            "ensemble-batch-above-step",
            Finding(
                written.value if written is not None else step.node,
                f'max_batch_size is {ours}, but model "{step.model}" in step {step.number} allows only {theirs}',
                hint=f'Set `max_batch_size: {theirs}`, or raise that of model "{step.model}".',
                reason=f"ensemble {ensemble.name} allows maximum batch size {ours}, but it contains model {step.model} "
                f"which only allows maximum batch size to be {theirs}",
                fix=edited(ensemble, put(ensemble.config, "max_batch_size", theirs), safe=False),
            ),
        )


def _one_item(walk: Walk, visit: Visit) -> None:
    """Report a step where only one of the two batches; a tensor whose first dim is the batch joins them."""
    step, ours, theirs = visit.step, walk.model.max_batch_size, visit.seen.max_batch_size
    new = Definition(step.model, UNKNOWN.port, (theirs > 0,) if visit.seen.exact or theirs else EVERY)
    fed = [
        (walk.tensors.get(step.inputs[port.name].tensor, UNKNOWN), new._replace(port=port))
        for port in visit.seen.inputs
        if port.name in step.inputs
    ]
    told = any(problem.rule == "ensemble-nonbatching-over-batching" for problem in walk.found)
    if ours == 0 < theirs and not told and any(agreement.by_dims(*pair) for pair in fed):
        walk.add(
            "ensemble-nonbatching-over-batching",
            Finding(
                step.at("model_name"),
                f'model "{step.model}" supports batching, but the ensemble does not, so each request holds one item',
                hint="Set max_batch_size in the ensemble if a request should hold several items.",
            ),
        )
    if ours > 1 and any(agreement.alone(*pair) for pair in fed):
        walk.add(
            "ensemble-batching-over-fixed",
            Finding(
                step.at("model_name"),
                f'max_batch_size is {ours}, but model "{step.model}" does not batch, so only requests of batch size 1 '
                "work",
                hint=f'Set max_batch_size of model "{step.model}", or `max_batch_size: 1` in the ensemble.',
            ),
        )


def _unknown(walk: Walk, visit: Visit, kind: str, names: Collection[str], free: list[str]) -> None:
    """Report mapped tensors that the model surely lacks; a misspelt one takes a name from `free`, the unmapped ones."""
    step = visit.step
    mapping, how = (step.inputs, "mapping to") if kind == "input" else (step.outputs, "mapped from")
    for mapped in mapping.values() if visit.seen.exact else ():
        if mapped.key not in names:
            meant, later = _meant(kind, mapped.key, free), _later(visit, kind, mapped.key)
            walk.add(
                f"step-{kind}-unknown",
                Finding(
                    _key(step, f"{kind}_map", mapped.key),
                    f'model "{step.model}" has no {kind} "{mapped.key}"',
                    hint=later or _hint(meant, kind, names),
                    reason=f"in ensemble {walk.model.name}, ensemble tensor {mapped.tensor} is {how} non-existing "
                    f"{kind} {mapped.key} in model {step.model}",
                    fix=other_key(walk.model, step, f"{kind}_map", mapped.key, meant) if meant and not later else None,
                ),
            )


def _inputs(walk: Walk, visit: Visit) -> None:
    step, seen = visit.step, visit.seen
    names = {port.name: port for port in seen.inputs}
    free = [name for name, port in names.items() if not port.optional and name not in step.inputs]
    _unknown(walk, visit, "input", names, free)
    for port in seen.inputs:
        if port.name in step.inputs:
            agree(walk, visit, step.inputs[port.name], port)
            optional(walk, step.inputs[port.name], port)
        elif port.name in free and step.inputs:
            walk.add(
                "step-input-unmapped",
                Finding(
                    step.at("model_name"),
                    f'step {step.number} does not map the required input "{port.name}" of model "{step.model}"',
                    hint=f'Add `input_map {{ key: "{port.name}" value: "a tensor of the ensemble" }}`.',
                    reason=f"in ensemble {walk.model.name}, input {port.name} in model {step.model} is not mapped to "
                    "any ensemble tensors",
                ),
            )


def _outputs(walk: Walk, visit: Visit) -> None:
    step, seen = visit.step, visit.seen
    names = {port.name: port for port in seen.outputs}
    free = [name for name in names if name not in step.outputs]
    _unknown(walk, visit, "output", names, free)
    for mapped in step.outputs.values():
        ports = [port for port in seen.outputs if port.name == mapped.key] if mapped.key in names else []
        for port in ports:
            agree(walk, visit, mapped, port)
        if len(ports) > 1:
            walk.add(
                "multiple-outputs-to-one-tensor",
                Finding(
                    mapped.at,
                    f'model "{step.model}" has {len(ports)} outputs "{mapped.key}", '
                    f'which are all mapped to tensor "{mapped.tensor}"',
                    hint=f'Rename these outputs of model "{step.model}" so that each name is unique.',
                    reason=f"in ensemble {walk.model.name}, multiple outputs in model {step.model} are mapped to the "
                    f"same ensemble tensor {mapped.tensor}",
                ),
            )


def _meant(kind: str, key: str, free: list[str]) -> str | None:
    """Return the tensor that a misspelt key stands for, and count it as mapped, so that one fault has one message."""
    meant = free[0] if len(free) == 1 else nearest(key, free) or same_text(kind, key, free)
    if meant is not None:
        free.remove(meant)
    return meant


def _later(visit: Visit, kind: str, key: str) -> str:
    """Return the hint for a tensor that a later vLLM backend has; "" for any other."""
    later = by_name().get((kind, key)) if visit.callee.backend == "vllm" else None
    return f"Use Triton {later.since} or later, whose vLLM backend has it." if later is not None else ""


def _hint(meant: str | None, kind: str, names: Collection[str]) -> str:
    if meant is not None:
        return f'Did you mean "{meant}"?'
    if names:
        return f"Use an {kind} of this model: {', '.join(names)}."
    return f"Remove this entry. The model has no {kind}s."


def _key(step: Step, name: str, key: str) -> Placed:
    """Return the place of a key in a map."""
    for entry in reversed(step.node.entries(name)):
        if entry.text("key") == key:
            return next(reversed(entry.scalars("key")), entry)
    return step.node


FOUND = {
    "ensemble-batch-above-step": Severity.ERROR,
    "step-input-unknown": Severity.ERROR,
    "tensor-type-differs": Severity.ERROR,
    "tensor-shape-differs": Severity.ERROR,
    "step-input-unmapped": Severity.ERROR,
    "step-output-unknown": Severity.ERROR,
    "multiple-outputs-to-one-tensor": Severity.ERROR,
    "ensemble-nonbatching-over-batching": Severity.INFO,
    "step-batching-shape-vs-wildcard": Severity.INFO,
    "ensemble-batching-over-fixed": Severity.WARNING,
    "ensemble-optional-to-required": Severity.WARNING,
}
"""The rules of the walk; the errors are in the server's order."""


@rules(FOUND, "ensemble_scheduling", at=Stage.ENSEMBLE.first, scope=Scope.GRAPH)
def of_rule(model: Model, judging: Judging, rule: str) -> Iterator[Finding]:
    """Return the findings of one rule."""
    return (problem.finding for problem in problems(model, judging) if problem.rule == rule)
