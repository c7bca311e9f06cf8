"""What a pod with Triton needs besides shared memory and time: memory, cores and disk, each as a sum.

What no source states was measured on Triton 24.10 or is an estimate; each term says what it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.deploy import engine_needs
from tritonrepo.deploy.engine_needs import UNKNOWN
from tritonrepo.deploy.engines import Engine
from tritonrepo.deploy.needs import PYTHON_BASED, copied, copies, read
from tritonrepo.deploy.sums import GIB, MIB, Sum, Term
from tritonrepo.diagnostics import counted
from tritonrepo.plain import inline
from tritonrepo.repository import Model, Repository
from tritonrepo.tree import File, amount

SERVER, LIBRARIES, CONTEXT, PROCESS = 2 * GIB, 2 * GIB, 512 * MIB, 256 * MIB
"""Bytes of the server, of the libraries of CUDA, of its context for each GPU, and of a process of a Python model."""

COMPILED, LOGS = 10 * GIB, 2 * GIB
"""Bytes of caches of compiled kernels, and of logs and temporary files."""

UNPACKED = 4
"""How much larger an environment of Python packages is than its archive."""

MOST_CORES = 8
"""Cores for Python models, however many there are."""

LARGER = 4
"""How much larger than now a volume may become before a pod that fills it is evicted."""


def memory(found: Repository, engines: Sequence[Engine], *, pushed: bool) -> Sum:
    """Return the bytes of memory; `pushed`: a new version is loaded next to the old one."""
    gpus = max(0, found.target.gpus)
    terms = [Term(SERVER, "the server and its backends")]
    if gpus:
        terms.append(Term(LIBRARIES + gpus * CONTEXT, f"CUDA, its libraries, and {counted(gpus, 'GPU')}"))
    files = sum(read(model) * (copies(model) if _on_cpu(model, gpus) else 1) for model in found.models.values())
    terms.append(Term(files, "files of models, for each instance on the CPU, and once for GPUs"))
    processes = sum(copies(model) for model in found.models.values() if model.backend in PYTHON_BASED)
    if processes:
        terms.append(Term(processes * PROCESS, f"processes of Python models, {processes} of {amount(PROCESS)}"))
    if pushed:
        terms.append(
            Term(files + processes * PROCESS, "the same again: a push loads new versions next to the old ones")
        )
    terms += [term for each in engines for term in engine_needs.memory(each, each.gpus)]
    return Sum(tuple(terms), GIB)


def _on_cpu(model: Model, gpus: int) -> bool:
    groups = model.config.messages("instance_group")
    return not gpus or any(group.text("kind") == "KIND_CPU" for group in groups)


def cores(found: Repository, engines: Sequence[Engine]) -> Sum:
    """Return the cores."""
    terms = [Term(2, "the server: HTTP, gRPC, batching")]
    python = sum(model.backend == "python" for model in found.models.values())
    if python:
        terms.append(
            Term(min(python, MOST_CORES), f"{counted(python, 'Python model')}, at most {MOST_CORES} at a time")
        )
    others = sum(copies(each) for each in found.models.values() if each.backend not in {*PYTHON_BASED, "", "ensemble"})
    if others:
        terms.append(Term(min(others, MOST_CORES), f"{counted(others, 'instance')} of other models"))
    terms += [term for each in engines for term in engine_needs.cores(each, each.gpus)]
    return Sum(tuple(terms), 1)


def scratch(found: Repository, *, pushed: bool) -> Sum:
    """Return the bytes of copies of models from a bucket; the volume can take several times as much."""
    size = sum(copied(model) for model in found.models.values())
    terms = [Term(size, "copies of models from the bucket")]
    if pushed:
        terms.append(Term(size, "the same again: a push loads new versions next to the old ones"))
    return Sum(tuple(terms), GIB)


def cache(engines: Sequence[Engine]) -> Sum:
    """Return the bytes that are fetched from the Hub, and of compiled kernels."""
    fetched = {each.source: UNKNOWN if each.size is None else each.size for each in engines if each.from_hub}
    terms = [Term(size, f"{inline(source)} from the Hub") for source, size in fetched.items()]
    return Sum((*terms, Term(COMPILED, "compiled kernels")), GIB)


def disk(found: Repository, volumes: Sequence[Sum]) -> Sum:
    """Return the bytes of the node's disk: those of volumes on it, and what is written elsewhere."""
    packed = sum(each.size for model in found.models.values() for each in _archives(model))
    terms = [term for each in volumes for term in each.terms]
    if packed:
        terms.append(Term(UNPACKED * packed, f"Python packages, {UNPACKED} times their archives of {amount(packed)}"))
    return Sum((*terms, Term(LOGS, "logs and temporary files")), GIB)


def _archives(model: Model) -> Iterator[File]:
    """Yield the archives that the Python backend unpacks. Source: python_backend, README.md, EXECUTION_ENV_PATH."""
    if model.parameter("EXECUTION_ENV_PATH"):
        yield from (each for path, each in model.entries.items() if path.endswith(".tar.gz") and isinstance(each, File))
