"""One history of pushes on its stage: a prefix of a bucket, the real server that polls it, clients, the processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from benchmarks.soak import push_judge as judge
from benchmarks.soak.push_histories import History, Job, Start
from benchmarks.soak.push_judge import Ended, Seen
from benchmarks.soak.push_load import Answer, Load, runs
from benchmarks.soak.push_process import FAR, NEAR, Push
from benchmarks.soak.push_revisions import md5, whole
from benchmarks.soak.push_wire import Sent, Wire
from tests.servers.s3 import CREDENTIALS, SHARED, S3Server
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find

TICK_S = 0.02
HANGS_S = 150
AFTER_S, SERVES_S = 4.0, 20.0
"""How long requests are watched after the last push; how long a server may take to see its last write."""

DRAIN_S, SETTLE_S, TIMEOUT_S, CLOSING_S = 1, 8, 15, 30
"""Options of pushes: --settle with and without --server, --timeout, and that of a push that must succeed."""

NOW = Start("after", 0, 0)


class ServerLost(Exception):  # noqa: N818  not an error of a push
    """The server exited by itself; the last lines of its log."""


class Stage:
    """A history while it runs."""

    def __init__(self, made: History, s3: S3Server, folder: Path) -> None:
        self.made, self.s3, self.folder = made, s3, folder
        self.uri = s3.fresh()
        self.prefix = self.uri.partition(f"/{SHARED}/")[2]
        self.server: Server | None = None
        self.sent: list[Sent] = []
        self.events: list[tuple[float, str]] = []
        self.answers: list[Answer] = []
        self.pushes: list[Push] = []
        self.faults: list[str] = []
        self.repositories = [revision.write(folder / f"revision-{revision.number}") for revision in made.revisions]

    def run(self) -> Seen:
        """Run the whole history."""
        with ExitStack() as stack:
            stack.callback(self._end)
            self._finish(self._push(Job(0, NOW, apart=False, watched=False, faults=())), "--settle", "0")
            assert self.pushes[0].code == 0, self.pushes[0].said
            self.pushes.pop().close()
            self.sent.clear()
            self.events.clear()
            before = self.there()
            launch = Launch(self.uri, find(), mode=Mode.POLL, poll_s=1, environment=CREDENTIALS, exit_timeout_s=1)
            self.server = stack.enter_context(start(launch))
            load = stack.enter_context(Load(self.server.http, self.answers))
            for job in self.made.jobs:
                self._push(job)
            self._play()
            self._close()
            self._watch()
            load.end()
            if not self.server.alive():
                raise ServerLost(self.server.log_tail(30))
            return Seen(self.made.revisions, before, self.sent, self.there(), self._ended(), self.answers)

    def timeline(self) -> Iterator[str]:
        """Yield what happened, in order, with the seconds since the first push began."""
        began = self.pushes[0].began if self.pushes else 0
        lines = [(one.at, f"push {one.push} {judge.told(one)}") for one in self.sent if one.method in {"PUT", "DELETE"}]
        lines += [(at, f"clients {text}") for at, text in runs(self.answers)]
        shown = [(at, text) for at, text in sorted([*self.events, *lines]) if not text.endswith(" beat")]
        yield from (f"{at - began:7.2f} {text}" for at, text in shown)

    def _push(self, job: Job) -> Push:
        number = len(self.pushes)
        wire = Wire(self.s3.endpoint, f"{SHARED}/{self.prefix}", number, self.sent)
        push = Push(number, job, wire, lambda text: self.events.append((time.monotonic(), f"push {number} {text}")))
        self.pushes.append(push)
        return push

    def _begin(self, push: Push, *options: str) -> None:
        uri = self.uri.replace(self.s3.endpoint, f"http://127.0.0.1:{push.wire.port}")
        push.start(
            self.folder, NEAR if self.made.near else FAR, str(self.repositories[push.job.revision]), uri, *options
        )

    def _finish(self, push: Push, *options: str) -> None:
        self._begin(push, *options)
        while push.running:
            push.tick(())
            time.sleep(TICK_S)

    def _options(self, timeout_s: int, *, watched: bool) -> list[str]:
        if not watched or self.server is None:
            return ["--settle", str(SETTLE_S)]
        return ["--server", self.server.http, "--settle", str(DRAIN_S), "--timeout", str(timeout_s)]

    def _play(self) -> None:
        """Start the pushes at their times, until all have ended and nothing is held back any longer."""
        began = time.monotonic()
        while not all(push.ended and not push.active for push in self.pushes):
            for push in self.pushes:
                if not push.began and self._due(push.job.start, began):
                    self._begin(push, *self._options(TIMEOUT_S, watched=push.job.watched))
                push.tick(self.pushes)
            if time.monotonic() > began + HANGS_S:
                self.faults.append(f"hangs: pushes {[push.number for push in self.pushes if push.running]}")
                for push in self.pushes:
                    push.kill()
                began = time.monotonic()
            time.sleep(TICK_S)

    def _due(self, start: Start, began: float) -> bool:
        if start.event == "after":
            return time.monotonic() > began + start.seconds
        other = self.pushes[start.push]
        at = other.ended or (other.struck if start.event == "fault" else 0)
        return bool(at) and time.monotonic() > at + start.seconds

    def _close(self) -> None:
        """Push once more if a user would, first what was started last; return whose lock existed."""
        holder = judge.holder(self.sent)
        if holder is not None and not self.pushes[holder].killed:
            self.faults.append(f"lock: push {holder} leaves its own, and was not killed")
        if not judge.half(self.sent, self._ended()):
            return
        last = sorted(self.pushes, key=lambda push: -push.began)
        for revision in dict.fromkeys([*(push.job.revision for push in last), 0]):
            for watched in (True, False):
                push = self._push(Job(revision, NOW, apart=not self.made.near, watched=watched, faults=()))
                self._finish(push, *self._options(CLOSING_S, watched=watched))
                if push.code == 0:
                    if not watched:
                        self.faults.append(f"stuck: push {push.number} goes through without --server alone")
                    return
                if any(rule in push.said for rule in judge.MAY[:2]):
                    break
        self.faults.append("stuck: no push goes through any more")

    def _watch(self) -> None:
        """Let the clients continue, at least until the server serves what is in the bucket."""
        end = time.monotonic()
        there = {path: md5(content) for path, content in self.there().items()}
        wanted = {revision.answer for revision in self.made.revisions if not whole(there, revision)}
        served = False
        while time.monotonic() < end + SERVES_S and not (served and time.monotonic() > end + AFTER_S):
            time.sleep(0.2)
            served = served or any(answer.asked > end and answer.tokens in wanted for answer in self.answers[-20:])

    def _end(self) -> None:
        for push in self.pushes:
            push.close()

    def _ended(self) -> list[Ended]:
        return [Ended(push.job, push.began, push.ended, push.code, push.said) for push in self.pushes]

    def there(self) -> dict[str, bytes]:
        """Return what the bucket holds according to the store itself, including record and locks."""
        client = self.s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=SHARED, Prefix=self.prefix)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {
            key.removeprefix(self.prefix).removeprefix("/"): client.get_object(Bucket=SHARED, Key=key)["Body"].read()
            for key in keys
        }
