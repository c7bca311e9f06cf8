"""The parts and pipelines that a build wrote, found again in a repository: proposed, built in memory, and compared.

Only what a build would write again is declared as a part or as a pipeline. All else stays a model with its own files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tritonrepo import spec
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.adopt_models import Nodes, mapping, node, writable
from tritonrepo.flows.adopt_trial import Reading, Trial, configs, different, overlay, tried
from tritonrepo.flows.workspace import Workspace
from tritonrepo.generate.bls import TOLD
from tritonrepo.parts.model import is_version
from tritonrepo.parts.recognition import Found, Proposal
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository.model import CONFIG
from tritonrepo.repository.pipelines import scripted
from tritonrepo.spec import forms
from tritonrepo.spec.lock import Lock
from tritonrepo.spec.nodes import Keys, Node
from tritonrepo.spec.part import Part
from tritonrepo.spec.wiring import wired
from tritonrepo.tree import files

ROUNDS = 20
"""More than the models that depend on one another in any pipeline."""


class Recognized(NamedTuple):
    """Models and pipelines as keys of a stack file, the models that they stand for, their lock, and files next to it.

    `why` says of a model that a build wrote why it is not declared as the part that it looks like.
    """

    models: Mapping[str, Keys]
    pipelines: Mapping[str, Keys]
    members: frozenset[str]
    lock: Lock
    why: Mapping[str, str]
    copies: Mapping[str, str]


WIRING = frozenset({"ensemble_scheduling", "input", "output"})
"""Fields of a pipeline that its chain or steps say."""

NONE = Recognized({}, {}, frozenset(), Lock(), {}, {})


@dataclass(slots=True)
class Search:
    """The proposals of one repository that are still possible; `trusted` are the paths that are as they were built.

    `forms` are the keys of pipelines that can be tried: by chain, by steps, or neither.
    """

    found: Found
    nodes: Nodes
    work: Workspace
    trusted: frozenset[str]
    head: Mapping[str, Node]
    proposals: dict[str, tuple[Part[Any], Proposal]] = field(default_factory=dict)
    forms: dict[str, list[str]] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)

    def run(self) -> Recognized:
        """Return what is certain: try all, drop what a build would write in another way, and try again."""
        for name in self.found.models:
            self._propose(name)
        trial: Trial | None = None
        for _ in range(ROUNDS):
            try:
                trial = self._trial()
            except Stop as stop:
                self._drop_all(stop.diagnostics[0].message)
                trial = None
            if trial is None or not self._dropped(trial):
                break
        else:
            self._drop_all("")
            trial = None
        pipelines = {name: keys for name in self.forms if (keys := self._pipeline(name)) is not None}
        models = {name: self._keys(name) for name in self.proposals}
        members = frozenset({*self._owners(), *pipelines})
        return Recognized(models, pipelines, members, trial.lock if trial else Lock(), self.why, self._copies())

    def _propose(self, name: str) -> None:
        model = self.found.ours(name)
        if model is not None and (model.is_ensemble or scripted(model)):
            self.forms[name] = ["chain", "steps"] if model.is_ensemble else ["chain"]
            return
        for part in self.work.parts.values():
            proposal = part.recognize(name, self.found)
            if proposal is None:
                continue
            try:
                writable(node(proposal.keys))
            except Stop as stop:
                self.why[name] = stop.diagnostics[0].message
                continue
            changed = next((path for each in proposal.matching for path in self._changed(each)), None)
            if changed is None:
                self.proposals[name] = (part, proposal)
            else:
                self.why[name] = f"no record says that a build wrote {changed} so"

    def _changed(self, name: str) -> Iterator[str]:
        """Yield the files of a model besides its config, and of other versions, that are not recorded as they are."""
        for path in files(self.found.models[name].entries):
            top = path.partition("/")[0]
            dead = is_version(top) and int(top) != self.found.version(name)
            if path != CONFIG and not dead and f"{name}/{path}" not in self.trusted:
                yield f"{name}/{path}"

    def _owners(self) -> dict[str, tuple[str, str]]:
        """Return the models of the proposed parts: each with the name in the stack file, and its ending."""
        parts = {name: part for name, (part, _) in self.proposals.items()}
        return {name + ending: (name, ending) for name, part in parts.items() for ending in ("", *part.endings)}

    def _trial(self) -> Trial | None:
        pipelines = {name: keys for name in self.forms if (keys := self._pipeline(name)) is not None}
        if not self.proposals and not pipelines:
            return None
        models: dict[str, Node] = {name: self._keys(name) for name in self.proposals}
        for name in self._called(pipelines):
            models[name] = self.nodes.model(self.found.models[name])
        whole = mapping({**self.head, "models": mapping(models), "ensembles": mapping(dict(pipelines))})
        stack = spec.of_node(whole, self.work.parts)
        reading = Reading(stack, Lock(), self.work.cache, links=self.work.links)
        reading.copies = self._copies()
        reading.tree, reading.base = next(iter(self.found.models.values())).beside, self.found.base
        return tried(stack, reading, self.found)

    def _copies(self) -> dict[str, str]:
        """Return the files that have to be next to the stack file, each with its path in the repository."""
        return {path: inner for _, proposal in self.proposals.values() for path, inner in proposal.files.items()}

    def _called(self, pipelines: Mapping[str, Keys]) -> Iterator[str]:
        """Yield the models that pipelines call and that are not of a part."""
        owners = self._owners()
        for name in pipelines:
            for step in self.found.steps(name):
                if step["model_name"] not in owners:
                    yield step["model_name"]

    def _dropped(self, trial: Trial) -> bool:
        """Drop what a build would write in another way, or lay the difference over it; return whether there was any."""
        changed = False
        for name, (owner, ending) in self._owners().items():
            if owner in self.proposals and (wrong := self._wrong(name, f"{ending}_config".strip("_"), owner, trial)):
                changed = True
                if wrong != name:
                    self._drop(owner, wrong)
        if changed:  # pipelines depend on them
            return True
        for name in [name for name in self.forms if self._pipeline(name) is not None]:
            if wrong := self._wrong(name, "config", name, trial):
                changed = True
                if wrong != name:
                    self.forms[name].pop(0)
                    self.own.pop(name, None)
        return changed

    def _wrong(self, name: str, key: str, owner: str, trial: Trial) -> str:
        """Return why a build would write a model in another way, the model's name if that can be laid over, or ""."""
        if owner in trial.wrong:
            return trial.wrong[owner]
        model = self.found.models[name]
        if f"{name}/{CONFIG}" not in trial.draft.tree:
            return "a model that it calls is not known"
        if path := different(model, trial.draft):
            return f"a build would not write {name}/{path} so"
        made, have = configs(model, trial.draft)
        return "" if made == have else self._laid_over(name, key, owner, overlay(made, have))

    def _laid_over(self, name: str, key: str, owner: str, fields: dict[str, Any]) -> str:
        wired_anew = name in self.forms and not fields.keys().isdisjoint(WIRING)
        if f"{name}/{CONFIG}" in self.trusted and not wired_anew and key not in self.own.get(owner, {}):
            self.own.setdefault(owner, {})[key] = fields
            return name
        return f"a build would not write {name}/config.pbtxt so"

    def _drop(self, name: str, why: str) -> None:
        """Drop a part, and those that need it."""
        self.proposals.pop(name)
        self.own.pop(name, None)
        self.why[name] = why
        for other in [other for other, (_, each) in self.proposals.items() if name in each.needs]:
            if other in self.proposals:
                self._drop(other, f"{name} is not declared as a part")

    def _drop_all(self, why: str) -> None:
        for name in [*self.proposals]:
            if name in self.proposals:
                self._drop(name, why)
        self.forms.clear()

    def _keys(self, name: str) -> Keys:
        """Return the keys of a part, with its comments."""
        part, proposal = self.proposals[name]
        keys = {"role": part.role, **proposal.keys, **self.own.get(name, {})}
        made = node(keys)
        assert isinstance(made, Keys)  # noqa: S101  a mapping
        for key, note in proposal.notes.items():
            self.nodes.say(made, key, note)
        if dead := [*self._dead(name, part)]:
            self.nodes.say(made, "role", f"versions that are not served are left out: {', '.join(dead)}")
        return made

    def _dead(self, name: str, part: Part[Any]) -> Iterator[str]:
        """Yield the version directories of a part's models that are not served."""
        for full in (name, *(name + ending for ending in part.endings)):
            others = (each for each in self.found.models[full].directories if is_version(each))
            yield from (f"{full}/{each}" for each in others if int(each) != self.found.version(full))

    def _pipeline(self, name: str) -> Keys | None:
        """Return the keys of a pipeline in the form that is to be tried; None if none is left."""
        while self.forms.get(name):
            keys = self._chain(name) if self.forms[name][0] == "chain" else self._by_steps(name)
            if keys is not None:
                owners = dict.fromkeys(self._owners().get(s["model_name"], ("", ""))[0] for s in self.found.steps(name))
                extra = {k: v for each in owners if each for k, v in self.proposals[each][1].pipeline.items()}
                made = node({**keys, **extra, **self.own.get(name, {})})
                return made if isinstance(made, Keys) else None
            self.forms[name].pop(0)
        return None

    def _chain(self, name: str) -> dict[str, Any] | None:
        """Return the pipeline as a chain; None if it cannot be one."""
        owners, called = self._owners(), [step.get("model_name", "") for step in self.found.steps(name)]
        if not self._callable(called):
            return None
        chain: list[str] = []
        while called:
            owner = owners.get(called[0], ("", ""))[0]
            steps = [owner + step.ending for step in self.proposals[owner][0].steps] if owner else called[:1]
            if called[: len(steps)] != steps:
                return None
            chain.append(owner or called[0])
            called = called[len(steps) :]
        usual = self._usual(chain)
        outputs = self._outputs(name)
        if usual is None:
            return None
        if self.found.models[name].is_ensemble:
            return {"chain": chain} | ({"outputs": outputs} if outputs != usual else {})
        form = {} if forms.SOURCES.name in outputs else {"form": forms.BLS}
        return {"chain": chain, "outputs": [each for each in outputs if each not in TOLD]} | form

    def _usual(self, chain: Sequence[str]) -> list[str] | None:
        """Return the outputs of a chain that lists none; None if its parts cannot be joined."""
        if chain[1:] and all(each in self.proposals for each in chain):
            pipeline = wired([(each, self.proposals[each][0]) for each in chain])
            return None if pipeline.gaps else [port.name for port in pipeline.outputs]
        if not chain[1:] or chain[-1] in self.proposals:
            return [port.name for port in self.proposals[chain[-1]][0].gives] if chain[1:] else None
        return sorted(self._outputs(chain[-1]))

    def _callable(self, called: Sequence[str]) -> bool:
        """Return whether a pipeline of a stack can call these models."""
        models = [self.found.models.get(name) for name in called]
        if any(model is None or model.is_ensemble for model in models):
            return False
        own = set(called) - self._owners().keys()
        contents = (file for name in own for file in files(self.found.models[name].entries).values())
        return not self.found.remote or all(file.known_sha256 is not None for file in contents)  # none is downloaded

    def _by_steps(self, name: str) -> dict[str, Any] | None:
        """Return the pipeline as steps; None if one calls a version that a stack file cannot name."""
        steps = self.found.steps(name)
        if not self._callable([step.get("model_name", "") for step in steps]):
            return None
        made = [dict(self._step(step)) for step in steps if step.get("model_version", 0) > 0]
        if len(made) != len(steps):
            return None
        read = {tensor for step in made for tensor in step["inputs"].values()}
        written = [tensor for step in made for tensor in step["outputs"].values()]
        usual, outputs = [tensor for tensor in written if tensor not in read], self._outputs(name)
        return {"steps": made} | ({"outputs": outputs} if outputs != usual else {})

    def _step(self, step: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        called = self.found.models.get(step["model_name"])
        newest = max(called.versions.found, default=0) if called is not None else 0
        usual = self.found.version(step["model_name"]) if step["model_name"] in self._owners() else newest
        yield "model", step["model_name"]
        if step["model_version"] != usual:
            yield "version", step["model_version"]
        yield "inputs", step.get("input_map", {})
        yield "outputs", step.get("output_map", {})

    def _outputs(self, name: str) -> list[str]:
        return [each.get("name", "") for each in to_plain(self.found.models[name].config).get("output", [])]
