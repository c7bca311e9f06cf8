"""Starting the real Triton core on this machine's CPU, for `serve` and `up`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import click

from tritonrepo.cli.values import PORT, WAIT
from tritonrepo.diagnostics import Span, fatal
from tritonrepo.releases import RELEASES
from tritonrepo.server.client import Client
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import find
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.chat import decoder
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import Local, parse_source
from tritonrepo.stores import open_store
from tritonrepo.stores.s3 import S3Store
from tritonrepo.stores.uri import is_remote
from tritonrepo.sync import record as records
from tritonrepo.sync import release as releases
from tritonrepo.sync.record import Record

SERVER_RELEASE = "24.10"
"""The release of the server in the nvidia-pytriton 0.7.0 wheel: it says server version 2.51.0."""

GLANCE_S = 0.2

STAND_INS = {
    "onnxruntime": "the onnxruntime package instead of Triton's onnxruntime backend",
    "vllm": "ONNX Runtime with 8-bit weights instead of vLLM: real answers, no continuous batching",
}
ENGINES = {
    "ort": STAND_INS["vllm"],
    "script": "an echo of the prompt instead of vLLM: no model at all",
}


USUAL = Ports(8000, 8001, 8002)
"""Triton's own default ports."""


def ports_or(given: tuple[int | None, int | None, int | None], usual: Ports) -> Ports:
    """Give the ports that the options name, and the usual one for each that they do not."""
    return Ports(*(default if port is None else port for port, default in zip(given, usual, strict=True)))


class Options(NamedTuple):
    """What `serve` and `up` can be told about the server."""

    ports: Ports
    runtime: Path | None
    engine: str
    deadline_s: float
    mode: Mode = Mode.ONCE
    poll_s: int = 5


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `serve` and `up` share."""
    for option in (
        click.option(
            "--timeout", type=WAIT, default=120.0, metavar="SECONDS", help="Longest wait for all models to load."
        ),
        click.option(
            "--llm-engine",
            type=click.Choice(list(ENGINES)),
            default="ort",
            help="What stands in for vLLM; script echoes the prompt.",
        ),
        click.option(
            "--runtime",
            type=click.Path(path_type=Path),
            metavar="PYTHON",
            help="Python that hosts the models, if not this one.",
        ),
        click.option("--metrics-port", type=PORT, help="Port of the metrics; 0: any free.  [default: 8002]"),
        click.option("--grpc-port", type=PORT, help="Port of gRPC; 0: any free.  [default: 8001]"),
        click.option("--http-port", type=PORT, help="Port of HTTP; 0: any free.  [default: 8000]"),
    ):
        command = option(command)
    return command


def read_record(repository: str) -> Record:
    """Give what a build says of its repository, or a push of a bucket's; an empty record for a hand-written one."""
    store, prefix = open_store(repository)
    tree = store.scan(prefix)
    if not tree:
        raise fatal("serve-repository", repository, "there is no model repository", "Write one: tritonrepo build")
    if not is_remote(repository):
        return records.load(tree, repository)
    release = releases.read(store, prefix, repository)[0] if prefix else None
    return Record(release.name, release.target, {}, release.local) if release else Record()


def serve(repository: Path | str, record: Record, base: Path, cache: Cache, chosen: Options) -> Server:
    """Start the server and give it when every model is loaded; local sources of the record count from `base`.

    The repository is a path, or the URI of a bucket, which the server is given as it is.
    """
    runtime = find(chosen.runtime, needs=("onnxruntime", "tokenizers"))
    here = Path(str(resources.files("tritonrepo.server"))) / "backends"
    environment = {"TRITONREPO_LLM_ENGINE": chosen.engine} | _credentials(str(repository))
    if chosen.engine == "ort":
        environment["TRITONREPO_LOCAL_MODELS"] = json.dumps(
            _local_models(record, (base, Path(repository).parent), cache)
        )
    launch = Launch(
        repository,
        runtime,
        chosen.ports,
        chosen.mode,
        chosen.poll_s,
        backends={name: here / name for name in STAND_INS},
        environment=environment,
        deadline_s=chosen.deadline_s,
    )
    return start(launch)


def _credentials(repository: str) -> dict[str, str]:
    """Give a bucket's credentials as the server reads them; nothing where it has a file of its own for that."""
    store = open_store(repository)[0] if is_remote(repository) else None
    if not isinstance(store, S3Store) or "TRITON_CLOUD_CREDENTIAL_PATH" in os.environ:
        return {}
    return store.environment()


def _local_models(record: Record, bases: tuple[Path, ...], cache: Cache) -> dict[str, str]:
    """Give hub id → directory of the graph that stands in for it, made where it is not in the cache."""
    arch = str(record.target.get("arch", "x86_64"))
    found = {}
    for model, text in record.local.items():
        source = parse_source(text)
        near = (base for base in bases if not isinstance(source, Local) or (base / source.path).exists())
        base = next(near, None)
        if base is None:
            hint = "Its path counts from the stack file's directory: start there, or with tritonrepo up STACK."
            raise fatal("source-missing", text, f"is not there, the local file for {model}", hint)
        at = Span(str(base / records.NAME))
        found[model] = str(decoder(resolve(source, arch, cache, None, at).files, cache, at))
    return found


def banner(server: Server, record: Record, engine: str) -> list[str]:
    """Give the lines that say what runs here, and what only stands in for what runs elsewhere."""
    client = Client(server.http)
    served = {state.name for state in client.index() if state.state == "READY"}
    used = sorted({str(client.config(name)["backend"]) for name in served} & set(STAND_INS))
    release = RELEASES[SERVER_RELEASE]
    lines = [f"Triton {release.server_version} ({release.name}) on the CPU"]
    if record.target and record.target["release"] != release.name:
        lines[0] += f"; the target of this repository is {record.target['release']}"
    said = STAND_INS | {"vllm": ENGINES[engine]}
    return lines + [f"stand-in: {said[name]}" for name in used]


def urls(server: Server) -> list[str]:
    """Give the lines that say where the server is."""
    return [f"http     {server.http}", f"grpc     {server.grpc}", f"metrics  {server.metrics}"]


def watch(server: Server) -> int:
    """Wait until the server ends by itself, which is a fault; Ctrl-C and SIGTERM leave by exception."""
    while server.alive():
        time.sleep(GLANCE_S)
    click.echo(
        f"the server ended by itself with code {server.exit_code()}; its log ends:\n{server.log_tail(12)}", err=True
    )
    return 1
