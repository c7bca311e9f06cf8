"""Images of servers: their tags, what each Triton image holds, and the drivers that they need."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, some
from tritonrepo.manifests.objects import Manifests, Object, find, text
from tritonrepo.manifests.servers import KINDS, Family, Server, running, servers
from tritonrepo.releases import NVIDIA, RELEASES, Release
from tritonrepo.rules.registry import Finding, manifest_rule

EXAMPLES = {Family.TRITON: "26.07-py3", Family.VLLM: "v0.27.1", Family.NIM: "1.14.0"}
WITHOUT_SERVER = {"py3-sdk": "the client libraries and no server", "py3-min": "what images are built from, no backends"}
"""Source: server, docs/customization_guide/build.md and compose.md; docs/getting_started/quickstart.md."""


@manifest_rule("image-without-version", Severity.WARNING, *KINDS, "NIMService")
def image_without_version(of: Object, _: Manifests) -> Iterator[Finding]:
    """The image of a server should have a tag with a version."""
    for each in servers(of):
        if each.image.floats:
            yield _floating(each.image.text, each.image.tag, each.family, Finding(each.image.at, ""))
    tag = find(of.node, "spec.image.tag") if of.kind == "NIMService" else None
    if tag is not None and text(of.node, "spec.image.tag") == "latest":
        name = f"{text(of.node, 'spec.image.repository')}:latest"
        yield _floating(name, "latest", Family.NIM, Finding(tag.at, ""))


def _floating(name: str, tag: str, family: Family, at: Finding) -> Finding:
    says = f'the tag "{tag}"' if tag else "no tag, which means latest"
    message = f"image {name} has {says}: a pod that starts tomorrow may run another {family}"
    return at._replace(message=message, hint=f"Name a version, such as {EXAMPLES[family]}, or add a digest.")


@manifest_rule("triton-image-unknown", Severity.ERROR, *KINDS)
def triton_image_unknown(of: Object, _: Manifests) -> Iterator[Finding]:
    """The image of a Triton release must exist and hold a server."""
    for each in servers(of):
        release, kind = each.image.release
        if each.family is not Family.TRITON or each.image.name != NVIDIA or not kind:
            continue
        if kind in WITHOUT_SERVER:
            message = f"image {each.image.text} has {WITHOUT_SERVER[kind]}"
            yield Finding(each.image.at, message, hint=f"Use {NVIDIA}:{release}-py3.")
        elif missing(release, kind):
            message = f"Triton {release} has no image {kind}"
            yield Finding(each.image.at, message, hint=_instead(kind))


KNOWN = ("py3", "vllm-python-py3", "trtllm-python-py3")


def missing(release: str, kind: str) -> bool:
    """Return whether it is known that a release does not have an image."""
    found = RELEASES.get(release)
    if found is None or kind not in KNOWN:
        return False
    if not found.images:
        return kind == "trtllm-python-py3" and any("no TensorRT-LLM image" in note for note in found.notes)
    return kind not in found.images


def _instead(kind: str) -> str:
    having = [name for name, release in RELEASES.items() if kind in release.images]
    return f"The newest known release with it is {max(having)}." if having else ""


@manifest_rule("triton-not-started", Severity.ERROR, *KINDS)
def triton_not_started(of: Object, _: Manifests) -> Iterator[Finding]:
    """A container with a Triton image must start tritonserver."""
    for each in servers(of):
        if each.family is Family.TRITON and each.image.name == NVIDIA and not each.starts:
            message = f"{each} does not start tritonserver: the image runs what args say, and no server by itself"
            options = " before its options" if each.arguments else ""
            yield Finding(each.image.at, message, hint=f"Add tritonserver to args{options}.")


@manifest_rule("drivers-differ", Severity.INFO, *KINDS)
def drivers_differ(of: Object, among: Manifests) -> Iterator[Finding]:
    """Servers of different kinds or releases need different GPU drivers."""
    if of is not among.of(*KINDS)[0]:
        return  # once for all of them
    known = {_named(each): each for each in running(among)}
    drivers = {driver for each in known.values() if (driver := _driver(each))}
    if len({each.family for each in running(among)}) <= 1 and len(drivers) <= 1:
        return
    first = min(known.values(), key=lambda each: (each.family is not Family.TRITON, _named(each)))
    said = [f"{name}{f' (driver {_driver(one)})' if _driver(one) else ''}" for name, one in sorted(known.items())]
    message = f"each of these images has a CUDA of its own, which belongs to a driver: {some(said, 4)}"
    hint = "Install a driver for the newest of them, or select nodes for each that have its driver."
    yield Finding(first.image.at, message, hint=hint)


def _named(each: Server) -> str:
    return f"{each.family} {each.image.release[0] or each.image.tag or each.image.digest or 'latest'}"


def _driver(each: Server) -> str:
    release = release_of(each)
    return (release.versions["driver"] if release is not None else "") or ""


def release_of(each: Server) -> Release | None:
    """Return the release of Triton whose image a server runs; None if it is not known."""
    return RELEASES.get(each.image.release[0]) if each.family is Family.TRITON else None
