"""Results of bench as inputs of a cost: throughput at the SLO, tokens of an answer, and the rate of a replica."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from tritonrepo.bench import saved
from tritonrepo.bench.claim import Judgement, State
from tritonrepo.bench.figures import Figures
from tritonrepo.bench.judging import judge, of_result
from tritonrepo.bench.result import Result
from tritonrepo.cost.inputs import Input, Inputs, Option, Range
from tritonrepo.cost.sums import exact
from tritonrepo.diagnostics import Diagnostic, Severity, Span, closest, counted, failure, fatal
from tritonrepo.flows.named import text

RULE = "cost-bench"
OPTION = "cost-bench-option"
NOTE = "cost-measured"
DIGITS = 6
"""Digits of a measured number that count; the others are noise."""


class Measured(NamedTuple):
    """Results of a file; `option` is whose they are, "" for those that have the name of their model or target."""

    path: str
    results: tuple[Result, ...]
    option: str = ""


class _Judged(NamedTuple):
    """A result of a file, and what of it cannot be true."""

    path: str
    result: Result
    broken: tuple[Judgement, ...]

    @property
    def sides(self) -> str:
        """What does not fit together, a line each."""
        return "\n".join(f"{each.check}: {each.left}; {each.right}" for each in self.broken)


def joined(inputs: Inputs, measured: Sequence[Measured]) -> tuple[Inputs, tuple[Diagnostic, ...]]:
    """Return the inputs with what was measured in place of what was stated, and what is to be said of it.

    Raise Stop for results that no option has, that cannot be true, or that say nothing of tokens.
    """
    found: dict[str, list[_Judged]] = {}
    for each in measured:
        for name, result in _owned(inputs, each):
            found.setdefault(name, []).append(_Judged(each.path, result, _broken(result)))
    options, notes = dict(inputs.options), list[Diagnostic]()
    for name, results in found.items():
        path, result, _ = _best(results)
        options[name] = replace(options[name], inputs={**options[name].inputs, **_inputs(path, result)})
        notes += [*_notes(path, name, result), *_passed_over(results)]
    return replace(inputs, options=options), tuple(notes)


def _owned(inputs: Inputs, measured: Measured) -> Iterator[tuple[str, Result]]:
    """Yield each result of a file with the option that it is of."""
    options = inputs.options
    if measured.option and measured.option not in options:
        message, hint = f'the cost file has no option "{measured.option}"', closest(measured.option, options)
        raise fatal(OPTION, measured.path, message, hint)
    if not measured.results:
        raise fatal("bench-result", measured.path, "the file has no results", "Use a file that bench has written.")
    if measured.option:
        yield from ((measured.option, result) for result in measured.results)
        return
    found = [(name, result) for result in measured.results for name in _names(options, result)]
    if not found and len(options) == 1:
        found = [(next(iter(options)), result) for result in measured.results]
    if not found:
        names = dict.fromkeys(f'"{result.model}"' for result in measured.results)
        message = f"no option has the name of a model that was measured: {', '.join(names)}"
        raise fatal(
            OPTION, measured.path, message, "Use `--bench OPTION=FILE`, or set bench of an option to the model."
        )
    yield from found


def _names(options: Mapping[str, Option], result: Result) -> Iterator[str]:
    meant = {result.model.casefold(), result.target.casefold()}
    for name, option in options.items():
        if (option.bench or name).casefold() in meant:
            yield name


def _best(results: Sequence[_Judged]) -> _Judged:
    """Return the result with the highest throughput, of those that can be true."""
    usable = [each for each in results if not each.broken]
    if not usable:
        path, result, broken = results[0]
        message = f'the result of "{result.target}" cannot be true: {broken[0].says}'
        hint = f"{results[0].sides}\nMeasure again: a cost cannot be better than its throughput."
        raise failure(RULE, path, message, hint)
    return max(
        usable, key=lambda each: (each.result.figures.goodput is not None, _throughput(each.result.figures) or 0)
    )


def _broken(result: Result) -> tuple[Judgement, ...]:
    """Return what cannot be true: by the judgements of the file, and by those of its figures as they are now."""
    judged = (*result.judgements, *judge(of_result(result)))
    return tuple({each.check: each for each in judged if each.state is State.BROKEN}.values())


def _throughput(figures: Figures) -> float | None:
    """Return output tokens per second: of the requests that kept the SLO, else of the steady window, else of all."""
    if figures.goodput is not None:
        return figures.goodput.tokens_per_s
    steady = figures.steady_output_tokens_per_s
    return steady if steady is not None else figures.output_tokens_per_s


def _inputs(path: str, result: Result) -> dict[str, Input]:
    replicas = result.hardware.replicas or 1
    figures = result.figures
    pace = _throughput(figures)
    if pace is None or not math.isfinite(pace) or pace <= 0:
        message = f'the result of "{result.target}" gives no throughput of tokens: {_paceless(figures)}'
        raise failure(RULE, path, message, "Measure a generator, at a load that keeps the SLO and with tokens counted.")
    repeated = [found for each in result.repeats if (found := _throughput(each)) is not None and found > 0]
    values = {"tokens_per_second": _range(pace / replicas, [each / replicas for each in repeated])}
    answers, prompts = figures.output_tokens, figures.input_tokens
    if answers is not None and answers.mean > 0 and math.isfinite(answers.mean):
        values["answer_tokens"] = _range(answers.mean)
        if prompts is not None and prompts.mean >= 0 and math.isfinite(prompts.mean):
            values["input_output_ratio"] = _range(prompts.mean / answers.mean)
    if figures.goodput is not None and 0 < figures.goodput.requests_per_s < math.inf:
        values["replica_rate"] = _range(figures.goodput.requests_per_s / replicas)
    source = f"{result.tool}: {result.target}"
    return {name: Input(name, Span(path), value, _day(result.began), source) for name, value in values.items()}


def _paceless(figures: Figures) -> str:
    """Return why figures have no throughput of tokens."""
    if not figures.succeeded:
        return "no request succeeded"
    if figures.goodput is not None and not figures.goodput.good:
        return "no request kept the SLO"
    if _throughput(figures) == 0:
        return "the answers are empty"
    if figures.ttft_ms is not None:
        return "nobody counted its tokens"
    return "nobody counted its tokens, or the answers are not texts"


def _range(value: float, repeated: Sequence[float] = ()) -> Range:
    """Return a measured value; if it was measured several times, with its lowest and highest one."""
    several = [each for each in repeated if math.isfinite(each)] if len(repeated) > 1 else []
    return Range(*(_number(each) for each in (min([value, *several]), value, max([value, *several]))))


def _number(value: float) -> Fraction:
    return exact(float(f"{value:.{DIGITS}g}"))


def _day(began: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(began[:10])
    except ValueError:
        return None


def _passed_over(results: Sequence[_Judged]) -> Iterator[Diagnostic]:
    """Yield the results that cannot be true, beside those that can."""
    for each in results:
        if each.broken:
            why = f"is passed over, because it cannot be true: {each.broken[0].says}"
            message = f'a result of "{each.result.target}" {why}'
            yield Diagnostic(NOTE, Severity.WARNING, Span(each.path), message, each.sides)


def _notes(path: str, name: str, result: Result) -> Iterator[Diagnostic]:
    """Yield what makes a measured throughput doubtful."""
    figures = result.figures
    weak = {
        "its throughput is not goodput: the run had no SLO": figures.goodput is None,
        "the client was too slow for what it measured": result.client_bound,
        f"{counted(figures.sent - figures.succeeded, 'request')} of {figures.sent:,} failed": (
            figures.sent > figures.succeeded
        ),
    }
    for what, holds in weak.items():
        if holds:
            hint = "Run `tritonrepo bench` again, with --slo and at a load that the server and client can bear."
            yield Diagnostic(NOTE, Severity.WARNING, Span(path), f'the result for "{name}" is doubtful: {what}', hint)


def measured(said: str, cost_file: Path) -> Measured:
    """Return the results of `FILE` or `OPTION=FILE`; raise Stop if the file is not a result of bench.

    A path that exists is a file, even with `=` in it.
    """
    option, found, path = said.partition("=")
    if not found or Path(said).exists():
        option, path = "", said
    if not path or (found and not option and not Path(said).exists()):
        hint = f"Use `--bench OPTION=FILE` with the name of an option of {cost_file}."
        raise fatal(OPTION, said or "--bench", "the option or the file of --bench is empty", hint)
    content = text(path, "bench-result", "Use a file that bench has written.")
    return Measured(path, saved.results(content, path), option)
