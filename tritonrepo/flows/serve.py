"""Starting the real Triton core on this machine's CPU, for `serve` and `up`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Span, Stop, Verdict, fatal
from tritonrepo.flows import real_vllm
from tritonrepo.flows.engines import Engine, settings
from tritonrepo.flows.served_release import confirm, judge_first, named, wheel_of
from tritonrepo.flows.target import completes, of_record, record_of
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import of_server
from tritonrepo.repository import read, target
from tritonrepo.rules import judge
from tritonrepo.server import leftovers
from tritonrepo.server.client import Client
from tritonrepo.server.launch import Launch, Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server, start
from tritonrepo.server.runtime import MACHINE, find
from tritonrepo.shared import VENDORED
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.package import WheelTag
from tritonrepo.sources.vendored import differing, vendored
from tritonrepo.spec.source import Local, parse_source
from tritonrepo.stores import is_remote, open_store, server_environment
from tritonrepo.stores.walk import is_in
from tritonrepo.sync import record as records
from tritonrepo.sync.record import Record
from tritonrepo.sync.telling import Line
from tritonrepo.tree import File

STAND_INS = {
    "onnxruntime": "the onnxruntime package instead of Triton's onnxruntime backend",
    "vllm": "ONNX Runtime with 8-bit weights instead of vLLM: real answers, no continuous batching",
}
HERE = frozenset({"python", "ensemble", *STAND_INS})
"""The backends that this machine's server has, with the stand-ins."""

ENGINES = {
    "ort": STAND_INS["vllm"],
    "script": "an echo of the prompt instead of vLLM: no model runs",
    "vllm": "vLLM {} itself, on the CPU and in an environment of its own",
}


REFUSED = "server-model-unavailable"

NOWHERE: Mapping[str, Span] = MappingProxyType({})


class ServeOptions(NamedTuple):
    """Options of `serve` and `up` for the server."""

    ports: Ports = Ports()
    runtime: Path | None = None
    engine: str = "ort"
    deadline_s: float = 120
    mode: Mode = Mode.ONCE
    poll_s: int = 5
    log: Path | None = None
    verbose: bool = False
    watched: bool = False
    places: Mapping[str, Span] = NOWHERE
    """Where a stack declares the models."""
    release: str | None = None
    """The release whose server runs, if not the one of the installed wheel."""
    llm_environment: Path | None = None
    """The environment of the real vLLM, for the engine `vllm`."""


def read_record(repository: str, work: Workspace) -> Record:
    """Return the record of a build or, in a bucket, of a push; an empty one for a hand-written repository."""
    store, prefix = open_store(repository, work.links)
    tree = store.scan(prefix)
    if not tree:
        raise fatal(
            "serve-repository",
            repository,
            "the model repository does not exist or is empty",
            "Create it with `tritonrepo build`.",
        )
    record = record_of(store, prefix, tree, repository)
    _local_only(record, repository, work.links if is_remote(repository) else (Path(repository).parent, *work.links))
    return record


def _local_only(record: Record, repository: str, places: tuple[Path, ...]) -> None:
    """Raise Stop for a record that names local files outside this directory and `places`.

    Whoever made the repository wrote its record, and every file that it names would be read.
    """
    for text in record.local.values():
        try:
            source = parse_source(text)
        except (ValueError, TypeError):
            hint = "Rebuild the repository, or remove its record."
            raise fatal(
                "record-syntax", repository, f'the repository\'s record names "{text}", which is not a source', hint
            ) from None
        if isinstance(source, Local):
            roots = [os.path.realpath(place) for place in (Path.cwd(), *places)]
            if not any(is_in(os.path.realpath(Path(root, source.path)), other) for root in roots for other in roots):
                message = f"the record names the local file {text} outside the allowed directories, so it was not read"
                raise fatal("store-link", repository, message, "Allow the file's directory with `--allow-links DIR`.")


def serve(
    repository: Path | str,
    chosen: ServeOptions,
    work: Workspace,
    record: Record | None = None,
    base: Path | None = None,
) -> Server:
    """Start the server and return it once every model has loaded; as a context manager, it stops on exit.

    Raise Stop if a model does not load, unless the server polls or loads on request, or only this machine lacks its
    backend: see `Server.unavailable`.

    What killed runs left is removed or reported first.

    The repository is a path, or a bucket's URI, which is passed to the server unchanged. Its record is read unless
    given; the record's local sources are relative to `base`, or to the working directory.
    """
    release = None if chosen.release is None else named(chosen.release)
    record = read_record(str(repository), work) if record is None else record
    if release is not None:
        judge_first(str(repository), release, record, work, once=chosen.mode is Mode.ONCE and not chosen.watched)
    for left in leftovers.sweep(Path(tempfile.gettempdir())):
        work.tell(Line(left) if isinstance(left, str) else left)
    try:
        server = start(launch(repository, chosen, work, record, base), lambda said: _told(work, said))
    except Stop as stop:
        raise _explained(stop, str(repository), work, record) from None
    if release is not None:
        with ExitStack() as undo:
            undo.callback(server.stop)
            confirm(server.endpoint, release)
            undo.pop_all()
    return server


def _explained(stop: Stop, repository: str, work: Workspace, record: Record) -> Stop:
    """Return the Stop of a server that refused models, with the rules that know what the server says."""
    refused = {each.model for each in stop.diagnostics if each.rule == REFUSED}
    if not refused or is_remote(repository):
        return stop
    store, prefix = open_store(repository, work.links)
    found = judge(read(store.scan(prefix), target(record=of_record(record, repository)))).verdicts
    knows = {each.model: each for each in found if each.model in refused and each.server_reason}
    return Stop(_with_rule(each, knows.get(each.model)) for each in stop.diagnostics)


def _with_rule(said: Diagnostic, verdict: Verdict | None) -> Diagnostic:
    """Return a diagnostic that names the rule of a verdict whose reason is in it."""
    if verdict is None or verdict.server_reason.strip() not in f"{said.message}\n{said.hint}":
        return said
    hint = f"`tritonrepo explain {verdict.rule}` explains it, and `tritonrepo validate` shows its place."
    return replace(said, hint="\n".join(filter(None, [said.hint, hint])))


def restart(server: Server, anew: Launch, work: Workspace) -> None:
    """End a server and start it anew, at the same ports; raise Stop if it does not start."""
    server.restart(replace(anew, ports=server.ports), lambda said: _told(work, said))


def _told(work: Workspace, said: Diagnostic | str) -> None:
    work.tell(Line(said) if isinstance(said, str) else said)


def launch(
    repository: Path | str, chosen: ServeOptions, work: Workspace, record: Record, base: Path | None = None
) -> Launch:
    """Return how a repository with this record is served on this machine."""
    built_for = target(record=of_record(record, str(repository)))
    release = None if chosen.release is None else named(chosen.release)
    wheel = None if release is None else wheel_of(release, work.cache)
    runtime = find(chosen.runtime, ("onnxruntime", "tokenizers"), wheel)
    here = Path(str(resources.files("tritonrepo.server"))) / "backends"
    environment = {"TRITONREPO_LLM_ENGINE": chosen.engine, **server_environment(str(repository), work.environ)}
    engine, bases = Engine(chosen.engine, chosen.llm_environment), (base or Path.cwd(), Path(repository).parent)
    environment |= settings(engine, record, built_for, bases, work)
    return Launch(
        repository,
        runtime,
        chosen.ports,
        Mode.EXPLICIT if chosen.watched else chosen.mode,
        chosen.poll_s,
        auto_complete=completes(record),
        backends={name: here / name for name in STAND_INS},
        environment=environment,
        deadline_s=chosen.deadline_s,
        links=work.links,
        replaced=own_wheels(
            record, WheelTag(built_for.arch, built_for.release.python), WheelTag(MACHINE, runtime.minor), work.cache
        ),
        lacking=built_for.backends - HERE,
        places=chosen.places,
        log=chosen.log,
        whole=chosen.verbose,
        watched=chosen.watched,
        counted_memory=release is not None and not release.has("random-memory-names"),
    )


def own_wheels(record: Record, built_for: WheelTag, here: WheelTag, cache: Cache) -> dict[str, File]:
    """Return, by path, the replacements for vendored files that were built for another processor or Python."""
    homes: dict[str, set[str]] = {}
    for home, name in (found.groups() for found in map(VENDORED.match, record.files) if found):
        homes.setdefault(name, set()).add(home)
    packages, _ = vendored(differing(homes, built_for, here), here, cache, {}, Span(records.NAME))
    return {
        home + path: file
        for name, files in packages.items()
        for home in sorted(homes[name])
        for path, file in files.items()
    }


def banner(server: Server, record: Record, engine: str) -> list[str]:
    """Return the lines that show what runs here and which backends are stand-ins."""
    client = Client(server.endpoint)
    served = {state.name for state in client.index() if state.state == "READY"}
    used = sorted({str(client.config(name)["backend"]) for name in served} & set(STAND_INS))
    version = client.server_version()
    release = of_server(version)
    lines = [f"Triton {version} ({release.name if release else 'of no known release'}) on the CPU"]
    aimed = target(record=of_record(record, "")).release.name
    if record.target and (release is None or aimed != release.name):
        lines[0] += f"; the repository is for Triton {aimed}"
    said = {name: f"stand-in: {words}" for name, words in (STAND_INS | {"vllm": ENGINES[engine]}).items()}
    if engine == "vllm":
        said["vllm"] = f"engine: {ENGINES[engine].format(server.launch.environment.get(real_vllm.VERSION, ''))}"
    return lines + [said[name] for name in used]
