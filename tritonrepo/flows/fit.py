"""The pipeline of `fit`: the memory that the models of a stack or a repository need on their GPUs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, fatal
from tritonrepo.flows.stack import reading
from tritonrepo.flows.validate import Aim, declared, examine
from tritonrepo.flows.workspace import Workspace
from tritonrepo.llm.advice import options
from tritonrepo.llm.fitting import Fit, Fitted, Loaded
from tritonrepo.llm.gpus import Range, reported
from tritonrepo.repository import Model, Repository, Said, Target
from tritonrepo.rules import Rule
from tritonrepo.rules.backends import memory
from tritonrepo.rules.backends.engines import Engine, Load, engines, loads


@reading()
def fit(path: Path | str, work: Workspace, aim: Aim = declared) -> Fit:
    """Return the memory of the GPUs of a stack, or of the repository of a directory or URI.

    Raise Stop if the path cannot be read, or if nobody says how much memory a GPU has.
    """
    path = str(path)

    def aimed(record: Said, stack: Said) -> Target:
        found = aim(record, stack)
        if found.gpu_memory is None:
            message = "the memory of the GPUs is not known"
            hint = "Add `--gpu-memory 80GiB`, or a GPU such as `--gpu A100-80GB`, or set either in a stack's target."
            raise fatal("fit-gpu-memory", path, message, hint)
        return found

    judged, found = examine(path, work, aimed, _on_memory)
    return _fit(found, judged.diagnostics)


def _on_memory(rule: Rule) -> bool:
    return rule.check.__module__ == memory.__name__ and rule.severity is not Severity.INFO


def _fit(found: Repository, said: Sequence[Diagnostic]) -> Fit:
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
