"""What prevents a push from being planned, and what its user should know about it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

from tritonrepo.diagnostics import Diagnostic, Severity, Span, some
from tritonrepo.pbtxt.convert import to_plain
from tritonrepo.repository.model import CONFIG
from tritonrepo.repository.versions import selected
from tritonrepo.shared import SETTINGS, directory, is_shared, named
from tritonrepo.sync.gating import OUT, Model
from tritonrepo.tree import File, Outside, Tree, in_order

SAFE = re.compile(r"[0-9A-Za-z._\-/]+")
FEW = 5
INTERFACE = ("max_batch_size", "input", "output")


def conflicts(
    want: Tree, wanted: Mapping[str, Model], had: Mapping[str, Model], where: str, given: Mapping[str, str]
) -> tuple[Diagnostic, ...]:
    """Return everything that makes the push unsafe, sorted by place; `given` are the contents of published numbers."""
    found = [*_unfit(want, where)]
    for name, model in wanted.items():
        found += [
            *_unguarded(model, where),
            *_rewritten(model, had.get(name), where),
            *_reused(model, had.get(name), where, given),
            *shadowed(model, had.get(name), where),
            *_shared(model, had.get(name), where),
        ]
    for name in sorted(had.keys() - wanted.keys()):
        found += _orphaned(had[name], wanted, had, where)
    return tuple(found)


def _refusal(rule: str, at: str, message: str, hint: str) -> Diagnostic:
    return Diagnostic(rule, Severity.ERROR, Span(at), message, hint)


def _unfit(want: Tree, where: str) -> Iterator[Diagnostic]:
    for path, entry in in_order(want):
        if not isinstance(entry, File):
            kind = f"is {entry}" if isinstance(entry, str) else "is a link to a directory that contains the link"
            kind = "is a link that leads out of the repository" if isinstance(entry, Outside) else kind
            message = f"the entry {kind}; a bucket can hold only regular files"
            yield _refusal("push-entry", path, message, "Replace it with a regular file, or remove it.")
        elif not SAFE.fullmatch(path):
            reason = 'the path has characters other than letters, digits, ".", "-" and "_", so Triton misreads its URI'
            yield _refusal("push-name", f"{where}/{path}", reason, "Rename the file or its directory.")


def _unguarded(want: Model, where: str) -> Iterator[Diagnostic]:
    if want.within(OUT):
        message = f"version {OUT} is reserved for the placeholder of a model that a push replaces"
        yield _refusal(
            "push-version-taken",
            f"{where}/{want.name}",
            message,
            "Remove the directory, or use another version number.",
        )
    if CONFIG not in want.files:
        message = "config.pbtxt is missing, so servers could load the model before its files are complete"
        yield _refusal("push-config-missing", f"{where}/{want.name}", message, "Create config.pbtxt for this model.")


def _rewritten(want: Model, have: Model | None, where: str) -> Iterator[Diagnostic]:
    """Yield the served versions that would change: a server could load them half-written."""
    for version in have.served if have else ():
        before = have.within(version) if have else {}
        now = want.within(version)
        changed = [path for path, file in now.items() if path not in before or before[path].sha256 != file.sha256]
        if changed:
            message = f"version {version} is being served, but this push would change its {', '.join(changed[:3])}"
            hint = f"{_way_out(where)}\nIn a repository without a stack, use the next version number for new content."
            yield _refusal("push-live-version", f"{where}/{want.name}", message, hint)


def _reused(want: Model, have: Model | None, where: str, given: Mapping[str, str]) -> Iterator[Diagnostic]:
    """Yield the versions that are not served now, but were published with other content."""
    for version in sorted(want.versions.keys() - set(have.served if have else ())):
        published = given.get(f"{want.name}/{version}")
        if published and published != want.content(version):  # which reads all files of the version
            message = f"version {version} was pushed earlier with other content, and a number is never used twice"
            yield _refusal("push-version-taken", f"{where}/{want.name}", message, _way_out(where))


def _way_out(where: str) -> str:
    return f"Run `{shlex.join(['tritonrepo', 'lock', '--from', where])}`, then build and push again."


def shadowed(want: Model, have: Model | None, where: str) -> Iterator[Diagnostic]:
    """Yield a policy that counts directories and so would select other versions: the bucket has older ones as well."""
    policy = want.config.message("version_policy") if want.config else None
    there = {*want.versions, *(have.versions if have else ())}
    there |= {OUT} if have and have.within(OUT) else set()
    wrong = set(selected(there, policy)) ^ set(want.served)
    if want.config and wrong:
        numbers = f"version{'s' if len(wrong) > 1 else ''} {', '.join(map(str, sorted(wrong)))}"
        message = f"version_policy would select other versions in the bucket than in this repository: {numbers}"
        policy_text = f"version_policy {{ specific {{ versions: [ {', '.join(map(str, want.served))} ] }} }}"
        yield _refusal("push-version-shadowed", f"{where}/{want.name}", message, f"Set `{policy_text}`.")


def _shared(want: Model, have: Model | None, where: str) -> Iterator[Diagnostic]:
    """Yield shared directories whose content is not the one that their name stands for, here or in the bucket.

    So everything that a version shares is there before a config names it, and never changes.
    """
    settings = (want.files.get(f"{top}/{SETTINGS}") for top in want.versions.values())
    tops: dict[str, dict[str, File]] = {top: {} for file in settings if file for top in named(file)}
    for path, file in want.files.items():
        top, _, rest = path.partition("/")
        if is_shared(top):
            tops.setdefault(top, {})[rest] = file
    for top in sorted(tops):
        if directory(tops[top]) != top:
            message = "files of the directory are missing or changed, but all versions that share it need the same"
            hint = "Run `tritonrepo build --overwrite`, and remove files from this directory that no build wrote."
            yield _refusal("push-shared", f"{want.name}/{top}", message, hint)
    for path, file in have.files.items() if have else ():
        if is_shared(path.partition("/")[0]) and path in want.files and want.files[path].sha256 != file.sha256:
            message = "the file in the bucket was changed, but versions that are being served may share it"
            hint = "Delete the file from the bucket, and push again."
            yield _refusal("push-shared", f"{where}/{want.name}/{path}", message, hint)


def _orphaned(left: Model, wanted: Mapping[str, Model], had: Mapping[str, Model], where: str) -> Iterator[Diagnostic]:
    """Yield what a model that stays in the bucket, but is no longer in the tree, would lose."""
    for name, version in sorted(left.called(*left.served)) if left.served else ():
        ends = name in wanted and name in had and version in {*had[name].served} - {*wanted[name].served}
        if ends:
            calls = f"calls {name} version {version}, which this push would retire"
            message = f'"{left.name}" is not in this repository but stays in the bucket, and {calls}'
            hint = f"Keep {left.name} in the repository, or delete it from the bucket once no client uses it."
            yield _refusal("push-orphan", f"{where}/{left.name}", message, hint)


def warnings(want: Model, have: Model, where: str, *, used: bool) -> Iterator[Diagnostic]:
    """Yield what a user should know about a model that the bucket already has."""
    at = Span(f"{where}/{want.name}")
    overlap = used and have.served and set(want.served) - set(have.served)
    if overlap and _interface(want) != _interface(have):
        message = "the inputs or outputs change while old and new versions are served side by side with one config"
        hint = "Rename the changed model if requests of the old pipeline must not fail until the switch."
        yield Diagnostic("push-interface", Severity.WARNING, at, message, hint)
    if overlap and want.config and want.config.text("backend") == "vllm":
        message = "two copies of the vLLM engine are in memory until the old version is unloaded"
        hint = "Check that the GPU has enough memory for both."
        yield Diagnostic("push-two-engines", Severity.WARNING, at, message, hint)
    both = [version for version in have.served if version in want.versions]
    if left := sorted(path for version in both for path in have.within(version).keys() - want.files.keys()):
        message = f"a served version keeps files that this repository no longer has: {', '.join(left[:3])}"
        hint = "Use the next version number to get a version with only this repository's files."
        yield Diagnostic("push-left", Severity.WARNING, at, message, hint)


def unpinned(wanted: Iterable[Model], where: str) -> Iterator[Diagnostic]:
    """Yield the models of which servers load whatever appears: a push holds its own versions back, but no others."""
    names = sorted(model.name for model in wanted if model.named is None)
    if names:
        message = f"servers load any version that appears, even half-written, of {some(names, FEW)}"
        hint = "Push with --pin-versions: each of these configs then names the versions that are served."
        yield Diagnostic("push-unpinned", Severity.WARNING, Span(where), message, hint)


def _interface(model: Model) -> dict[str, object]:
    plain = to_plain(model.config) if model.config else {}
    return {name: plain.get(name) for name in INTERFACE}
