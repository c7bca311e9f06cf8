"""The conditions of results: what must be told with a figure, since nobody can repeat it without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tritonrepo.bench.figures import Figures
from tritonrepo.bench.load import Load
from tritonrepo.bench.record import Source
from tritonrepo.bench.result import Machine, Prompts, Result
from tritonrepo.diagnostics import counted
from tritonrepo.plain import inline
from tritonrepo.report.bench.shown import NONE, at, lag, names, number, percent, slo

NOT_STATED = "not stated"
COUNTED = {
    Source.SERVER: "by the server",
    Source.TOKENIZER: "by the tokenizer of the client",
    Source.NOBODY: "by nobody, so nothing per token is known",
}


def conditions(results: Sequence[Result]) -> Iterator[tuple[str, str]]:
    """Yield the conditions of the results: a name and its text; one that is not the same for all, with each target."""
    found: Mapping[str, list[str]] = {
        "date": [_between([inline(result.began) for result in results])] * len(results),
        "tool": [inline(result.tool) for result in results],
        "targets": [server(result) for result in results],
        "load": [loads([result.load for result in results])] * len(results),
        "prompts": [prompts(result.prompts) for result in results],
        "prefix reuse": [_range([_reuse(result) for result in results], percent)] * len(results),
        "tokens": _tokens(results),
        "answered": [_answered(results)] * len(results),
        "SLO": [slo(result.figures.goodput.slo) if result.figures.goodput else "" for result in results],
        "server hardware": [hardware(result) for result in results],
        "client": [client(result.machine) for result in results],
        "load average of the client": [_range([result.machine.load for result in results], number)] * len(results),
        "lag of the client": [_lags(results)] * len(results),
    }
    for name, texts in found.items():
        different = list(dict.fromkeys(filter(None, texts)))
        if len(different) > 1 and name != "targets":
            told = zip(names(results), texts, strict=True)
            different = [f"{each}: {text or NONE}" for each, text in told]
        if different:
            yield name, "; ".join(different)


def _between(dates: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys([min(dates), max(dates)])) if dates else ""


def _answered(results: Sequence[Result]) -> str:
    answered, sent = (sum(getattr(result.figures, name) for result in results) for name in ("succeeded", "sent"))
    return f"{answered:,} of {sent:,} requests"


def _reuse(result: Result) -> float | None:
    """Return what a prefix cache can answer; None of a model that generates nothing and has no such cache."""
    return result.prompts.reuse if result.generates else None


def loads(found: Sequence[Load]) -> str:
    """Return the loads of several results with all that it takes to repeat them; what differs is named each time."""
    parts: Sequence[Callable[[Load], str]] = (
        lambda load: str(load.shape),
        at,
        _long,
        _warm_up,
        lambda load: counted(load.repeats, "repeat"),
        lambda load: f"seed {load.seed}",
    )
    told = [list(dict.fromkeys(text for load in found if (text := part(load)))) for part in parts]
    names = ("", "", "", "warm-up: ", "", "")
    return ", ".join(f"{name}{' / '.join(each)}" for name, each in zip(names, told, strict=True) if each)


def _long(load: Load) -> str:
    requests = [counted(load.requests, "request")] if load.requests is not None else []
    return " or ".join([*requests, *([f"{number(load.duration_s)} s"] if load.duration_s is not None else [])])


def _warm_up(load: Load) -> str:
    told = [counted(load.warmup, "request")] if load.warmup else []
    told += [f"{number(load.warmup_s)} s"] if load.warmup_s is not None else []
    told += ["until latency is stable"] if load.until_stable else []
    return " or ".join(told) or "none"


def _range(values: Sequence[float | None], said: Callable[[float], str]) -> str:
    """Return the values that are known, as a range where they are not all the same."""
    known = [value for value in values if value is not None]
    ends = dict.fromkeys([said(min(known)), said(max(known))] if known else [])
    return " to ".join(ends)


def _lags(results: Sequence[Result]) -> str:
    if len(results) == 1:
        return lag(results[0].figures)
    found = [result.figures.lag_ms for result in results if result.figures.lag_ms]
    middle = _range([each.p50 for each in found], number)
    last = _range([each.most for each in found], number)
    return f"p50 {middle} ms, largest {last} ms" if found else ""


def prompts(sent: Prompts) -> str:
    """Return what was sent."""
    answers = f"{'' if sent.exact else 'at most '}{sent.max_tokens or 0:,} tokens each"
    parts = [
        f"{counted(sent.different, 'different prompt')} ({inline(sent.source) or NOT_STATED})",
        f"answers of {answers}" if sent.max_tokens is not None else "",
    ]
    return ", ".join(filter(None, parts))


def client(machine: Machine) -> str:
    """Return the machine that the load came from."""
    parts = [counted(machine.cores, "core"), machine.cpu, machine.system, machine.python and f"Python {machine.python}"]
    return ", ".join(map(inline, filter(None, parts)))


def server(result: Result) -> str:
    """Return the target with what it says it is."""
    says = f"{result.observed.server} {result.observed.version}".strip() or "version unknown"
    return f"{inline(result.target)}: model {inline(result.model)} over {inline(result.protocol)}, {inline(says)}"


def hardware(result: Result) -> str:
    """Return what was said of the server's hardware."""
    said = result.hardware
    parts = [
        inline(said.gpus),
        f"{number(said.weights_bytes / 1e9)} GB of weights" if said.weights_bytes else "",
        f"{number(said.bandwidth / 1e9)} GB/s of memory" if said.bandwidth else "",
        f"max_num_seqs {said.max_num_seqs}" if said.max_num_seqs else "",
        counted(said.replicas, "replica") if said.replicas else "",
    ]
    return ", ".join(filter(None, parts)) or NOT_STATED


def _tokens(results: Sequence[Result]) -> list[str]:
    """Return who counted tokens, and how many a request has on average: as a range, if one counted for all results."""
    if len({result.figures.tokens_from for result in results}) == 1:
        return [tokens(*(result.figures for result in results))] * len(results)
    return [tokens(result.figures) for result in results]


def tokens(*figures: Figures) -> str:
    """Return who counted tokens of figures, the same for all, and how many a request has on average."""
    source = figures[0].tokens_from
    by = COUNTED[Source(source)] if source in set(Source) else inline(source)
    means = [
        f"{said} {name} on average"
        for name, found in (
            ("in", [each.input_tokens for each in figures]),
            ("out", [e.output_tokens for e in figures]),
        )
        if (said := _range([each.mean if each else None for each in found], number))
    ]
    return ", ".join([f"counted {by}", *means])
