"""`--watch`: what counts as a change, what is reloaded, and what a bad edit leaves alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.processes import killed
from tests.tabled import tabled
from tests.test_server import CODE, CONFIG, ENSEMBLE, model
from tritonrepo.diagnostics import Diagnostic, Stop, failure
from tritonrepo.flows import reloading
from tritonrepo.flows.rebuilding import Rebuilding, fixed, inputs, words
from tritonrepo.flows.reloading import Made, Watch, metadata, repository_watch, told
from tritonrepo.flows.serve import ServeOptions, read_record, serve
from tritonrepo.flows.stack import load
from tritonrepo.flows.up import up
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server import runtime
from tritonrepo.server.client import Client
from tritonrepo.server.reloading import Reloaded
from tritonrepo.smoke.case import Outcome

BROKEN = 'Path("/nowhere").read_text()'


class Served(NamedTuple):
    """A watched server with a model and a pipeline that calls it, and what was told."""

    models: Path
    watch: Watch
    heard: list[str]

    @property
    def code(self) -> Path:
        return self.models / "echo" / "1" / "model.py"

    def settled(self) -> Reloaded | None:
        """Return what became of a change: one look sees it, the next one that it has stopped."""
        assert self.watch.changes() is None
        return self.watch.changes()

    def answers(self, *names: str) -> list[str]:
        client = Client(self.watch.server.endpoint)
        return [str(client.generate(name, {"IN": "a"})["OUT"]) for name in names]


def workspace(place: Path, heard: list[str]) -> Workspace:
    def tell(event: object) -> None:
        heard.append(str(event) if isinstance(event, Diagnostic) else getattr(event, "text", ""))

    return Workspace({"XDG_CACHE_HOME": str(place / "cache")}, tell=tell)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    try:
        runtime.find()
    except Stop as stop:
        pytest.skip(str(stop))
    place, heard = tmp_path_factory.mktemp("watched"), list[str]()
    models = place / "models"
    model(models, "echo")
    model(models, "broken", BROKEN)
    (models / "pipe" / "1").mkdir(parents=True)
    (models / "pipe" / "config.pbtxt").write_text(ENSEMBLE.replace("STEP", "echo"), encoding="utf-8")
    chosen, work = ServeOptions(watched=True), workspace(place, heard)
    with killed(serve(models, chosen, work, read_record(str(models), work))) as server:
        yield Served(models, repository_watch(server, chosen, work), heard)


def renamed(path: Path, text: str) -> None:
    """Save as editors do: beside it, then over it."""
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


def test_a_model_that_is_broken_from_the_start_is_reported_and_can_recover(served: Served) -> None:
    (fault,) = served.watch.server.unavailable
    assert fault.message.startswith("the server did not load broken version 1: FileNotFoundError")
    assert served.answers("echo", "pipe") == ["a", "a"]
    renamed(served.models / "broken" / "1" / "model.py", GOOD)
    assert served.settled() == Reloaded(("broken",))
    assert served.answers("broken") == ["a"]


GOOD = CODE.replace("INITIALIZE", "pass")
NEW = GOOD.replace("self.text(r))]", 'np.array([b"new"], dtype=np.object_))]')


def test_what_changes_is_reloaded_and_what_is_saved_again_is_not(served: Served) -> None:
    renamed(served.code, GOOD)
    (served.models / "notes~").touch()  # an editor's own
    assert served.settled() is None
    renamed(served.code, NEW)
    assert served.settled() == Reloaded(("echo",))
    assert served.answers("echo", "pipe") == ["new", "new"]
    assert served.heard[-1] == f"changed: {served.code}"
    assert served.watch.changes() is None


def test_a_bad_edit_leaves_the_server_as_it_is(served: Served) -> None:
    renamed(served.code, NEW)
    served.settled()
    config = served.models / "echo" / "config.pbtxt"
    config.write_text("max_batch_sise: 1\n", encoding="utf-8")
    assert served.settled() is None
    assert "unknown field" in served.heard[-2]
    assert served.heard[-1] == "not reloaded: the server keeps what it has"
    config.write_text(CONFIG, encoding="utf-8")
    assert served.settled() is None
    assert served.heard[-1] == "nothing to reload: the server has all of this"
    renamed(served.code, GOOD.replace("pass", BROKEN))
    done = served.settled()
    assert done is not None
    (refused,) = done.refused
    assert refused.message.startswith("the server did not load echo: FileNotFoundError")
    assert refused.hint.startswith(f"{served.code}:")
    assert refused.hint.endswith("The version that was loaded before stays in service.")
    assert served.answers("pipe") == ["new"]


def test_a_model_that_comes_or_goes_is_loaded_or_unloaded(served: Served) -> None:
    for number in range(1000):
        (served.models / "echo" / "1" / f"{number}").touch()
        (served.models / "echo" / "1" / f"{number}").unlink()
    model(served.models, "more")
    renamed(served.code, GOOD)
    assert served.settled() == Reloaded(("echo", "more"))
    assert served.answers("echo", "pipe", "more") == ["a", "a", "a"]
    shutil.rmtree(served.models / "more")
    assert [*told(served.settled())] == ["unloaded more"]
    with pytest.raises(Stop, match="more"):
        served.answers("more")


def test_what_no_reload_can_change_restarts_the_server(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    restarted = list[object]()
    monkeypatch.setattr(reloading, "restart", lambda *given: restarted.append(given[0]))
    renamed(served.code, GOOD + "\n")
    monkeypatch.setattr(served.watch.server, "launch", replace(served.watch.server.launch, auto_complete=False))
    assert served.settled() == Reloaded(("broken", "echo", "pipe"))
    assert restarted == [served.watch.server]
    assert served.heard[-1] == "restarting the server: its settings changed"
    assert [served.watch.down] == [False]

    def refused(*_: object) -> None:
        raise failure("server-died", "s", "the server exited")

    monkeypatch.setattr(reloading, "restart", refused)
    renamed(served.code, GOOD)
    assert served.settled() is None
    assert [served.watch.down] == [True]
    assert served.heard[-1] == "not reloaded: the server waits for a change that it can start with"
    monkeypatch.undo()
    monkeypatch.setattr(reloading, "restart", lambda *_: None)
    renamed(served.code, GOOD + "\n")
    assert served.settled()
    assert [served.watch.down] == [False]


def test_a_file_that_vanishes_while_it_is_read_is_told_and_looked_at_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory", "models/m")

    renamed(served.code, NEW)
    monkeypatch.setattr(reloading, "scan", gone)
    assert served.settled() is None
    assert served.heard[-1] == "not reloaded: the server keeps what it has"
    monkeypatch.undo()
    renamed(served.code, NEW)
    assert served.settled() == Reloaded(("echo",))


STACK = """\
name: one
target: {release: "24.10", images: [py3], gpus: 0}
models:
  here:
    backend: python
    source: ./model.py
    config:
      input: [{name: IN, data_type: TYPE_STRING, dims: [1]}]
      output: [{name: OUT, data_type: TYPE_STRING, dims: [1]}]
      instance_group: [{kind: KIND_CPU}]
smoke:
  - {model: here, inputs: {IN: a}, expect: {OUT: {equals: a}}}
"""


@pytest.mark.usefixtures("served")
def test_a_stack_is_built_reloaded_and_tested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    heard = list[str]()
    stack = tmp_path / "s" / "tritonrepo.yaml"
    stack.parent.mkdir()
    stack.write_text(STACK, encoding="utf-8")
    renamed(stack.with_name("model.py"), GOOD)
    chosen = ServeOptions(watched=True)
    with up(load([stack], workspace(tmp_path, heard)), tmp_path / "out", chosen) as running, killed(running.server):
        rebuilding = Rebuilding(running, chosen)
        stack.write_text(f"{STACK}# a comment\n", encoding="utf-8")
        assert [rebuilding.changes(), rebuilding.changes()] == [(None, []), (None, [])]
        stack.write_text(STACK.replace("backend:", "backemd:"), encoding="utf-8")
        assert [rebuilding.changes(), rebuilding.changes()] == [(None, []), (None, [])]
        assert f'{stack}:5:5: fatal: unknown key "backemd"' in heard[-2]
        stack.write_text(STACK, encoding="utf-8")
        renamed(stack.with_name("model.py"), NEW)
        assert rebuilding.changes() == (None, [])
        done, results = rebuilding.changes()
        assert done == Reloaded(("here",))
        assert {result.outcome for result in results} == {Outcome.FAILED, Outcome.PASSED}  # it no longer echoes


def test_a_change_that_never_stops_is_acted_on_anyway(served: Served) -> None:
    looks, made = iter(range(100)), list[int]()

    def make() -> Made:
        made.append(1)
        raise Stop([])

    watch = Watch(served.watch.server, lambda: {"x": (next(looks),)}, make, workspace(served.models, []))
    for _ in range(reloading.UNSETTLED):
        watch.changes()
    assert not made
    watch.changes()
    assert made == [1]


def test_metadata_is_of_files_wherever_links_lead_once(tmp_path: Path) -> None:
    (tmp_path / "d" / "__pycache__").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    for name in ("a", ".a.swp", "a~", "d/b", "d/__pycache__/c", "out/e"):
        (tmp_path / name).touch()
    (tmp_path / "d" / "round").symlink_to("..")
    (tmp_path / "d" / "dangling").symlink_to("nowhere")
    found = metadata([tmp_path, tmp_path / "none"], [tmp_path / "out"])
    assert {os.path.relpath(path, tmp_path) for path in found} == {".", "a", "d", "d/b"}
    (tmp_path / "a").write_text("longer")
    assert metadata([tmp_path], [tmp_path / "out"]) != found


def test_what_a_stack_names_elsewhere_is_looked_at_too(tmp_path: Path) -> None:
    for name in ("stack", "docs/inner", "weights", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "stack" / "tritonrepo.yaml").write_text(
        "name: s\nextends: ../other/base.yaml\n"
        "models:\n  r: {role: retriever, documents: ../docs/*/x.md, index: ./i, embed_with: e}\n"
    )
    (tmp_path / "other" / "base.yaml").write_text("models:\n  e: {role: embedder, source: ../weights}\n")
    looked = {os.path.relpath(path, tmp_path) for path in inputs(load([tmp_path / "stack"], workspace(tmp_path, [])))}
    assert looked == {"stack", "other", "docs", "weights"}
    assert [*words({"a": ["x/y", "no"], "b": ("c/d", 1, None)})] == ["x/y", "c/d"]


PATTERNS: dict[str, str] = {"./docs/*.md": "./docs", "a/b": "a/b", "/*": "/", "a/[xy]/b": "a", "**/x": "/"}


@tabled(("text", "part"), PATTERNS.items())
def test_a_pattern_is_looked_at_from_its_first_directory_on(text: str, part: str) -> None:
    assert fixed(text) == part


REFUSALS: dict[str, list[str]] = {
    "with --poll": ["serve", ".", "--watch", "--poll", "1"],
    "with --explicit": ["serve", ".", "--watch", "--explicit"],
    "of a bucket": ["serve", "s3://bucket/models", "--watch"],
    "with --ask": ["up", ".", "--watch", "--ask", "x"],
}


@pytest.mark.parametrize("arguments", REFUSALS.values(), ids=REFUSALS)
def test_what_cannot_be_watched_is_told(arguments: list[str], run_cli: Callable[[list[str]], tuple[int, str]]) -> None:
    code, said = run_cli(arguments)
    assert code == 2
    assert "--watch" in said


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Callable[[list[str]], tuple[int, str]]:
    from tritonrepo.cli import run

    return lambda arguments: (run(arguments), capsys.readouterr().err)
