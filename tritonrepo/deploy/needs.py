"""What models need from a container: shared memory, time to start, files outside; and which of them to ask."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from math import prod

from tritonrepo.deploy import engine_needs
from tritonrepo.deploy.engine_needs import DISK, DOWNLOAD, SERVER_S
from tritonrepo.deploy.engines import Engine
from tritonrepo.deploy.sums import GIB, MIB, Sum, Term
from tritonrepo.diagnostics import counted
from tritonrepo.manifests.servers import DEFAULT_SHM
from tritonrepo.plain import inline
from tritonrepo.repository import Model, Repository
from tritonrepo.repository.pipelines import scripted
from tritonrepo.rules.instances.groups import GPU, groups
from tritonrepo.tree import File, amount

PYTHON_BASED = {"python", "vllm"}
"""Backends whose models run in processes of their own, which exchange tensors with the server in /dev/shm."""

REGION = MIB
"""Bytes of an instance's region at start, and by which it grows. Source: python_backend, src/python_be.cc,
TRITONBACKEND_Initialize: shm_default_byte_size, shm_growth_byte_size, of r24.01 to r26.07."""

ROOM = 64 * MIB
"""Bytes that are planned for an instance at least: several requests are in its region at a time."""

MOST = 1024
"""More instances of a model are not counted: no machine has memory for them."""

UNKNOWN = 512
"""The elements assumed for a dimension that a config leaves open."""

SIZES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "UINT16": 2, "INT16": 2, "FP16": 2, "BF16": 2, "STRING": 256}
SIZES |= {"UINT64": 8, "INT64": 8, "FP64": 8}
"""Bytes of an element; 4 for all other types, and an assumed length for a string."""

PROCESS_S = 2
"""Seconds until a process of a model runs."""

SHOWN = 8
"""How many models a sum lists by name."""


def copies(model: Model) -> int:
    """Return how many instances of a model the server starts."""
    gpus = max(1, model.target.gpus)
    written = groups(model)
    if not written:
        return gpus  # NormalizeInstanceGroup: one a GPU, if there is any
    count = sum(
        min(max(1, group.node.integer("count")), MOST) * ((len(group.gpus) or gpus) if group.kind == GPU else 1)
        for group in written
    )
    return min(count, MOST)


def shared_memory(found: Repository, engines: Sequence[Engine]) -> Sum:
    """Return the bytes of /dev/shm that Python models and engines on several GPUs need."""
    of = [model for model in found.models.values() if model.backend in PYTHON_BASED]
    rows = [(inline(model.name), copies(model), max(ROOM, REGION + 2 * _batch(model))) for model in of]
    terms = [Term(many * size, f"{name}, {counted(many, 'instance')} of {amount(size)}") for name, many, size in rows]
    terms = _cut(terms, "Python models")
    terms += [engine_needs.shared(each, each.gpus) for each in engines]
    return Sum(tuple(terms) or (Term(DEFAULT_SHM, "no model runs in Python, so the default is enough"),), 64 * MIB)


def _cut(terms: list[Term], what: str) -> list[Term]:
    """Return terms that a comment can hold: what is beyond the first ones is one term."""
    rest = terms[SHOWN:]
    return terms[:SHOWN] + ([Term(sum(each.value for each in rest), f"{len(rest)} more {what}")] if rest else [])


def _batch(model: Model) -> int:
    """Return the bytes of a full batch of all inputs and outputs."""
    size = sum(
        SIZES.get(tensor.data_type.removeprefix("TYPE_"), 4) * prod(_elements(tensor.dims)) for tensor in model.tensors
    )
    return min(size * min(max(1, model.max_batch_size), 1 << 16), 16 * GIB)


def _elements(dims: Sequence[int]) -> Iterator[int]:
    yield from (min(dim, 1 << 32) if dim >= 0 else UNKNOWN for dim in dims[:16])


def start(found: Repository, engines: Sequence[Engine], *, bucket: bool) -> Sum:
    """Return the seconds that the server may take until it serves, twice as many as the steps need."""
    size = sum(read(model) for model in found.models.values())
    processes = sum(copies(model) for model in found.models.values() if model.backend in PYTHON_BASED)
    terms = [Term(SERVER_S, "CUDA and the server itself")]
    if bucket:
        fetched = sum(copied(model) for model in found.models.values())
        terms.append(Term(_s(fetched, DOWNLOAD), f"{amount(fetched)} from the bucket at {amount(DOWNLOAD)}/s"))
    terms.append(Term(_s(size, DISK), f"{amount(size)} of models from the disk at {amount(DISK)}/s"))
    if processes:
        terms.append(Term(processes * PROCESS_S, f"processes of Python models, {processes} of {PROCESS_S} s"))
    terms += [term for each in engines for term in engine_needs.loading(each)]
    return Sum(tuple(terms), 60, 2)


def _s(size: int, rate: int) -> int:
    return -(-size // rate)


def read(model: Model) -> int:
    """Return the bytes of the files of a model that a server reads: those of its served versions."""
    heads = tuple(f"{model.directory_of(version)}/" for version in model.served)
    return sum(each.size for path, each in model.entries.items() if path.startswith(heads) and isinstance(each, File))


def copied(model: Model) -> int:
    """Return the bytes that a server copies from a bucket: a version is copied with the whole model.

    Source: core, src/backend_model.cc, TritonModel::Create, which localizes the model's directory for each version.
    """
    return sum(each.size for each in model.entries.values() if isinstance(each, File)) * len(model.served)


def asked(found: Repository) -> tuple[str, ...]:
    """Return the models that no other model calls: if each is ready, so is everything that it needs."""
    called = {name for model in found.models.values() for name in calls(model) if name != model.name}
    return tuple(name for name in found.models if name not in called) or tuple(found.models)


def calls(model: Model) -> Iterator[str]:
    """Yield the names of the models that a model calls by itself, some of them more than once."""
    scheduling = model.config.message("ensemble_scheduling")
    if scheduling is not None:
        yield from (step.text("model_name") for step in scheduling.messages("step"))
    yield from (call.model for call in model.calls)
    yield from (str(step["model_name"]) for step in scripted(model))


def outside(found: Repository, engines: Sequence[Engine]) -> list[tuple[str, str]]:
    """Return the absolute paths that models read besides their own files, each with the model's name."""
    named = [(each.name, path) for each in engines for path in each.paths]
    environments = ((name, model.parameter("EXECUTION_ENV_PATH")) for name, model in found.models.items())
    named += [(name, path) for name, path in environments if path.startswith("/")]
    return [(name, os.path.normpath(path)) for name, path in dict.fromkeys(named)]
