"""`init` writes a stack that builds as it is, all of its files or none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_build import digests
from tests.test_extends import inside
from tritonrepo.cli import run
from tritonrepo.cli.init import NEXT
from tritonrepo.diagnostics import Stop
from tritonrepo.flows import init as flow
from tritonrepo.flows.init import TEMPLATES, init
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import newest
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.stores.store import Tag
from tritonrepo.tree import File

__all__ = ["inside"]

FILES = {
    "rag": {"docs/handbook.jsonl", "prompt.j2", "tritonrepo.yaml"},
    "search": {"docs/handbook.jsonl", "tritonrepo.yaml"},
    "llm": {"tritonrepo.yaml"},
    "model": {"scale.py", "tritonrepo.yaml"},
}


def test_every_template_is_offered_with_its_next_steps() -> None:
    there = {path.name for path in (Path(flow.__file__).parent.parent / "data" / "templates").iterdir()}
    assert there == set(TEMPLATES) == NEXT.keys() == FILES.keys()


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_built_by_the_commands_that_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    assert run(["init", "--template", template, "my stack"]) == 0
    said = capsys.readouterr()
    assert said.out == "".join(f"+ my stack/{name}\n" for name in sorted(FILES[template]))
    first, place, *steps = said.err.splitlines()
    assert (first, place) == ("Next:", "  cd 'my stack'")
    assert steps[-1].startswith("  tritonrepo up")
    monkeypatch.chdir("my stack")
    for step in steps[:-1]:
        assert run(step.split()[1:]) == 0
    assert run(["build", "--check", "--locked"]) == 0
    stack = load(".", Workspace()).stack
    assert (stack.name, stack.target.release) == ("my stack", newest().name)
    assert {case.model for case in stack.smoke} == {
        "rag": {"search", "rag"},
        "llm": {"generator"},
        "model": {"scale"},
    }.get(template, {"search"})


def test_a_template_says_its_commands_itself() -> None:
    top = Path(flow.__file__).parent.parent / "data" / "templates"
    for template, steps in NEXT.items():
        text = (top / template / "tritonrepo.yaml").read_text("utf-8")
        said = [line.split()[2] for line in text.splitlines() if line.startswith("#   tritonrepo ")]
        assert said == [step.split()[1] for step in steps]


def test_the_current_directory_is_the_default_and_gives_the_name(
    inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init"]) == 0
    said = capsys.readouterr()
    assert "  cd " not in said.err
    assert set(said.out.split()) - {"+"} == FILES["rag"]
    assert load(".", Workspace()).stack.name == inside.name
    assert {path.name for path in inside.parent.iterdir()} == {inside.name}, "nothing is left beside it"
    assert {path.name for path in inside.iterdir()} == {"docs", "prompt.j2", "tritonrepo.yaml"}


NAMES = ["a: b", "26.07", "${X}", "-", "#x", "true", "Ü\n"]


@pytest.mark.parametrize("name", NAMES)
def test_any_directory_gives_a_name(tmp_path: Path, name: str) -> None:
    init(tmp_path / name, "search")
    assert load(tmp_path / name, Workspace()).stack.name == name


OBSTACLES = {
    "a file": lambda path: path.write_text("mine", "utf-8"),
    "a directory": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.parametrize("name", ["tritonrepo.yaml", "prompt.j2", "docs/handbook.jsonl"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_nothing_is_overwritten_and_nothing_written(
    inside: Path, capsys: pytest.CaptureFixture[str], obstacle: str, name: str
) -> None:
    (inside / "docs").mkdir()
    OBSTACLES[obstacle](inside / name)
    before = sorted(inside.rglob("*"))
    assert run(["init"]) == 2
    said = capsys.readouterr()
    assert f"{name}: fatal: the template has a file of this name, and another one is already there" in said.err
    assert said.out == ""
    assert sorted(inside.rglob("*")) == before


def test_every_file_in_the_way_is_named(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "docs").write_text("mine", "utf-8")
    (inside / "prompt.j2").write_text("mine", "utf-8")
    assert run(["init"]) == 2
    err = capsys.readouterr().err
    assert err.count("already there") == 2
    assert {path.name for path in inside.iterdir()} == {"docs", "prompt.j2"}


PLACES = {
    "a URI": ("s3://b/p", "a new stack must be in a directory, not at a URI"),
    "a file": ("file", "the path is not a directory"),
    "a link to nothing": ("link", "the path is not a directory"),
    "a link to itself": ("loop", "the path is not a directory"),
    "below a file": ("file/x", "file"),
}


@pytest.mark.parametrize(("place", "message"), PLACES.values(), ids=PLACES)
def test_what_is_no_directory_is_told(
    inside: Path, capsys: pytest.CaptureFixture[str], place: str, message: str
) -> None:
    (inside / "file").write_text("mine", "utf-8")
    (inside / "link").symlink_to("nowhere")
    (inside / "loop").symlink_to("loop")
    assert run(["init", place]) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in inside.iterdir()} == {"file", "link", "loop"}


def test_a_link_out_of_the_directory_is_not_written_through(inside: Path) -> None:
    (inside.parent / "elsewhere").mkdir()
    (inside / "docs").symlink_to(inside.parent / "elsewhere")
    with pytest.raises(Stop, match="leads out of"):
        init(inside)
    assert [*(inside.parent / "elsewhere").iterdir()] == []
    assert {path.name for path in inside.iterdir()} == {"docs"}


def test_a_second_run_leaves_what_is_there_and_completes_what_is_missing(inside: Path) -> None:
    init(inside)
    good = digests(inside)
    (inside / "tritonrepo.yaml").unlink()
    times = {path: path.stat().st_mtime_ns for path in inside.rglob("*.j*")}
    assert init(inside) == sorted(inside / name for name in FILES["rag"])
    assert digests(inside) == good
    assert {path: path.stat().st_mtime_ns for path in inside.rglob("*.j*")} == times


def test_what_cannot_be_written_whole_leaves_nothing(inside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: the third file fails."""
    real = os.replace
    calls = iter(range(9))

    def full(*args: object, **more: object) -> None:
        if next(calls) == 2:
            raise OSError(28, "No space left on device", "x")
        real(*args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Stop):
        init(inside / "new")
    assert [*inside.iterdir()] == []


def test_several_at_once_give_one_whole_stack(inside: Path) -> None:
    line = [sys.executable, "-m", "tritonrepo", "init", "both"]
    running = [subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    codes = []
    for each in running:
        each.communicate(timeout=60)
        codes.append(each.returncode)
    assert codes == [0] * 4
    assert set(digests(inside / "both")) == FILES["rag"]


@pytest.mark.parametrize("same", [True, False])
def test_a_file_that_appears_meanwhile_stays(
    inside: Path,
    monkeypatch: pytest.MonkeyPatch,
    same: bool,  # noqa: FBT001
) -> None:
    real = DirectoryStore.put

    def late(self: DirectoryStore, path: str, file: File, *, if_absent: bool) -> Tag:
        if path == "prompt.j2":
            (self.root / path).write_bytes(file.content() if same else b"mine")
        return real(self, path, file, if_absent=if_absent)

    monkeypatch.setattr(DirectoryStore, "put", late)
    if same:
        init(inside / "new")
        assert set(digests(inside / "new")) == FILES["rag"]
    else:
        with pytest.raises(Stop, match=r"prompt\.j2: fatal: .* already there"):
            init(inside / "new")
        assert {path.name for path in (inside / "new").rglob("*")} == {"prompt.j2"}


def test_a_killed_run_is_completed_by_the_next(inside: Path) -> None:
    code = (
        "import os, signal\nfrom tritonrepo.flows.init import init\nreal = os.replace\ncalls = []\n"
        "def kill(*a, **k):\n    calls.append(a)\n    len(calls) < 3 or os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return real(*a, **k)\nos.replace = kill\ninit('new')\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=inside).returncode == -signal.SIGKILL
    assert "tritonrepo.yaml" not in digests(inside / "new"), "it comes last"
    init(inside / "new")
    assert set(digests(inside / "new")) == FILES["rag"]
