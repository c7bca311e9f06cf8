"""The pipeline of `show`: the stack that files, variables and defaults make together, as text."""

from __future__ import annotations

from tritonrepo.flows.stack import Loaded
from tritonrepo.spec.shown import shown
from tritonrepo.tree import of_text


def show(loaded: Loaded, *, defaults: bool = False, origins: bool = False) -> str:
    """Return the effective stack as YAML.

    Args:
        loaded: The stack.
        defaults: Whether to add the keys that no file sets, unless they have no meaning in this stack.
        origins: Whether to name the file and line of each key in a comment.
    """
    return shown(loaded.stack, defaults=defaults, origins=origins)


def fingerprint(loaded: Loaded) -> str:
    """Return the SHA-256 of the effective stack as the command prints it, for `tritonrepo show | sha256sum`."""
    return of_text(show(loaded).rstrip("\n") + "\n").sha256
