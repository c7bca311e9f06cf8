"""The model file that a backend opens in every served version."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity, State
from tritonrepo.repository import Model
from tritonrepo.rules.backends.naming import named
from tritonrepo.rules.backends.places import hint, missing
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage


@rule(
    "python-model-file-missing-hang",
    Severity.ERROR,
    "backend=python",
    at=Stage.IMPORT.after("python-env-archive"),
    state=State.HANG,
)
def python_file_missing_hang(model: Model) -> Iterator[Finding]:
    """A Python model must have its model.py in every served version, or the server hangs."""
    if not model.target.release.has("dead-stub-notice"):
        for path in missing(model, "model.py"):
            yield Finding(
                path,
                "the Python model file is missing, which hangs the server",
                hint=hint(model, path, ".py"),
                reason="Python model file not found in",
                fix=named(model, path, ".py", guess=True),
            )


@rule(
    "python-model-file-missing",
    Severity.ERROR,
    "backend=python",
    at=Stage.IMPORT.same_walk("python-model-file-missing-hang"),
)
def python_file_missing(model: Model) -> Iterator[Finding]:
    """A Python model must have its model.py in every served version."""
    if model.target.release.has("dead-stub-notice"):
        for path in missing(model, "model.py"):
            yield Finding(
                path,
                "the Python model file is missing",
                hint=hint(model, path, ".py"),
                reason="Python model file not found in",
                fix=named(model, path, ".py", guess=True),
            )
