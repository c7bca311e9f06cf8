"""What does not fit between a manifest and the repository that it serves, which only a look at both can find."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.manifests.objects import Manifests, Object
from tritonrepo.rules.registry import Finding, manifest_rule


def _found(of: Object, among: Manifests, name: str) -> Iterator[Finding]:
    """Yield what was found under a rule's name, once for all objects."""
    if of is among.objects[0]:
        yield from (Finding(each.at, each.message, hint=each.hint) for each in among.compared if each.rule == name)


@manifest_rule("manifest-model-unknown", Severity.ERROR)
def model_unknown(of: Object, among: Manifests) -> Iterator[Finding]:
    """Models that a manifest names must be in the repository."""
    return _found(of, among, "manifest-model-unknown")


@manifest_rule("manifest-model-refused", Severity.ERROR)
def model_refused(of: Object, among: Manifests) -> Iterator[Finding]:
    """A server must be able to load the models of the repository."""
    return _found(of, among, "manifest-model-refused")


@manifest_rule("manifest-repository-uri", Severity.ERROR)
def repository_uri(of: Object, among: Manifests) -> Iterator[Finding]:
    """The URI of a model repository must be one that Triton reads as it is meant."""
    return _found(of, among, "manifest-repository-uri")


@manifest_rule("manifest-path-not-mounted", Severity.ERROR)
def path_not_mounted(of: Object, among: Manifests) -> Iterator[Finding]:
    """A path that a model reads must be in a mounted volume."""
    return _found(of, among, "manifest-path-not-mounted")


@manifest_rule("manifest-gpus-differ", Severity.WARNING)
def gpus_differ(of: Object, among: Manifests) -> Iterator[Finding]:
    """A container should get as many GPUs as the repository is for."""
    return _found(of, among, "manifest-gpus-differ")


@manifest_rule("manifest-release-differs", Severity.WARNING)
def release_differs(of: Object, among: Manifests) -> Iterator[Finding]:
    """An image should be of the Triton release that the repository is for."""
    return _found(of, among, "manifest-release-differs")


@manifest_rule("manifest-shared-memory-small", Severity.WARNING)
def shared_memory_small(of: Object, among: Manifests) -> Iterator[Finding]:
    """A container should have as much shared memory as the models of the repository need."""
    return _found(of, among, "manifest-shared-memory-small")


@manifest_rule("manifest-startup-short", Severity.WARNING)
def startup_short(of: Object, among: Manifests) -> Iterator[Finding]:
    """A probe should wait until the models of the repository are loaded."""
    return _found(of, among, "manifest-startup-short")


@manifest_rule("manifest-readiness-of-step", Severity.WARNING)
def readiness_of_step(of: Object, among: Manifests) -> Iterator[Finding]:
    """Readiness should ask for a pipeline, not for one of its steps."""
    return _found(of, among, "manifest-readiness-of-step")


@manifest_rule("manifest-token-missing", Severity.WARNING)
def token_missing(of: Object, among: Manifests) -> Iterator[Finding]:
    """A server should have a token of the Hub to load a gated model of the repository."""
    return _found(of, among, "manifest-token-missing")


@manifest_rule("manifest-variable-missing", Severity.WARNING)
def variable_missing(of: Object, among: Manifests) -> Iterator[Finding]:
    """A server should have the variables that its models read to call their endpoints."""
    return _found(of, among, "manifest-variable-missing")
