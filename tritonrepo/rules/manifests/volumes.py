"""Volumes and mounts: what the API server refuses, what is never used, and what cannot be shared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Severity, closest
from tritonrepo.manifests.objects import Manifests, Object, Pod, find, items, pods, text
from tritonrepo.manifests.pods import key_at, listed, mounts, number, title
from tritonrepo.manifests.quantities import quantity
from tritonrepo.rules.registry import Finding, manifest_rule
from tritonrepo.spec.nodes import Scalar

CLAIMS = ("spec.volumeClaimTemplates", "spec.leaderWorkerTemplate.volumeClaimTemplates")
CLAIM = "persistentVolumeClaim.claimName"
SHARED = {"ReadWriteMany", "ReadOnlyMany"}


def _names(of: Object, pod: Pod) -> list[str]:
    """Return the volumes of a pod, with those that a StatefulSet or a LeaderWorkerSet makes for each."""
    made = [text(each, "metadata.name") for path in CLAIMS for each in items(of.node, path)]
    return [text(each, "name") for each in pod.volumes] + made


@manifest_rule("mount-without-volume", Severity.ERROR)
def mount_without_volume(of: Object, _: Manifests) -> Iterator[Finding]:
    """A volumeMount must name a volume of the pod."""
    for pod in pods(of):
        names = _names(of, pod)
        for container in pod.every:
            for mount in mounts(container):
                if mount.value not in names:
                    message = f'{title(container)} mounts volume "{mount.value}", which the pod does not have'
                    hint = closest(mount.value, names) if names else f'Add volume "{mount.value}" to spec.volumes.'
                    yield Finding(
                        mount.at, message, hint=hint, reason=f'volumeMounts[0].name: Not found: "{mount.value}"'
                    )


@manifest_rule("volume-not-mounted", Severity.WARNING)
def volume_not_mounted(of: Object, _: Manifests) -> Iterator[Finding]:
    """A volume of a pod should be mounted."""
    for pod in pods(of):
        used = {mount.value for container in pod.every for mount in mounts(container)}
        for volume in pod.volumes:
            name = text(volume, "name")
            if name and name not in used and any(pod.every):
                message = f'no container mounts volume "{name}"'
                yield Finding(key_at(volume, "name"), message, hint="Add it to volumeMounts, or remove it.")


@manifest_rule("mount-path-twice", Severity.ERROR)
def mount_path_twice(of: Object, _: Manifests) -> Iterator[Finding]:
    """Two volumes cannot be mounted at one path."""
    for pod in pods(of):
        for container in pod.every:
            seen: dict[str, int] = {}
            for mount in listed(container, "volumeMounts", "mountPath"):
                if mount.value in seen:
                    message = f"{title(container)} mounts a second volume at {mount.value}"
                    hint = f"Use another path than on line {seen[mount.value]}."
                    yield Finding(mount.at, message, hint=hint, reason=f'"{mount.value}": must be unique')
                seen.setdefault(mount.value, mount.at.line)


@manifest_rule("volume-in-memory-above-limit", Severity.WARNING)
def in_memory_above_limit(of: Object, _: Manifests) -> Iterator[Finding]:
    """A volume in memory should leave memory for the containers."""
    for pod in pods(of):
        typed = [text(each, "resources.limits.memory") for each in pod.containers]
        limits = [quantity(each) for each in typed]
        known = [each for each in limits if each is not None]
        if not known or len(known) != len(limits):
            continue
        for volume in pod.volumes:
            size = quantity(text(volume, "emptyDir.sizeLimit"))
            if text(volume, "emptyDir.medium") == "Memory" and size is not None and size >= sum(known):
                message = f'volume "{text(volume, "name")}" can fill all memory that the containers may use'
                hint = "What is in it counts against their memory limit: raise the limit, or lower sizeLimit."
                yield Finding(key_at(volume, "emptyDir.sizeLimit"), message, hint=hint)


@manifest_rule("claim-not-shared", Severity.WARNING, "Deployment", "ReplicaSet")
def claim_not_shared(of: Object, found: Manifests) -> Iterator[Finding]:
    """A claim that several replicas mount should be one that several nodes can mount."""
    replicas = number(of.node, "spec.replicas", 1)
    for pod in pods(of) if replicas > 1 else ():
        for volume in pod.volumes:
            name = text(volume, CLAIM)
            for claim in _claims(name, of, found):
                modes = {each.text for each in items(claim.node, "spec.accessModes") if isinstance(each, Scalar)}
                if modes and not modes & SHARED:
                    message = f"{replicas} replicas mount claim {name}, which is {', '.join(sorted(modes))}"
                    hint = (
                        "Use ReadWriteMany, or a StatefulSet with volumeClaimTemplates: replicas on a second node wait."
                    )
                    yield Finding(key_at(volume, CLAIM), message, hint=hint)


@manifest_rule("claim-not-defined", Severity.INFO)
def claim_not_defined(of: Object, found: Manifests) -> Iterator[Finding]:
    """The files do not define the claim that a pod mounts."""
    for pod in pods(of) if found.whole else ():
        for volume in pod.volumes:
            name = text(volume, CLAIM)
            if name and not _claims(name, of, found):
                message = f"no file defines PersistentVolumeClaim {name}, which {of} mounts"
                hint = "The pods wait until it exists: create it, or check its manifest together with this one."
                yield Finding(key_at(volume, CLAIM), message, hint=hint)


def _claims(name: str, of: Object, found: Manifests) -> Sequence[Object]:
    return found.named("PersistentVolumeClaim", name, of.namespace) if name else ()


@manifest_rule("name-twice", Severity.ERROR)
def name_twice(of: Object, _: Manifests) -> Iterator[Finding]:
    """Containers, volumes and ports of a pod must have different names."""
    for pod in pods(of):
        spec = find(pod.node, "spec")
        containers = [*listed(spec, "initContainers", "name"), *listed(spec, "containers", "name")]
        lists = [("container", containers), ("volume", [*listed(spec, "volumes", "name")])]
        lists += [("port", [*listed(each, "ports", "name")]) for each in pod.every]
        for what, named in lists:
            seen: dict[str, int] = {}
            for each in named:
                if each.value in seen:
                    message = f'the pod has two {what}s "{each.value}"'
                    hint = f"Use another name than on line {seen[each.value]}."
                    yield Finding(each.at, message, hint=hint, reason=f'Duplicate value: "{each.value}"')
                seen.setdefault(each.value, each.at.line)
