"""The pipeline of `bench check`: files → claims → with the facts that options state → judgements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from tritonrepo.bench.claim import Claim, Judgement, State
from tritonrepo.bench.judging import cells_of, judge
from tritonrepo.bench.tables import LARGEST, read
from tritonrepo.bench.tables.building import still_unstated
from tritonrepo.diagnostics import Diagnostic, Faults, Severity
from tritonrepo.flows.named import content


class Facts(NamedTuple):
    """What options state of all runs, in the units of a claim; it counts where a table does not say it."""

    concurrency: float | None = None
    max_num_seqs: int | None = None
    replicas: int | None = None
    weights_bytes: float | None = None
    bandwidth: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    tokens_per_step: float | None = None
    kv_tokens: float | None = None
    memory_utilization: float | None = None


class Judged(NamedTuple):
    """A claim and what each check says of it."""

    claim: Claim
    judgements: tuple[Judgement, ...]

    @property
    def possible(self) -> bool:
        """Whether no check found that it cannot be true."""
        return all(judgement.state is not State.BROKEN for judgement in self.judgements)


def check(files: Iterable[tuple[str, bytes | None]], facts: Facts = Facts()) -> tuple[Judged, ...]:  # noqa: B008  a constant
    """Return the claims of files in their order, each judged; raise Stop for all files that cannot be used.

    A file whose content is None is read from its path.
    """
    faults = Faults()
    nothing: tuple[Claim, ...] = ()
    claims = [faults.tried(partial(_read, *file), nothing) for file in files]
    faults.stop()
    stated = [_with(claim, facts) for of_file in claims for claim in of_file]
    return tuple(Judged(claim, judge(claim)) for claim in stated)


def _read(path: str, given: bytes | None) -> tuple[Claim, ...]:
    if given is None:
        given = content(path, "bench-table", "Use a file with a table of figures.", LARGEST)
    return read(path, given)


def _with(claim: Claim, facts: Facts) -> Claim:
    absent = {name: value for name, value in facts._asdict().items() if getattr(claim, name) is None}
    stated = replace(claim, **absent)
    return replace(stated, unstated=still_unstated(stated))


def found(judged: Iterable[Judged]) -> Iterator[Diagnostic]:
    """Yield what cannot be true, and what was not understood, each as a diagnostic at its cell."""
    seen = set()
    for each in judged:
        for at, text in each.claim.remarks:
            if (at, text) not in seen:
                seen.add((at, text))
                yield Diagnostic("bench-cell", Severity.WARNING, at, text)
        for judgement in each.judgements:
            if judgement.state is State.BROKEN:
                message = f"{each.claim.name}: {judgement.left}, but {judgement.right}: {judgement.says}"
                hint = f"For it to be true: {judgement.instead}."
                yield Diagnostic("bench-implausible", Severity.ERROR, cells_of(each.claim, judgement), message, hint)
