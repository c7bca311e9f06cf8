"""The bench results that a plan follows from: read, of one target, plausible, and of what the stack declares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tritonrepo.bench.claim import State
from tritonrepo.bench.judging import judge, of_result
from tritonrepo.bench.rates import LEAST_PER_S
from tritonrepo.bench.result import Result
from tritonrepo.bench.saved import as_data, results
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, counted, fatal, some
from tritonrepo.flows.deployed import Source
from tritonrepo.flows.generating import Chosen
from tritonrepo.flows.named import text
from tritonrepo.llm.gpus import Gpu, gpu, reported
from tritonrepo.plain import inline

RESULT = "plan-result"
BROKEN = "plan-result-broken"
MISMATCH = "plan-mismatch"
ACCEPTED = "plan-mismatch-accepted"
SHOWN = 5
LARGEST = 1e15
AGAIN = "Measure again."
UNLIKE = 1.25
"""Answers of one load that are so many times as long as those of another are not of one sweep."""

COUNTED = re.compile(r"\s*(?:([0-9]{1,4})\s*[x×*]\s*)?(.{1,99}?)(?:\s*[x×*]\s*([0-9]{1,4}))?\s*")
"""GPUs as people write them: `A100-80GB`, `2 x A100-80GB`, `A100-80GB x2`."""


class Measured(NamedTuple):
    """A result, and the place of its file and its number in it."""

    result: Result
    path: str
    number: int

    @property
    def said(self) -> str:
        """How messages name it."""
        return f"result {self.number}, {inline(self.result.target)},"


def read(paths: Sequence[Path], target: str) -> tuple[Measured, ...]:
    """Return the results of one target in files of `bench`; raise Stop if they cannot be read or used."""
    found = [each for path in paths for each in _in_file(path)]
    if not found and paths:
        raise fatal(RESULT, str(paths[0]), "the file has no results", "Use a file that `--output` has written.")
    kept = [each for each in found if target in {"", each.result.target}]
    targets = [*dict.fromkeys(each.result.target for each in found)]
    if found and not kept:
        raise fatal(RESULT, str(paths[0]), f'no result has the target "{inline(target)}"', _choose(targets))
    if len({(each.result.target, each.result.protocol, each.result.model) for each in kept}) > 1:
        several = [*dict.fromkeys(each.result.target for each in kept)]
        message = f"the results are of {len(several)} targets, and a plan is made from one"
        raise fatal(RESULT, str(paths[0]), message, _choose(several))
    plausible(kept)
    return tuple(kept)


def _choose(targets: Sequence[str]) -> str:
    return f"Choose one with --target: {some([inline(each) for each in targets], SHOWN)}."


def _in_file(path: Path) -> Iterator[Measured]:
    content = text(path, "bench-result", "Use a file that `tritonrepo bench` has written.")
    for number, result in enumerate(results(content, str(path)), 1):
        yield Measured(result, str(path), number)


def plausible(found: Iterable[Measured]) -> None:
    """Raise Stop if figures cannot be true: by their own judgements, or since they are not numbers at all."""
    wrong = [
        Diagnostic(BROKEN, Severity.FATAL, Span(each.path), message, hint)
        for each in found
        for message, hint in _wrong(each)
    ]
    if wrong:
        more = len(wrong) - SHOWN
        shown = wrong[:SHOWN]
        if more > 0:
            message = f"{counted(more, 'more fault')} of this kind"
            shown.append(Diagnostic(BROKEN, Severity.FATAL, shown[0].at, message, AGAIN))
        raise Stop(shown)


def _wrong(each: Measured) -> Iterator[tuple[str, str]]:
    result = each.result
    parts = {"figures": result.figures, "load": replace(result.load, seed=0), "hardware": result.hardware}
    parts |= {"repeats": result.repeats, "steps": result.observed.steps}
    unreal = [fault for part, value in parts.items() for fault in _unreal(as_data(value), part)]
    for name in unreal[:SHOWN]:
        yield f"{each.said} has {name}, which must be a number from 0 to {LARGEST:.0e}", AGAIN
    if not unreal:
        yield from ((f"{each.said} has {fault}", AGAIN) for fault in _contradictory(result))
        yield from _broken(each)


def _broken(each: Measured) -> Iterator[tuple[str, str]]:
    """Yield what judgements say that are broken: those of the file, and those of its figures as they are now."""
    judged = judge(of_result(each.result, Span(each.path)))
    broken = {one.check: one for one in (*each.result.judgements, *judged) if one.state is State.BROKEN}
    for one in broken.values():
        message = f"{each.said} cannot be true: {inline(one.says)}: {inline(one.left)}, but {inline(one.right)}"
        yield message, f"It would be if this were true: {inline(one.instead)}." if one.instead else AGAIN


def _contradictory(result: Result) -> Iterator[str]:
    """Yield numbers that cannot be true together, and rates that cannot be divided by."""
    figures, rate = result.figures, result.load.rate
    if rate is not None and rate < LEAST_PER_S:
        yield f"a load of {rate:g} requests per second, which is not a rate"
    if figures.requests_per_s < LEAST_PER_S and figures.succeeded:
        yield f"requests that succeeded, but {figures.requests_per_s:g} of them per second"
    if figures.succeeded > figures.sent:
        yield f"{figures.succeeded:,} requests that succeeded, but only {figures.sent:,} that were sent"
    good = figures.goodput
    if good is not None and (good.share > 1 or good.good > figures.succeeded):
        yield f"{good.good:,} good requests, a share of {good.share:g}, of {figures.succeeded:,} that succeeded"


def _unreal(data: Any, name: str) -> Iterator[str]:  # noqa: ANN401  JSON data
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _unreal(value, f"{name}.{key}")
    elif isinstance(data, list):
        for value in data:
            yield from _unreal(value, name)
    elif isinstance(data, int | float) and not 0 <= data <= LARGEST:
        yield f"{name} {data:.6g}" if isinstance(data, float) else f"{name} {str(data)[:20]}"


def hardware(found: Measured) -> tuple[Gpu | None, int | None]:
    """Return the GPUs that a result says it was measured on, and how many; None for what it does not say."""
    match = COUNTED.fullmatch(found.result.hardware.gpus)
    if match is None:
        return None, None
    number = match[1] or match[3]
    return gpu(match[2]), int(number) if number else None


def unlike(found: Measured, source: Source, generators: Sequence[Chosen], gpus: int) -> Iterator[str]:
    """Yield in what a result differs from what the stack declares: the model, the GPUs, max_num_seqs."""
    result = found.result
    served = {*source.found.models, *(each.one.served for each in generators)}
    if result.model and result.model not in served:
        yield f'the model is "{inline(result.model)}", but the stack has {some(sorted(map(inline, served)), SHOWN)}'
    known, number = hardware(found)
    target = source.target
    elsewhere = any(each.one.url for each in generators)
    if known is not None and target.gpu is not None and known.name != target.gpu.name:
        yield f"the GPU is {known.name}, but the stack's target has {target.gpu.name}"
    elif known is not None and target.gpu is None and target.gpu_memory is not None:
        same = reported(target.gpu_memory)[1].split(", ")
        if same != [""] and known.name not in same:
            yield f"the GPU is {known.name}, but the stack's target has the memory of {' or '.join(same)}"
    if number is not None and number != gpus and not elsewhere:
        yield f"a replica has {counted(number, 'GPU')}, but {gpus} in the stack"
    asked = {each.one.sequences for each in generators}
    said = result.hardware.max_num_seqs
    if said is not None and len(generators) == 1 and None not in asked and said not in asked:
        yield f"max_num_seqs is {said}, but the stack sets {generators[0].one.sequences}"


def alike(found: Sequence[Measured], source: Source, generators: Sequence[Chosen], gpus: int) -> tuple[str, ...]:
    """Return the differences of all results to the stack, each once, with the first result that has it."""
    said = dict[str, Measured]()
    for each in found:
        for difference in unlike(each, source, generators, gpus):
            said.setdefault(difference, each)
    return (*_apart(found), *(f"{each.said} is of something else: {text}" for text, each in said.items()))


def _apart(found: Sequence[Measured]) -> Iterator[str]:
    """Yield that results are not of one sweep."""
    for name in ("gpus", "max_num_seqs"):
        said = dict.fromkeys(str(getattr(each.result.hardware, name) or "") for each in found)
        if len(values := [inline(each) for each in said if each]) > 1:
            yield f"the results are not of one server: {name} is {some(values, SHOWN)}"
    lengths = [each.result.figures.output_tokens for each in found]
    means = [each.mean for each in lengths if each is not None]
    if means and max(means) > UNLIKE * min(means):
        yield f"the results are not of one sweep: mean answers have {min(means):,.0f} to {max(means):,.0f} tokens"


def refused(path: str, differences: Sequence[str]) -> Stop:
    """Return the Stop for results of something else than the stack declares."""
    hint = "Measure what the stack declares, or add --accept-mismatch to plan with the results all the same."
    return Stop(Diagnostic(MISMATCH, Severity.FATAL, Span(path), each, hint) for each in differences)
