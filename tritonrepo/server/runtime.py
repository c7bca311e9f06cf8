"""The Triton server of the nvidia-pytriton wheel as it lies on this machine, and all that keeps it from running.

Whatever the server would only hang on is looked for here, before anything starts: a stub without its shared libpython
waits for ever and says nothing (tried on Triton 24.10).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.server import probe

MACHINE = "x86_64"
"""The processor of the wheel's server."""

GLIBC = (2, 35)
"""What the wheel is tagged for: manylinux_2_35_x86_64."""

PYTHONS = ((3, 10), (3, 11), (3, 12))
"""Where the stub was seen to serve. The wheel has one for 3.13 too, but NumPy below 2 ends at 3.12."""

ANSWER_S = 60
INSTALL = "pip install 'tritonrepo[local]'"
ANOTHER = "Make a virtual environment with Python 3.12 or 3.11, install into it, or name one with --runtime PYTHON"


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
    """What an interpreter says of itself and its machine; see `probe.facts`. An empty text is something absent."""

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

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Self:
        """Return the facts of a JSON answer."""
        return cls(**{**answer, "missing": tuple(answer["missing"])})

    @property
    def minor(self) -> str:
        """The version's first two numbers, as the wheel names its stubs."""
        return "{}.{}".format(*numbers(self.version))


def find(python: Path | None = None, needs: Collection[str] = ()) -> Runtime:
    """Return the runtime of this interpreter or of `python`; a fatal Stop names everything that keeps it from serving.

    `needs` are modules that models will import there, such as `onnxruntime`.
    """
    facts = ask(python, needs) if python else Facts.of(probe.facts(sorted(needs)))
    found = [*problems(facts)] or [*absent_files(facts)]
    if found:
        raise Stop(found)
    return runtime(facts)


def ask(python: Path, needs: Collection[str] = ()) -> Facts:
    """Return the facts of another interpreter, which is started once to say them."""
    command = [str(python), probe.__file__, *sorted(needs)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER_S, check=True, errors="replace")
        return Facts.of(json.loads(done.stdout.splitlines()[-1]))
    except OSError as error:
        why = error.strerror or str(error)
    except subprocess.TimeoutExpired:
        why = f"no answer within {ANSWER_S} s"
    except subprocess.CalledProcessError as error:
        why = (error.stderr.strip().splitlines() or [f"it ended with code {error.returncode}"])[-1]
    except (ValueError, LookupError, TypeError):
        why = "it does not answer as a Python does"
    raise fatal("runtime-python", str(python), f"this cannot be asked as a Python: {why}", ANOTHER)


def numbers(version: str) -> tuple[int, int]:
    """Return the first two numbers of a version; 0 for what is no number."""
    found = [int(part) for part in re.findall(r"\d+", version)[:2]]
    return found[0] if found else 0, found[1] if len(found) > 1 else 0


def problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what keeps this interpreter from hosting the server; not what follows from a wrong machine or Python."""
    found = [*_host_problems(facts), *_python_problems(facts)]
    yield from found or _package_problems(facts)


def _host_problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what is wrong with the machine."""
    if (facts.system, facts.machine) != ("Linux", MACHINE):
        seen = f"{facts.system} on {facts.machine}"
        yield problem(
            facts, "runtime-host", f"the server runs on Linux x86_64 alone, this is {seen}", "Serve on such a machine"
        )
    elif not facts.glibc:
        hint = "Serve on a distribution with glibc: Ubuntu 22.04, Debian 12 or later"
        yield problem(
            facts, "runtime-host", "the server needs glibc 2.35, and this system's C library is not glibc", hint
        )
    elif numbers(facts.glibc) < GLIBC:
        hint = "Serve on a newer distribution: Ubuntu 22.04, Debian 12, RHEL 10 or later"
        yield problem(
            facts, "runtime-host", f"the server needs glibc 2.35 or newer, this system has {facts.glibc}", hint
        )


def _python_problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what is wrong with the interpreter itself."""
    if facts.implementation != "CPython":
        yield problem(
            facts, "runtime-python", f"the server's stub is made for CPython, this is {facts.implementation}", ANOTHER
        )
    elif numbers(facts.version) > PYTHONS[-1]:
        message = f"Python {facts.minor} has no server: its backend needs NumPy below 2, which ends at Python 3.12"
        yield problem(facts, "runtime-python", message, ANOTHER)
    elif numbers(facts.version) not in PYTHONS:
        yield problem(
            facts, "runtime-python", f"the models' Python code needs 3.10 to 3.12, this is {facts.version}", ANOTHER
        )


def _package_problems(facts: Facts) -> Iterator[Diagnostic]:
    """Yield what is wrong with what is installed."""
    install = f"{facts.executable} -m {INSTALL}"
    if not facts.wheel:
        yield problem(facts, "runtime-wheel", "nvidia-pytriton, which carries the server, is not installed", install)
    if not facts.libpython:
        hint = f"""{facts.libpython_trouble}
The stub would wait for it for ever. Debian, Ubuntu: apt-get install libpython{facts.minor}
pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {facts.minor}; built by hand: configure --enable-shared
uv's and conda's builds have it: or take one of them with --runtime PYTHON"""
        yield problem(
            facts,
            "runtime-libpython",
            f"no shared libpython{facts.minor}.so.1.0 that loads, and the stub needs it",
            hint,
        )
    if facts.numpy and numbers(facts.numpy) >= (2, 0):
        message = f"NumPy {facts.numpy} is installed; the stub of this Triton dies with it at the first text it is sent"
        yield problem(facts, "runtime-numpy", message, f"{facts.executable} -m pip install 'numpy<2'")
    if facts.wheel and not facts.numpy:
        yield problem(facts, "runtime-numpy", "NumPy, which every Python model needs, is not installed", install)
    if facts.missing:
        yield problem(facts, "runtime-package", f"{' and '.join(facts.missing)} cannot be imported", install)
    if not facts.is_python3:
        folder = Path(facts.executable).parent
        message = (
            f"{folder / 'python3'} is another Python than this, and the stub takes its packages from the first python3"
        )
        hint = f"Make a virtual environment: {facts.executable} -m venv DIR; then --runtime DIR/bin/python"
        yield problem(facts, "runtime-python", message, hint)


def problem(facts: Facts, rule: str, message: str, hint: str) -> Diagnostic:
    """Return the fatal diagnostic at this interpreter."""
    return Diagnostic(rule, Severity.FATAL, Span(facts.executable), message, hint)


def runtime(facts: Facts) -> Runtime:
    """Return the runtime with the wheel's files where they ought to be."""
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


def absent_files(facts: Facts) -> Iterator[Diagnostic]:
    """Yield the files that another version of the wheel, or a torn installation, does not have."""
    found = runtime(facts)
    again = f"{facts.executable} -m pip install --force-reinstall --no-deps nvidia-pytriton==0.7.0"
    for path in (found.server, found.stub, *found.backend_files):
        if not path.is_file():
            yield problem(facts, "runtime-wheel", f"the installed nvidia-pytriton has no {path}", again)
    for path in (found.server, found.stub):
        if path.is_file() and not os.access(path, os.X_OK):
            yield problem(facts, "runtime-wheel", f"{path} may not be executed", f"chmod +x {path}")
