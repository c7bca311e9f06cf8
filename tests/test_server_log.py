"""What a user sees of a server's log, what it says about a start, and which stubs have ended: no server is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import alive
from tests.tabled import tabled
from tests.test_server_parts import GOOD
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.packaged import facts
from tritonrepo.server import logs, staging
from tritonrepo.server.following import KEPT, PIECE, Loading, Shown, Stub, Stubs, Tail, still, stubs
from tritonrepo.server.launch import Launch
from tritonrepo.server.runtime import runtime

HEAD = "E1124 08:22:31.604112 6845 pb_stub.cc:714] "
TRACE = r"\n\nAt:\n  /lib/numpy/core.py(7): dot\n  /repo/m/1/model.py(8): execute\n  <frozen importlib>(241): _call\n"
FRAMES = r"\n\nAt:\n  /lib/numpy/core.py(7): dot\n  /lib/numpy/all.py(1): all\n"


def place(model: str) -> Span:
    return {"m": Span("stack.yaml", 4, 3)}.get(model, Span(f"/repo/{model}"))


def shown(*lines: str) -> list[str]:
    return [str(each) for each in Shown(place, "/repo").of("\n".join(lines))]


ROWS: dict[str, tuple[str, list[str]]] = {
    "information": ("I1124 08:22:31.604112 6845 a.cc:1] \"failed to load 'm'\"", []),
    "a table": ("| m | 1 | UNAVAILABLE: error |", []),
    "an empty line": ("", []),
    "what a model prints": ("  step 7\t of 9", ["server: step 7\t of 9"]),
    "a traceback of the import system": (
        "At:\n  <frozen importlib._bootstrap>(241): _call\n/m.py(1): f",
        ["server: /m.py(1): f"],
    ),
    "a colour": ("\x1b[31mred", ["server: \x1b[31mred"]),
    "a warning": (f"W{HEAD[1:]}slow", ["/repo/: warning: slow [server-log]"]),
    "a fault of a model": (
        f"{HEAD}\"Failed to process the request(s) for model 'm_0_0', message: ValueError: no{TRACE}\"",
        ["stack.yaml:4:3: error: m: ValueError: no [server-log]\n  /repo/m/1/model.py:8, in execute"],
    ),
    "one outside": (
        f"{HEAD}\"Failed to process the request(s) for model 'other_0_3', message: Internal: no{FRAMES}\"",
        ["/repo/other: error: no [server-log]\n  /lib/numpy/core.py:7, in dot"],
    ),
    "without quotes, as in earlier releases": (
        f"{HEAD}failed to load 'm' version 1: Invalid argument: odd",
        ["stack.yaml:4:3: error: m: odd [server-log]"],
    ),
    "a dead stub": (f"{HEAD}\"Stub process 'm_0_0' is not healthy.\"", ["error: Stub process 'm_0_0' is not healthy."]),
    "an endless line": ("x" * 5000, [f"server: {'x' * 400} …"]),
    "many lines": (
        f'{HEAD}"{"y" * 500}' + r"\nmore" * 30 + '"',
        [f"/repo/: error: {'y' * 400} … [server-log]" + "\n  more" * 12],
    ),
    "nothing but a kind": (f'{HEAD}"Internal: "', ["error: Internal"]),
}


@tabled(("line", "expected"), ROWS.values(), ids=ROWS)
def test_a_line_of_the_log_is_shown_with_its_place_and_cause(line: str, expected: list[str]) -> None:
    said = shown(line)
    assert len(said) == len(expected)
    assert all(words in text for words, text in zip(expected, said, strict=True))


@tabled("known", facts("harmless_log")["lines"], ids=lambda line: str(line["text"]))
def test_what_a_healthy_server_says_is_hidden_for_a_reason(known: dict[str, str]) -> None:
    assert known["reason"]
    assert known["source"]
    assert shown(f'{HEAD}"x: {known["text"]} x"', f"Error: {known['text']}") == []
    assert not logs.telling(f'{HEAD}"x: {known["text"]} x"')


def test_a_repeated_message_is_shown_at_powers_of_ten() -> None:
    lines = [f'{HEAD}"fault"'] * 999 + [f'{HEAD}"other"']
    times = [text.partition("fault")[2] for text in shown(*lines)]
    assert times == [" [server-log]", " (10 times by now) [server-log]", " (100 times by now) [server-log]", ""]
    news = Shown(place, "/repo")
    for number in range(3 * KEPT):
        assert len([*news.of(f'{HEAD}"fault {number}"')]) == 1
    assert len(news._seen) == KEPT  # noqa: SLF001  the memory of a server that runs for weeks


def test_the_usage_after_a_wrong_option_is_not_shown() -> None:
    news = Shown(place, "/repo")
    assert [*news.of("unrecognized option\nUsage: tritonserver [options]\n  --help")] == ["server: unrecognized option"]
    assert [*news.of("  --id <string>")] == []


def test_a_growing_log_is_read_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "log"
    tail = Tail(log)
    assert tail.read() == []
    with log.open("ab") as file:
        for piece, lines in ((b"a\nb", ["a"]), (b"c\n\xff\n", ["bc", "�"]), (b"", []), (b"\n", [""])):
            file.write(piece)
            file.flush()
            assert tail.read() == lines
    log.write_bytes(b"new\n")
    assert tail.read() == ["new"]
    with log.open("ab") as file:
        file.write(b"x" * PIECE)
    assert tail.read() == ["x" * PIECE]


def test_the_log_says_what_is_being_loaded_and_since_when() -> None:
    loading = Loading()
    assert loading.sentence(1) == "starting the server"
    loading.heard([f'I{HEAD[1:]}"loading: {name}:1"' for name in ("a", "b", "c:d")], 1)
    loading.heard([f'I{HEAD[1:]}"loading: e:1"', "loading: x:1"], 5)
    assert loading.waiting(7) == {"a": 6, "b": 6, "c:d": 6, "e": 2}
    assert loading.sentence(7) == "loading a, b, c:d and 1 more, 6 s"
    loading.heard([f"I{HEAD[1:]}\"successfully loaded 'a'\"", f"{HEAD}\"failed to load 'b' version 1: x\""], 8)
    loading.heard([f"I{HEAD[1:]}successfully loaded 'c:d' version 1"], 8)
    assert still(loading.waiting(9)) == ": it is still loading e (for 4 s)"
    assert still({}) == ""


def test_a_stub_says_what_it_does_and_is_missed(tmp_path: Path) -> None:
    """In the name of a stub, a program that waits; its first argument is the path of the model, as Triton gives it."""
    program = tmp_path / "triton_python_backend_stub"
    code = "import time; print(flush=True); time.sleep(600)"
    path = tmp_path / "m" / "1" / "model.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    command = [str(program), str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, executable=sys.executable, stdout=pipe, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()
        (stub,) = stubs(process.pid)
        assert (stub.model, stub.pid) == ("m", process.pid)
        assert f"The stub of m, process {process.pid}, " in str(stub)
        known = Stubs(process.pid, place)
        assert [*known.dead()] == []
        process.kill()
        process.wait()
        assert not alive(process.pid)
        (said,) = known.dead()
        assert (said.rule, said.severity, said.at) == ("server-stub", Severity.ERROR, Span("stack.yaml", 4, 3))
        assert [*known.dead()] == []
    assert str(Stub("m", 7, "R", 1.25, 3 << 20)) == (
        "The stub of m, process 7, computes. It has used 1.2 s of processor time and 3.0 MiB of memory."
    )


def test_a_log_of_ones_own_is_emptied_and_must_be_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("earlier")
    assert staging.emptied(log).read_bytes() == b""
    os.mkfifo(tmp_path / "fifo")
    for odd, words in (
        (tmp_path, "would not be a regular file"),
        (tmp_path / "fifo", "would not be"),
        (tmp_path / "a" / "b", "No such"),
    ):
        with pytest.raises(Stop, match=words) as stop:
            staging.emptied(odd)
        assert [(d.rule, d.severity) for d in stop.value.diagnostics] == [("server-log-file", "fatal")]


def test_a_model_is_found_where_a_stack_declares_it() -> None:
    launch = Launch("s3://b/p/", runtime(GOOD), places={"m": place("m")})
    assert [str(launch.place(model)) for model in ("m", "n", "")] == ["stack.yaml:4:3", "s3://b/p/n", "s3://b/p/"]
    assert isinstance(next(Shown(launch.place, "").of(f'{HEAD}"x"')), Diagnostic)
