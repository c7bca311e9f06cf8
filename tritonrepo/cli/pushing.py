"""The pipeline of `push`: two stores to a plan, then the plan carried out and the release recorded."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from tritonrepo import __version__, repository
from tritonrepo.diagnostics import Diagnostic, Severity, Stop, failure, fatal
from tritonrepo.repository import Target
from tritonrepo.rules import judge
from tritonrepo.stores import open_store
from tritonrepo.stores.store import Store
from tritonrepo.sync import record as records
from tritonrepo.sync import release as releases
from tritonrepo.sync.plan import Plan
from tritonrepo.sync.publish import Pace, publish
from tritonrepo.sync.push import plan
from tritonrepo.sync.record import Record
from tritonrepo.sync.release import Release
from tritonrepo.tree import Tree


class Prepared(NamedTuple):
    """Everything known before the first byte is sent."""

    plan: Plan
    record: Record
    want: Tree
    have: Tree
    before: Release | None
    store: Store
    prefix: str


def prepare(directory: str, uri: str) -> Prepared:
    """Judge what is to be pushed and compare it with what is there; raise Stop where it may not be pushed."""
    store, prefix = open_store(uri)
    if not prefix:
        hint = f"Push to a prefix: {uri.rstrip('/')}/NAME"
        raise fatal("push-root", uri, "at a bucket's root the release record would have no place beside it", hint)
    before = releases.load(store.read(releases.record_path(prefix)), f"{uri}: {releases.record_path(prefix)}")
    source, top = open_store(directory)
    want = source.scan(top)
    record = records.load(want, directory)
    _checked(want, record, directory)
    if before and before.name != record.name:
        message = f'holds the stack "{before.name}", this is "{record.name}"'
        raise failure("push-other-stack", uri, message, "Push each stack to a prefix of its own.")
    have = releases.known(store.scan(prefix), before)
    resumed = releases.broken_off(have, before)
    made = plan(want, have, uri, resumed=resumed, released=releases.versions(before) if before and resumed else None)
    if made.conflicts:
        raise Stop(made.conflicts)
    return Prepared(made, record, want, have, before, store, prefix)


def _checked(want: Tree, record: Record, directory: str) -> None:
    """Raise Stop where the target's server would refuse a model: what is broken must never reach a bucket."""
    if not want:
        raise fatal("push-source", directory, "there is no model repository", "Write one: tritonrepo build")
    found = judge(repository.read(want, _target(record))).diagnostics
    errors = [_under(directory, each) for each in found if each.severity is Severity.ERROR]
    if errors:
        raise Stop(errors)


def _target(record: Record) -> Target:
    asked = record.target
    if not asked:
        return repository.target(None, (), gpus=1, auto_complete=True)
    return repository.target(asked["release"], asked["images"], gpus=asked["gpus"], auto_complete=True)


def _under(directory: str, each: Diagnostic) -> Diagnostic:
    return replace(each, at=each.at._replace(path=f"{directory.rstrip('/')}/{each.at.path}"))


def carry_out(prepared: Prepared, pace: Pace, tell: Callable[[str], None]) -> None:
    """Do what is planned and record the release; a record that says so already is not written again."""
    store, prefix, record = prepared.store, prepared.prefix, prepared.record
    at = releases.record_path(prefix)
    made = {
        "by": getpass.getuser(),
        "tool": f"tritonrepo {__version__}",
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
    }
    release = Release(record.name, record.target, record.local, {}, made)
    if prepared.before is None and not prepared.plan.served:
        # said before it is written: what a push leaves that breaks off is no release
        store.put(at, releases.dump(release))
    written = publish(prepared.plan, store, prefix, pace, tell)
    objects = releases.objects(prepared.want, prepared.have, written)
    if not prepared.before or prepared.before.files != objects:
        store.put(at, releases.dump(replace(release, files=objects)))
