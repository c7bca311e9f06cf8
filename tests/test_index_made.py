"""How an index is made: a document at a time, out of sight until it is complete, and gone if it never is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_own_stacks import own
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.flows.events import Counted, Event
from tritonrepo.flows.index import index
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.indexing.documents import Document, DocumentFile, Reading
from tritonrepo.stores.nameless import Nameless

__all__ = ["own"]


@pytest.fixture
def taken() -> list[str]:
    """The ids that a reader has read so far."""
    return []


def reading(taken: list[str], *ids: str) -> Reading:
    """Return documents of these ids; one that is empty is wrong."""

    def read(file: DocumentFile) -> Iterator[tuple[Span, Document | Diagnostic]]:
        for number, id_ in enumerate(ids, 1):
            taken.append(id_)
            at = Span(str(file.path), number)
            wrong = Diagnostic("index-documents", Severity.FATAL, at, "nothing", "")
            yield at, Document(id_, "t") if id_ else wrong

    return Reading([DocumentFile(Path("a.x"), "a.x")], {".x": read})


def test_a_document_is_read_when_the_one_before_is_done_with(taken: list[str]) -> None:
    found = iter(reading(taken, "a", "b", "c"))
    assert [next(found).id, next(found).id] == ["a", "b"]
    assert taken == ["a", "b"]


def test_after_something_wrong_the_rest_is_read_for_what_else_is_wrong_alone(taken: list[str]) -> None:
    got = list[str]()
    with pytest.raises(Stop) as stop:
        got += (each.id for each in reading(taken, "a", "", "b", "a", ""))
    assert taken == ["a", "", "b", "a", ""]
    assert [(d.at.line, d.message) for d in stop.value.diagnostics] == [
        (2, "nothing"),
        (4, 'duplicate id "a"'),
        (5, "nothing"),
    ]


def test_documents_can_be_gone_through_again(taken: list[str]) -> None:
    found = reading(taken, "a", "b")
    assert [*found] == [*found]


def test_what_is_written_is_out_of_sight_and_can_be_read(tmp_path: Path) -> None:
    with Nameless(tmp_path / "not" / "there" / "a") as made:
        made.write(b"one\ntwo")
        made.write(b"\nthree")
        assert [*made.lines()] == [b"one\n", b"two\n", b"three"]
        file = made.file()
        assert (file.size, file.content(), file.read(4, 3), file.path) == (13, b"one\ntwo\nthree", b"two", None)
        assert not [*tmp_path.iterdir()]


FULL = """
import resource, sys
from pathlib import Path
from tritonrepo.diagnostics import Stop
from tritonrepo.stores.nameless import Nameless
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with Nameless(Path("a")) as made:
        for _ in range(100):
            made.write(b"x" * 10_000)
except Stop as stop:
    print(*stop.diagnostics[0].lines, sep="\\n")
"""


def test_what_does_not_fit_is_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("a: fatal: cannot write: File too large [store-access]")
    assert not done.stderr
    assert not [*tmp_path.iterdir()]


def test_a_directory_that_cannot_be_written_is_told() -> None:
    """Not even by root, in the kernel's own."""
    with pytest.raises(Stop, match=r"^/proc/self/i/a: fatal: cannot write: "):
        Nameless(Path("/proc/self/i/a"))


KILLED = """
import os, signal
from tritonrepo.cli import run
from tritonrepo.indexing import vectors
vectors._head = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
run(["index"])
"""


def test_a_killed_run_leaves_nothing_and_the_next_one_makes_the_index(own: Path) -> None:
    before = sorted(own.rglob("*"))
    assert subprocess.run([sys.executable, "-c", KILLED], check=False, cwd=own).returncode == -signal.SIGKILL
    assert sorted(own.rglob("*")) == before
    assert run(["index"]) == 0
    assert sorted(path.name for path in (own / "i").iterdir()) == ["embeddings.npy", "passages.jsonl"]


def test_what_is_cut_and_embedded_is_counted(own: Path) -> None:
    lines = (json.dumps({"id": f"{number}", "text": "a b"}) + "\n" for number in range(250))
    (own / "d" / "a.jsonl").write_text("".join(lines), "utf-8")
    told = list[Event]()
    index(load("tritonrepo.yaml", Workspace(os.environ, tell=told.append)))
    counts = [each for each in told if isinstance(each, Counted)]
    cut, embedded = ([each for each in counts if each.what == f"r: {what}"] for what in ("cutting", "embedding"))
    assert [each[1:] for each in cut] == [(100, 0, "documents"), (200, 0, "documents")]
    assert [each.done for each in embedded] == sorted({each.done for each in embedded})
    assert embedded[-1][1:] == (250, 250, "passages")


def test_wrong_documents_are_told_with_a_cut_that_cannot_be(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own / "d" / "a.jsonl").write_text("nothing\n", "utf-8")
    text = (own / "tritonrepo.yaml").read_text("utf-8")
    (own / "tritonrepo.yaml").write_text(text.replace("top_k: 2", "top_k: 2, chunks: {max_tokens: 99}"), "utf-8")
    assert run(["index"]) == 2
    said = capsys.readouterr().err
    assert "d/a.jsonl:1: fatal: the line is not valid JSON" in said
    assert 'max_tokens is 99, but "e" reads only' in said


PEAK = """
from pathlib import Path
from tritonrepo.cli import run
assert run(["index"]) == 0
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
"""


def test_the_memory_does_not_grow_with_the_passages(own: Path) -> None:
    """The documents have 32 MB, most of it metadata, which is not embedded."""

    def peak_kib(count: int) -> int:
        with (own / "d" / "a.jsonl").open("w", encoding="utf-8") as lines:
            for number in range(count):
                lines.write(json.dumps({"id": f"{number}", "text": "a b", "more": f"{number}" + "x" * 16_000}) + "\n")
        command = [sys.executable, "-c", PEAK]
        return int(subprocess.run(command, capture_output=True, check=True, cwd=own).stdout.split()[-1])

    assert peak_kib(2000) - peak_kib(10) < 16_000
