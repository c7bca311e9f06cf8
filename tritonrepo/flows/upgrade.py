"""What an upgrade to another Triton release breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, either, fatal
from tritonrepo.flows.paths import is_stack
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
    gone = [] if is_stack(str(path)) else [*_gone(str(path), targets[0], new)]
    sure = not (new.unknown or gone)
    return Upgrade(
        str(path),
        targets[0].release,
        new,
        (*gone, *added(before.diagnostics, after.diagnostics)),
        tuple(added(after.diagnostics, before.diagnostics)) if sure else (),
        tuple(change for change in changed if change.stops or sure),
        after.lines,
        whole=len(after.verdicts) > 0 or not before.verdicts,
    )


def _gone(path: str, present: Target, new: Release) -> Iterator[Diagnostic]:
    """Yield the images that are chosen, but that the new release does not have."""
    for image in present.images if present.images != tuple(present.release.images) else ():
        if new.images and image not in new.images:
            message = f'Triton {new.name} has no image "{image}"'
            hint = f"Name an image of it with --image: {either(new.images)}."
            yield Diagnostic("upgrade-image", Severity.ERROR, Span(path), message, hint)


def upgraded(target: Target, release: Release) -> Target:
    """Return a target with another release: its own backends, and the images of the same names, or all as before."""
    whole = target.images == tuple(target.release.images)
    images = tuple(image for image in release.images if whole or image in target.images) or target.images
    own = target.backends - target.release.backends(target.images)
    known = release.backends(images)
    return replace(target, release=release, images=images, backends=known | own if known else known)
