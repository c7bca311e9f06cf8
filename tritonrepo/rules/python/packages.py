"""The Python of a model's environment against the one that runs the model."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.rules.layout.environments import IN_PYTHON
from tritonrepo.rules.python.environments import Use, environment
from tritonrepo.rules.python.modules import is_own
from tritonrepo.rules.registry import Finding, rule


@rule("python-env-version", Severity.WARNING, "parameters")
def other_version(model: Model) -> Iterator[Finding]:
    """A Python environment should have the Python version of the server."""
    own = environment(model) if model.backend in IN_PYTHON else None
    if own is None or own.use is not Use.IGNORED or is_own(model.target):
        return
    has, release = " and ".join(own.versions), model.target.release
    message = (
        f'the environment "{own.path}" has Python {has}, but Triton {release.name} runs Python {release.python} '
        "and ignores its packages"
    )
    hint = (
        f"Pack it with Python {release.python}, or put a triton_python_backend_stub that is built for Python {has} "
        "next to config.pbtxt."
    )
    yield Finding(own.at, message, hint=hint)
