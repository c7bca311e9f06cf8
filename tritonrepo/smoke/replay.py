"""Replaying a plan: the recorded requests, each response compared with the recorded one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Judge, Reply, Result, found
from tritonrepo.smoke.drift import differences_of
from tritonrepo.smoke.judge import both, excerpt, joined, text, well_formed
from tritonrepo.smoke.nearness import TOLERANCE, far
from tritonrepo.smoke.recorded import Expect, Output, Plan, Recorded, Sent
from tritonrepo.smoke.served import Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

AGAIN = "Compare the server's models with those that the plan was recorded from, or record it again."


def versions(plan: Plan, served: Sequence[Served], only: frozenset[str]) -> Iterator[Result]:
    """Yield whether each recorded version is served, and with the same config."""
    there = {(one.name, one.version): one for one in served}
    for (name, version), config in plan.models.items():
        if only and name not in only:
            continue
        one = there.get((name, version))
        if one is None:
            others = ", ".join(sorted((v for n, v in there if n == name), key=int))
            now = f"the server serves version {others}" if others else "the server does not serve this model"
            flaw = Flaw(f"{name}: the plan was recorded from version {version}, but {now}", AGAIN)
            yield _result(Check.VERSIONS, name, version, flaw, plan.at)
            continue
        yield Result(name, version, Check.VERSIONS)
        changed = [f"{name}: {change}" for change in differences_of(config, one.config)]
        diagnostics = tuple(
            found(Check.CONFIG, Severity.ERROR, one.at, Flaw(message, AGAIN), name) for message in changed
        )
        yield Result(name, version, Check.CONFIG, diagnostics=diagnostics)


def _result(check: Check, model: str, version: str, flaw: Flaw, at: str) -> Result:
    diagnostic = found(check, Severity.ERROR, Span(at), flaw, model)
    return Result(model, version, check, diagnostics=(diagnostic,))


def cases(
    plan: Plan, served: Sequence[Served], only: frozenset[str], tolerance: float = TOLERANCE
) -> Iterator[Case | Crowd | Result]:
    """Yield the recorded cases of the versions that are served, model by model; a Result for what was not kept."""
    there = {(one.name, one.version): one for one in served}
    for model, version, check, reason in plan.left_out:
        if not only or model in only:
            yield Result(model, version, check, unchecked=f"the plan lacks a case: {reason}")
    for each in plan.cases:
        request = each.sent[0].request
        if (one := there.get((request.model, request.version))) is not None:
            made = tuple(_case(each, sent, one, tolerance) for sent in each.sent)
            yield Crowd(made, each.batched) if each.at_once else made[0]


def _case(recorded: Recorded, sent: Sent, served: Served, tolerance: float) -> Case:
    inputs = sent.request.inputs
    rows = inputs[0].values.shape[0] if served.max_batch_size and inputs and inputs[0].values.shape else 1
    judge = both(
        well_formed(served, rows, whole=False, strict=False),
        matches(sent.expect, tolerance, streamed=recorded.streamed),
    )
    return Case(
        recorded.check,
        sent.request,
        judge,
        served.at,
        recorded.what,
        recorded.protocols,
        recorded.streamed,
        recorded.compared,
    )


def matches(expect: Expect, tolerance: float, *, streamed: bool = False) -> Judge:
    """Return the judge of what was recorded."""

    def judge(reply: Reply) -> Iterator[Flaw]:
        flaws = [*_flaws(expect, reply, tolerance, streamed=streamed)]
        if not expect.wrong:
            yield from flaws
        elif flaws:
            message = f"it was wrong when the plan was recorded ({expect.wrong}), and is another one now"
            yield Flaw(message, "Record the plan again from a server whose responses are right.")
        else:
            yield Flaw(f"{expect.wrong} (as when the plan was recorded)")

    return judge


def _flaws(expect: Expect, reply: Reply, tolerance: float, *, streamed: bool) -> Iterator[Flaw]:
    values = joined(reply)
    if expect.responses is not None and streamed and len(reply.responses) != expect.responses:
        message = f"the stream has {len(reply.responses)} responses, but had {expect.responses} when it was recorded"
        yield Flaw(message, AGAIN)
    wanted = {output.name: output for output in expect.outputs}
    for name in sorted(wanted.keys() - values.keys()):
        yield Flaw(f"output {name} is missing, but was there when it was recorded", AGAIN)
    for name in sorted(values.keys() - wanted.keys()):
        yield Flaw(f"output {name} was not there when it was recorded", AGAIN)
    for name in sorted(values.keys() & wanted.keys()):
        tensor = next(response[name] for response in reply.responses if name in response)
        if (message := _unlike(wanted[name], tensor.datatype, tensor.values.shape)) and not reply.flat:
            yield Flaw(f"output {name} {message}", AGAIN)
        else:
            yield from _values(wanted[name], values[name], tolerance)
    if expect.contains:
        said = "".join(text(value) for array in values.values() for value in array.tolist())
        if expect.contains not in said:
            yield Flaw(f"the answer no longer contains {expect.contains!r}", AGAIN, expect.contains)


def _unlike(wanted: Output, datatype: str, shape: tuple[int, ...]) -> str:
    if datatype != wanted.datatype:
        return f"is {datatype}, but was {wanted.datatype} when it was recorded"
    if wanted.shape is not None and shape != wanted.shape:
        return f"has shape {list(shape)}, but had {list(wanted.shape)} when it was recorded"
    return ""


def _values(wanted: Output, values: NDArray[Any], tolerance: float) -> Iterator[Flaw]:
    if wanted.values is None:
        if not wanted.empty and not any(text(value) for value in values.tolist()):
            yield Flaw(f"output {wanted.name} is empty, but was not when it was recorded", AGAIN)
        return
    if values.size != wanted.size:
        yield Flaw(f"output {wanted.name} has {values.size} values, but had {wanted.size} when it was recorded", AGAIN)
        return
    recorded, kept = wanted.values.values, values[:: wanted.every]
    wrong = far(kept, recorded, tolerance)
    if wrong.any():
        first = int(wrong.argmax())
        one, other = excerpt(kept[first : first + 1]), excerpt(recorded[first : first + 1])
        count = f"{int(wrong.sum())} of {wrong.size} values"
        message = f"output {wanted.name} differs from the recorded one: {count}, "
        message += f"first {one} at index {first * wanted.every}, recorded {other}"
        yield Flaw(message, AGAIN, f"{wanted.name} {excerpt(recorded)}")
