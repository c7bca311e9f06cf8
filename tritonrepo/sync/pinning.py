"""Configs that name the versions they serve, for repositories whose configs leave the choice to the server. Pure."""

from __future__ import annotations

from tritonrepo.repository import Target
from tritonrepo.repository.model import CONFIG
from tritonrepo.sync.gating import models, serving
from tritonrepo.sync.push import uploadable
from tritonrepo.tree import Entry, Tree, of_bytes


def pinned(tree: Tree, server: Target) -> dict[str, Entry]:
    """Return a tree in which each config that names no versions names those that this server would serve.

    Every other byte of a config stays. A model of which nothing is served, or that no server would know, stays as it
    is.
    """
    found = dict(tree)
    for name, model in models(uploadable(tree), server).items():
        if model.named is None and model.served and CONFIG in model.files:
            found[f"{name}/{CONFIG}"] = of_bytes(serving(model.text, model.served))
    return found
