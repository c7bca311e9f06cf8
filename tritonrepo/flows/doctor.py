"""The pipeline of `doctor`: everything that commands need on this machine, each with its cure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from tritonrepo.cores import cores
from tritonrepo.diagnostics import Diagnostic, Severity, Stop
from tritonrepo.flows import real_vllm
from tritonrepo.flows.checks import Check, State
from tritonrepo.flows.packages import extras
from tritonrepo.flows.stack import load
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import RELEASES
from tritonrepo.server import leftovers, machine
from tritonrepo.server.ports import Ports
from tritonrepo.server.runtime import AGAIN, Facts, absent_files, asked, problems
from tritonrepo.tree import amount

USUAL = Ports(8000, 8001, 8002)
STACK = Path("tritonrepo.yaml")
SERVE = ("serve", "up")
CACHED = ("build", "index", "lock", *SERVE)
REGIONS = Path("/dev/shm")  # noqa: S108  where the Python models' shared memory is
REGION_BYTES, MEMORY_BYTES, DISK_BYTES = 64 << 20, 2 << 30, 2 << 30
"""What the example needs: of shared memory, of memory, and on the disk of the cache."""

HUB, INDEX = "https://huggingface.co", "https://pypi.org"


class Examination(NamedTuple):
    """What is examined: the interpreter of models, if not this one, and whether addresses are called."""

    runtime: Path | None = None
    network: bool = False


def doctor(work: Workspace, chosen: Examination | None = None) -> tuple[Check, ...]:
    """Return the state of every precondition, in a fixed order; nothing is changed, and nothing raises."""
    given = chosen or Examination()
    parts: list[Callable[[], Iterator[Check]]] = [
        lambda: _python(given.runtime),
        extras,
        _machine,
        lambda: _places(work),
        _ports,
        lambda: _credentials(work),
        lambda: _program("docker", ["docker", "version", "--format", "{{.Server.Version}}"]),
        lambda: _program(
            "gpu", ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        ),
        lambda: _vllm(work),
        _leftovers,
        lambda: _stack(work),
        *([lambda: _network(work)] if given.network else []),
    ]
    with ThreadPoolExecutor(len(parts)) as pool:
        return tuple(check for checks in pool.map(_safe, parts) for check in checks)


def _safe(part: Callable[[], Iterator[Check]]) -> list[Check]:
    """Return the checks of a part; one that fails by surprise is a check as well."""
    found: list[Check] = []
    try:
        found.extend(part())
    except Stop as stop:
        found += [_of(each, ()) for each in stop.diagnostics]
    except Exception as error:  # noqa: BLE001  a broken machine is what this command is for
        found.append(Check("doctor", State.WARNING, f"a check failed: {type(error).__name__}: {error}"))
    return found


def _of(found: Diagnostic, needed_by: tuple[str, ...], name: str = "") -> Check:
    state = State.WARNING if found.severity in {Severity.WARNING, Severity.INFO} else State.ERROR
    return Check(name or found.rule, state, f"{found.at}: {found.message}", found.hint, needed_by)


def _python(python: Path | None) -> Iterator[Check]:
    facts = asked(python, ("onnxruntime", "tokenizers"))
    wrong = [*problems(facts)] or [*absent_files(facts, AGAIN.format(quote(facts.executable)))]
    found = [_of(each, SERVE) for each in wrong]
    yield from found
    if not found:
        yield Check("python", State.OK, _described(facts), "", SERVE)


def _described(facts: Facts) -> str:
    wheel = f"nvidia-pytriton {facts.wheel_version}"
    release = next((name for name, each in RELEASES.items() if each.server_wheel == wheel), "unknown")
    parts = [f"Python {facts.version}", facts.libpython, f"NumPy {facts.numpy}", f"glibc {facts.glibc}", facts.machine]
    return ", ".join([*parts, f"{wheel} (Triton {release})"])


def _machine() -> Iterator[Check]:
    available, count = machine.memory(), cores()
    words = "unknown memory" if available is None else f"{amount(available)} of memory available"
    low = available is not None and available < MEMORY_BYTES
    cure = f"Free some memory: the example needs {amount(MEMORY_BYTES)}, and vLLM twice as much." if low else ""
    state = State.WARNING if low else State.OK
    yield Check("machine", state, f"{count} {'core' if count == 1 else 'cores'}, {words}", cure, SERVE)


def _places(work: Workspace) -> Iterator[Check]:
    temporary = Path(tempfile.gettempdir())
    for name, path, least, needed_by, cure in (
        ("shared memory", REGIONS, REGION_BYTES, SERVE, "In a container, set --shm-size=1g or shm_size."),
        ("temporary files", temporary, DISK_BYTES, SERVE, "Set TMPDIR to a writable directory with more space."),
        ("cache", work.cache.root, DISK_BYTES, CACHED, "Set XDG_CACHE_HOME to a writable directory with more space."),
    ):
        there = machine.place(path)
        if not there.writable:
            yield Check(name, State.ERROR, f"{path} is not writable for this user", cure, needed_by)
            continue
        low = there.free < least
        seen = f"{path}: {amount(there.free)} of {amount(there.size)} free"
        state = State.WARNING if low else State.OK
        yield Check(name, state, seen, f"{cure} {amount(least)} are needed." if low else "", needed_by)


def _ports() -> Iterator[Check]:
    if not (found := machine.used(USUAL)):
        yield Check("ports", State.OK, f"{', '.join(map(str, USUAL))} are free", "", SERVE)
    for each in found:
        yield Check("ports", State.WARNING, f"{each.at}: {each.message}", each.hint, SERVE)


def _credentials(work: Workspace) -> Iterator[Check]:
    names = machine.credentials(work.environ, Path.home())
    yield Check("credentials", State.OK if names else State.ABSENT, ", ".join(names) or "none are set", "", ("push",))
    for name in machine.missing(work.environ):
        yield Check("credentials", State.ERROR, f"the file that {name} names does not exist", f"Set {name}.", ("push",))


def _program(name: str, command: list[str]) -> Iterator[Check]:
    answers, said = machine.program(command)
    if answers:
        yield Check(name, State.OK, said)
    elif said:
        yield Check(name, State.WARNING, f"{command[0]} does not answer: {said}", f"Run `{command[0]}` to see why.")
    else:
        yield Check(name, State.ABSENT, f"{command[0]} is not installed")


def _vllm(work: Workspace) -> Iterator[Check]:
    there = real_vllm.directory(None, work)
    if not (there / "bin" / "python").exists():
        yield Check("vllm", State.ABSENT, f"{there}: no environment of the real vLLM")
        return
    try:
        yield Check("vllm", State.OK, f"vLLM {real_vllm.found(None, work).version} in {there}", "", SERVE)
    except Stop as stop:
        for each in stop.diagnostics:
            yield _of(each, SERVE, "vllm")._replace(state=State.WARNING)


def _leftovers() -> Iterator[Check]:
    found = [*leftovers.dead(Path(tempfile.gettempdir()))]
    for home, pids in found:
        command = f"Run `kill -9 {' '.join(map(str, pids))}`. " if pids else ""
        seen = f"{home}: a killed run left {len(pids)} processes" if pids else f"{home}: a killed run left files"
        yield Check("leftovers", State.WARNING, seen, f"{command}The next start removes the directory.", SERVE)
    if not found:
        yield Check("leftovers", State.OK, "no killed run has left anything", "", SERVE)


def _stack(work: Workspace) -> Iterator[Check]:
    if not STACK.exists():
        yield Check("stack", State.ABSENT, f"no {STACK} in this directory", "Run `tritonrepo init` to create one.")
        return
    try:
        stack = load([STACK], work).stack
    except Stop as stop:
        for each in stop.diagnostics:
            yield _of(each, ("build", "up"), "stack")
        return
    yield Check("stack", State.OK, f"{STACK} declares {len(stack.models)} models", "", ("build", "up"))


def _network(work: Workspace) -> Iterator[Check]:
    addresses = {
        "package index": (work.environ.get("PIP_INDEX_URL") or INDEX, ("serve", "build")),
        "hub": (work.environ.get("HF_ENDPOINT") or HUB, ("lock", "build")),
        "bucket": (work.environ.get("AWS_ENDPOINT_URL") or "", ("push", "pull")),
    }
    for name, (url, needed_by) in addresses.items():
        if url:
            why = machine.reached(url)
            seen = f"{url} cannot be reached: {why}" if why else f"{url} can be reached"
            cure = "Check the network, and the proxy's variables." if why else ""
            yield Check(name, State.ERROR if why else State.OK, seen, cure, needed_by)
