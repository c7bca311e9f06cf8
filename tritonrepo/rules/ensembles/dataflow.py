"""Which tensors of an ensemble can be produced: the server's walk over its steps, and what to report where it stops.

Source: core, src/model_config_utils.cc, BuildEnsembleGraph and ValidateEnsembleSchedulingConfig.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.tensors import ListedTensor
from tritonrepo.rules.ensembles.steps import Mapped, Step, nearest, steps


@dataclass(frozen=True, slots=True, eq=False)
class Dataflow:
    """An ensemble's tensors: which steps write and read each, and which can be produced from the inputs.

    The partners say what a name most likely stands for: an input that no step reads → the tensor that is read
    instead; an output that no step writes → the tensor that is written instead; a tensor that is read but missing →
    one that is written but not read.
    """

    steps: Sequence[Step]
    inputs: Mapping[str, ListedTensor]
    outputs: Mapping[str, ListedTensor]
    writers: Mapping[str, tuple[Step, Mapped]]
    readers: Mapping[str, tuple[Step, Mapped]]
    ready: frozenset[str]
    partners: Mapping[str, str]

    @property
    def missing(self) -> list[str]:
        """The tensors that are read, but are neither inputs nor written by a step."""
        return [name for name in self.readers if name not in self.writers and name not in self.inputs]

    @property
    def unread(self) -> list[str]:
        """The tensors that are written, but are neither outputs nor read by a step."""
        return [name for name in self.writers if name not in self.readers and name not in self.outputs]

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Return those of the ensemble's own inputs or outputs that no map names."""
        return [name for name in names if name not in self.readers and name not in self.writers]


@once
def dataflow(model: Model) -> Dataflow | None:
    """Return the flow of an ensemble; None if the maps of a step are broken, since that would cause more findings."""
    found = steps(model) if model.is_ensemble else ()
    if not found or not all(step.inputs and step.outputs for step in found) or written_twice(found):
        return None
    inputs = {tensor.name: tensor for tensor in model.tensors if tensor.kind == "input"}
    outputs = {tensor.name: tensor for tensor in model.tensors if tensor.kind == "output"}
    writers = {mapped.tensor: (step, mapped) for step in found for mapped in step.outputs.values()}
    readers: dict[str, tuple[Step, Mapped]] = {}
    for step in found:
        for mapped in step.inputs.values():
            readers.setdefault(mapped.tensor, (step, mapped))
    flow = Dataflow(found, inputs, outputs, writers, readers, _ready(found, inputs), {})
    return Dataflow(found, inputs, outputs, writers, readers, flow.ready, _partners(flow))


def written_twice(found: Sequence[Step]) -> list[tuple[Step, Mapped]]:
    """Return each output_map entry whose tensor an earlier entry writes."""
    seen: set[str] = set()
    again = []
    for step in found:
        for mapped in step.outputs.values():
            if mapped.tensor in seen:
                again.append((step, mapped))
            seen.add(mapped.tensor)
    return again


def _ready(found: Sequence[Step], inputs: Iterable[str]) -> frozenset[str]:
    """Run the steps as far as possible: a step runs once all tensors that it reads are ready."""
    waits = {step.number: {mapped.tensor for mapped in step.inputs.values()} for step in found}
    waiting: dict[str, list[Step]] = {}
    for step in found:
        for tensor in waits[step.number]:
            waiting.setdefault(tensor, []).append(step)
    ready = set(inputs)
    queue = deque(ready)
    while queue:
        tensor = queue.popleft()
        for step in waiting.get(tensor, ()):
            waits[step.number].discard(tensor)
            if not waits[step.number]:
                made = {mapped.tensor for mapped in step.outputs.values()} - ready
                ready |= made
                queue += made
    return frozenset(ready)


def _partners(flow: Dataflow) -> dict[str, str]:
    partners: dict[str, str] = {}
    missing, unread = flow.missing, flow.unread
    for names, candidates in (
        (flow.unknown(flow.inputs), missing),
        (flow.unknown(flow.outputs), unread),
        (missing, unread),
    ):
        for name in list(names):
            partner = _partner(name, candidates) if name not in partners else None
            if partner is not None:
                partners[name] = partner
                candidates.remove(partner)
    return partners


def _partner(name: str, candidates: Sequence[str]) -> str | None:
    """Return the nearest name; a single candidate is meant, whatever its name."""
    return candidates[0] if len(candidates) == 1 else nearest(name, candidates)


def last_missing(flow: Dataflow, output: str) -> str:
    """Return the tensor that the server blames for a missing output: it goes back along what is not ready."""
    last, seen = output, set[str]()
    while last in flow.writers:
        step = flow.writers[last][0]
        before = (m.tensor for m in step.inputs.values() if m.tensor not in flow.ready and m.tensor not in seen)
        tensor = next(before, None)
        if tensor is None:
            break
        seen.add(tensor)
        last = tensor
    return last


def named_unused(flow: Dataflow) -> str:
    """Return the tensor that the server calls unused if several are: the one that its steps name last.

    The server walks a std::unordered_map, which lists a few strings in the reverse order of their insertion; for each
    step, the tensors that it writes are inserted first.
    """
    order: dict[str, None] = {}
    for step in flow.steps:
        order |= dict.fromkeys(mapped.tensor for mapped in (*step.outputs.values(), *step.inputs.values()))
    unused = (name for name in reversed(order) if name not in flow.outputs)
    return next((name for name in unused if name not in flow.ready or name not in flow.readers), "")


def waiting(flow: Dataflow) -> Iterator[str]:
    """Return the tensors that are written, but never ready."""
    return (name for name in flow.writers if name not in flow.ready)


def name_of(tensor: ListedTensor) -> Placed:
    """Return the place of the name of an input or output of the ensemble."""
    field = tensor.fields.get("name")
    return field.value if field is not None else tensor.node
