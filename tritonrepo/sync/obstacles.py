"""What keeps a push from being planned, and what its user should know of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository.model import CONFIG
from tritonrepo.repository.versions import selected
from tritonrepo.sync.gating import Model
from tritonrepo.tree import File, Outside, Tree, in_order

SAFE = re.compile(r"[0-9A-Za-z._\-/]+")
INTERFACE = ("max_batch_size", "input", "output")


def conflicts(want: Tree, wanted: Mapping[str, Model], had: Mapping[str, Model], where: str) -> tuple[Diagnostic, ...]:
    """Return everything that makes the push unsafe, by place."""
    found = [*_unfit(want, where)]
    for name, model in wanted.items():
        found += [
            *_unguarded(model, where),
            *_rewritten(model, had.get(name), where),
            *_shadowed(model, had.get(name), where),
        ]
    for name in sorted(had.keys() - wanted.keys()):
        found += _orphaned(had[name], wanted, had, where)
    return tuple(found)


def _refusal(rule: str, at: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(rule, Severity.ERROR, Span(at), message, hint)


def _unfit(want: Tree, where: str) -> Iterator[Diagnostic]:
    for path, entry in in_order(want):
        if not isinstance(entry, File):
            kind = f"is {entry}" if isinstance(entry, str) else "is a link to a directory that it is in itself"
            kind = "is a link that leads out of the repository" if isinstance(entry, Outside) else kind
            yield _refusal("push-entry", path, f"{kind}; a bucket holds files only", "Put the file itself there.")
        elif not SAFE.fullmatch(path):
            reason = 'has other characters than letters, digits, ".", "-" and "_", with which Triton misreads its URI'
            yield _refusal("push-name", f"{where}/{path}", reason, "Rename it.")


def _unguarded(want: Model, where: str) -> Iterator[Diagnostic]:
    if CONFIG not in want.files:
        message = "has no config.pbtxt, so nothing could hold it back while its files arrive"
        yield _refusal("push-config-missing", f"{where}/{want.name}", message, "Write its config.")


def _rewritten(want: Model, have: Model | None, where: str) -> Iterator[Diagnostic]:
    """A version that serves must stay as it is: a server would load it half-written."""
    for version in have.served if have else ():
        before = have.within(version) if have else {}
        now = want.within(version)
        changed = [path for path, file in now.items() if path not in before or before[path].sha256 != file.sha256]
        if changed:
            message = f"version {version} serves, and its {', '.join(changed[:3])} would change"
            hint = "Give the new content the next number: build with the lock of the release that serves."
            yield _refusal("push-live-version", f"{where}/{want.name}", message, hint)


def _shadowed(want: Model, have: Model | None, where: str) -> Iterator[Diagnostic]:
    """A policy that counts directories would serve others than the tree means: older ones lie there too."""
    policy = want.config.message("version_policy") if want.config else None
    there = {*want.versions, *(have.versions if have else ())}
    wrong = set(selected(there, policy)) ^ set(want.served)
    if want.config and wrong:
        numbers = ", ".join(map(str, sorted(wrong)))
        message = f"its version_policy would choose otherwise there than in this tree: version {numbers}"
        policy_text = f"version_policy {{ specific {{ versions: [ {', '.join(map(str, want.served))} ] }} }}"
        yield _refusal("push-version-shadowed", f"{where}/{want.name}", message, f"Write {policy_text}")


def _orphaned(left: Model, wanted: Mapping[str, Model], had: Mapping[str, Model], where: str) -> Iterator[Diagnostic]:
    """A model that the tree has no more stays, and would lose what it calls."""
    for name, version in sorted(left.called(*left.served)) if left.served else ():
        ends = name in wanted and name in had and version in {*had[name].served} - {*wanted[name].served}
        if ends:
            message = f"is not in this tree and stays, and it calls {name} {version}, which would end"
            hint = f"Keep {left.name} in the stack, or delete it there once no client asks it."
            yield _refusal("push-orphan", f"{where}/{left.name}", message, hint)


def warnings(want: Model, have: Model, where: str, *, used: bool) -> Iterator[Diagnostic]:
    """Yield what a user should know of a model that is there already."""
    at = Span(f"{where}/{want.name}")
    overlap = used and have.served and set(want.served) - set(have.served)
    if overlap and _interface(want) != _interface(have):
        message = "its inputs or outputs change while old and new versions serve side by side, with one config"
        hint = "Requests of the old pipeline may fail until the switch; a model of another name has no such time."
        yield Diagnostic("push-interface", Severity.WARNING, at, message, hint)
    if overlap and want.config and want.config.text("backend") == "vllm":
        message = "two copies of the engine are in memory until the old version ends"
        yield Diagnostic("push-two-engines", Severity.WARNING, at, message, "Is the GPU's memory enough for both?")
    both = [version for version in have.served if version in want.versions]
    if left := sorted(path for version in both for path in have.within(version).keys() - want.files.keys()):
        message = f"a version that serves keeps what this tree has no more: {', '.join(left[:3])}"
        hint = "Give the version the next number, and the new one has this tree's files alone."
        yield Diagnostic("push-left", Severity.WARNING, at, message, hint)


def _interface(model: Model) -> dict[str, object]:
    plain = to_plain(model.config) if model.config else {}
    return {name: plain.get(name) for name in INTERFACE}
