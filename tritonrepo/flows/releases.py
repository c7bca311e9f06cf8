"""What each Triton release holds, for `releases`."""

from __future__ import annotations

from collections.abc import Sequence

from tritonrepo.diagnostics import fatal
from tritonrepo.releases import RELEASES, Release, instead


def releases(names: Sequence[str] = ()) -> tuple[Release, ...]:
    """Return the releases of these names, or all known ones, the newest first; raise Stop for an unknown name."""
    if not names:
        return tuple(RELEASES[name] for name in sorted(RELEASES, reverse=True))
    for name in names:
        if name not in RELEASES:
            raise fatal("release-unknown", name, f'unknown Triton release "{name}"', instead(name))
    return tuple(RELEASES[name] for name in dict.fromkeys(names))
