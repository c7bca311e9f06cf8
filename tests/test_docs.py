"""The documents say what the code does: their console blocks are run, their options exist."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from scripts.docs import pages
from tests.conftest import EXAMPLE
from tritonrepo.cli import COMMANDS, root

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = {
    f"{page.name} {number}": block
    for page in PAGES
    for number, block in enumerate(
        re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL), 1
    )
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory as a user's clone: the examples, and the command on the PATH."""
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "models" / "rag")
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_a_console_block_prints_what_it_shows(checkout: Path, block: str) -> None:
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        line = f'PATH="{Path(sys.executable).parent}:$PATH"; {command}'
        done = subprocess.run(["bash", "-c", line], cwd=checkout, capture_output=True, text=True, check=False)
        pattern = re.sub(r"^…\\\n", "(?:.*\n)*", re.escape(shown), flags=re.MULTILINE).replace("…", ".*")
        assert re.fullmatch(pattern, done.stdout + done.stderr), done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_documents(command: str) -> None:
    lines = (ROOT / "docs" / "commands.md").read_text("utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f"| `tritonrepo {command}"))
    found = root.get_command(click.Context(root), command)
    assert found is not None
    options = [option.opts[0] for option in found.params if isinstance(option, click.Option)]
    shared = ["serve's"] if command == "up" else []
    own = [o for o in options if not shared or o in {"-o", "--ask"}]
    assert all(word in row for word in (*own, *shared))


def test_the_readme_is_short_and_runs_what_ci_runs_first() -> None:
    """`.ci/run` takes its first block of sh for the way to run it, its second for the tests."""
    text = README.read_text("utf-8")
    assert len(text.splitlines()) <= 150
    run, test, *_ = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert "tritonrepo up examples/models/rag" in run
    assert "python -m pytest" in test


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), anchor


def test_every_document_is_linked_from_the_readme() -> None:
    linked = re.findall(r"\]\((docs/[\w-]+\.md)", README.read_text("utf-8"))
    assert {*linked} == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_the_readme_shows_the_example_as_it_is() -> None:
    shown = re.search(r"^```yaml\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert shown is not None
    example = (EXAMPLE / "tritonrepo.yaml").read_text("utf-8")
    for line in shown[1].splitlines():
        assert line.split("{")[0].rstrip() in example


def test_what_is_made_from_the_code_is_current() -> None:
    for path, content in pages().items():
        assert path.read_text("utf-8") == content, f"{path.name}: run python -m scripts.docs"


def test_every_guard_in_the_table_of_texts_names_tests_that_are_there() -> None:
    tests = ROOT / "tests"
    table = (ROOT / "docs" / "untrusted-texts.md").read_text("utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, test in named:
            assert f"def {test}(" in (tests / path).read_text("utf-8"), row
