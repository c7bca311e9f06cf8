"""What the commands that send a load have in common: their options, and what is made of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli import bench_judging, bench_loading, bench_prompting, bench_writing
from tritonrepo.cli.connecting import Reach, connecting
from tritonrepo.cli.interrupts import ended_by
from tritonrepo.cli.output import say
from tritonrepo.cli.stack import workspace
from tritonrepo.cli.values import WAIT, allow_links, metrics_address
from tritonrepo.diagnostics import counted

if TYPE_CHECKING:
    from tritonrepo.bench.load import Load
    from tritonrepo.bench.target import Target
    from tritonrepo.diagnostics import Diagnostic
    from tritonrepo.flows.bench import Benched, BenchOptions
    from tritonrepo.report.bench.against_load import Mark

FORMS = ("text", "json", "markdown")

OWN: tuple[Callable[[Callable[..., int]], Callable[..., int]], ...] = (
    click.option("--model", metavar="NAME", help="Model of the targets that name none.  [default: the only one]"),
    click.option("--timeout", type=WAIT, default=120.0, metavar="SECONDS", help="Maximum wait for each whole answer."),
    metrics_address,
    connecting,
    allow_links,
    click.option("-v", "--verbose", is_flag=True, help="Also list the checks that hold, and the server's steps."),
    click.option("--format", "form", type=click.Choice(FORMS), default="text", help="Output format."),
)


def benching(*more: Callable[..., Any]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return what adds the options, after others; the command receives all of them as a mapping, `given`."""
    everything: list[Callable[..., Any]] = [
        *bench_loading.LENGTHS,
        *bench_prompting.OPTIONS,
        *bench_judging.OPTIONS,
        *OWN,
        *bench_writing.OPTIONS,
    ]

    def add(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def with_given(*args: Any, **given: Any) -> int:  # noqa: ANN401  click's
            from tritonrepo.bench.ending import Ending  # imported here to keep `--help` quick

            place, ending = given.pop("targets", None) or given.pop("target"), Ending()
            with ended_by(ending.end):
                return command(place, *args, given={**given, "ending": ending})

        for option in reversed([*more, *everything]):
            with_given = option(with_given)
        return with_given

    return add


def options_of(given: Mapping[str, Any], load: Load) -> BenchOptions:
    """Return the options of a flow; raise a usage error or Stop for what cannot be used."""
    from tritonrepo.flows.bench import BenchOptions
    from tritonrepo.flows.bench_prompts import counter, sources  # imported here to keep `--help` quick

    bench_writing.checked(given)
    prompts, sampling = bench_prompting.prompts_of(given), bench_prompting.sampling_of(given)
    hardware = bench_judging.hardware_of(given)
    count = None if given["tokenizer"] is None else counter(given["tokenizer"])
    return BenchOptions(
        load=load,
        sampling=sampling,
        source=sources(prompts, workspace(given["links"]), count),
        timeout_s=given["timeout"],
        slo=given["slo"],
        metrics=given["metrics"],
        hardware=hardware,
        count=count,
        ending=given["ending"],
    )


def targets_of(given: Mapping[str, Any], texts: Sequence[str]) -> tuple[Target, ...]:
    """Return the targets; raise Stop for a text that is none."""
    from tritonrepo.bench.targets import targets

    reach: Reach = given["reach"]
    timeout_s = given["timeout"]
    return targets(texts, model=given["model"], endpoint=lambda url: reach.endpoint(url, timeout_s, timeout_s))


def printed(form: str, done: Sequence[Benched], found: Sequence[Diagnostic]) -> str:
    """Return the document of a command whose `--format` is not text."""
    from tritonrepo.report.bench import data, markdown

    results = [each.result for each in _measured(done)]
    return data.document(results, found) if form == "json" else markdown.markdown(results, bench_writing.said(found))


def finished(
    given: Mapping[str, Any], done: Sequence[Benched], found: Sequence[Diagnostic], marks: Sequence[Mark] = ()
) -> None:
    """Print the results as text, and write the files that the options name.

    A load of which nothing was measured is left out, and if nothing is left, a file keeps what it has.

    `marks` are levels of a sweep that its plots mark. What was measured is shown before a file can fail.
    """
    from tritonrepo.report.bench.text import text

    done = _measured(done)
    with given["ending"].held():
        if done and given["form"] == "text":
            say(*text([each.result for each in done], verbose=given["verbose"]))
            say(*bench_writing.said(found))
        bench_writing.written(given, [each[:2] for each in done], found, marks)


@contextmanager
def cut(done: Sequence[Benched], cuts: list[BaseException]) -> Iterator[None]:
    """End the block by Ctrl-C or a signal, but not the command, which has results to show: `cuts` then has what came.

    This is for what comes between two loads. One that comes while a load runs makes it end with a result.
    """
    try:
        yield
    except KeyboardInterrupt as error:
        if not done:
            raise
        cuts.append(error)


def ended(done: Sequence[Benched], found: Sequence[Diagnostic], cuts: Sequence[BaseException] = ()) -> int:
    """Print what is wrong with the results on stderr, and return the exit code.

    KeyboardInterrupt is raised if the user ended the last run, or the command after it.
    """
    from tritonrepo.diagnostics import Severity

    for each in found:
        if each.severity is not Severity.INFO:
            say(*each.lines, err=True)
    if done and done[-1].interrupted:
        say(_interrupted(done), err=True)
        raise KeyboardInterrupt
    if cuts:
        say(f"the run was interrupted; the results are those of {counted(len(done), 'load')} before it", err=True)
        raise cuts[0]
    return int(any(each.severity is Severity.ERROR for each in found))


def _measured(done: Sequence[Benched]) -> list[Benched]:
    """Return what has something measured: a run can end in its warm-up."""
    return [each for each in done if each.result.figures.sent]


def _interrupted(done: Sequence[Benched]) -> str:
    """Return what the user must know of a run that Ctrl-C or a signal has ended."""
    if done[-1].result.figures.sent:
        return "the run was interrupted: the figures are those of what was answered by then"
    before = f"; the results are those of {counted(len(done) - 1, 'load')} before it" if _measured(done) else ""
    return f"the run was interrupted before anything was measured{before or ', so nothing is written'}"
