"""Which decoupled step each tensor follows: tensors of two different ones cannot be joined."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.completion import completed
from tritonrepo.rules.ensembles.steps import Step, steps
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.registry import Finding, graph_rule
from tritonrepo.rules.stages import Stage


@graph_rule(
    "mixed-decoupled-sources",
    Severity.ERROR,
    "ensemble_scheduling",
    at=Stage.ENSEMBLE.after("multiple-outputs-to-one-tensor"),
)
def mixed_sources(model: Model, judging: Judging) -> Iterator[Finding]:
    """Tensors that are read together must follow the same decoupled model, or none at all."""
    flow = _Flow(model, judging) if model.is_ensemble else None
    if flow is None or not flow.known:
        return
    mixed = flow.run()
    judging.decoupled[model.name] = flow.label > 0
    if mixed is not None:
        yield Finding(
            mixed.at,
            f"{mixed.what} do not follow the same decoupled model: {mixed.tensors}",
            hint="Route them all through the same decoupled step, or join them in a Python model.",
            reason=f"in ensemble {model.name}, step of model '{mixed.definer}' receives inputs originated from "
            "different decoupled models",
        )


@graph_rule(
    "ensemble-response-cache-with-decoupled",
    Severity.ERROR,
    "response_cache",
    at=Stage.LOAD.after("profile-out-of-range"),
)
def cache_over_decoupled(model: Model, judging: Judging) -> Iterator[Finding]:
    """An ensemble over a decoupled model cannot use the response cache."""
    cache, policy = model.config.message("response_cache"), model.config.message("model_transaction_policy")
    if cache is None or not cache.flag("enable") or (policy is not None and policy.flag("decoupled")):
        return
    if model.is_ensemble and judging.decoupled.get(model.name):
        yield Finding(
            cache.scalars("enable")[-1],
            "response_cache is enabled, but an ensemble over a decoupled model cannot use it",
            hint="Remove response_cache, or move it to the models before the decoupled one.",
            reason=f"Response Cache does not currently support model {model.config_name} with 'decoupled' transaction "
            "policy. Please disable the response cache.",
        )


@dataclass(frozen=True, slots=True)
class Mixed:
    """Where tensors that cannot be joined meet; `definer` is the model that the server names."""

    at: Placed
    what: str
    tensors: str
    definer: str


@dataclass(slots=True)
class _Flow:
    """The server's walk: every tensor gets the number of the decoupled step that it follows, or 0."""

    model: Model
    judging: Judging
    label: int = 0
    labels: dict[str, int] = field(default_factory=dict)
    _decoupled: dict[int, bool | None] = field(init=False)

    def __post_init__(self) -> None:
        self._decoupled = {step.number: self._is_decoupled(step) for step in steps(self.model)}

    @property
    def known(self) -> bool:
        """Whether every step is known to be decoupled or not."""
        return None not in self._decoupled.values()

    def run(self) -> Mixed | None:
        """Label the tensors; stop at the first place where different labels meet."""
        inputs = [tensor.name for tensor in self.model.tensors if tensor.kind == "input"]
        self.labels = dict.fromkeys(inputs, 0)
        readers: dict[str, dict[int, Step]] = {}
        for step in steps(self.model):
            for mapped in step.inputs.values():
                readers.setdefault(mapped.tensor, {})[step.number] = step
        queue, done = deque(self.labels), set[int]()
        while queue:
            tensor = queue.popleft()
            for step in readers.get(tensor, {}).values():
                if step.number in done or not all(m.tensor in self.labels for m in step.inputs.values()):
                    continue
                done.add(step.number)
                new = [m.tensor for m in step.outputs.values() if m.tensor not in self.labels]
                mixed = self._mixed_step(step, new) if new else None
                if mixed is not None:
                    return mixed
                self._label(step, new)
                queue += new
        return self._mixed_outputs()

    def _is_decoupled(self, step: Step) -> bool | None:
        callee = self.judging.models.get(step.model)
        if callee is None or callee.hidden or not self.judging.polled(step.model):
            return None
        return self.judging.decoupled.get(step.model) if callee.is_ensemble else completed(callee).decoupled

    def _label(self, step: Step, new: list[str]) -> None:
        label = next(self.labels[mapped.tensor] for mapped in step.inputs.values())
        if self._decoupled[step.number] and new:
            self.label += 1
            label = self.label
        self.labels |= dict.fromkeys(new, label)

    def _mixed_step(self, step: Step, new: list[str]) -> Mixed | None:
        names = [mapped.tensor for mapped in step.inputs.values()]
        if len({self.labels[name] for name in names}) == 1:
            return None
        what = f'the tensors that step {step.number} (model "{step.model}") reads'
        return Mixed(step.at("model_name"), what, self._shown(names), self._definer(new[0]))

    def _mixed_outputs(self) -> Mixed | None:
        outputs = {tensor.name: tensor for tensor in self.model.tensors if tensor.kind == "output"}
        labels = {self.labels.get(name) for name in outputs}
        if len(labels) < 2 or None in labels:  # noqa: PLR2004  two different ones
            return None
        first = self.labels[next(iter(outputs))]
        other = next(tensor for name, tensor in outputs.items() if self.labels[name] != first)
        at = other.fields["name"].value if "name" in other.fields else other.node
        return Mixed(at, "the outputs of the ensemble", self._shown(list(outputs)), self.model.name)

    def _shown(self, names: list[str]) -> str:
        """Name one tensor of each label."""
        of_label = {self.labels[name]: name for name in reversed(names)}
        return ", ".join(f'"{name}"' for name in reversed(of_label.values()))

    def _definer(self, tensor: str) -> str:
        """Return the model that has the tensor first: the ensemble itself, else the first step in the file's order."""
        if any(own.name == tensor for own in self.model.tensors):
            return self.model.name
        for step in steps(self.model):
            if any(m.tensor == tensor for m in (*step.inputs.values(), *step.outputs.values())):
                return step.model
        return self.model.name
