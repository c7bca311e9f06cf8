"""The parts of the server room that need no server: preconditions, ports, staging, logs, errors of the client."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.server import loading, logs, ports, probe, runtime, staging
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.launch import Launch
from tritonrepo.server.process import start
from tritonrepo.server.runtime import Facts
from tritonrepo.tree import Directory, Unreadable, of_text

BOUND_S = 60
GOOD = Facts(
    system="Linux",
    machine="x86_64",
    glibc="2.35",
    implementation="CPython",
    version="3.11.9",
    executable="/venv/bin/python",
    is_python3=True,
    libpython="/usr/lib/libpython3.11.so.1.0",
    libpython_trouble="",
    wheel="/venv/lib/python3.11/site-packages",
    numpy="1.26.4",
    missing=(),
)


@pytest.mark.parametrize(
    ("change", "rules", "words"),
    [
        pytest.param({}, [], "", id="all is there"),
        pytest.param({"version": "3.12.1"}, [], "", id="Python 3.12"),
        pytest.param({"version": "3.10.13"}, [], "", id="Python 3.10"),
        pytest.param({"system": "Darwin", "machine": "arm64"}, ["runtime-host"], "Darwin on arm64", id="a Mac"),
        pytest.param({"machine": "aarch64"}, ["runtime-host"], "Linux on aarch64", id="an ARM machine"),
        pytest.param({"glibc": "2.34"}, ["runtime-host"], "this system has 2.34", id="an older glibc"),
        pytest.param({"glibc": "2.36"}, [], "", id="a newer glibc"),
        pytest.param({"glibc": "2.4"}, ["runtime-host"], "this system has 2.4", id="a glibc of one digit"),
        pytest.param({"system": "FreeBSD"}, ["runtime-host"], "FreeBSD on x86_64", id="another system"),
        pytest.param({"glibc": ""}, ["runtime-host"], "not glibc", id="another C library"),
        pytest.param(
            {"version": "3.13.0"}, ["runtime-python"], "NumPy 1, which supports Python up to 3.12", id="Python 3.13"
        ),
        pytest.param({"version": "3.9.18"}, ["runtime-python"], "3.10 to 3.12", id="Python 3.9"),
        pytest.param({"implementation": "PyPy"}, ["runtime-python"], "this is PyPy", id="not CPython"),
        pytest.param({"version": "4.0.0"}, ["runtime-python"], "does not run on Python 4.0", id="Python 4"),
        pytest.param({"numpy": "2.0.0"}, ["runtime-numpy"], "NumPy 2.0.0 is installed", id="the first NumPy 2"),
        pytest.param({"numpy": "1.99.9"}, [], "", id="the last NumPy 1"),
        pytest.param({"libpython": "libpython3.11.so.1.0"}, [], "", id="a libpython that the loader finds"),
        pytest.param({"libpython_trouble": "odd"}, [], "", id="a libpython that loads after all"),
        pytest.param({"missing": ("a", "b")}, ["runtime-package"], "a and b cannot be imported", id="two packages"),
        pytest.param({"wheel": "", "numpy": ""}, ["runtime-wheel"], "pip install 'tritonrepo[local]'", id="no wheel"),
        pytest.param(
            {"libpython": "", "libpython_trouble": "no such file: L"},
            ["runtime-libpython"],
            "no such file: L\nInstall libpython3.11.so.1.0. Without it, the stub hangs. On Debian or Ubuntu, run "
            "`apt-get install libpython3.11`.\nWithout root, unpack that package with `dpkg -x`, and add",
            id="no shared libpython",
        ),
        pytest.param({"numpy": "2.3.5"}, ["runtime-numpy"], "pip install 'numpy<2'", id="NumPy 2"),
        pytest.param({"numpy": ""}, ["runtime-numpy"], "is not installed", id="no NumPy"),
        pytest.param(
            {"missing": ("tokenizers",)}, ["runtime-package"], "tokenizers cannot be imported", id="a package"
        ),
        pytest.param(
            {"is_python3": False}, ["runtime-python"], "/venv/bin/python3 is a different Python", id="another python3"
        ),
        pytest.param(
            {"wheel": "", "libpython": "", "numpy": "2.0.0"},
            ["runtime-wheel", "runtime-libpython", "runtime-numpy"],
            "",
            id="several at once",
        ),
        pytest.param(
            {"glibc": "2.31", "version": "3.13.1", "wheel": "", "libpython": ""},
            ["runtime-host", "runtime-python"],
            "",
            id="machine and Python, without what follows from them",
        ),
    ],
)
def test_preconditions(change: dict[str, Any], rules: list[str], words: str) -> None:
    found = [*runtime.problems(replace(GOOD, **change))]
    assert [diagnostic.rule for diagnostic in found] == rules
    assert {diagnostic.severity for diagnostic in found} <= {"fatal"}
    assert words in "\n".join(f"{d.message}\n{d.hint}" for d in found)
    assert all(diagnostic.hint for diagnostic in found)


def test_an_interpreter_is_asked_by_starting_it() -> None:
    asked = runtime.ask(Path(sys.executable), ["no_such_module", "json"])
    assert asked == Facts.of(probe.facts(["json", "no_such_module"]))
    machine = os.uname()
    assert (asked.system, asked.machine) == (machine.sysname, machine.machine)
    assert (asked.implementation.lower(), asked.executable) == (sys.implementation.name, sys.executable)
    assert asked.version == "{}.{}.{}".format(*sys.version_info)
    assert asked.glibc == c_library()
    assert asked.numpy == numpy.__version__
    assert asked.is_python3 is (Path(sys.executable).with_name("python3").resolve() == Path(sys.executable).resolve())
    assert (Path(asked.wheel) / "pytriton" / "__init__.py").is_file()
    assert Path(asked.libpython).name == "libpython{}.{}.so.1.0".format(*sys.version_info)
    assert (asked.libpython_trouble, asked.missing) == ("", ("no_such_module",))


def c_library() -> str:
    """Return glibc's version in the library's own words."""
    library = ctypes.CDLL(None)
    library.gnu_get_libc_version.restype = ctypes.c_char_p
    return str(library.gnu_get_libc_version().decode())


BESIDE: dict[str, tuple[str, bool]] = {
    "the same by a link": ("link", True),
    "another one": ("other", False),
    "none": ("", False),
}


@pytest.mark.parametrize(("beside", "same"), BESIDE.values(), ids=BESIDE)
def test_the_python3_beside_an_interpreter_is_the_same_or_not(tmp_path: Path, beside: str, *, same: bool) -> None:
    python, python3 = tmp_path / "python3.11", tmp_path / "python3"
    python.touch()
    if beside == "link":
        python3.symlink_to("python3.11")
    elif beside:
        python3.touch()
    assert probe.is_python3(str(python)) is same


def glibc_of(answer: str | Exception | None, monkeypatch: pytest.MonkeyPatch) -> str:
    def confstr(_: str) -> str | None:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(os, "confstr", confstr)
    return probe.glibc()


C_LIBRARIES: dict[str, tuple[str | Exception | None, str]] = {
    "glibc": ("glibc 2.41", "2.41"),
    "another": ("musl 1.2", ""),
    "without a word": (None, ""),
    "that does not know the question": (ValueError("unrecognized configuration name"), ""),
    "that fails": (OSError(22, "Invalid argument"), ""),
}


@pytest.mark.parametrize(("answer", "version"), C_LIBRARIES.values(), ids=C_LIBRARIES)
def test_only_glibc_has_a_version(
    answer: str | Exception | None, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert glibc_of(answer, monkeypatch) == version


NUMBERS = {
    "two": ("3.12", (3, 12)),
    "three": ("3.11.9", (3, 11)),
    "one": ("3", (3, 0)),
    "a suffix": ("3.13.0rc2+", (3, 13)),
    "two digits before two": ("2.9", (2, 9)),
    "nothing": ("", (0, 0)),
}


@tabled(("version", "numbers"), NUMBERS.values(), ids=NUMBERS)
def test_versions_are_compared_by_their_first_two_numbers(version: str, numbers: tuple[int, int]) -> None:
    assert runtime.numbers(version) == numbers


def test_the_wheels_files_are_where_it_has_them() -> None:
    found = runtime.runtime(GOOD)
    triton = Path("/venv/lib/python3.11/site-packages/pytriton/tritonserver")
    assert (found.python, found.version, found.minor) == (Path("/venv/bin/python"), "3.11.9", "3.11")
    assert found.server == triton / "bin" / "tritonserver"
    assert found.stub == triton / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"
    names = ["libtriton_python.so", "triton_python_backend_utils.py"]
    assert found.backend_files == tuple(triton / "backends" / "python" / name for name in names)
    libraries = Path("/venv/lib/python3.11/site-packages/nvidia_pytriton.libs")
    assert found.library_path == (libraries, Path("/usr/lib"))
    by_name = runtime.runtime(replace(GOOD, libpython="libpython3.11.so.1.0"))
    assert by_name.library_path == (libraries,)  # the loader finds it


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(None, "No such file", id="nothing there"),
        pytest.param("#!/bin/sh\necho hello\n", "it does not respond as Python does", id="another program"),
        pytest.param("#!/bin/sh\necho broken >&2; exit 3\n", "broken", id="a program that fails"),
        pytest.param("#!/bin/sh\nexit 3\n", "it exited with code 3", id="a program that fails without a word"),
        pytest.param("#!/bin/sh\necho '{}'\n", "it does not respond as Python does", id="too short an answer"),
        pytest.param("#!/bin/sh\nsleep 600 & sleep 600\n", "no response within 0.3 s", id="one that hangs"),
        pytest.param("#!/bin/sh\nsleep 600 &\necho '[]'\n", "does not respond as Python does", id="one that forks"),
        pytest.param("#!/bin/sh\nexec yes\n", "ended by signal 25|no response", id="one that never stops"),
        pytest.param("#!/bin/sh\nprintf '\\377\\000[[['\n", "does not respond as Python does", id="garbage"),
        pytest.param("", "Exec format error", id="an empty file"),
    ],
)
def test_what_is_no_python(tmp_path: Path, content: str | None, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if content and ("sleep 600\n" in content or "yes" in content):
        monkeypatch.setattr(runtime, "ANSWER_S", 0.3)
    program = tmp_path / "python"
    if content is not None:
        program.write_text(content, encoding="utf-8")
        program.chmod(0o700)
    with pytest.raises(Stop, match=words) as stop:
        runtime.find(program)
    assert [(d.severity, d.at.path) for d in stop.value.diagnostics] == [("fatal", str(program))]


def test_a_libpython_that_is_not_one(tmp_path: Path) -> None:
    """A LIBDIR with a broken library, and no other location: reported in the loader's words."""
    (tmp_path / "libpython{}.{}.so.1.0".format(*sys.version_info)).touch()
    code = """if True:
        import sys, sysconfig, ctypes
        from tritonrepo.server import probe
        sysconfig.get_config_var = {"LIBDIR": sys.argv[1]}.get
        sys.base_prefix = "/nowhere"
        real = ctypes.CDLL
        def within(path):
            if "/" not in path:
                raise OSError("not in the loader's own places")
            return real(path)
        ctypes.CDLL = within
        print(*probe.libpython(), sep="|")
    """
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    path, trouble = done.stdout.strip().split("|")
    assert not path
    assert "too short" in trouble


def test_a_torn_installation(tmp_path: Path) -> None:
    found = [*runtime.absent_files(replace(GOOD, wheel=str(tmp_path)), runtime.AGAIN)]
    names = ["tritonserver", "triton_python_backend_stub", "libtriton_python.so", "triton_python_backend_utils.py"]
    assert [one.message.rpartition("/")[2] for one in found] == names
    assert {(one.rule, one.severity) for one in found} == {("runtime-wheel", "fatal")}
    assert all("nvidia-pytriton==0.7.0" in one.hint for one in found)
    server = runtime.runtime(replace(GOOD, wheel=str(tmp_path))).server
    server.parent.mkdir(parents=True)
    server.touch(mode=0o600)
    assert f"Run `chmod +x {server}`." in [
        diagnostic.hint for diagnostic in runtime.absent_files(replace(GOOD, wheel=str(tmp_path)), runtime.AGAIN)
    ]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        pytest.param(ports.Ports(http=70000), "http port 70000 is not between 0 and 65535", id="too high"),
        pytest.param(ports.Ports(http=24999, metrics=24999), "http port 24999 is requested twice", id="twice"),
        pytest.param(ports.Ports(grpc=24999, metrics=24999), "grpc port 24999 is requested twice", id="the last two"),
    ],
)
def test_ports_that_cannot_be(asked: ports.Ports, words: str) -> None:
    with pytest.raises(Stop) as stop:
        ports.choose(asked)
    ((rule, severity, message),) = [(d.rule, d.severity, d.message) for d in stop.value.diagnostics]
    assert (rule, severity, message) == ("server-port", "fatal", words)


def test_every_used_port_is_told_with_its_option() -> None:
    with socket.create_server((ports.HOST, 0)) as one, socket.create_server((ports.HOST, 0)) as other:
        http, metrics = one.getsockname()[1], other.getsockname()[1]
        with pytest.raises(Stop) as stop:
            ports.choose(ports.Ports(http, 0, metrics))
    assert [(d.at.path, d.message, d.hint) for d in stop.value.diagnostics] == [
        (f"127.0.0.1:{port}", f"{name} port {port} is in use by another program",
         f"Choose another port with --{name}-port, or 0 for any free port.")
        for name, port in (("http", http), ("metrics", metrics))
    ]  # fmt: skip


def test_a_port_that_is_free_is_taken_as_it_was_asked_for() -> None:
    free = ports.choose(ports.Ports())
    assert ports.choose(ports.Ports(free.grpc, free.http, 0))[:2] == (free.grpc, free.http)


REASONS: dict[str, tuple[OSError | OverflowError, str]] = {
    "used": (OSError(errno.EADDRINUSE, "x"), "is in use by another program"),
    "privileged": (OSError(errno.EACCES, "x"), "needs privileges that this user does not have"),
    "no number of a port": (OverflowError("bind(): port must be 0-65535."), "is not between 0 and 65535"),
    "else": (OSError(errno.EADDRNOTAVAIL, "no such address"), "cannot be used: no such address"),
}


@pytest.mark.parametrize(("error", "words"), REASONS.values(), ids=REASONS)
def test_why_a_port_is_unavailable_is_told(error: OSError | OverflowError, words: str) -> None:
    assert ports.reason(error) == words


def test_free_ports_differ_and_only_ones_own_listening_counts() -> None:
    chosen = ports.choose(ports.Ports())
    assert len({*chosen}) == 3
    assert not ports.listens(os.getpid(), chosen)
    with (
        socket.create_server((ports.HOST, chosen.http)),
        socket.create_server((ports.HOST, chosen.grpc)),
        socket.create_server((ports.HOST, chosen.metrics)),
    ):
        assert ports.listens(os.getpid(), chosen)
        assert not ports.listens(os.getppid(), chosen)
    with socket.create_server((ports.HOST, chosen.http)), socket.create_server((ports.HOST, chosen.grpc)):
        assert not ports.listens(os.getpid(), chosen)  # one is not listened on
    assert not ports.listens(1 << 30, chosen)


def test_the_copy_resolves_links_and_leaves_out_what_cannot_be_served(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "m" / "1" / "__pycache__").mkdir(parents=True)
    (repository / "m" / "1" / "weights").write_text("w", encoding="utf-8")
    (repository / "m" / "2").symlink_to("1")
    (repository / "m" / "same").symlink_to("1/weights")
    (repository / "m" / "dangling").symlink_to("nowhere")
    (repository / "m" / "round").symlink_to("round")
    os.mkfifo(repository / "fifo")
    (tmp_path / "by-link").symlink_to(repository)
    staging.copy(tmp_path / "by-link", tmp_path / "copy")
    made = sorted(str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*"))
    assert made == ["m", "m/1", "m/1/weights", "m/2", "m/2/weights", "m/same"]
    assert not any(path.is_symlink() for path in (tmp_path / "copy").rglob("*"))
    assert (tmp_path / "copy/m/same").samefile(repository / "m/1/weights")


def test_the_copy_never_follows_a_link_out(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "m").mkdir(parents=True)
    (tmp_path / "secret").write_text("s", encoding="utf-8")
    (repository / "m" / "out").symlink_to("../../secret")
    (repository / "m" / "up").symlink_to("..")
    with pytest.raises(Stop) as stop:
        staging.copy(repository, tmp_path / "copy")
    assert [(d.at.path, d.message) for d in stop.value.diagnostics] == [
        (f"{repository}/m/out", f"the link points to ../../secret, outside {repository}"),
    ]
    (repository / "m" / "out").unlink()
    with pytest.raises(Stop) as stop:
        staging.copy(repository, tmp_path / "copy")
    assert [(d.at.path, d.message) for d in stop.value.diagnostics] == [
        (f"{repository}/m/up", "the link points to .., a directory that contains the link"),
    ]
    assert not (tmp_path / "copy").exists()


CIRCLES = {"of the model": ("1/up", ".."), "of the version": ("1/inner/up", "../../1"), "of itself": ("1/up", "../1")}


@pytest.mark.parametrize(("link", "target"), CIRCLES.values(), ids=CIRCLES)
def test_a_circle_below_the_repository_is_told(tmp_path: Path, link: str, target: str) -> None:
    place = tmp_path / "repository" / "m" / link
    place.parent.mkdir(parents=True)
    place.symlink_to(target)
    with pytest.raises(Stop) as stop:
        staging.copy(tmp_path / "repository", tmp_path / "copy")
    assert [(d.rule, d.severity, d.at.path, d.message) for d in stop.value.diagnostics] == [
        ("server-link", "fatal", str(place), f"the link points to {target}, a directory that contains the link")
    ]
    assert not (tmp_path / "copy").exists()


def test_what_this_user_cannot_read_is_told_before_anything_is_copied() -> None:
    entries = {"m/1/secret": Unreadable.FORBIDDEN, "m/locked": Unreadable.LOCKED}
    assert all(staging.odd(entry) for entry in entries.values())
    assert not any(staging.odd(entry) for entry in (Unreadable.FIFO, Directory(), of_text("x")))
    found = staging.problem(Path("r"), "m/1/secret", Unreadable.FORBIDDEN)
    assert (found.rule, found.severity, found.at.path) == ("server-link", "fatal", "r/m/1/secret")
    assert found.message == f"this is {Unreadable.FORBIDDEN}"
    assert found.hint == "Make it readable for this user."


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory on another file system than the tests' own."""
    place = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield place
    shutil.rmtree(place)


def test_a_file_is_copied_where_it_cannot_be_linked(tmp_path: Path, elsewhere: Path) -> None:
    if tmp_path.stat().st_dev == elsewhere.stat().st_dev:
        pytest.skip("there is only one file system")
    (tmp_path / "r" / "m" / "1").mkdir(parents=True)
    program = tmp_path / "r" / "m" / "1" / "program"
    program.write_text("x")
    program.chmod(0o750)
    staging.copy(tmp_path / "r", elsewhere / "copy")
    staging.place(program, elsewhere / "placed")
    for made in (elsewhere / "copy" / "m" / "1" / "program", elsewhere / "placed"):
        assert (made.read_text(), made.stat().st_mode & 0o777) == ("x", 0o750)


def test_a_copy_that_fails_says_where_to_put_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "r" / "m").mkdir(parents=True)
    (tmp_path / "r" / "m" / "weights").touch()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(staging, "taken", full)
    with pytest.raises(Stop) as stop:
        staging.copy(tmp_path / "r", tmp_path / "copy")
    ((rule, path, message),) = [(d.rule, d.at.path, d.message) for d in stop.value.diagnostics]
    assert (rule, path) == ("server-copy", str(tmp_path / "r"))
    assert message.endswith(": [Errno 28] No space left on device")


def test_backends_that_do_not_fit_are_told(tmp_path: Path) -> None:
    here = runtime.runtime(replace(GOOD, wheel=str(tmp_path / "site")))
    with pytest.raises(Stop, match=r"cannot copy the Python backend to .*: \[Errno 2\] No such file") as stop:
        staging.backends(here, {}, tmp_path / "backends")
    assert [d.rule for d in stop.value.diagnostics] == ["server-copy"]
    for path in (*here.backend_files, here.stub):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    ours = tmp_path / "ours"
    ours.mkdir()
    (ours / "model.py").touch()
    (ours / "gone").symlink_to("nowhere")
    with pytest.raises(Stop, match=r"cannot copy backend mine to .*: \[Errno 2\] No such file"):
        staging.backends(here, {"mine": ours}, tmp_path / "again")


def test_the_backends_directory_holds_pythons_and_ours(tmp_path: Path) -> None:
    site = tmp_path / "site"
    here = runtime.runtime(replace(GOOD, wheel=str(site)))
    for path in (*here.backend_files, here.stub):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(path.name)
    ours = tmp_path / "ours"
    (ours / "__pycache__").mkdir(parents=True)
    for name in ("model.py", "other.py", "__pycache__/model.pyc"):
        (ours / name).write_text(name)
    staging.backends(here, {"mine": ours}, tmp_path / "backends")
    made = {str(path.relative_to(tmp_path / "backends")) for path in (tmp_path / "backends").rglob("*")}
    assert made == {
        "mine", "mine/model.py", "mine/other.py", "python", "python/libtriton_python.so",
        "python/triton_python_backend_utils.py", "python/triton_python_backend_stub",
    }  # fmt: skip
    assert not (tmp_path / "backends" / "mine" / "model.py").samefile(ours / "model.py")
    (ours / "model.py").unlink()
    with pytest.raises(Stop, match=r"backend mine has no model\.py in this"):
        staging.backends(here, {"mine": ours}, tmp_path / "again")


IN_USE = "creating server: Internal - failed to bind: Address already in use"
CRASHED = "terminate called after throwing an instance of 'boost::interprocess::lock_exception'"
STARTS: dict[str, tuple[str, int, int]] = {
    "a free port is taken before the server has it": (IN_USE, 0, 2),
    "one of the free ports is taken": (IN_USE, 1, 2),
    "a port that was asked for is taken": (IN_USE, 3, 1),
    "the Python backend crashes": (CRASHED, 3, 2),
    "another end": ("unrecognized option", 0, 1),
}


@pytest.mark.parametrize(("said", "asked", "starts"), STARTS.values(), ids=STARTS)
def test_a_server_that_ends_by_chance_is_started_once_more_unless_its_ports_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, asked: int, starts: int
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    here = runtime.runtime(replace(GOOD, wheel=str(tmp_path / "site")))
    for path in (here.server, *here.backend_files, here.stub):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    here.server.write_text(f'#!/bin/sh\necho once >> {tmp_path}/starts\necho "{said}"\nexit 1\n')
    here.server.chmod(0o700)
    (tmp_path / "models").mkdir()
    launch = Launch(tmp_path / "models", here, ports.Ports(*ports.choose(ports.Ports())[:asked]))
    with pytest.raises(Stop, match="the server exited during startup with exit code 1") as stop:
        start(launch)
    assert said in stop.value.diagnostics[0].hint
    assert (tmp_path / "starts").read_text() == "once\n" * starts


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda _: None, "the directory does not exist", id="nothing there"),
        pytest.param(lambda path: path.touch(), "a file, not a model repository", id="a file"),
    ],
)
def test_what_is_no_repository(tmp_path: Path, make: Callable[[Path], object], words: str) -> None:
    make(tmp_path / "repository")
    with pytest.raises(Stop, match=words):
        staging.check(tmp_path / "repository")


LOG = r"""W1124 08:22:31.603336 6845 memory.cc:273] "pool not available: CUDA driver version is insufficient for CUDA"
E1124 08:22:31.603524 6845 server.cc:241] "CudaDriverHelper has not been initialized."
[libprotobuf ERROR text_format.cc:337] Error parsing text-format inference.ModelConfig: 2:15: no field named "x".
E1124 08:22:31.604112 6845 manager.cc:1460] "Poll failed for model directory 'cfg': failed to read text proto from cfg"
E1124 08:22:31.604670 6845 manager.cc:724] "failed to load model 'gate': at least one version must be available"
I1124 08:22:31.604679 6845 model_lifecycle.cc:472] "loading: ok:1"
E1124 08:22:31.948469 6845 backend_model.cc:692] "ERROR: Failed to create instance: ValueError: no\n\nAt:\n  m.py(5)\n"
E1124 08:22:31.948469 6845 backend_model.cc:692] "ERROR: Failed to create instance: ValueError: no\n\nAt:\n  m.py(5)\n"
E1124 08:22:31.960868 6845 manager.cc:703] "Invalid argument: ensemble 'pipe' depends on 'gate' which is not valid."
| raises | 1 | UNAVAILABLE: error |
terminate called after throwing an instance of 'std::bad_alloc'
Error: Failed to initialize NVML
"""


def test_a_command_in_a_hint_survives_a_strange_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pastes it runs what is meant, whatever the directory is called."""
    repository = tmp_path / "models; touch pwned"
    repository.mkdir()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(Stop) as stopped:
        staging.check(repository)
    assert stopped.value.diagnostics[0].hint == f"Run `chmod u+rx '{repository}'`."


def test_the_telling_lines_of_a_log() -> None:
    assert [line[:40] for line in logs.telling(LOG)] == [
        "[libprotobuf ERROR text_format.cc:337] E",
        "Poll failed for model directory 'cfg': f",
        "failed to load model 'gate': at least on",
        "ERROR: Failed to create instance: ValueE",
        "Invalid argument: ensemble 'pipe' depend",
        "terminate called after throwing an insta",
    ]
    many = "".join(f'E1124 08:22:31.603524 6845 a.cc:1] "fault {n}"\n' for n in range(30))
    assert logs.telling(many) == [f"fault {n}" for n in range(18, 30)]


def test_reasons_that_only_the_log_gives() -> None:
    assert logs.reasons(LOG) == {
        "cfg": 'failed to read text proto from cfg: 2:15: no field named "x".',
        "gate": "at least one version must be available",
        "pipe": "ensemble 'pipe' depends on 'gate' which is not valid.",
    }


@pytest.mark.parametrize(
    ("log", "path", "words"),
    [
        pytest.param(LOG, None, "", id="an ordinary log"),
        pytest.param("x Python model file not found in 'm/1/model.py'", "m/1/model.py", "is missing", id="no model.py"),
        pytest.param(
            "/b/triton_python_backend_stub: error while loading shared libraries: libpython3.11.so.1.0: gone",
            "",
            "libpython3.11.so.1.0: gone",
            id="no libpython",
        ),
    ],
)
def test_what_the_server_hangs_on(log: str, path: str | None, words: str) -> None:
    found = logs.hang(log)
    assert (found.path if found else None) == path
    assert words in (found.message if found else "")


INDEX = [
    ModelState("ok", "1", "READY"),
    ModelState("old", "1", "UNAVAILABLE", "unloaded"),
    ModelState("old", "2", "READY"),
]


@pytest.mark.parametrize(
    ("more", "explicit", "messages"),
    [
        pytest.param([], False, [], id="a version unloaded by policy is no fault"),
        pytest.param(
            [ModelState("bad", "1", "UNAVAILABLE", "Internal: ValueError: no\n\nAt:\n m.py")],
            False,
            ["the server did not load bad version 1: ValueError: no"],
            id="a failed version",
        ),
        pytest.param(
            [ModelState("ok", "2", "UNAVAILABLE", "Internal: ImportError:\n numpy")],
            False,
            ["the server did not load ok version 2: ImportError: numpy"],
            id="a failed version beside one that serves",
        ),
        pytest.param(
            [ModelState("quiet")], False, ["the server did not load quiet: the server gives no reason"], id="no word"
        ),
        pytest.param([ModelState("quiet")], True, [], id="not asked for in explicit mode"),
        pytest.param([ModelState("busy", "1", "LOADING")], False, [], id="still loading"),
    ],
)
def test_models_that_are_not_served(more: list[ModelState], explicit: bool, messages: list[str]) -> None:  # noqa: FBT001
    found = loading.unavailable([*INDEX, *more], "", "repo", explicit=explicit)
    assert [diagnostic.message for diagnostic in found] == messages


def test_dependants_stand_behind_their_root() -> None:
    found = loading.unavailable([*INDEX, ModelState("pipe"), ModelState("cfg")], LOG, "repo")
    assert [(d.at.path, d.hint) for d in found] == [
        ("repo/cfg", ""),
        ("repo/gate", "Fix this model first. Not served because of it: pipe."),
    ]


@contextmanager
def answering(answer: bytes, *, then_wait: bool = False) -> Iterator[tuple[str, threading.Event]]:
    """A server that sends every request the same bytes; the event is set when the client has closed its side."""
    closed = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)
            if not then_wait:  # what is closed with a request half read is reset, and its answer may be lost
                connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while connection.recv(1 << 16):
                    pass
            closed.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", closed
        thread.join(BOUND_S)


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENT = b'13\r\ndata: {"OUT":"a"}\n\n\r\n'


def test_closing_a_stream_closes_the_connection() -> None:
    with answering(HEAD + EVENT, then_wait=True) as (url, closed):
        answers = Client(Endpoint(url, timeout_s=BOUND_S)).stream("m", {})
        assert next(answers) == {"OUT": "a"}
        assert not closed.is_set()
        answers.close()
        assert closed.wait(BOUND_S)


@pytest.mark.parametrize(
    ("answer", "ask", "rule", "words"),
    [
        pytest.param(
            HEAD + EVENT,
            lambda c: [*c.stream("m", {})],
            "server-answer",
            "closed before the end of the response",
            id="a stream cut off",
        ),
        pytest.param(
            b"",
            lambda c: c.generate("m", {}),
            "server-answer",
            "closed before the end of the response",
            id="no answer at all",
        ),
        pytest.param(
            b"\0\0\x18\4\0", lambda c: c.index(), "server-answer", "Check that this is the HTTP port", id="gRPC"
        ),
        pytest.param(
            b"SSH-2.0\r\n", lambda c: c.ready(), "server-answer", "the response is not HTTP: SSH", id="another protocol"
        ),
        pytest.param(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>",
            lambda c: c.index(),
            "server-answer",
            "not JSON: <html>",
            id="another web server",
        ),
        pytest.param(
            b'HTTP/1.1 400 Bad\r\nContent-Length: 26\r\n\r\ndata: {"error":"in m, no"}\n',
            lambda c: [*c.stream("m", {})],
            "server-refused",
            "m: in m, no",
            id="an error event under status 400",
        ),
        pytest.param(
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            lambda c: [*c.stream("m", {})],
            "server-refused",
            "HTTP status 503",
            id="an empty stream under an error status",
        ),
    ],
)
def test_answers_that_are_none(answer: bytes, ask: Callable[[Client], object], rule: str, words: str) -> None:
    with answering(answer) as (url, _), pytest.raises(Stop, match=words) as stop:
        ask(Client(Endpoint(url, timeout_s=BOUND_S)))
    assert [(d.rule, d.severity) for d in stop.value.diagnostics] == [(rule, "error")]


def test_a_server_that_is_silent() -> None:
    with answering(HEAD + EVENT, then_wait=True) as (url, _):
        answers = Client(Endpoint(url, timeout_s=1)).stream("m", {})
        next(answers)
        with pytest.raises(Stop, match="sent nothing for 1 s") as stop:
            next(answers)
    assert [d.severity for d in stop.value.diagnostics] == ["fatal"]


def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Stop, match="cannot be reached: nothing listens on port ") as stop:
        Client(Endpoint(url)).ready()
    assert [(d.severity, d.at.path) for d in stop.value.diagnostics] == [("fatal", url)]


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "http://host:99999"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(Stop, match="not the URL of a server"):
        Client(Endpoint(url))


def test_what_a_listener_accepts_sends_each_piece_at_once() -> None:
    """As asyncio serves it, on which the gateway and the page run."""

    async def accepted() -> int:
        found = asyncio.get_running_loop().create_future()

        def seen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()

        async with await asyncio.start_server(seen, sock=ports.listener(0)) as server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.close()
            return int(await found)

    assert asyncio.run(accepted())
