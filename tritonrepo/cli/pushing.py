"""The pipeline of `push`: two stores to a plan, then the plan carried out and the release recorded."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tritonrepo import __version__, repository
from tritonrepo.diagnostics import Diagnostic, Severity, Stop, failure, fatal
from tritonrepo.releases import RELEASES
from tritonrepo.repository import Target
from tritonrepo.rules import judge
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Store, Stored
from tritonrepo.sync import record as records
from tritonrepo.sync import release as releases
from tritonrepo.sync.lock import Place, held
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.publish import Pace, publish
from tritonrepo.sync.push import plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.release import Release
from tritonrepo.sync.sealed import seal
from tritonrepo.tree import Tree, files


class Prepared(NamedTuple):
    """Everything known before the first byte is sent."""

    plan: Plan
    record: Record
    want: Tree
    have: Tree
    before: Release | None
    store: Store
    prefix: str
    uri: str


def prepare(directory: str, uri: str, links: Sequence[Path] = ()) -> Prepared:
    """Judge what is to be pushed and compare it with what is there; raise Stop where it may not be pushed."""
    store, prefix = open_store(uri)
    if not prefix:
        hint = f"Push to a prefix: {uri.rstrip('/')}/NAME"
        raise fatal("push-root", uri, "at a bucket's root the release record would have no place beside it", hint)
    before = releases.load(store.read(releases.record_path(prefix)), f"{uri}: {releases.record_path(prefix)}")
    source, top = open_store(directory, links)
    want = _sealed(source.scan(top), directory)
    record = records.load(want, directory)
    _checked(want, record, directory)
    if before and before.name != record.name:
        message = f"holds {_called(before.name)}, this is {_called(record.name)}"
        hint = f"Push each to a prefix of its own. Is it to take this one over? Delete {releases.record_path(prefix)}."
        raise failure("push-other-stack", uri, message, hint)
    have = releases.known(store.scan(prefix), before)
    resumed = releases.broken_off(have, before)
    made = plan(want, have, uri, resumed=resumed, released=releases.versions(before) if before and resumed else None)
    if made.conflicts:
        raise Stop(made.conflicts)
    return Prepared(made, record, want, have, before, store, prefix, uri)


def _sealed(tree: Tree, directory: str) -> Tree:
    try:
        return seal(tree)
    except OSError as error:
        message = f"cannot read {error.filename}: {error.strerror}"
        raise fatal(
            "push-source", directory, message, "Is a build writing there? Push again when it is done."
        ) from None


def _called(name: str) -> str:
    return f'the stack "{name}"' if name else "a repository without a stack"


def _checked(want: Tree, record: Record, directory: str) -> None:
    """Raise Stop where the target's server would refuse a model: what is broken must never reach a bucket."""
    if not want:
        raise fatal("push-source", directory, "there is no model repository", "Write one: tritonrepo build")
    found = judge(repository.read(want, _target(record, directory))).diagnostics
    errors = [_under(directory, each) for each in found if each.severity is Severity.ERROR]
    if errors:
        raise Stop(errors)


def _target(record: Record, directory: str) -> Target:
    asked = record.target
    if not asked:
        return repository.target(None, (), gpus=1, auto_complete=True)
    release = asked.get("release")
    if release not in RELEASES:
        message = f'was built for release "{release}", which this tritonrepo does not know'
        raise fatal("push-target", f"{directory}/{records.NAME}", message, "Upgrade tritonrepo, or build again.")
    return repository.target(release, asked.get("images", ()), gpus=asked.get("gpus", 1), auto_complete=True)


def _user() -> str:
    """Give who pushes; a container's user may have a number alone."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def _under(directory: str, each: Diagnostic) -> Diagnostic:
    return replace(each, at=each.at._replace(path=f"{directory.rstrip('/')}/{each.at.path}"))


def carry_out(prepared: Prepared, pace: Pace, tell: Callable[[str], None]) -> None:
    """Do what is planned and record the release; what is there already is not written again, and needs no lock."""
    made = {
        "by": _user(),
        "tool": f"tritonrepo {__version__}",
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    record = prepared.record
    release = Release(record.name, record.target, record.local, {}, made)
    if not prepared.plan:
        _record(prepared, release, {})
        return
    with held(Place(prepared.store, prepared.prefix, prepared.uri), made, pace, tell) as check:
        _current(prepared)
        _published(prepared, release, pace._replace(check=check), tell)


def _current(prepared: Prepared) -> None:
    """Raise Stop where another push changed what the plan was made from, before this one held the lock."""
    if _tags(prepared.store.scan(prepared.prefix)) != _tags(prepared.have):
        message = "somebody changed it while the plan was made, so nothing was sent"
        raise failure("push-overtaken", prepared.uri, message, "Push again.")


def _tags(tree: Tree) -> dict[str, object]:
    return {path: (file.size, file.tag if isinstance(file, Stored) else "") for path, file in files(tree).items()}


def _published(prepared: Prepared, release: Release, pace: Pace, tell: Callable[[str], None]) -> None:
    store, prefix, plan = prepared.store, prepared.prefix, prepared.plan
    if prepared.before is None and not plan.served:
        # said before it is written: what a push leaves that breaks off is no release
        store.put(releases.record_path(prefix), releases.dump(release))
    _record(prepared, release, publish(plan, store, prefix, pace, tell))


def _record(prepared: Prepared, release: Release, written: Mapping[str, str]) -> None:
    objects = releases.objects(prepared.want, prepared.have, written)
    if not prepared.before or prepared.before.files != objects:
        at = releases.record_path(prepared.prefix)
        prepared.store.put(at, releases.dump(replace(release, files=objects)))
