"""The server that a deployment describes: its image, what it reads, and what is said about it before it is written."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from tritonrepo.deploy.endpoints import variables
from tritonrepo.deploy.engines import Engine, engines
from tritonrepo.deploy.needs import asked, outside, shared_memory, start
from tritonrepo.deploy.service import CACHE, MODELS, SCRATCH, Control, Gpus, Mount, Ports, Reads, Runs, Service
from tritonrepo.diagnostics import Diagnostic, Severity, Span, State, Stop, closest, fatal
from tritonrepo.flows.calling import calling
from tritonrepo.flows.deployed import Source
from tritonrepo.generate.dockerfile import Image, combined
from tritonrepo.releases import NVIDIA, RELEASES
from tritonrepo.rules import judge
from tritonrepo.server.hosts import itself
from tritonrepo.tree import meet, within

HEADER = "# Written by tritonrepo deploy docker, as tritonrepo image prints it."
NOT_OF_A_NAME = re.compile(r"[^a-z0-9]+")
POLL_S = 15
"""Triton's own default of --repository-poll-secs."""

SHOWN = 3
"""How many of the models that would not load a message names."""

TAKEN = (MODELS, CACHE, SCRATCH, "/dev", "/etc", "/opt/tritonserver", "/proc", "/run", "/sys", "/usr/bin", "/usr/lib")
"""Directories of the container in which, and above which, nothing of the host can be."""


class DeployOptions(NamedTuple):
    """What the user decides: where the server listens, which GPUs of the host it gets, when it loads models.

    `repository` is the directory that a stack is built into. `mounts` are directories of the host that models read, and
    `variables` names in the environment. `again` is the command that is written down; "" for the shortest one.
    """

    ports: Ports = Ports()
    gpu_ids: tuple[str, ...] = ()
    control: Control | None = None
    repository: Path = Path("model_repository")
    mounts: tuple[Path, ...] = ()
    variables: tuple[str, ...] = ()
    again: str = ""


def service(source: Source, out: Path, wanted: DeployOptions) -> tuple[Service, tuple[Diagnostic, ...]]:
    """Return the server, and warnings about it; raise Stop if no container can run it."""
    name = NOT_OF_A_NAME.sub("-", source.name.lower()).strip("-")[:63] or "triton"
    target, found = source.target, engines(source.found)
    ids = tuple(dict.fromkeys(wanted.gpu_ids))
    if ids and len(ids) != target.gpus:
        has = f"{target.gpus} GPU{'s' if target.gpus != 1 else ''}"
        message = f"the target has {has}, but --gpu-id names {len(ids)}"
        raise fatal("deploy-gpus", source.where, message, f"Name {target.gpus}, or set {target.counts_gpus}.")
    mounts, warnings = _mounts(source, found, wanted)
    reads = _reads(source, out, mounts)
    written(reads.models, *(mount.source for mount in reads.mounts))
    made = Service(
        name=name,
        release=target.release,
        runs=runs(source, name, HEADER),
        arch=target.arch,
        gpus=Gpus(max(0, target.gpus), ids),
        reads=reads,
        control=wanted.control or (Control("poll", POLL_S) if source.uri else Control()),
        ports=wanted.ports,
        complete=source.complete,
        asked=asked(source.found),
        engines=found,
        memory=shared_memory(source.found, found),
        start=start(source.found, found, bucket=bool(source.uri)),
        again=wanted.again or shlex.join(["tritonrepo", "deploy", "docker", source.where, "-o", str(out)]),
        variables=variables(source.found, wanted.variables),
    )
    reached = (*unreachable(source.uri, "container"), *calling(source.found, source.where))
    return made, (*source.warnings, *refused(source), *warnings, *reached)


def runs(source: Source, name: str, header: str) -> Runs:
    """Return the image: the user's own, the one image of a release that has every backend, or one that is built.

    Raise Stop if no image has every backend; `header` is the first line of a Dockerfile.
    """
    target = source.target
    release = target.release
    if target.own:
        return Runs(target.own[0], f"Your own image, built from Triton {release.name}.")
    needed = frozenset(
        model.backend
        for model in source.found.models.values()
        if model.backend and not any(path.endswith(f"libtriton_{model.backend}.so") for path in model.entries)
    )
    if odd := [image for image in target.images if release.images and image not in release.images]:
        message = f"Triton {release.name} has no image {_quoted(odd[0])}"
        raise _stop(source, message, f"Name another one with --image. {closest(odd[0], release.images)}")
    found = combined(release, target.images, needed)
    if found is None and len(target.images) == 1:
        why = f"Triton {release.name} (server {release.server_version}). Which backends the image has is not known."
        return Runs(f"{NVIDIA}:{release.name}-{target.images[0]}", why)
    if found is None:
        message = f"the backends of the images of Triton {release.name} are not known yet"
        raise _stop(source, message, "Name the image with --image, or an earlier release with --release.")
    if found.absent:
        message = f"no image of the target has the backend {' or '.join(map(_quoted, found.absent))}"
        raise _stop(source, message, _elsewhere(source, frozenset(found.absent)))
    if not found.runs_ensembles and any(model.is_ensemble for model in source.found.models.values()):
        first = min(name for name, each in RELEASES.items() if "ensemble" in each.images.get(found.base, ()))
        message = f"the server in image {found.base} of Triton {release.name} does not run ensembles"
        raise _stop(source, message, f"Use Triton {first} or later.")
    return _of_triton(found, name, needed, header)


def _elsewhere(source: Source, absent: frozenset[str]) -> str:
    """Return the hint for backends that no image of the target has."""
    target, own = source.target, "an image of your own that has it, as in `--image my-triton:1`"
    if here := [image for image, has in target.release.images.items() if absent <= {*has}]:
        images = " ".join(f"--image {image}" for image in (*target.images, here[0]))
        return f"Combine the images with `{images}`."
    last = max((name for name, each in RELEASES.items() if absent <= each.backends(tuple(each.images))), default="")
    return f"Use Triton {last}, or {own}." if last else f"Name {own}."


def _quoted(text: str) -> str:
    return f'"{text}"'


def _of_triton(found: Image, name: str, needed: frozenset[str], header: str) -> Runs:
    backends = f"the backends that the models use: {', '.join(sorted(needed)) or 'none'}"
    version = f"Triton {found.release} (server {RELEASES[found.release].server_version})"
    if not found.copies:
        return Runs(found.name, f"{version}. This image has {backends}.")
    why = f"{version}. No image has all {backends}; the Dockerfile copies what {found.base} lacks."
    return Runs(f"{name}:{found.release}", why, found.written(header))


def _stop(source: Source, message: str, hint: str) -> Stop:
    return Stop([Diagnostic("image-unknown", Severity.ERROR, Span(source.where), message, hint)])


def _reads(source: Source, out: Path, mounts: tuple[Mount, ...]) -> Reads:
    if source.uri:
        return Reads(source.uri, source.uri.partition("://")[0], mounts)
    why = "The model repository. The server only reads it, as uid 1000, which must be able to."
    return Reads(MODELS, "", (Mount(seen_from(source.directory or Path(), out), MODELS, why), *mounts))


def seen_from(directory: Path, out: Path) -> str:
    """Return the path of a directory in a Compose file in `out`: relative if both can move together."""
    there, here = directory.resolve(), out.absolute()
    if here != out.resolve() or not there.is_relative_to(here.parent) or here.parent == here.parent.parent:
        return str(there)
    path = os.path.relpath(there, here)
    return path if path.startswith("..") else f"./{path}"


def _mounts(
    source: Source, found: tuple[Engine, ...], wanted: DeployOptions
) -> tuple[tuple[Mount, ...], list[Diagnostic]]:
    """Return the directories that models read besides the repository, and warnings about those that are not given.

    Only a stack's own paths are given to a container without being asked: a repository can be of somebody else.
    """
    given = {str(path.absolute()): "A directory that models read, as --mount says." for path in wanted.mounts}
    missing = list[Diagnostic]()
    for name, path in outside(source.found, found):
        here = within(path, MODELS) and path.removeprefix(MODELS).strip("/").partition("/")[0] in source.found.models
        if here or any(within(path, each) for each in given):
            continue
        if source.own and not taken(path):
            given[path] = f"Model {name} reads it, as the stack says."
        else:
            missing.append(_outside(f"{source.where.rstrip('/')}/{name}", name, path))
    if blocked := [path for path in given if taken(path)]:
        message = "the container has something else at this path, so that no directory of the host can be there"
        raise fatal("deploy-mount", blocked[0], message, "Move the directory, or link it at another path.")
    return tuple(Mount(path, path, why) for path, why in sorted(given.items())), missing


def _outside(at: str, name: str, path: str) -> Diagnostic:
    message = f'model "{name}" reads {path}, which the container does not have'
    hint = f"If the host has it and the server may read it, add `--mount {shlex.quote(path)}`."
    if taken(path):
        hint = f"Name another path in the model: the container has something else at {path}."
    return Diagnostic("deploy-path", Severity.WARNING, Span(at), message, hint)


def taken(path: str) -> bool:
    """Return whether a path belongs to the container itself."""
    return any(meet(path.rstrip("/"), each) for each in TAKEN)


def written(*paths: str) -> None:
    """Raise Stop if a path cannot be in a file of a deployment, which is UTF-8."""
    for path in paths:
        if any("\ud800" <= character <= "\udfff" for character in path):
            message = "the name is not UTF-8, so a file cannot have it"
            raise fatal("deploy-name", path, message, "Rename it, or use a link with another name.")


def refused(source: Source, product: str = "") -> Iterator[Diagnostic]:
    """Yield a warning about the models that the server would not load; `product` names its GPUs, if they are named."""
    verdicts = judge(source.found).verdicts
    refused = [each.model for each in verdicts if each.verdict not in {State.READY, State.NOT_JUDGED}]
    if refused:
        shown = ", ".join(map(_quoted, refused[:SHOWN])) + (" and others" if len(refused) > SHOWN else "")
        message = f"{len(refused)} of {len(verdicts)} models would not load on this server: {shown}"
        same = ["--gpu", product] if product and source.target.gpu is not None else []
        hint = f"`{shlex.join(['tritonrepo', 'validate', source.where, *same])}` says why."
        yield Diagnostic("deploy-refused", Severity.WARNING, Span(source.where), message, hint)


def unreachable(uri: str, inside: str) -> Iterator[Diagnostic]:
    """Yield a warning if a store is at an address that means what the server is in: a container or a pod."""
    host = urlsplit(uri.partition("://")[2]).hostname if uri.count("://") > 1 else None
    if host is not None and itself(host):
        message = f"in a {inside}, {host} is the {inside} itself, so the server cannot reach this store"
        hint = "Use the address by which other machines reach the store."
        yield Diagnostic("deploy-address", Severity.WARNING, Span(uri), message, hint)
