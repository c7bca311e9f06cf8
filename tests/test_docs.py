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

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```console\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A directory as a user's clone: the examples, and the command on the PATH."""
    shutil.copytree(EXAMPLE, tmp_path / "examples" / "models" / "rag")
    return tmp_path


@pytest.mark.parametrize("block", BLOCKS)
def test_a_console_block_prints_what_it_shows(checkout: Path, block: str) -> None:
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        line = f'PATH="{Path(sys.executable).parent}:$PATH"; {command}'
        done = subprocess.run(["bash", "-c", line], cwd=checkout, capture_output=True, text=True, check=False)
        pattern = re.sub(r"^…\\\n", "(?:.*\n)*", re.escape(shown), flags=re.MULTILINE).replace("…", ".*")
        assert re.fullmatch(pattern, done.stdout + done.stderr), done.stdout + done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_option_is_in_the_readme(command: str) -> None:
    row = next(line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| `tritonrepo {command}"))
    found = root.get_command(click.Context(root), command)
    assert found is not None
    options = [option.opts[0] for option in found.params if isinstance(option, click.Option)]
    shared = ["serve's"] if command == "up" else []
    own = [o for o in options if not shared or o in {"-o", "--ask"}]
    assert all(word in row for word in (*own, *shared))


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
    tests = Path(__file__).parent
    table = (tests.parent / "docs" / "untrusted-texts.md").read_text("utf-8")
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    for row in rows:
        named = re.findall(r"`([\w/]+\.py)::(\w+)`", row)
        assert named, row
        for path, test in named:
            assert f"def {test}(" in (tests / path).read_text("utf-8"), row
