"""Each bad input is told in the messages that belong to it, at their places, and nothing is written."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests.bad_inputs import ROWS, STACK, TABLES, Row, rows
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.cost.schema import schema as cost_file
from tritonrepo.diagnostics import Stop
from tritonrepo.parts import PARTS
from tritonrepo.spec.load import plain
from tritonrepo.spec.nodes import parse
from tritonrepo.spec.schema import schema

SAID = re.compile(r"(?P<place>[^ ].*?): (?:fatal|error): (?P<message>.*) \[[a-z0-9-]+\]")


def state(place: Path) -> dict[str, tuple[object, ...]]:
    """Return all that a write would change of a directory: kinds, modes, times, and contents."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(place.rglob("*")):
        facts = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        found[str(path.relative_to(place))] = (facts.st_mode, facts.st_ino, facts.st_mtime_ns, content)
    return found


def told(err: str) -> list[str]:
    """Return place and message of everything that a command said on stderr; no other line begins at the margin."""
    lines = [line for line in err.splitlines() if line and not line.startswith(" ")]
    matches = [(line, SAID.fullmatch(line)) for line in lines]
    return [f"{match['place']}: {match['message']}" if match else line for line, match in matches]


def entered(place: Path, patch: pytest.MonkeyPatch) -> Path:
    """Enter a working directory of its own, with a cache beside it."""
    patch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    (place / "here").mkdir(parents=True)
    patch.chdir(place / "here")
    return place


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return entered(tmp_path, monkeypatch)


def test_a_bad_input_is_told_in_its_messages_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    @tabled(("number", "row"), enumerate(ROWS.values()), ids=ROWS)
    def check(number: int, row: Row) -> None:
        with pytest.MonkeyPatch.context() as patch:
            bad_input(entered(tmp_path / str(number), patch), row, patch, capsys)

    check()


def bad_input(place: Path, row: Row, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name, content in row.contents().items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(content)
    for name, value in row.variables.items():
        patch.setenv(name, value)
    before = state(place)
    code = run([*row.options])
    out, err = capsys.readouterr()
    assert (told(err), code) == (row.says, row.code)
    assert row.hint in err
    assert bool(out) == (not row.says)
    assert state(place) == before


def data(content: bytes) -> Any:  # noqa: ANN401  whatever YAML has
    """Return what an editor gives to the schema, by YAML 1.2; raise Stop if it has nothing to give."""
    try:
        return plain(parse(content, STACK))
    except Stop as stop:
        if "must be a mapping" not in str(stop) and "is empty" not in str(stop):
            raise
        return yaml.safe_load(content)


@tabled("table", TABLES)
def test_the_schema_refuses_what_it_can_judge_and_nothing_else(table: str) -> None:
    judge = jsonschema.Draft7Validator(cost_file() if table == "cost" else schema(PARTS))
    for row in rows(table):
        try:
            read = data(next(iter(row.contents().values())))
        except Exception:  # noqa: BLE001  no editor could read it
            refused = False
        else:
            refused = not judge.is_valid(read)
        assert refused == row.schema, row.wrong


def test_the_rows_have_names_of_their_own() -> None:
    assert len(ROWS) == sum(len([*rows(table)]) for table in TABLES)
    assert len(ROWS) > 250
