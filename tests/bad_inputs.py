"""The table of bad inputs in tests/data/bad_inputs: what is wrong, in which files, and what must be said of it.

A row has `wrong`, which names it, and one of `stack`, the text of tritonrepo.yaml, and `change`, pairs of a text of the
table's `base` and what replaces it. A table of other files has their name as `file` and the `options` of all its rows.
It can have other `files`, an `encoding` of the stack, `variables` of the environment, and the `options` of the command
line. `says` is what must be printed, all of it: `LINE:COLUMN: MESSAGE`, with the path if that is another file; `hint`
is a part of the next steps, `schema` whether the JSON Schema of the stack file refuses it, `code` the exit code. ⟨x*5⟩
stands for five times x.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

DATA = Path(__file__).parent / "data" / "bad_inputs"
MANY = re.compile(r"⟨(.)\*(\d+)⟩", re.DOTALL)
STACK = "tritonrepo.yaml"


class Row(NamedTuple):
    """A bad input, or a good one that looks like it, for which nothing must be said."""

    wrong: str
    files: Mapping[str, str]
    encoding: str
    variables: Mapping[str, str]
    options: Sequence[str]
    says: Sequence[str]
    hint: str
    schema: bool
    code: int

    def contents(self) -> dict[str, bytes]:
        """Return what is in the files."""
        return {name: whole(text).encode(self.encoding) for name, text in self.files.items()}


def whole(text: str) -> str:
    """Return a text of the table as it is meant."""
    return MANY.sub(lambda found: found[1] * int(found[2]), text)


def rows(table: str) -> Iterator[Row]:
    """Yield the rows of a table."""
    data = yaml.safe_load((DATA / f"{table}.yaml").read_text("utf-8"))
    for row in data["rows"]:
        yield _row({"options": data.get("options", ["build"]), **row}, data.get("base", ""), data.get("file", STACK))


def _row(row: Mapping[str, Any], base: str, file: str) -> Row:
    known = {"wrong", "stack", "change", "files", "encoding", "variables", "options", "says", "hint", "schema", "code"}
    assert row.keys() <= known, row
    text = _stack(row, base)
    files = row.get("files", {}) | ({} if text is None else {file: text})
    says = [row["says"]] if isinstance(row["says"], str) else row["says"]
    return Row(
        row["wrong"],
        files,
        row.get("encoding", "utf-8"),
        row.get("variables", {}),
        row["options"],
        [f"{file}:{text}" if re.match(r"\d+(:\d+)?: ", text) else text for text in map(whole, says)],
        row.get("hint", ""),
        row["schema"],
        row.get("code", 2),
    )


def _stack(row: Mapping[str, Any], base: str) -> str | None:
    """Return the text of the stack file; None if the row has it among its files."""
    if "stack" in row:
        return str(row["stack"])
    if "change" not in row:
        return None if "files" in row else base
    for old, new in zip(row["change"][::2], row["change"][1::2], strict=True):
        assert base.count(old) == 1, (row["wrong"], old)
        base = base.replace(old, new)
    return base


TABLES = sorted(path.stem for path in DATA.glob("*.yaml"))
ROWS = {f"{table}: {row.wrong}": row for table in TABLES for row in rows(table)}
