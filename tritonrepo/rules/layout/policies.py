"""Which versions a model serves: the directories that it has, and its version_policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.pbtxt import Message
from tritonrepo.repository import Model
from tritonrepo.rules.layout import signs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


def _choice(model: Model, name: str) -> Message | None:
    policy = model.config.message("version_policy")
    chosen = policy.chosen("policy_choice") if policy is not None else None
    return policy.message(name) if policy is not None and chosen is not None and chosen.name == name else None


@rule("policy-latest-zero", Severity.ERROR, "version_policy", at=Stage.LOAD.after("version-overflow"))
def latest_zero(model: Model) -> Iterator[Finding]:
    """The policy latest says how many versions it serves."""
    latest = _choice(model, "latest")
    if latest is not None and latest.integer("num_versions") == 0:
        written = latest.scalars("num_versions")
        message = "num_versions is 0" if written else "latest has no num_versions"
        at = written[-1] if written else latest
        reason = signs.NO_VERSION.format(model.name)
        yield Finding(at, f"{message}, so no version is served", hint="Write num_versions: 1.", reason=reason)


@rule("policy-specific-empty", Severity.ERROR, "version_policy", at=Stage.LOAD.after("policy-latest-zero"))
def specific_empty(model: Model) -> Iterator[Finding]:
    """The policy specific names the versions that it serves."""
    specific = _choice(model, "specific")
    if specific is not None and not specific.all("versions"):
        hint = f"Write versions: {sorted(model.versions.found)}." if model.versions.found else ""
        yield Finding(specific, "specific names no version", hint=hint, reason=signs.NO_VERSION.format(model.name))


@rule("policy-specific-none-present", Severity.ERROR, "version_policy", at=Stage.LOAD.after("policy-specific-empty"))
def specific_none_present(model: Model) -> Iterator[Finding]:
    """One of the versions that specific names is there."""
    specific = _choice(model, "specific")
    if specific is None or model.served or not model.versions.found:
        return
    if versions := specific.scalars("versions"):
        message = f"there is none of the versions {_listed(number.data for number in versions)}"
        hint = f"There is {_listed(sorted(model.versions.found))}."
        yield Finding(versions[0], message, hint=hint, reason=signs.NO_VERSION.format(model.name))


def _listed(numbers: Iterable[object]) -> str:
    return ", ".join(map(str, numbers))


@rule("policy-specific-version-missing", Severity.WARNING, "version_policy")
def specific_version_missing(model: Model) -> Iterator[Finding]:
    """Every version that specific names is there."""
    specific = _choice(model, "specific")
    if specific is None or not model.served:
        return
    for number in specific.scalars("versions"):
        if isinstance(number.data, int) and number.data not in model.versions.found and number.data not in model.served:
            message = f"version {number.data} is not there"
            yield Finding(number, message, hint=f"Make a directory {number.data}, or drop it.")


@rule("policy-specific-duplicate", Severity.WARNING, "version_policy")
def specific_duplicate(model: Model) -> Iterator[Finding]:
    """The policy specific names each version once."""
    specific = _choice(model, "specific")
    seen = Counter[object]()
    for number in specific.scalars("versions") if specific is not None else ():
        seen[number.data] += 1
        if seen[number.data] == 2:  # noqa: PLR2004  the second time
            yield Finding(number, f"version {number.data} is named twice", hint="Drop one.")


@rule("policy-empty-means-all", Severity.WARNING, "version_policy")
def empty_means_all(model: Model) -> Iterator[Finding]:
    """A version_policy says which policy it is."""
    policy = model.config.message("version_policy")
    if policy is not None and policy.chosen("policy_choice") is None:
        message = "an empty version_policy serves all versions"
        yield Finding(policy, message, hint="Write all { }, or drop it to serve the latest.")


@rule("older-versions-not-served", Severity.INFO)
def older_not_served(model: Model) -> Iterator[Finding]:
    """Without a version_policy only the latest version is served."""
    if len(model.versions.found) > 1 and "version_policy" not in model.fields:
        yield Finding(None, f"of {len(model.versions.found)} versions only {max(model.versions.found)} is served")


@rule("one-bad-version-fails-model", Severity.INFO, "version_policy")
def one_bad_version(model: Model) -> Iterator[Finding]:
    """Versions that are served together load together."""
    if len(model.served) > 1:
        policy = model.config.message("version_policy")
        yield Finding(policy, f"{len(model.served)} versions are served: if one fails to load, all of them are gone")
