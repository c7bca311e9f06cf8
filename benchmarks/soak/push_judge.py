"""What must be true after a history of pushes, and what is not. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from benchmarks.soak.push_histories import HARMLESS, Job
from benchmarks.soak.push_load import Answer
from benchmarks.soak.push_revisions import (
    BESIDE,
    CONFIG,
    LOCK,
    PAST,
    RECORD,
    Revision,
    State,
    md5,
    recorded,
    strays,
    unsafe,
    whole,
)
from benchmarks.soak.push_wire import Sent

REFUSED = 412
MAY = ("push-live-version", "push-version-shadowed", "server-late")
"""Why an undisturbed push may exit with 1: another revision has that number, or this machine is busy."""


class Ended(NamedTuple):
    """A push that is over: what it was, from when to when, its exit code (None: killed), its output."""

    job: Job
    began: float
    ended: float
    code: int | None
    said: str


class Seen(NamedTuple):
    """Everything that a history left: the bucket before it, what was sent, the bucket after it, pushes, responses."""

    revisions: Sequence[Revision]
    before: Mapping[str, bytes]
    sent: Sequence[Sent]
    after: Mapping[str, bytes]
    pushes: Sequence[Ended]
    answers: Sequence[Answer]


class Moment(NamedTuple):
    """The bucket from a moment on: the objects of the repository, and the content of the record."""

    at: float
    state: State
    record: bytes


def moments(seen: Seen) -> list[Moment]:
    """Return the bucket before, and after each write to repository or record."""
    state = {path: md5(content) for path, content in seen.before.items() if not path.startswith(BESIDE)}
    found = [Moment(0, dict(state), seen.before.get(RECORD, b""))]
    record = found[0].record
    for sent in sorted(seen.sent):
        if not sent.written or not _counts(sent.path):
            continue
        if sent.path == RECORD:
            record = sent.body
        elif sent.method == "DELETE":
            state.pop(sent.path, None)
        else:
            state[sent.path] = sent.tag
        found.append(Moment(sent.at, dict(state), record))
    return found


def faults(seen: Seen) -> Iterator[str]:
    """Yield everything that is not as it should be."""
    yield from _codes(seen)
    final = next((revision for revision in seen.revisions if not _unlike(seen.after, revision)), None)
    if final is None:
        differ = {revision.number: _unlike(seen.after, revision) for revision in seen.revisions}
        yield f"bucket: it is no whole revision: {differ}"
    yield from _left(seen)
    history = moments(seen)
    there = {path: md5(content) for path, content in seen.after.items() if not path.startswith(BESIDE)}
    if history[-1].state != there:
        odd = {*history[-1].state.items()} ^ {*there.items()}
        yield f"soak: what was sent does not give what is there: {sorted(odd)}"
    contents = {md5(content): content for content in seen.before.values()} | {
        sent.tag: sent.body for sent in seen.sent if sent.method == "PUT"
    }
    yield from _truthful(seen, history)
    for moment in history:
        if wrong := unsafe(moment.state, contents, seen.revisions):
            yield f"unsafe: at {moment.at - seen.pushes[0].began:.2f} {wrong}"
            break
    yield from _meanwhile(seen)
    yield from _answers(seen, final)
    if final:
        yield from _strays(seen, final, there)


def _codes(seen: Seen) -> Iterator[str]:
    for number, push in enumerate(seen.pushes):
        cut = any(fault.kind.startswith(("cut", "delay")) for fault in push.job.faults)
        allowed = {0, 1, None, *([2] if cut and "PreconditionFailed" not in push.said else [])}
        if push.code not in allowed or "Traceback" in push.said:
            yield f"exit: push {number} ended with {push.code}: {push.said.strip().splitlines()[-2:]}"

        alone = all(other is push or other.ended < push.began or other.began > push.ended for other in seen.pushes)
        alone = alone and not any(one.push != number and push.began < one.at < push.ended for one in seen.sent)
        harmless = all(fault.kind in HARMLESS for fault in push.job.faults)
        if push.code == 1 and alone and harmless and not any(rule in push.said for rule in MAY):
            yield f"refused: push {number} was alone and ended with 1: {push.said.strip().splitlines()[-2:]}"


def _left(seen: Seen) -> Iterator[str]:
    """Yield what must not be left next to the repository: anything but the record and the objects of a killed push.

    A killed push's lock may be left only if later pushes wrote nothing. What a push sent that had ended by then does
    not count as written later, however late it arrives.
    """
    kept = sorted(
        path for path in seen.after if path.startswith(BESIDE) and path != RECORD and not path.startswith(PAST)
    )
    for path in kept:
        last = [one for one in sorted(seen.sent) if one.path == path and one.written][-1]
        others = [one for one in seen.sent if one.push != last.push and seen.pushes[one.push].ended > last.at]
        later = any(one.at > last.at and one.written for one in others)
        if seen.pushes[last.push].code is not None or (path == LOCK and later):
            yield f"lock: {path} of push {last.push} is there at the end"


def _unlike(after: Mapping[str, bytes], revision: Revision) -> str:
    """Return why a bucket is not this revision with its record."""
    state = {path: md5(content) for path, content in after.items() if not path.startswith(BESIDE)}
    return whole(state, revision) or recorded(after.get(RECORD, b""), state, revision)


def _truthful(seen: Seen, history: Sequence[Moment]) -> Iterator[str]:
    """Yield pushes that exited with 0 although the bucket was not their complete, recorded revision then."""
    for number, push in enumerate(seen.pushes):
        if push.code != 0:
            continue
        revision = seen.revisions[push.job.revision]
        wrote = max(
            (one.at for one in seen.sent if one.push == number and one.written and _counts(one.path)), default=0.0
        )
        during = [moment for moment in history if max(wrote, push.began) <= moment.at <= push.ended]
        before = [] if wrote else [moment for moment in history if moment.at < push.began][-1:]
        found = [
            whole(moment.state, revision) or recorded(moment.record, moment.state, revision)
            for moment in before + during
        ]
        if all(found):
            yield f"untrue: push {number} said 0, and revision {revision.number} was not whole then: {found[-1]}"


def late_server(seen: Seen) -> bool:
    """Whether requests may fail for a time: a push without --server relies on a sufficient --settle."""
    return not all(push.job.watched for push in seen.pushes)


def _strays(seen: Seen, final: Revision, there: State) -> Iterator[str]:
    """Yield stray objects: a push must delete what it finds once it holds the lock, not what arrives later."""
    late = {sent.path for sent in without_lock(seen.sent)}
    for path in strays(there, final):
        if path not in late:
            yield f"stray: {path} is there, and is not of revision {final.number}"


def _answers(seen: Seen, final: Revision | None) -> Iterator[str]:
    """Yield what is wrong after the last push: no request may fail, and soon all responses are of one revision."""
    end = max(push.ended for push in seen.pushes)
    after = sorted(answer for answer in seen.answers if answer.asked > end)
    failed = [answer for answer in after if answer.fault]
    if failed and (after[-1].fault or not late_server(seen)):
        yield f"failed: {len(failed)} of {len(after)} requests after the last push: {failed[0].fault}"
    known = {revision.answer for revision in seen.revisions}
    if mixed := [answer for answer in after if not answer.fault and answer.tokens not in known]:
        yield f"mixed: {len(mixed)} of {len(after)} answers after the last push: {sorted(mixed[0].tokens)}"
    if final is None:
        return
    first = next((answer.at for answer in after if answer.tokens == final.answer), None)
    late = [answer for answer in after if first is None or answer.asked > first]
    if others := [answer for answer in late if not answer.fault and answer.tokens != final.answer]:
        yield f"other: {len(others)} answers of {sorted(others[0].tokens)}, and revision {final.number} is there"


def _meanwhile(seen: Seen) -> Iterator[str]:
    """Yield failed requests, if each push waited for the server: then no request may fail at all."""
    asked, failed, mixed = meanwhile(seen)
    if (failed or mixed) and not late_server(seen):
        yield f"meanwhile: of {asked} requests {failed} failed and {mixed} were mixed"


def meanwhile(seen: Seen) -> tuple[int, int, int]:
    """Return how many requests there were before the last push ended, and how many failed or were mixed."""
    end = max(push.ended for push in seen.pushes)
    before = [answer for answer in seen.answers if answer.asked <= end]
    known = {revision.answer for revision in seen.revisions}
    mixed = [answer for answer in before if not answer.fault and answer.tokens not in known]
    return len(before), sum(bool(answer.fault) for answer in before), len(mixed)


def holder(sent: Sequence[Sent]) -> int | None:
    """Return the push whose lock exists, None if no lock does."""
    last = [one for one in sorted(sent) if one.path == LOCK and one.written][-1:]
    return last[0].push if last and last[0].method == "PUT" else None


def _counts(path: str) -> bool:
    """Whether servers or later pushes read this path."""
    return path == RECORD or not path.startswith(BESIDE)


def without_lock(sent: Sequence[Sent]) -> list[Sent]:
    """Return the writes that landed while their push did not hold the lock."""
    held: int | None = None
    found = []
    for one in sorted(sent):
        if one.written and one.path == LOCK:
            held = one.push if one.method == "PUT" else None
        elif one.written and held != one.push and _counts(one.path):
            found.append(one)
    return found


def taken_over(sent: Sequence[Sent]) -> int:
    """Return how many locks belonged to another push."""
    locks = [one for one in sorted(sent) if one.path == LOCK and one.written]
    return sum(a.push != b.push and a.method == b.method == "PUT" for a, b in pairwise(locks))


def half(seen_sent: Sequence[Sent], pushes: Sequence[Ended]) -> bool:
    """Whether a user must push again: a push was killed, or the last one that wrote anything was interrupted."""
    if any(push.code is None for push in pushes):
        return True
    writers = [one.push for one in sorted(seen_sent) if one.written and not one.path.startswith(BESIDE)]
    return bool(writers) and pushes[writers[-1]].code != 0


def told(one: Sent) -> str:
    """Return a write as a line; all beats of a lock look alike."""
    what = f"{one.method} {one.path} → {one.status}" + (f" if {one.condition[:14]}" if one.condition else "")
    if one.path == LOCK and one.method == "PUT":
        holds = json.loads(one.body or b"{}")
        return f"{what} beat" if str(holds.get("beat")) not in {"0", "None"} else what
    if one.path.endswith(CONFIG):
        numbers = one.body.decode("utf-8", "replace").partition("versions: [")[2].partition("]")[0].strip()
        return f"{what}: {numbers or 'held back'}"
    return what
