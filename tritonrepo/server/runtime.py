"""The Triton server of the nvidia-pytriton wheel on this machine, and everything that keeps it from running.

Whatever would only hang the server is checked here, before anything starts: a stub without its shared libpython waits
forever and reports nothing (tried on Triton 24.10).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple, Self

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.server import probe
from tritonrepo.server.bounded import heard

MACHINE = "x86_64"
"""The processor of the wheel's server."""

GLIBC = (2, 35)
"""What the wheel is tagged for: manylinux_2_35_x86_64."""

PYTHONS = ((3, 10), (3, 11), (3, 12))
"""Where the stub was seen to work. The wheel also has one for 3.13, but NumPy 1 supports Python only up to 3.12."""

ANSWER_S = 30.0
INSTALL = "pip install 'tritonrepo[local]'"
AGAIN = "Run `{} -m pip install --force-reinstall --no-deps nvidia-pytriton==0.7.0`."
ELSEWHERE = "a wheel that is not installed"
ANOTHER = "Install tritonrepo into a virtual environment with Python 3.12 or 3.11, or use `--runtime PYTHON`."


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a start needs: files of the wheel, and the interpreter whose packages the models see."""

    python: Path
    version: str
    server: Path
    backend_files: tuple[Path, ...]
    stub: Path
    library_path: tuple[Path, ...]
    site_packages: Path

    @property
    def minor(self) -> str:
        """The version's first two numbers."""
        return "{}.{}".format(*numbers(self.version))


@dataclass(frozen=True, slots=True)
class Facts:
    """What an interpreter reports about itself and its machine; see `probe.facts`. An empty string means absent."""

    system: str
    machine: str
    glibc: str
    implementation: str
    version: str
    executable: str
    is_python3: bool
    libpython: str
    libpython_trouble: str
    wheel: str
    numpy: str
    missing: tuple[str, ...]
    wheel_version: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Return the facts from a JSON object."""
        return cls(**{**answer, "missing": tuple(answer["missing"])})

    @property
    def minor(self) -> str:
        """The version's first two numbers, as the wheel names its stubs."""
        return "{}.{}".format(*numbers(self.version))


class Wheel(NamedTuple):
    """A server that need not be installed: the version of its wheel, and what unpacks it and returns the directory."""

    version: str
    unpacked: Callable[[], Path]


def find(python: Path | None = None, needs: Collection[str] = (), wheel: Wheel | None = None) -> Runtime:
    """Return the runtime of this interpreter or of `python`; raise a fatal Stop with all that prevents serving.

    `needs` are modules that models will import in it, such as `onnxruntime`. With `wheel`, the server is that of this
    wheel, which is unpacked if another version is installed, and nothing else prevents serving.
    """
    facts = asked(python, needs)
    if wheel is None or wheel.version == facts.wheel_version:
        found = [*problems(facts)] or [*absent_files(facts, AGAIN.format(quote(facts.executable)))]
    else:
        found = [*problems(replace(facts, wheel=ELSEWHERE))]
        facts = facts if found else replace(facts, wheel=str(wheel.unpacked()))
        found = found or [*absent_files(facts, ANOTHER)]
    if found:
        raise Stop(found)
    return runtime(facts)


def asked(python: Path | None, needs: Collection[str] = ()) -> Facts:
    """Return the facts of this interpreter or of `python`."""
    return ask(python, needs) if python else Facts.of(probe.facts(sorted(needs)))


def ask(python: Path, needs: Collection[str] = ()) -> Facts:
    """Return the facts of another interpreter, which is started once to report them."""
    command = [str(python), probe.__file__, *sorted(needs)]
    why = "it does not respond as Python does"
    try:
        done = heard(command, ANSWER_S)
        if not done.code:
            return Facts.of(json.loads(done.out.splitlines()[-1]))
        ended = f"it was ended by signal {-done.code}" if done.code < 0 else f"it exited with code {done.code}"
        why = (done.err.strip().splitlines() or [ended])[-1]
    except TimeoutError:
        why = f"no response within {ANSWER_S:g} s"
    except OSError as error:
        why = error.strerror or str(error)
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    raise fatal("runtime-python", str(python), f"this is not a usable Python interpreter: {why}", ANOTHER)


def numbers(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version; 0 for what is not a number."""
    found = [int(part) for part in re.findall(r"\d+", version)[:2]]
    return found[0] if found else 0, found[1] if len(found) > 1 else 0


def problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what keeps this interpreter from running the server, without consequences of a wrong machine or Python."""
    found = [*_host_problems(facts), *_python_problems(facts)]
    yield from found or _package_problems(facts)


def _host_problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what is wrong with the machine."""
    if (facts.system, facts.machine) != ("Linux", MACHINE):
        message = f"the server runs only on Linux x86_64, but this is {facts.system} on {facts.machine}"
        yield problem(facts, "runtime-host", message, "Serve on a Linux x86_64 machine.")
    elif not facts.glibc:
        hint = "Use a distribution with glibc: Ubuntu 22.04, Debian 12 or later."
        message = "the server needs glibc 2.35 or later, but this system's C library is not glibc"
        yield problem(facts, "runtime-host", message, hint)
    elif numbers(facts.glibc) < GLIBC:
        hint = "Use a newer distribution: Ubuntu 22.04, Debian 12, RHEL 10 or later."
        message = f"the server needs glibc 2.35 or later, but this system has {facts.glibc}"
        yield problem(facts, "runtime-host", message, hint)


def _python_problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what is wrong with the interpreter itself."""
    if facts.implementation != "CPython":
        message = f"the server's stub needs CPython, but this is {facts.implementation}"
        yield problem(facts, "runtime-python", message, ANOTHER)
    elif numbers(facts.version) > PYTHONS[-1]:
        why = "it needs NumPy 1, which supports Python up to 3.12"
        yield problem(facts, "runtime-python", f"the server does not run on Python {facts.minor}: {why}", ANOTHER)
    elif numbers(facts.version) not in PYTHONS:
        message = f"the models' code needs Python 3.10 to 3.12, but this is {facts.version}"
        yield problem(facts, "runtime-python", message, ANOTHER)


def _package_problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what is wrong with what is installed."""
    install = f"Run `{quote(facts.executable)} -m {INSTALL}`."
    if not facts.wheel:
        yield problem(facts, "runtime-wheel", "nvidia-pytriton, which contains the server, is not installed", install)
    if not facts.libpython:
        library, why = f"libpython{facts.minor}.so.1.0", facts.libpython_trouble
        hint = f"""Install {library}. Without it, the stub hangs. On Debian or Ubuntu, run \
`apt-get install libpython{facts.minor}`.
Without root, unpack that package with `dpkg -x`, and add the library's directory to LD_LIBRARY_PATH.
With pyenv, run `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {facts.minor}`.
If you build Python yourself, run `configure --enable-shared`.
Python builds of uv and conda include the library; select one with `--runtime PYTHON`."""
        message = f"the server's stub needs {library}, but it cannot be loaded{why and ': '}{why}"
        yield problem(facts, "runtime-libpython", message, hint)
    if facts.numpy and numbers(facts.numpy) >= (2, 0):
        message = f"NumPy {facts.numpy} is installed, but with NumPy 2 the server's stub crashes at the first string"
        yield problem(facts, "runtime-numpy", message, f"Run `{quote(facts.executable)} -m pip install 'numpy<2'`.")
    if facts.wheel and not facts.numpy:
        yield problem(facts, "runtime-numpy", "NumPy, which every Python model needs, is not installed", install)
    if facts.missing:
        yield problem(facts, "runtime-package", f"{' and '.join(facts.missing)} cannot be imported", install)
    if not facts.is_python3:
        folder = Path(facts.executable).parent
        message = f"{folder / 'python3'} is a different Python, but the stub uses the packages of the first python3"
        hint = f"Run `{quote(facts.executable)} -m venv DIR`, and use `--runtime DIR/bin/python`."
        yield problem(facts, "runtime-python", message, hint)


def problem(facts: Facts, rule: str, message: str, hint: str) -> Diagnostic:
    """Return the fatal diagnostic at this interpreter."""
    return Diagnostic(rule, Severity.FATAL, Span(facts.executable), message, hint)


def runtime(facts: Facts) -> Runtime:
    """Return the runtime with the wheel's files where they should be."""
    site = Path(facts.wheel)
    triton = site / "pytriton" / "tritonserver"
    libpython = Path(facts.libpython)
    folders = [libpython.parent] if libpython.is_absolute() else []
    return Runtime(
        python=Path(facts.executable),
        version=facts.version,
        server=triton / "bin" / "tritonserver",
        backend_files=tuple(
            triton / "backends/python" / name for name in ("libtriton_python.so", "triton_python_backend_utils.py")
        ),
        stub=triton / "python_backend_stubs" / facts.minor / "triton_python_backend_stub",
        library_path=(site / "nvidia_pytriton.libs", *folders),
        site_packages=site,
    )


def absent_files(facts: Facts, again: str) -> Iterator[Diagnostic]:
    """Yield the files that are missing, as in another version of the wheel or a broken installation; `again` cures."""
    found = runtime(facts)
    stubs = sorted((path.parent.name for path in found.stub.parent.parent.glob("*/*_stub")), key=numbers)
    others = [each for each in stubs if numbers(each) in PYTHONS]
    if others and facts.minor not in others:
        message = f"this server does not run on Python {facts.minor}, but on {' and '.join(others)}"
        yield problem(facts, "runtime-python", message, "Use an interpreter of that version with `--runtime PYTHON`.")
        return
    for path in (found.server, found.stub, *found.backend_files):
        if not path.is_file():
            yield problem(facts, "runtime-wheel", f"nvidia-pytriton does not contain {path}", again)
    for path in (found.server, found.stub):
        if path.is_file() and not os.access(path, os.X_OK):
            yield problem(facts, "runtime-wheel", f"{path} is not executable", f"Run `chmod +x {quote(str(path))}`.")
