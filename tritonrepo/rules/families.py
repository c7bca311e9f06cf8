"""The families of rules, all of them: importing a family registers its rules."""

from __future__ import annotations

from tritonrepo.rules import FIRST, manifests, serving

FAMILIES = (*FIRST, manifests, serving)
"""In the order in which they are listed."""
