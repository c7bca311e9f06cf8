"""A running RAG, sabotaged in one way after the other: `smoke` finds each, and nothing once it is repaired."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import EXAMPLE
from tests.processes import killed
from tests.sabotages import SABOTAGES, Sabotage
from tests.servers.s3 import S3Server
from tests.test_smoke import Smoke, Smoked, edit, smoke
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.smoke import crowd
from tritonrepo.smoke.asking import Asking
from tritonrepo.smoke.case import Crowd, Outcome
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.plan import plain
from tritonrepo.smoke.served import of_config
from tritonrepo.sync.record import Record

__all__ = ["smoke"]

CHOSEN = (
    "two passages in each other's place, with their ids",
    "rows of a search swapped between the requests of one batch",
    "the reranker reversed, with its scores",
    "the system message dropped",
    "special tokens missing",
    "another pooling",
    "sources in another order than in the prompt",
    "an additional output",
)
"""Eight that are quick and unlike each other."""


class Running(NamedTuple):
    """The example, served from a separate directory, where models are loaded only on request."""

    server: Server
    place: Path
    good: Path
    stale: set[str]
    """Models that are served as they were before they were restored; the next test loads them, or spoils them again."""

    def load(self, *models: str) -> None:
        self.stale.difference_update(models)
        for model in models:
            url = f"{self.server.http}/v2/repository/models/{model}/load"
            with urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=60) as response:
                assert response.status == 200

    def restore(self, model: str) -> None:
        self.stale.add(model)
        shutil.rmtree(self.place / model)
        shutil.copytree(self.good / model, self.place / model, copy_function=os.link)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, rag_repository: Path) -> Iterator[Running]:
    place = tmp_path_factory.mktemp("sabotaged") / "model_repository"
    shutil.copytree(rag_repository, place, copy_function=os.link)
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120, Mode.EXPLICIT)
    with killed(serve(place, chosen, Workspace(os.environ), Record(), EXAMPLE)) as server:
        made = Running(server, place, rag_repository, set())
        made.load(*(path.name for path in rag_repository.iterdir() if path.is_dir()))
        yield made


@pytest.fixture
def running(begun: Running) -> Running:
    """The example, served as it was built."""
    begun.load(*begun.stale)
    return begun


@pytest.mark.parametrize("sabotage", [SABOTAGES[name] for name in CHOSEN], ids=CHOSEN)
def test_a_sabotaged_model_is_found(begun: Running, minilm_dir: Path, smoke: Smoke, sabotage: Sabotage) -> None:
    sabotage.damage(begun.place / sabotage.model / "1", minilm_dir)
    begun.load(*begun.stale | {sabotage.model})
    asked = sabotage.blamed[0]
    try:
        found = smoke(begun.server, begun.good, "--only", asked)
    finally:
        begun.restore(sabotage.model)
    assert (found.code, found.failed()) == (1, {sabotage.blamed}), found.document["results"]
    said = found.said(asked, f"smoke-{sabotage.check}")
    assert sabotage.cause in said
    if sabotage.check == "config":
        return
    compared = ("Expected: ",) if sabotage.check in {"reference", "search", "at-once", "prompt"} else ()
    assert all(part in said for part in ("Sent over ", "Received: ", *compared))
    (at_once,) = [row for row in found.document["results"] if row["check"] == "at-once"]
    assert at_once["outcome"] == ("failed" if sabotage.check == "at-once" else "not checked")


def test_a_plan_needs_no_sources_to_find_a_sabotaged_model(
    begun: Running, minilm_dir: Path, smoke: Smoke, tmp_path: Path
) -> None:
    """The plan is recorded from the good server, and replayed on the sabotaged one."""
    sabotage, plan = SABOTAGES["passages in the place of their ids"], tmp_path / "plan.json"
    begun.load(*begun.stale)
    assert smoke(begun.server, begun.good, "--only", sabotage.model, "--record", plan).code == 0
    same = smoke(begun.server, "--replay", plan, "--parallel", 2)
    assert (same.code, same.document["diagnostics"]) == (0, [])
    sabotage.damage(begun.place / sabotage.model / "1", minilm_dir)
    begun.load(sabotage.model)
    try:
        found = smoke(begun.server, "--replay", plan)
    finally:
        begun.restore(sabotage.model)
    assert (found.code, found.failed()) == (1, {(sabotage.model, sabotage.check)})
    assert "differs from the recorded one" in found.said(sabotage.model, f"smoke-{sabotage.check}")


def files(found: Smoked) -> dict[str, str]:
    return {row["model"]: row["outcome"] for row in found.document["results"] if row["check"] == "files"}


def test_another_llm_is_found_by_what_the_server_reads_and_said_to_be_unchecked_without(
    running: Running, smoke: Smoke
) -> None:
    edit(running.place / "generator" / "1" / "model.json", ("SmolLM2-135M", "SmolLM2-360M"))
    running.load("generator")
    alone = smoke(running.server, running.good, "--only", "generator")
    named = smoke(running.server, running.good, "--only", "generator", "--repository", running.place)
    running.restore("generator")
    running.load("generator")
    assert (alone.code, files(alone)) == (0, {"generator": "not checked"})
    assert (named.code, named.failed()) == (1, {("generator", "files")})
    assert "1/model.json" in named.said("generator", "smoke-files")


def test_another_llm_is_found_in_the_bucket_that_the_server_reads(
    running: Running, s3_server: S3Server, tmp_path: Path, smoke: Smoke
) -> None:
    uri = s3_server.fresh()
    shutil.copytree(running.good / "generator", tmp_path / "m" / "generator")
    assert run(["push", str(tmp_path / "m"), uri, "--settle", "0"]) == 0
    asked = (running.good, "--only", "generator", "--repository", uri)
    assert files(smoke(running.server, *asked)) == {"generator": "passed"}
    *_, bucket, top, prefix = uri.split("/")
    body = json.dumps({"model": "HuggingFaceTB/SmolLM2-360M-Instruct"}).encode()
    s3_server.client().put_object(Bucket=bucket, Key=f"{top}/{prefix}/generator/1/model.json", Body=body)
    found = smoke(running.server, *asked)
    assert (found.code, found.failed()) == (1, {("generator", "files")})
    assert "1/model.json differs" in found.said("generator", "smoke-files")


def test_requests_that_never_share_a_batch_prove_nothing_of_batches(running: Running) -> None:
    client = Client(Endpoint(running.server.http, 30, 30))
    served = of_config(client.config("generator_prompt"), "1", Span("m"))
    assert not served.joins
    asking = Asking(Connection(client, None), {served.name: served.outputs})
    case = next(plain(served))
    (result,) = crowd.run(asking, Crowd((case, case), batched=True))
    assert (result.outcome, result.diagnostics) == (Outcome.NOT_CHECKED, ())
    assert result.unchecked == "2 requests were sent at once, 5 times, but no two of them shared a batch"


def test_what_the_server_reads_needs_what_it_should_serve(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["smoke", running.server.http, "--repository", str(running.place)]) == 2
    assert "--repository requires STACK, DIR or URI to compare with" in capsys.readouterr().err
    assert run(["smoke", running.server.http, str(running.good), "--repository", "nowhere"]) == 2
    assert "nowhere: fatal: the path is not a model repository" in capsys.readouterr().err


def test_the_right_one_passes_whole(running: Running, smoke: Smoke) -> None:
    found = smoke(running.server, running.good, "--repository", running.place)
    assert (found.code, found.document["diagnostics"]) == (0, [])
    # on a machine that answers faster than it is asked, no two requests share a batch
    assert {row["outcome"] for row in found.document["results"] if row["check"] not in {"at-once", "batching"}} == {
        "passed"
    }
