"""Files that the results of a load are written to, each as a whole or not at all, after the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tritonrepo.cli.files import WRITTEN, Folder, write
from tritonrepo.cli.output import talk

if TYPE_CHECKING:
    from tritonrepo.bench.record import Record
    from tritonrepo.bench.result import Result
    from tritonrepo.diagnostics import Diagnostic
    from tritonrepo.report.bench.against_load import Mark


OPTIONS: tuple[Callable[..., Any], ...] = (
    click.option(
        "--output",
        type=WRITTEN,
        metavar="FILE",
        help="Also write the results to FILE as JSON, for `bench compare`, `cost` and `plan`.",
    ),
    click.option(
        "--records", type=WRITTEN, metavar="FILE", help="Also write each request to FILE, as a line of JSON each."
    ),
    click.option("--html", type=WRITTEN, metavar="FILE", help="Also write the results to FILE as a page with plots."),
    click.option(
        "--markdown", type=WRITTEN, metavar="FILE", help="Also write the results to FILE as a table to publish."
    ),
    click.option(
        "--aiperf",
        type=Folder(path_type=Path),
        metavar="FILE|DIR",
        help="Also write what aiperf exports, to a FILE that ends with .json, or to DIR with each request, as"
        " `aiperf plot` reads them.",
    ),
    click.option("--vllm", type=WRITTEN, metavar="FILE", help="Also write what vLLM's `bench serve` saves, to FILE."),
)
"""The options; `written` takes their values."""

NAMES = ("output", "records", "html", "markdown", "aiperf", "vllm")


def checked(given: Mapping[str, Any]) -> None:
    """Raise a usage error if two files are the same: one would replace the other."""
    places: dict[Path, str] = {}
    for name in NAMES:
        for path in _exports(given[name], 1)[0] if name == "aiperf" and given[name] else [given[name]]:
            if path is None:
                continue
            place = path.resolve()
            if place in places:
                raise click.UsageError(f"--{places[place]} and --{name} name the same file: {path}")
            places[place] = name


def written(
    given: Mapping[str, Any],
    done: Sequence[tuple[Result, Sequence[Record]]],
    found: Sequence[Diagnostic] = (),
    marks: Sequence[Mark] = (),
) -> None:
    """Write the files that the options name; none without a result. Raise Stop for those that cannot be written.

    Args:
        given: The values of the options by name.
        done: The results, each with its records.
        found: Diagnostics of the results, for the JSON.
        marks: Levels that are marked in the plots of the page.
    """
    if not done:
        return
    from tritonrepo.diagnostics import Faults  # imported here to keep `--help` quick

    faults = Faults()
    for path, text in _texts(given, done, found, marks):
        faults.tried(partial(_write, path, text), None)
    faults.stop()


def _write(path: Path, text: str) -> None:
    write(path, text)
    talk(f"written: {path}")


def _texts(
    given: Mapping[str, Any],
    done: Sequence[tuple[Result, Sequence[Record]]],
    found: Sequence[Diagnostic],
    marks: Sequence[Mark],
) -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each file."""
    from tritonrepo.report.bench import data, foreign, markdown, page, records  # imported here to keep `--help` quick

    results, every = [result for result, _ in done], [records for _, records in done]
    says = said(found)
    if given["output"] is not None:
        yield given["output"], f"{data.document(results, found)}\n"
    if given["records"] is not None:
        lines = (line for number, (result, each) in enumerate(done) for line in records.lines(result, each, number))
        yield given["records"], "".join(f"{line}\n" for line in lines)
    if given["html"] is not None:
        yield given["html"], page.page(results, every, marks=marks, says=says)
    if given["markdown"] is not None:
        yield given["markdown"], markdown.markdown(results, says)
    if given["aiperf"] is not None:
        yield from _for_aiperf(given["aiperf"], done)
    if given["vllm"] is not None:
        yield given["vllm"], "".join(f"{foreign.vllm(*each)}\n" for each in done)


def said(found: Iterable[Diagnostic]) -> list[str]:
    """Return what follows from the results, as from a sweep, and is no fault of them."""
    from tritonrepo.diagnostics import Severity

    return [each.message for each in found if each.severity is Severity.INFO]


def _for_aiperf(at: Path, done: Sequence[tuple[Result, Sequence[Record]]]) -> Iterator[tuple[Path, str]]:
    from tritonrepo.report.bench import aiperf_records, foreign  # imported here to keep `--help` quick

    for (path, beside), each in zip(_exports(at, len(done)), done, strict=True):
        yield path, foreign.aiperf(*each)
        if beside is not None:
            yield beside, "".join(f"{line}\n" for line in aiperf_records.lines(*each))


def _exports(path: Path, number: int) -> list[tuple[Path, Path | None]]:
    """Return where aiperf's document of each result goes, and its requests beside it if the path is a directory.

    In a directory, each of several results has a directory of its own, in which aiperf finds it as a run.
    """
    from tritonrepo.report.bench.aiperf_records import RECORDS  # imported here to keep `--help` quick
    from tritonrepo.report.bench.foreign import AIPERF

    if path.is_file() or (path.suffix == ".json" and not path.is_dir()):
        return [(each, None) for each in numbered(path, number)]
    runs = [path] if number == 1 else [path / str(n) for n in range(1, number + 1)]
    return [(run / AIPERF, run / RECORDS) for run in runs]


def numbered(path: Path, number: int) -> list[Path]:
    """Return a path for each of several files: the path itself for one, else with numbers before its ending."""
    if number == 1:
        return [path]
    return [path.with_name(f"{path.stem}-{n}{path.suffix}") for n in range(1, number + 1)]
