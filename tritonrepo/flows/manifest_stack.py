"""Manifests against the repository that their Triton serves: whether it loads there, and what its models need."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from tritonrepo import repository
from tritonrepo.deploy.endpoints import endpoints
from tritonrepo.deploy.engines import Engine, engines
from tritonrepo.deploy.needs import asked, outside, shared_memory, start
from tritonrepo.diagnostics import Diagnostic, Severity, Span, State, Verdict, closest, counted, some
from tritonrepo.flows.validate import everything, examine
from tritonrepo.flows.workspace import Workspace
from tritonrepo.manifests.gpus import claims, limits, place_of, whole
from tritonrepo.manifests.objects import Manifests, find, place, text
from tritonrepo.manifests.probes import Probe, probes
from tritonrepo.manifests.quantities import quantity
from tritonrepo.manifests.servers import DEFAULT_SHM, ELSEWHERE, KINDS, SHM, Family, Server, servers, volume
from tritonrepo.plain import inline
from tritonrepo.releases import NVIDIA, RELEASES
from tritonrepo.repository import Repository, Said, Target
from tritonrepo.rules.serving.images import missing
from tritonrepo.rules.serving.secrets import GATED, TOKENS
from tritonrepo.rules.serving.triton import FALSE, mode
from tritonrepo.tree import amount

ASKS = re.compile(r"/v2/models/([^/?]+)(?:/|$)")
SHOWN = 4


class Given(NamedTuple):
    """What a manifest says about the server: see `Said`."""

    release: str | None
    images: tuple[str, ...] | None
    gpus: int | None
    complete: bool | None

    @property
    def said(self) -> Said:
        """The same, for the target."""
        return Said(self.release, self.images, self.gpus, self.complete)

    @property
    def options(self) -> str:
        """The options of `validate` that say the same."""
        named = ["--release", self.release] if self.release else []
        named += [word for image in self.images or () for word in ("--image", image)]
        named += [] if self.gpus is None else ["--gpus", str(self.gpus)]
        return " ".join([*named, *(["--no-auto-complete"] if self.complete is False else [])])


@dataclass(frozen=True)
class Beside:
    """A repository as a server of a manifest would have it; `own` is what its stack or record says of the server."""

    path: str
    given: Given
    found: Repository
    refused: dict[str, str]
    engines: tuple[Engine, ...]
    own: Said


def compared(manifests: Manifests, look: Callable[[Given], Beside]) -> tuple[Diagnostic, ...]:
    """Return what does not fit together; `look` reads the repository as what a manifest says has it."""
    once = cache(look)
    found = [
        diagnostic
        for of in manifests.of(*KINDS)
        for each in servers(of)
        if each.family is Family.TRITON and each.starts
        for diagnostic in _compared(each, once(given_by(each)))
    ]
    return tuple(sorted(found, key=lambda each: (each.at, each.rule, each.message)))


def given_by(each: Server) -> Given:
    """Return what a container says about its server."""
    release, kind = each.image.release
    known = release if release in RELEASES else None
    stock = known is not None and each.image.name == NVIDIA and kind in RELEASES[release].images
    has = whole(each)
    gpus = (
        has[1] if has is not None else None if limits(each) or claims(each) or each.pod.owner.kind in ELSEWHERE else 0
    )
    plain = each.argument("disable-auto-complete-config") is not None
    return Given(known, (kind,) if stock and not missing(release, kind) else None, gpus, False if plain else None)


def looked(path: str, work: Workspace, given: Given) -> Beside:
    """Return the repository of a path; raise Stop if it cannot be read."""
    own: list[Said] = []

    def aim(record: Said, stack: Said) -> Target:
        own.append(stack if stack.release else record)
        return repository.target(given.said, record=record, stack=stack)

    found = examine(path, work, aim, everything)
    return beside(path, given, found.repository, found.judgement.verdicts, own[-1])


def beside(path: str, given: Given, found: Repository, verdicts: Iterable[Verdict], own: Said) -> Beside:
    """Return a repository that was read and judged."""
    refused = {each.model: each.rule for each in verdicts if each.verdict not in {State.READY, State.NOT_JUDGED}}
    return Beside(path, given, found, refused, engines(found), own)


def _compared(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    loads = _loads(each, beside)
    yield from _unknown(each, beside)
    yield from _refused(each, beside, loads)
    yield from _differs(each, beside)
    yield from _unmounted(each, beside)
    yield from _small(each, beside)
    yield from _late(each, beside)
    yield from _token(each, beside)
    yield from _unset(each, beside, loads)


def _loads(each: Server, beside: Beside) -> frozenset[str]:
    """Return the models that a server loads when it starts."""
    named = {option.value or "" for option in each.arguments if option.name == "load-model"}
    if mode(each) != "explicit" or "*" in named:
        return frozenset(beside.found.models)
    return frozenset(named & beside.found.models.keys())


def _unknown(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    models = beside.found.models
    named = [
        (option.value or "", option.at, "--load-model") for option in each.arguments if option.name == "load-model"
    ]
    for probe in probes(each).values():
        found = ASKS.match(probe.path)
        named += [(found[1], probe.path_at, probe.name)] if found else []
    for name, at, who in named:
        if name not in models and name not in {"*", ""}:
            message = f'{who} names the model "{name}", which is not in {beside.path}'
            hint = closest(name, sorted(models)) if models else "It has no models at all."
            yield Diagnostic("manifest-model-unknown", Severity.ERROR, at, message, hint)


def _refused(each: Server, beside: Beside, loads: frozenset[str]) -> Iterator[Diagnostic]:
    refused = {name: rule for name, rule in beside.refused.items() if name in loads}
    if not refused:
        return
    which = some([f"{inline(name)} ({rule})" for name, rule in refused.items()], SHOWN)
    message = f"this server does not load {len(refused)} of {counted(len(loads), 'model')}: {which}"
    if each.value("exit-on-error").lower() not in FALSE:
        message += "; and so it does not start"
    command = f"tritonrepo validate {shlex.quote(beside.path)} {beside.given.options}".rstrip()
    hint = f"See why with `{command}`."
    yield Diagnostic("manifest-model-refused", Severity.ERROR, each.image.at, message, hint)


def _differs(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    has, own = whole(each), beside.own
    if own.gpus is not None and has is not None and own.gpus != has[1]:
        message = f"the container gets {counted(has[1], 'GPU')}, but the target of {beside.path} has {own.gpus}"
        hint = f"Set {has[0]} to {own.gpus}, or build the repository for {has[1]}."
        yield Diagnostic("manifest-gpus-differ", Severity.WARNING, place_of(each, has[0]), message, hint)
    if own.release and beside.given.release and own.release != beside.given.release:
        message = f"the image is of Triton {beside.given.release}, but the target of {beside.path} is {own.release}"
        hint = f"Use an image of {own.release}, or build the repository for {beside.given.release}."
        yield Diagnostic("manifest-release-differs", Severity.WARNING, each.image.at, message, hint)


def _unmounted(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    for name, path in outside(beside.found, beside.engines):
        if not each.volume(path)[0] and each.pod.owner.kind not in ELSEWHERE:
            message = f'model "{name}" reads {path}, where no volume is mounted'
            hint = f"Mount a volume at {path}, or at a directory above it."
            at = place(each.node, "volumeMounts")
            yield Diagnostic("manifest-path-not-mounted", Severity.ERROR, at, message, hint)


def _small(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    needed = shared_memory(beside.found, beside.engines)
    at, has = _shm(each)
    if has is not None and needed.total > has:
        message = f"{SHM} has {amount(has)}, but the models need about {amount(needed.total)}"
        size, terms = needed.total >> 20, "; ".join(needed.bytes()[:SHOWN])
        hint = f"Mount an emptyDir there with `medium: Memory, sizeLimit: {size}Mi`. Of it, {terms}."
        yield Diagnostic("manifest-shared-memory-small", Severity.WARNING, at, message, hint)


def _shm(each: Server) -> tuple[Span, int | None]:
    """Return where the size of /dev/shm is written, and the size in bytes, None if it is not limited or not known."""
    if text(each.pod.node, "spec.hostIPC").lower() == "true":
        return each.at, None
    if SHM not in each.mounts:
        return place(each.node, "volumeMounts"), DEFAULT_SHM
    found = volume(each.pod, each.mounts[SHM])
    limit = quantity(text(found, "emptyDir.sizeLimit")) if found is not None else None
    return (each.at, None) if found is None or limit is None else (place(found, "emptyDir.sizeLimit"), int(limit))


def _late(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    bucket = "://" in each.value("model-repository", "model-store")
    needed = start(beside.found, beside.engines, bucket=bucket)
    least = needed.total // needed.factor
    probe = probes(each).get("startupProbe") or _killing(each)
    if probe is not None and probe.allows_s < least:
        message = (
            f"{probe.name} ends the container after {probe.allows_s} s, but the models take about {least} s to load"
        )
        terms = "; ".join(needed.seconds()[-SHOWN:])
        hint = f"Let a startupProbe wait {needed.total} s, twice what it takes: {terms}."
        yield Diagnostic("manifest-startup-short", Severity.WARNING, probe.at, message, hint)
    yield from _partly(each, beside)


def _killing(each: Server) -> Probe | None:
    return None if each.pod.owner.kind in ELSEWHERE else probes(each).get("livenessProbe")


def _partly(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    probe = probes(each).get("readinessProbe")
    found = ASKS.match(probe.path) if probe is not None else None
    last: Sequence[str] = asked(beside.found)
    if probe is not None and found is not None and found[1] in beside.found.models and found[1] not in last:
        message = f'readinessProbe asks for "{found[1]}", which other models call: these may not be ready yet'
        hint = f"Ask for {some([inline(name) for name in last], SHOWN)}."
        yield Diagnostic("manifest-readiness-of-step", Severity.WARNING, probe.path_at, message, hint)


def _token(each: Server, beside: Beside) -> Iterator[Diagnostic]:
    gated = [engine for engine in beside.engines if engine.from_hub and engine.source.startswith(GATED)]
    if gated and not each.imports and not any(each.variable(name) for name in TOKENS):
        message = f"{inline(gated[0].source)} is gated, and {each} has no token of the Hugging Face Hub"
        hint = "Add HF_TOKEN to env, by secretKeyRef, with a token of an account that accepted the model's terms."
        at = place(each.node, "env") if find(each.node, "env") else each.at
        yield Diagnostic("manifest-token-missing", Severity.WARNING, at, message, hint)


def _unset(each: Server, beside: Beside, loads: frozenset[str]) -> Iterator[Diagnostic]:
    if each.imports or each.pod.owner.kind in ELSEWHERE:
        return
    for called in endpoints(beside.found):
        for name in called.variables if called.name in loads else ():
            if each.variable(name) is None:
                message = (
                    f'model "{called.name}" reads {name}, with which it calls {called.host}, and {each} has no {name}'
                )
                hint = f"Add {name} to env, by secretKeyRef."
                at = place(each.node, "env") if find(each.node, "env") else each.at
                yield Diagnostic("manifest-variable-missing", Severity.WARNING, at, message, hint)
