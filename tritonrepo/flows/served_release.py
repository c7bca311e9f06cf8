"""The real server of a release that the user names: its wheel, what it would refuse, and that it is this server."""

from __future__ import annotations

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure, fatal
from tritonrepo.flows.target import completes
from tritonrepo.flows.validate import validate
from tritonrepo.flows.workspace import Workspace
from tritonrepo.releases import RELEASES, Release, instead
from tritonrepo.repository import Said, Target, target
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.runtime import Wheel
from tritonrepo.sources.cache import Cache
from tritonrepo.sources.server_wheel import unpacked_server, version
from tritonrepo.sync.record import Record

RULE = "serve-release"


def named(name: str) -> Release:
    """Return the release of this name; raise Stop if it is not known or its server cannot run without a container."""
    if name not in RELEASES:
        raise fatal("release-unknown", name, f'unknown Triton release "{name}"', instead(name))
    version(RELEASES[name])
    return RELEASES[name]


def wheel_of(release: Release, cache: Cache) -> Wheel:
    """Return the wheel with the server of a release, which is downloaded when it is needed."""
    return Wheel(version(release), lambda: unpacked_server(release, cache))


def refused(repository: str, release: Release, record: Record, work: Workspace) -> tuple[Diagnostic, ...]:
    """Return what keeps a repository's models from loading on this release, judged before the server is there."""

    def aimed(recorded: Said, stack: Said) -> Target:
        return target(Said(release.name, auto_complete=completes(record)), record=recorded, stack=stack)

    found = [each for each in validate(repository, work, aimed).diagnostics if each.severity is Severity.ERROR]
    built = str(record.target.get("release", ""))
    if found and built not in {"", release.name}:
        message = f"the repository was built for Triton {built}, not for {release.name}"
        hint = f'Set `release: "{release.name}"` under `target` in the stack file, and build it again.'
        found.append(Diagnostic(RULE, Severity.ERROR, Span(repository), message, hint))
    return tuple(found)


def confirm(endpoint: Endpoint, release: Release) -> None:
    """Raise a failing Stop if the server is not of this release, in its own words."""
    said = Client(endpoint).server_version()
    if said != release.server_version:
        message = f"the server says that it is Triton {said}, but release {release.name} has {release.server_version}"
        raise failure(RULE, endpoint.url, message)


def judge_first(repository: str, release: Release, record: Record, work: Workspace, *, once: bool) -> None:
    """Report what the release would refuse: raise Stop with it if models are loaded once, otherwise tell it."""
    if not release.has("random-memory-names"):
        work.line(f"Triton {release.name} cannot run beside another server with Python models: they share memory")
    found = refused(repository, release, record, work)
    if found and once:
        raise Stop(found)
    for each in found:
        work.tell(each)
