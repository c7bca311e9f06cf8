"""What is removed from a repository as text, one line per version or model, and as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from tritonrepo.diagnostics import counted
from tritonrepo.plain import printable
from tritonrepo.sync.plan import Put
from tritonrepo.sync.pruning import HIDE, Pruning
from tritonrepo.tree import amount


def text(found: Pruning, where: str) -> str:
    """Return the text of what is removed, and then the number of files and bytes."""
    lines = [
        f"- {printable(each.path)}  {each.reason} ({counted(len(each.files), 'file')}, {amount(each.size)})"
        for each in found.removals
    ]
    again = [action for action in found.plan.actions if isinstance(action, Put) and action.wave > HIDE]
    lines += [f"~ {printable(action.path)}  {action.reason}" for action in again]
    if found.copies:
        lines.append(
            f"- {counted(len(found.copies), 'copy', 'copies')} of overwritten files  no kept revision has them"
        )
    if found.revisions:
        lines.append(f"- revision{_plural(found.revisions)} {_ranges(found.revisions)}  not kept")
    return "\n".join([*(["prune"] if lines else []), *(f"  {line}" for line in lines), _total(found, where)])


def summary(found: Pruning, where: str) -> str:
    """Return the closing line of a command that removed this."""
    return printable(f"{where}: {counted(_objects(found), 'object')} removed, {amount(found.size)} freed")


def values(found: Pruning) -> Mapping[str, object]:
    """Return what is removed as plain values."""
    return {
        "removals": [
            {
                "path": each.path,
                "kind": str(each.kind),
                "files": len(each.files),
                "bytes": each.size,
                "reason": each.reason,
            }
            for each in found.removals
        ],
        "revisions": list(found.revisions),
        "copies": len(found.copies),
        "bytes": found.size,
    }


def _total(found: Pruning, where: str) -> str:
    if not found:
        return f"{printable(where)}: nothing to remove"
    return f"{printable(where)}: {counted(_objects(found), 'object')} to remove ({amount(found.size)})"


def _objects(found: Pruning) -> int:
    return sum(len(each.files) for each in found.removals) + len(found.copies) + len(found.revisions)


def _plural(numbers: Sequence[int]) -> str:
    return "" if len(numbers) == 1 else "s"


def _ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as words: 1 to 3, 5."""
    starts = [numbers[0], *(after for before, after in pairwise(numbers) if after > before + 1)]
    ends = [*(before for before, after in pairwise(numbers) if after > before + 1), numbers[-1]]
    return ", ".join(
        f"{start} to {end}" if end > start else str(start) for start, end in zip(starts, ends, strict=True)
    )
