"""A push under load: the real S3 server, the real Triton polling it, clients that send one request after another."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.load import QUESTIONS, Answer, Load, Revision, ask, first_stack, revision
from tests.processes import unmeasured
from tests.pushes import polling
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.flows.push import plan_push
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.process import Server
from tritonrepo.sources import gather
from tritonrepo.sources.vendored import vendored
from tritonrepo.spec.lock import Pin
from tritonrepo.sync.apply import apply
from tritonrepo.sync.pace import Pace
from tritonrepo.sync.plan import Phase, Plan, in_phases
from tritonrepo.sync.writing import Writer
from tritonrepo.tree import File, of_text

SETTLE = "2"
"""Seconds for requests that began before the servers had a phase, on a machine that is busy with their clients."""

LONG_S = 10
"""Seconds within which a server certainly sees a phase before the next one is written."""

OFTEN_S, RARELY_S = 4, 8
"""How often a server looks, the second for one that is there for a long time: each look is a thousand requests."""

KILLS = 2
"""Other moments, and many more, are for `benchmarks.soak.pushes`."""

PUSH = """
from tritonrepo.cli import main
from tritonrepo.sync import lock
lock.GRACE_S = -lock.VALID_S  # nothing that a killed one sent stays on its way here
main()
"""


@pytest.fixture(scope="module")
def revisions(tmp_path_factory: pytest.TempPathFactory) -> list[Revision]:
    """Two builds that differ in embedder, index, prompt, and the packages that the versions of a step share."""
    stack = first_stack(tmp_path_factory.mktemp("revisions"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "vendored", few_files)
        first = revision(stack, 1, "mean")
        patch.setattr(gather, "vendored", more_files)
        return [first, revision(stack, 2, "cls")]


def few_files(*given: Any) -> tuple[dict[str, dict[str, File]], dict[str, Pin]]:  # noqa: ANN401  what it is given
    """Return the vendored packages, of tokenizers what the steps import: a look is ten requests for each file."""
    packages, pins = vendored(*given)
    library = {path: file for path, file in packages["tokenizers"].items() if path.endswith(".so")}
    init = {"tokenizers/__init__.py": of_text("from .tokenizers import Tokenizer\n")}
    return packages | {"tokenizers": init | library}, pins


def more_files(*given: Any) -> tuple[dict[str, dict[str, File]], dict[str, Pin]]:  # noqa: ANN401  what it is given
    """Return a few more files, so that servers look while files arrive."""
    packages, pins = few_files(*given)
    more = {f"tokenizers/more_{number}.py": of_text(f"# {number}\n") for number in range(4)}
    return packages | {"tokenizers": packages["tokenizers"] | more}, pins


def loads(server: Server) -> Counter[str]:
    """Return how many instances of each step that has packages were initialized, reloads included."""
    return Counter(re.findall(r"ModelInstanceInitialize: (embedder|generator_prompt)_0", server.log()))


def push(made: Revision, uri: str, server: Server) -> subprocess.Popen[str]:
    """Push as a user who names the server: each phase then waits for it, however slow the machine is."""
    return command(uri, server, "push", str(made.repository))


def command(uri: str, server: Server, *words: str) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", PUSH, *words, uri, "--server", server.http, "--settle", SETTLE]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=unmeasured())


def killed_rollback(uri: str, server: Server) -> None:
    """Go back one revision, be killed when the pipelines are about to move, and run the same command again."""
    with command(uri, server, "rollback") as going:
        assert going.stderr
        next(line for line in going.stderr if line.startswith("switch"))
        going.kill()
    with command(uri, server, "rollback") as going:
        said = going.communicate(timeout=240)[1]
        assert going.returncode == 0, said
        assert "a rollback to revision" in said


def scores(server: Server, number: int) -> set[tuple[float, ...]]:
    """Return the scores of a revision that is served by itself."""
    answers = [ask(server.http, "search", query) for query in QUESTIONS]
    assert {answer.revisions for answer in answers} == {frozenset({number})}
    return {answer.scores for answer in answers}


def until_serving(server: Server, number: int) -> None:
    deadline = time.monotonic() + 120
    while ask(server.http, "rag", QUESTIONS[0]).revisions != {number}:
        assert time.monotonic() < deadline, server.log_tail()


@pytest.fixture
def uri(s3_server: S3Server, revisions: list[Revision]) -> str:
    """A separate prefix with the first revision."""
    uri = s3_server.fresh()
    assert run(["push", str(revisions[0].repository), uri, "--settle", "0"]) == 0
    return uri


@pytest.mark.timeout(900)
def test_embedder_index_and_prompt_change_together_and_no_request_sees_it(
    uri: str, revisions: list[Revision], capsys: pytest.CaptureFixture[str], show: Callable[[str], None]
) -> None:
    with polling(uri, OFTEN_S) as server:
        assert not server.unavailable
        assert run(["smoke", server.http, "--grpc", server.grpc, uri]) == 0
        known, before = {1: scores(server, 1)}, loads(server)
        with Load(server.http) as load, push(revisions[1], uri, server) as pushing:
            replica, out = answers_of_a_replica(pushing, uri)
            until_serving(server, 2)
        known[2] = scores(server, 2)
        assert not known[1] & known[2]
        assert loads(server) - before == {"embedder": 2, "generator_prompt": 1}, "an arriving file reloaded a version"
        show(f"push: {load.figures()}, {len(load.mixed(known))} mixed; a replica: {replica}")
        assert (load.failed, load.mixed(known), set(load.readiness)) == ([], [], {200})
        assert {answer.fault for answer in replica} == {""}
        named = {line.split()[1] for line in out.splitlines() if line.startswith("  ")}
        models = {name.split("/")[0] for name in named}
        assert models == {"embedder", "embedder_model", "generator_prompt", "rag", "retriever", "search"}
        assert run(["push", str(revisions[1].repository), uri]) == 0
        assert capsys.readouterr().out.endswith("prod: nothing to do\n")

        with Load(server.http) as load:
            leaves_first(revisions[0], uri)
            until_serving(server, 1)
        show(f"leaves first: {load.figures()}, {len(load.mixed(known))} mixed")
        assert load.failed


def answers_of_a_replica(pushing: subprocess.Popen[str], uri: str) -> tuple[list[Answer], str]:
    """Start another server when old and new versions are about to be served side by side; query it after the push.

    The push gives it no time, since it was not named: what it must do is come up, and end with what was pushed.
    """
    assert pushing.stderr
    next(line for line in pushing.stderr if line.startswith("expand"))
    with polling(uri, RARELY_S) as server:
        assert not server.unavailable
        out, said = pushing.communicate(timeout=240)
        assert pushing.returncode == 0, said
        until_serving(server, 2)
        return [ask(server.http, model, query) for model in ("rag", "search") for query in QUESTIONS], out


def leaves_first(made: Revision, uri: str) -> None:
    """Publish in the order of a plain sync: models, then the pipelines that pin them."""
    planned = plan_push(str(made.repository), uri, Workspace())
    assert not planned.plan.conflicts
    at = {Phase.CONTRACT: Phase.EXPAND, Phase.SWITCH: Phase.SWITCH}
    actions = [a._replace(phase=at[a.phase], wave=0) for a in planned.plan.actions if a.phase in at]
    plan = Plan(in_phases(actions), served=True)
    apply(plan, planned.have, Writer(planned.place, None), Pace(LONG_S, time.monotonic, time.sleep), lambda _: None)


@pytest.mark.timeout(900)
def test_a_push_that_is_killed_again_and_again_fails_no_request(
    uri: str, revisions: list[Revision], show: Callable[[str], None]
) -> None:
    """Follow each killed push by another one, perhaps also killed, and a finished one by a push back; then go back."""
    moments = Random(7)
    with polling(uri, RARELY_S) as server, Load(server.http) as load:
        goal, kills = 2, 0
        while kills < KILLS:
            with push(revisions[goal - 1], uri, server) as pushing:
                try:
                    pushing.communicate(timeout=moments.uniform(0.3, 20))
                except subprocess.TimeoutExpired:
                    pushing.kill()
                    kills += 1
                else:
                    assert pushing.returncode == 0
                    goal = 3 - goal
        with push(revisions[goal - 1], uri, server) as pushing:
            said = pushing.communicate(timeout=240)
            assert pushing.returncode == 0, said
        until_serving(server, goal)
        killed_rollback(uri, server)
        until_serving(server, 3 - goal)
    show(f"killed {kills + 1} times: {load.figures()}")
    assert not load.failed
    assert {answer.model for answer in load.answers} == {"rag", "search"}
    assert {answer.revisions for answer in load.answers} == {frozenset({1}), frozenset({2})}
    assert set(load.readiness) == {200}
