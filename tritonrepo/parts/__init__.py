"""One module per role: its keys, its ports, the models that it becomes, what it needs, and its own checks.

Nothing below this package knows a role by name: a stack file is read with the parts that it can use.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tritonrepo.spec.part import Part, Parts


@cache
def _load() -> Parts:
    from tritonrepo.parts import embedder, generator, model, reranker, retriever  # noqa: PLC0415  see _Own

    own = (embedder.PART, retriever.PART, reranker.PART, generator.PART, model.PART)
    return {part.role: part for part in own}


class _Own(Mapping[str, "Part[Any]"]):
    """The parts by role; their modules are imported on first use, since most commands need no stack file."""

    def __getitem__(self, role: str) -> Part[Any]:
        return _load()[role]

    def __iter__(self) -> Iterator[str]:
        return iter(_load())

    def __len__(self) -> int:
        return len(_load())


PARTS: Parts = _Own()
"""The parts of this package."""
