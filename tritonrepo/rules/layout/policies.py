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
    """The policy latest says how many versions it serves.

    Why:
        The default of 1 is there only without any version_policy: latest without num_versions serves none, and Triton
        refuses the model.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { latest { } }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:25: error: latest has no num_versions, so no version is served [policy-latest-zero]
          Write num_versions: 1.
    Server says:
        at least one version must be available under the version policy of model 'ranker'
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { latest { num_versions: 1 } }
        -- ranker/1/weights --
    """
    latest = _choice(model, "latest")
    if latest is not None and latest.integer("num_versions") == 0:
        written = latest.scalars("num_versions")
        message = "num_versions is 0" if written else "latest has no num_versions"
        at = written[-1] if written else latest
        reason = signs.NO_VERSION.format(model.name)
        yield Finding(at, f"{message}, so no version is served", hint="Write num_versions: 1.", reason=reason)


@rule("policy-specific-empty", Severity.ERROR, "version_policy", at=Stage.LOAD.after("policy-latest-zero"))
def specific_empty(model: Model) -> Iterator[Finding]:
    """The policy specific names the versions that it serves.

    Why:
        Without any it serves none, and Triton refuses the model.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { } }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:27: error: specific names no version [policy-specific-empty]
          Write versions: [1].
    Server says:
        at least one version must be available under the version policy of model 'ranker'
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 1 ] } }
        -- ranker/1/weights --
    """
    specific = _choice(model, "specific")
    if specific is not None and not specific.all("versions"):
        hint = f"Write versions: {sorted(model.versions.found)}." if model.versions.found else ""
        yield Finding(specific, "specific names no version", hint=hint, reason=signs.NO_VERSION.format(model.name))


@rule("policy-specific-none-present", Severity.ERROR, "version_policy", at=Stage.LOAD.after("policy-specific-empty"))
def specific_none_present(model: Model) -> Iterator[Finding]:
    """One of the versions that specific names is there.

    Why:
        Where none is, Triton refuses the model.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 2 ] } }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:41: error: there is none of the versions 2 [policy-specific-none-present]
          There is 1.
    Server says:
        at least one version must be available under the version policy of model 'ranker'
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 2 ] } }
        -- ranker/2/weights --
    """
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
    """Every version that specific names is there.

    Why:
        Triton only logs an error for one that is not, and serves the others.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 1, 2 ] } }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:44: warning: version 2 is not there [policy-specific-version-missing]
          Make a directory 2, or drop it.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 1, 2 ] } }
        -- ranker/1/weights --
        -- ranker/2/weights --
    """
    specific = _choice(model, "specific")
    if specific is None or not model.served:
        return
    for number in specific.scalars("versions"):
        if isinstance(number.data, int) and number.data not in model.versions.found and number.data not in model.served:
            message = f"version {number.data} is not there"
            yield Finding(number, message, hint=f"Make a directory {number.data}, or drop it.")


@rule("policy-specific-duplicate", Severity.WARNING, "version_policy")
def specific_duplicate(model: Model) -> Iterator[Finding]:
    """The policy specific names each version once.

    Why:
        Triton takes a version that is named twice for present, whether it is or not, and then fails to load it.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 7, 7 ] } }
        -- ranker/7/weights --
    Says:
        ranker/config.pbtxt:4:44: warning: version 7 is named twice [policy-specific-duplicate]
          Drop one.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { specific { versions: [ 7 ] } }
        -- ranker/7/weights --
    """
    specific = _choice(model, "specific")
    seen = Counter[object]()
    for number in specific.scalars("versions") if specific is not None else ():
        seen[number.data] += 1
        if seen[number.data] == 2:  # noqa: PLR2004  the second time
            yield Finding(number, f"version {number.data} is named twice", hint="Drop one.")


@rule("policy-empty-means-all", Severity.WARNING, "version_policy")
def empty_means_all(model: Model) -> Iterator[Finding]:
    """A version_policy says which policy it is.

    Why:
        An empty one serves all versions, not the latest one as none at all does.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { }
        -- ranker/1/weights --
    Says:
        ranker/config.pbtxt:4:16: warning: an empty version_policy serves all versions [policy-empty-means-all]
          Write all { }, or drop it to serve the latest.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { all { } }
        -- ranker/1/weights --
    """
    policy = model.config.message("version_policy")
    if policy is not None and policy.chosen("policy_choice") is None:
        message = "an empty version_policy serves all versions"
        yield Finding(policy, message, hint="Write all { }, or drop it to serve the latest.")


@rule("older-versions-not-served", Severity.INFO)
def older_not_served(model: Model) -> Iterator[Finding]:
    """Without a version_policy only the latest version is served.

    Why:
        The others stay on the disk, and a request that names one of them is refused.
    Source:
        core, src/model_config_utils.cc, GetNormalizedModelConfig
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/2/weights --
    Says:
        ranker/config.pbtxt: info: of 2 versions only 2 is served [older-versions-not-served]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { all { } }
        -- ranker/1/weights --
        -- ranker/2/weights --
    """
    if len(model.versions.found) > 1 and "version_policy" not in model.fields:
        yield Finding(None, f"of {len(model.versions.found)} versions only {max(model.versions.found)} is served")


@rule("one-bad-version-fails-model", Severity.INFO, "version_policy")
def one_bad_version(model: Model) -> Iterator[Finding]:
    """Versions that are served together load together.

    Why:
        If one of them fails, Triton takes the others down, too.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, OnLoadFinal
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { all { } }
        -- ranker/1/weights --
        -- ranker/2/weights --
    Says:
        ranker/config.pbtxt:4:16: info: 2 versions are served: if one fails to load, all of them are gone [one-bad-version-fails-model]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        version_policy { latest { num_versions: 1 } }
        -- ranker/1/weights --
        -- ranker/2/weights --
    """
    if len(model.served) > 1:
        policy = model.config.message("version_policy")
        yield Finding(policy, f"{len(model.served)} versions are served: if one fails to load, all of them are gone")
