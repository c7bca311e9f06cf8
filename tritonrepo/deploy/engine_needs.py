"""What an engine of vLLM needs of a machine besides its GPUs, in Triton, in vLLM's own server and in NIM: one estimate.

What no source states is an estimate; each term says what it is for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tritonrepo.deploy.sums import GIB, MIB, Term
from tritonrepo.diagnostics import counted
from tritonrepo.manifests.servers import ENGINE_SHM
from tritonrepo.plain import inline
from tritonrepo.tree import amount

PROCESS, WORKER, SHARD = 2 * GIB, 6 * GIB, 10 * GIB
"""Bytes of a process without a GPU, of one with a GPU, and of the largest file of weights that it reads at a time.

Measured: a process that has imported vLLM 0.32 for CPUs holds 0.6 GiB, before its first request. Source: transformers,
PreTrainedModel.save_pretrained, whose max_shard_size was "10GB" and is smaller by now.
"""

UNKNOWN, UNKNOWN_VOLUME = 32 * GIB, 200 * GIB
"""Bytes of weights of unknown size: on the disk of a node, where a request for more finds no node, and in a volume."""

DOWNLOAD, DISK = 50 * MIB, 200 * MIB
"""Bytes a second from the network and from a disk: what slow ones have."""

SERVER_S, COMPILE_S, UNKNOWN_S = 60, 180, 1800
"""Seconds for imports, CUDA and the server, for an engine that compiles, and for weights of unknown size.

An engine takes 60 to 180 s to compile and to capture CUDA graphs.
"""

OF_GPUS = {"swap_space": "blocks of the cache that wait", "cpu_offload_gb": "weights that the GPUs have no room for"}
"""Engine arguments in GiB of memory for each GPU. Source: vLLM, engine/arg_utils.py, EngineArgs."""

MOST_GIB = 1 << 20


class Loaded(Protocol):
    """An engine: its name, the model that it loads, the bytes of the weights, None if unknown, and its arguments."""

    @property
    def name(self) -> str:
        """The name of its model."""

    @property
    def source(self) -> str:
        """An id of the Hugging Face Hub, or a path."""

    @property
    def size(self) -> int | None:
        """The bytes of the weights."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The engine arguments."""


def from_hub(source: str) -> bool:
    """Whether weights come from the Hugging Face Hub."""
    return bool(source) and not source.startswith(("/", ".")) and "://" not in source


def memory(one: Loaded, gpus: int) -> Iterator[Term]:
    """Yield the bytes of memory with this number of GPUs in a machine, without shared memory."""
    name = inline(one.name)
    yield Term(2 * PROCESS, f"{name}: the engine's server and scheduler, {amount(PROCESS)} each")
    yield Term(gpus * WORKER, f"{name}: a worker for each GPU, {amount(WORKER)} each")
    read = min(gpus * SHARD, UNKNOWN if one.size is None else one.size)
    yield Term(read, f"{name}: files of weights as they are read, at most {amount(SHARD)} for each GPU")
    for key, why in OF_GPUS.items():
        value = one.arguments.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < MOST_GIB:
            yield Term(int(value * GIB) * gpus, f"{name}: {why}, {key} of {value} GiB for each GPU")


def cores(one: Loaded, gpus: int) -> Iterator[Term]:
    """Yield the cores.

    Source: vLLM, docs/configuration/optimization.md, "CPU Resources for GPU Deployments".
    """
    name = inline(one.name)
    yield Term(2, f"{name}: the engine's server and scheduler")
    yield Term(gpus, f"{name}: a worker for each GPU, which polls it")


def shared(one: Loaded, gpus: int) -> Term:
    """Return the bytes of /dev/shm: what workers and NCCL exchange."""
    return Term(
        gpus * ENGINE_SHM, f"{inline(one.name)}, an engine on {counted(gpus, 'GPU')}: messages of its workers, NCCL"
    )


def loading(one: Loaded) -> Iterator[Term]:
    """Yield the seconds until the engine serves, without those of the server."""
    source = inline(one.source) or inline(one.name)
    if one.size is None:
        yield Term(UNKNOWN_S, f"weights of {source}, whose size is not known")
    else:
        if from_hub(one.source):
            why = f"{amount(one.size)} of {source} from the Hub at {amount(DOWNLOAD)}/s, once"
            yield Term(-(-one.size // DOWNLOAD), why)
        yield Term(-(-one.size // DISK), f"{amount(one.size)} of {source} from the disk at {amount(DISK)}/s")
    yield Term(COMPILE_S, f"{inline(one.name)}: the engine compiles and captures CUDA graphs")
