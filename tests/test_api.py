"""The Python API: its page runs, it needs no command line, and its names are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import EXAMPLE
from tests.processes import unmeasured
from tests.test_startup import HEAVY
from tritonrepo import api

PAGE = Path(__file__).parent.parent / "docs" / "api.md"
SIX_LINES = """\
import os
from tritonrepo import api
work = api.Workspace(os.environ)
api.apply_build(api.plan_build(api.load(["examples/models/rag"], work), "model_repository"))
assert {v.verdict for v in api.validate("model_repository", work).verdicts} == {api.State.READY}
api.apply_push(api.plan_push("model_repository", "served/handbook", work))
"""
LOADED = "import sys; print(*{name.split('.')[0] for name in sys.modules})"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory as a user's clone."""
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "models" / "rag")
    for name in ("vllm-llama", "seed"):
        shutil.copytree(EXAMPLE.parent / name, tmp_path / "examples" / "models" / name)
    return tmp_path


def ran(program: str, place: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=place, capture_output=True, text=True, check=False, env=unmeasured()
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_six_lines_build_validate_and_push_without_a_command_line(checkout: Path) -> None:
    loaded = ran(SIX_LINES + LOADED, checkout)
    assert not {"click", "rich"} & set(loaded.split())
    assert (checkout / "served" / "handbook" / "rag" / "config.pbtxt").is_file()


def test_importing_it_imports_nothing_heavy(tmp_path: Path) -> None:
    assert not (HEAVY | {"click"}) & set(ran("from tritonrepo import api;" + LOADED, tmp_path).split())


def test_the_page_runs(checkout: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert ran("\n".join(blocks), checkout) == ""


def test_the_page_names_everything() -> None:
    table = PAGE.read_text("utf-8").partition("## All names")[2]
    assert sorted(re.findall(r"`(\w+)`", table)) == sorted(api.__all__)


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(api.__file__).parent / "py.typed").is_file()


def test_no_flow_reads_the_environment_by_itself() -> None:
    """It is the caller's: two callers in one process may have two."""
    for path in (Path(api.__file__).parent / "flows").glob("*.py"):
        assert not re.search(r"\bos\.(environ|getenv)|\bprint\(|sys\.(exit|std)", path.read_text("utf-8")), path


def test_paths_may_be_given_as_such_and_one_stack_without_a_list(checkout: Path) -> None:
    work, stack, out = api.Workspace(os.environ), checkout / "examples" / "models" / "rag", checkout / "out"
    api.apply_build(api.plan_build(api.load(stack, work), out))
    assert {verdict.verdict for verdict in api.validate(out, work).verdicts} == {api.State.READY}
    assert api.plan_push(out, checkout / "served" / "handbook", work).plan
    assert api.known(out, work, reads=out).models.keys() == api.known(str(stack), work).models.keys()


def test_a_release_that_is_not_known_is_told_without_a_place() -> None:
    with pytest.raises(api.Stop, match=r"^26\.13: fatal: unknown Triton release \"26\.13\"") as stopped:
        api.target(api.Said("26.13"))
    assert stopped.value.diagnostics[0].hint == "Use a release from 24.01 to 26.11."
