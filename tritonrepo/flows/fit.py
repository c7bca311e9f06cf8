"""The pipeline of `fit`: the memory that the models of a stack or a repository need on their GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, either, fatal
from tritonrepo.flows.paths import reading
from tritonrepo.flows.validate import Aim, declared, examine
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.advice import options
from tritonrepo.llm.fitting import Fit, Fitted, Loaded
from tritonrepo.llm.gpus import Gpu, Range, gpus, reported
from tritonrepo.repository import Model, Repository, Said, Target
from tritonrepo.rules import Rule
from tritonrepo.rules.backends import memory
from tritonrepo.rules.backends.engines import Engine, Load, engines, loads

JSON = {"vllm-model-json-missing", "vllm-model-json-syntax", "vllm-model-json-not-object"}
UNSEEN = JSON | {"stray-directory-at-repository-root", "model-files-not-in-version-directory"}
"""Rules on why an engine is not among what is measured; where a repository begins matters only if nothing is."""


@reading()
def fit(path: Path | str, work: Workspace, aim: Aim = declared) -> Fit:
    """Return the memory of the GPUs of a stack, or of the repository of a directory or URI.

    Raise Stop if the path cannot be read, or if nobody says how much memory a GPU has.
    """
    path = str(path)

    def aimed(record: Said, stack: Said) -> Target:
        found = aim(record, stack)
        if found.gpu_memory is None:
            named = "the GPUs" if found.gpu is None else f"GPU {found.gpu.name}"
            raise fatal("fit-gpu-memory", path, f"the memory of {named} is not known", _choices(found.gpu))
        return found

    judged, found = examine(path, work, aimed, lambda rule: _on_memory(rule) or rule.name in UNSEEN)
    used = {load.gpu for load in loads(found.models)}
    return of_repository(
        found, [each for each in judged.diagnostics if each.rule not in UNSEEN or not used or each.rule in JSON]
    )


def _on_memory(rule: Rule) -> bool:
    return rule.check.__module__ == memory.__name__ and rule.severity is not Severity.INFO


def _choices(named: Gpu | None) -> str:
    """Return how to say how much memory a GPU has; of several with one name, each is named."""
    several = [
        each.name for each in gpus().values() if named and each.memory and each.name.startswith(f"{named.name}-")
    ]
    if several:
        return f"Use {either([f'`--gpu {name}`' for name in several])}."
    either_way = "" if named else ", or a GPU such as `--gpu A100-80GB`"
    return f"Add `--gpu-memory 80GiB`{either_way}, or set {'it' if named else 'either'} in a stack's target."


def of_repository(found: Repository, said: Sequence[Diagnostic]) -> Fit:
    """Return the memory of the GPUs of models that are read, with what rules say of it; none is given of 0 bytes."""
    given = found.target.gpu_memory or 0
    total, sold = reported(given)
    models = found.models.values()
    return Fit(
        given,
        total,
        sold,
        _gpus(found),
        found.target.release.name,
        found.target.release.vllm,
        tuple(_fitted(each) for model in models for each in _engines(model)),
        tuple(_loaded(each, total) for each in loads(found.models)),
        said,
        len(models),
    )


def _gpus(found: Repository) -> int:
    """Return the number of GPUs: what is said, or else as many as the configs and the engines use."""
    used = (
        gpu + 1 for model in found.models.values() for engine in _engines(model) for at in engine.places for gpu in at
    )
    return found.target.gpus if found.target.gpus_said else max([found.target.gpus, *used])


def _engines(model: Model) -> Sequence[Engine]:
    return engines(model) if model.backend == "vllm" else ()


def _fitted(engine: Engine) -> Fitted:
    asked = engine.value.get("max_num_seqs")
    return Fitted(
        engine.model.name,
        f"{engine.model.name}/{engine.said.path}",
        engine.name,
        tuple(map(tuple, engine.places)),
        engine.utilization,
        engine.share,
        engine.unread,
        engine.doubts,
        asked if type(asked) is int else None,
        tuple(options(engine.facts, engine.settings, engine.total)) if engine.facts and engine.settings else (),
    )


def _loaded(load: Load, total: Range) -> Loaded:
    sized = sum(_sized(load))
    left = total.times(max(0.0, 1 - load.utilization)) if load.utilization <= 1 else total.times(load.utilization - 1)
    left = left if load.utilization <= 1 else Range(-left.high, -left.low)
    return Loaded(
        load.gpu,
        tuple(engine.model.name for engine in load.engines),
        load.utilization,
        tuple(each.model.name for each in load.others),
        load.weights,
        left.less(Range(load.weights + sized, load.weights + sized)),
    )


def _sized(load: Load) -> Iterator[float]:
    """Yield what the engines take whose cache has a size of its own, at least."""
    for engine in load.engines:
        if engine.settings is not None and engine.settings.cache is not None and (found := engine.share) is not None:
            yield found.taken.low + engine.settings.cache
