"""Which versions a model serves, given its directories and its version_policy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message, Scalar
from tritonrepo.pbtxt.editor import put
from tritonrepo.repository import Model
from tritonrepo.rules.layout import signs
from tritonrepo.rules.mending import edited, without
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


def _choice(model: Model, name: str) -> Message | None:
    policy = model.config.message("version_policy")
    chosen = policy.chosen("policy_choice") if policy is not None else None
    return policy.message(name) if policy is not None and chosen is not None and chosen.name == name else None


@rule("policy-latest-zero", Severity.ERROR, "version_policy", at=Stage.LOAD.after("version-overflow"))
def latest_zero(model: Model) -> Iterator[Finding]:
    """The version_policy latest must serve at least one version."""
    latest = _choice(model, "latest")
    if latest is not None and latest.integer("num_versions") == 0:
        written = latest.scalars("num_versions")
        message = "num_versions is 0" if written else "latest sets no num_versions"
        at = written[-1] if written else latest
        reason = signs.NO_VERSION.format(model.name)
        hint, fix = "Set num_versions to at least 1.", edited(model, put(latest, "num_versions", 1), safe=not written)
        yield Finding(at, f"{message}, so no version is served", hint=hint, reason=reason, fix=fix)


@rule("policy-specific-empty", Severity.ERROR, "version_policy", at=Stage.LOAD.after("policy-latest-zero"))
def specific_empty(model: Model) -> Iterator[Finding]:
    """The specific field of a version_policy must list at least one version."""
    specific = _choice(model, "specific")
    if specific is not None and not specific.all("versions"):
        hint = f"Set versions to `{sorted(model.versions.found)}`." if model.versions.found else ""
        message = "specific lists no versions, so no version is served"
        yield Finding(specific, message, hint=hint, reason=signs.NO_VERSION.format(model.name))


@rule("policy-specific-none-present", Severity.ERROR, "version_policy", at=Stage.LOAD.after("policy-specific-empty"))
def specific_none_present(model: Model) -> Iterator[Finding]:
    """At least one version in the specific field of a version_policy must exist."""
    specific = _choice(model, "specific")
    if specific is None or model.served or not model.versions.found:
        return
    if versions := specific.scalars("versions"):
        absent = _listed(number.data for number in versions)
        several = len(versions) > 1
        message = f"selected versions {absent} do not exist" if several else f"selected version {absent} does not exist"
        hint = f"Select an existing version: {_listed(sorted(model.versions.found))}."
        yield Finding(versions[0], message, hint=hint, reason=signs.NO_VERSION.format(model.name))


def _listed(numbers: Iterable[object]) -> str:
    return ", ".join(map(str, numbers))


@rule("policy-specific-version-missing", Severity.WARNING, "version_policy")
def specific_version_missing(model: Model) -> Iterator[Finding]:
    """Every version in the specific field of a version_policy should exist."""
    specific = _choice(model, "specific")
    if specific is None or not model.served:
        return
    for number in specific.scalars("versions"):
        if isinstance(number.data, int) and number.data not in model.versions.found and number.data not in model.served:
            message = f"selected version {number.data} does not exist"
            hint = f"Create a directory {number.data}, or remove {number.data} from versions."
            yield Finding(number, message, hint=hint)


@rule("policy-specific-duplicate", Severity.WARNING, "version_policy")
def specific_duplicate(model: Model) -> Iterator[Finding]:
    """The specific field of a version_policy should list each version only once."""
    specific = _choice(model, "specific")
    if specific is None:
        return
    numbers: dict[object, list[Scalar]] = {}
    for number in specific.scalars("versions"):
        numbers.setdefault(number.data, []).append(number)
    again = {data: places[1:] for data, places in numbers.items() if len(places) > 1}
    there = [place for data in again if data in model.versions.found for place in again[data]]
    fix = edited(model, *without(specific, "versions", there), safe=True) if there else None
    for data, (second, *_) in again.items():
        exists = data in model.versions.found  # one that is missing is served only because it is listed twice
        message = f"version {data} is listed twice"
        yield Finding(second, message, hint="Remove the duplicate.", fix=fix if exists else None)


@rule("policy-empty-means-all", Severity.WARNING, "version_policy")
def empty_means_all(model: Model) -> Iterator[Finding]:
    """A version_policy should choose a policy."""
    policy = model.config.message("version_policy")
    if policy is not None and policy.chosen("policy_choice") is None:
        message = "version_policy is empty, so all versions are served"
        hint = "Set it to `{ all { } }`, or remove it to serve only the latest version."
        yield Finding(policy, message, hint=hint, fix=edited(model, put(policy, "all", {}), safe=False))


@rule("older-versions-not-served", Severity.INFO)
def older_not_served(model: Model) -> Iterator[Finding]:
    """Without a version_policy, only the latest version is served."""
    if len(model.versions.found) > 1 and "version_policy" not in model.fields:
        count, latest = len(model.versions.found), max(model.versions.found)
        yield Finding(None, f"the model has {count} versions, but only version {latest} is served")
