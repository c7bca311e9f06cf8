"""Plans as text: one line per action, then the counts and bytes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import groupby

from tritonrepo.plain import printable
from tritonrepo.sync.plan import BY_HAND, Action, Plan, Put

VENDORED = re.compile(r"[^/]+/[0-9]+/vendor/[^/]+/")
UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def lines(actions: Iterable[Action], where: str, kept: Sequence[str] = ()) -> str:
    """Return the text of a plan for the directory `where`; the files of a vendored package share one line.

    `kept` are files that somebody changed, which the plan leaves as they are.
    """
    actions, where = list(actions), printable(where)
    text = [_line(place, list(group)) for place, group in groupby(actions, key=_place)]
    puts = [action for action in actions if isinstance(action, Put)]
    size = sum(action.file.size for action in puts)
    text += [f"! {printable(path)}  {BY_HAND}" for path in kept]
    count = f"{len(puts)} to write ({_bytes_text(size)}), {len(actions) - len(puts)} to delete"
    count = count if actions else "nothing to write" if kept else "nothing to do"
    text.append(f"{where}: {count}{f', {len(kept)} {BY_HAND} and kept' if kept else ''}")
    return "\n".join(text)


def phases(plan: Plan, where: str) -> str:
    """Return the text of a push's plan: each phase's name, then its actions."""
    text: list[str] = []
    for phase, group in groupby(plan.actions, key=lambda action: action.phase):
        *told, _ = lines(group, where).split("\n")
        text += [phase.name.lower(), *(f"  {line}" for line in told)]
    return "\n".join([*text, lines(plan.actions, where).rsplit("\n", 1)[-1]])


def _place(action: Action) -> tuple[str, str]:
    """Return what shares a line: an action's path, or its vendored package, and its reason."""
    match = VENDORED.match(action.path)
    return (match[0] if match else action.path), action.reason


def _line(place: tuple[str, str], actions: list[Action]) -> str:
    path, reason = place
    sign = ("+" if reason.startswith("new") else "~") if isinstance(actions[0], Put) else "-"
    count = f" ({len(actions)} files)" if path.endswith("/") else ""
    return f"{sign} {printable(path)}  {reason}{count}"


def _bytes_text(count: int) -> str:
    """Return a human-readable size: 512 B, 1.5 MiB."""
    size, unit = float(count), 0
    while size >= 1024 and unit < len(UNITS) - 1:  # noqa: PLR2004  the step between units
        size, unit = size / 1024, unit + 1
    return f"{count} B" if unit == 0 else f"{size:.1f} {UNITS[unit]}"
