"""One module a role: its keys, its ports, the models that it becomes, what it needs, and its own checks.

Nothing below this package knows a role by name: a stack file is read with the parts that it may use.
"""

from __future__ import annotations

from tritonrepo.parts import embedder, generator, retriever
from tritonrepo.spec.part import Parts

PARTS: Parts = {part.role: part for part in (embedder.PART, retriever.PART, generator.PART)}
"""The parts that come with this package."""
