"""What an upgrade to another Triton release breaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.flows.validate import Aim, Judgement, Shown, declared, everything, validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import RELEASES, Release, instead
from tritonrepo.repository import Said, Target
from tritonrepo.rules.upgrades import Upgrade, added, changes


def upgrade(path: Path | str, work: Workspace, release: str, aim: Aim = declared, shown: Shown = everything) -> Upgrade:
    """Compare what the server of the target says of a path with what that of another release would say.

    A stack is built for each of them. Raise Stop if the path cannot be read, or if there is no such release.
    """
    if release not in RELEASES:
        raise fatal("release-unknown", release, f'unknown Triton release "{release}"', instead(release))
    new, targets = RELEASES[release], list[Target]()

    def present(record: Said, stack: Said) -> Target:
        targets.append(aim(record, stack))
        return targets[-1]

    before = validate(path, work, present, shown)
    try:
        after = validate(path, work, lambda record, stack: upgraded(aim(record, stack), new), shown, release)
    except Stop as stop:  # what keeps a stack from being built for the new release
        after = Judgement(stop.diagnostics, (), before.lines)
    changed = changes(before.verdicts, after.verdicts)
    return Upgrade(
        str(path),
        targets[0].release,
        new,
        tuple(added(before.diagnostics, after.diagnostics)),
        () if new.unknown else tuple(added(after.diagnostics, before.diagnostics)),
        tuple(change for change in changed if change.stops or not new.unknown),
        after.lines,
        whole=len(after.verdicts) > 0 or not before.verdicts,
    )


def upgraded(target: Target, release: Release) -> Target:
    """Return a target with another release: the same images and the user's own backends, or all images as before."""
    whole = target.images == tuple(target.release.images)
    images = tuple(release.images) if whole else target.images
    own = target.backends - target.release.backends(target.images)
    known = release.backends(images)
    return replace(target, release=release, images=images, backends=known | own if known else known)
