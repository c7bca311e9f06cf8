"""The names of version directories, which the server reads by std::stoll: what begins with a number is that version."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.repository.versions import RESERVED
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

VERSIONISH = re.compile(
    r"(v|ver|version|rev|revision|r|release)[-_. ]?[0-9]+([-_.][0-9]+)*|latest|stable|current", re.IGNORECASE
)
"""Names that are surely meant as versions."""


@rule("version-leading-zero", Severity.WARNING, after_faults=True)
def leading_zero(model: Model) -> Iterator[Finding]:
    """A version directory's name has no leading zero.

    Why:
        Triton passes over 01 and 007; only 0 itself is a version.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/02/weights --
    Says:
        ranker/02: warning: 02 is no version to the server, for its leading zero [version-leading-zero]
          Rename it to 2.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/2/weights --
    """
    if model.versions.found:
        for name in model.versions.leading_zero:
            bare = name.lstrip("0")
            hint = f"Rename it to {bare}." if bare.isdecimal() else ""
            yield Finding(name, f"{name} is no version to the server, for its leading zero", hint=hint)


@rule("version-not-a-number", Severity.WARNING, after_faults=True)
def not_a_number(model: Model) -> Iterator[Finding]:
    """A version directory's name is a number.

    Why:
        Triton passes over v2 and latest, and serves an older version.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/v2/weights --
    Says:
        ranker/v2: warning: v2 is no version to the server, which counts numbers alone [version-not-a-number]
          Rename it to 2.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/2/weights --
    """
    if model.versions.found:
        for name in model.versions.no_number:
            if VERSIONISH.fullmatch(name):
                digits = "".join(re.findall("[0-9]+", name)[:1]).lstrip("0")
                hint = f"Rename it to {digits}." if digits else "Give it the next number."
                yield Finding(name, f"{name} is no version to the server, which counts numbers alone", hint=hint)


@rule("version-partial-number", Severity.WARNING, after_faults=True)
def partial_number(model: Model) -> Iterator[Finding]:
    """A directory whose name begins with a number is that version.

    Why:
        Triton reads the number and drops the rest: 2_backup is version 2, and served before 1. Its backend then looks
        into a directory called 2.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/2_backup/weights --
    Says:
        ranker/2_backup: warning: "2_backup" counts as version 2, whose files the backend looks for in 2/ [version-partial-number]
          Rename it to 2, or let its name not begin with a number.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/backup/weights --
    """
    for number, name in model.versions.found.items():
        if name != str(number):
            message = f'"{name}" counts as version {number}, whose files the backend looks for in {number}/'
            yield Finding(name, message, hint=f"Rename it to {number}, or let its name not begin with a number.")


@rule("version-number-collision", Severity.WARNING, after_faults=True)
def collision(model: Model) -> Iterator[Finding]:
    """No two directories are the same version.

    Why:
        1 and 1_old are both version 1 to Triton, which says nothing; what is served lies in 1.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/1_old/weights --
    Says:
        ranker/1_old: warning: "1_old" counts as version 1, as 1 does already [version-number-collision]
          Let its name not begin with a number.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/old/weights --
    """
    for name, number in model.versions.collisions.items():
        message = f'"{name}" counts as version {number}, as {model.versions.found[number]} does already'
        yield Finding(name, message, hint="Let its name not begin with a number.")


@rule("version-negative", Severity.WARNING, after_faults=True)
def negative(model: Model) -> Iterator[Finding]:
    """Versions are positive numbers.

    Why:
        Triton loads a negative one, but no request can name it: -1 asks for the latest. A backend that opens a file is
        told of version 18446744073709551615 for -1, and does not find it.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/-1/weights --
    Says:
        ranker/-1: warning: version -1 loads, and no request can ask for it [version-negative]
          Name it from 1 on.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    for number, name in model.versions.found.items():
        if number < 0 and name == str(number):
            yield Finding(name, f"version {number} loads, and no request can ask for it", hint="Name it from 1 on.")


@rule("version-zero", Severity.WARNING, after_faults=True)
def zero(model: Model) -> Iterator[Finding]:
    """Versions count from 1.

    Why:
        Triton serves a version 0, against its own documentation, and an ensemble's step that names no version asks for
        it.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/0/weights --
    Says:
        ranker/0: warning: 0 is served as version 0 [version-zero]
          Name it from 1 on.
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    if model.versions.found.get(0) == "0":
        yield Finding("0", "0 is served as version 0", hint="Name it from 1 on.")


@rule("version-overflow", Severity.ERROR, at=Stage.LOAD.first, state=State.CRASH, after_faults=True)
def overflow(model: Model) -> Iterator[Finding]:
    """A version fits into 64 bits.

    Why:
        A larger one, such as a time stamp of 20 digits, ends the whole server, and no other model is served either.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/20241031120000000000/weights --
    Says:
        ranker/20241031120000000000: error: 20241031120000000000 is too large for a version, which ends the whole server [version-overflow]
          The largest is 9223372036854775807.
    Server says:
        server ended: stoll
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/20241031120000/weights --
    """
    for name in model.versions.overflow:
        message = f"{name} is too large for a version, which ends the whole server"
        yield Finding(name, message, hint="The largest is 9223372036854775807.", reason="server ended: stoll")


@rule("reserved-subdirectories", Severity.INFO, after_faults=True)
def reserved(model: Model) -> Iterator[Finding]:
    """The directories configs, warmup and initial_state are no versions.

    Why:
        Triton reads from them what the config names, and passes over them as it counts versions.
    Source:
        core, src/model_repository_manager/model_lifecycle.cc, VersionsToLoad
    Bad:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
        -- ranker/warmup/input --
    Says:
        ranker/warmup: info: warmup is a directory with a meaning of its own, and no version [reserved-subdirectories]
    Good:
        -- ranker/config.pbtxt --
        backend: "identity"
        input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
        output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
        -- ranker/1/weights --
    """
    for name in RESERVED & model.children.keys():
        if name in model.directories:
            yield Finding(name, f"{name} is a directory with a meaning of its own, and no version")
