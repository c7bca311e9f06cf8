"""Plans as text, one line per action, then the counts and bytes; the same actions as rows of plain values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tritonrepo.plain import printable
from tritonrepo.shared import VENDORED
from tritonrepo.sync.plan import BY_HAND, Action, Plan, Put
from tritonrepo.tree import amount


def lines(actions: Iterable[Action], where: str, kept: Sequence[str] = ()) -> str:
    """Return the text of a plan for the directory `where`; a path has one line, and so has a vendored package.

    `kept` are files that somebody changed, which the plan leaves as they are.
    """
    actions = list({(action.path, action.reason): action for action in actions}.values())
    groups: dict[str, list[Action]] = {}
    for action in actions:
        groups.setdefault(_place(action.path), []).append(action)
    text = [
        *map(_line, groups, groups.values()),
        *(f"! {printable(path)}  {BY_HAND}" for path in kept),
        _total(actions, where, kept),
    ]
    return "\n".join(text)


def phases(plan: Plan, where: str) -> Iterator[str]:
    """Yield the lines of a push's plan: each phase's name, then its actions."""
    for phase, group in groupby(plan.actions, key=lambda action: action.phase):
        yield phase.name.lower()
        for place, own in groupby(group, key=lambda action: _place(action.path)):  # they are sorted by path
            yield f"  {_line(place, list(own))}"
    yield _total(plan.actions, where)


def rows(plan: Plan) -> list[dict[str, str | int]]:
    """Return the actions of a plan as plain values, in order; a deletion sends no bytes."""
    return [
        {
            "phase": action.phase.name.lower(),
            "action": "write" if isinstance(action, Put) else "delete",
            "path": action.path,
            "bytes": action.file.size if isinstance(action, Put) else 0,
            "reason": action.reason,
        }
        for action in plan.actions
    ]


def counted(actions: Sequence[Action]) -> dict[str, int]:
    """Return the number of writes and deletions among actions, and the bytes that they send."""
    sizes = [action.file.size for action in actions if isinstance(action, Put)]
    return {"write": len(sizes), "delete": len(actions) - len(sizes), "bytes": sum(sizes)}


def _total(actions: Sequence[Action], where: str, kept: Sequence[str] = ()) -> str:
    counts = counted(actions)
    count = f"{counts['write']} to write ({amount(counts['bytes'])}), {counts['delete']} to delete"
    count = count if actions else "nothing to write" if kept else "nothing to do"
    return f"{printable(where)}: {count}{f', {len(kept)} {BY_HAND} and kept' if kept else ''}"


def _place(path: str) -> str:
    """Return what has a line: a path, or the vendored package that it is in."""
    match = VENDORED.match(path)
    return match[0] if match else path


def _line(place: str, actions: list[Action]) -> str:
    counts = Counter(action.reason for action in actions)
    signs = {_sign(action) for action in actions}
    told = ", ".join(
        f"{reason} ({_files(count)})" if place.endswith("/") else reason for reason, count in counts.items()
    )
    return f"{signs.pop() if len(signs) == 1 else '~'} {printable(place)}  {told}"


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _sign(action: Action) -> str:
    if not isinstance(action, Put):
        return "-"
    return "+" if action.reason.startswith("new") else "~"
