"""The files that differ from a commit, as git sees them: committed since, staged, edited and untracked."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from tritonrepo.diagnostics import Stop, fatal
from tritonrepo.sources.git import git, text

WAIT_S = 600
REFERENCE = "changed-since-reference"
GIT = "changed-since-git"
FILTER = re.compile(r"filter\.(?s:.*)\.(?:clean|process)")
DEEPEN = "Fetch the history with `git fetch --unshallow`, or with `fetch-depth: 0` of actions/checkout."
SAME = ("--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=dirty")
"""A moved file counts at both places; no program of the repository compares, and none is run in its submodules."""


class Changes(NamedTuple):
    """Changed files, deleted ones included: absolute paths, in which only the last name can be a link."""

    paths: frozenset[str]


class _Tree:
    """The working tree that a directory is in."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.place = str(Path(path) if Path(path).is_dir() else Path(path).parent)
        self.top = self.asked("rev-parse", "--show-toplevel")

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        done = git(self.place, *arguments, wait_s=WAIT_S)
        if done is None:
            message = "the changed files are unknown because git cannot be run"
            raise fatal(GIT, self.path, message, "Install git, and run the command again.")
        return done

    def asked(self, *arguments: str) -> str:
        """Return the answer; raise Stop with git's own words if it refuses to give one."""
        done = self.run(*arguments)
        if done.returncode:
            raise self.refused(text(done.stderr))
        return text(done.stdout)

    def refused(self, words: str) -> Stop:
        line = next((line for line in words.splitlines() if line.startswith(("fatal:", "error:"))), words.strip())
        hint = "Use --changed-since only in the working tree of a git repository."
        if "dubious ownership" in words:
            hint = "Allow it with `git config --global --add safe.directory` and the directory that git names."
        return fatal(GIT, self.path, f"git does not show what changed: {line.partition(': ')[2] or line}", hint)

    def commit(self, reference: str) -> str:
        """Return the commit that a reference names, or the empty tree for HEAD before the first commit."""
        name = f"{reference}^{{commit}}"
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", name)
        if done.returncode == 0:
            return text(done.stdout)
        if reference == "HEAD":
            return self.asked("hash-object", "-t", "tree", "--stdin")
        raise fatal(REFERENCE, self.path, f'git has no commit "{reference}" here', self.instead(reference))

    def instead(self, reference: str) -> str:
        if self.asked("rev-parse", "--is-shallow-repository") == "true":
            return DEEPEN
        remote = self.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"refs/remotes/origin/{reference}")
        if remote.returncode == 0:
            return f'Did you mean "origin/{reference}"?'
        return "Use a branch, tag or commit that `git log` knows, such as origin/main; fetch it first if necessary."

    def base(self, reference: str) -> str:
        """Return the commit at which HEAD left the reference."""
        commit = self.commit(reference)
        if self.run("rev-parse", "--verify", "--quiet", "HEAD").returncode:
            return commit
        done = self.run("merge-base", commit, "HEAD")
        if done.returncode == 0:
            return text(done.stdout)
        message = f'"{reference}" and HEAD have no common commit here'
        shallow = self.asked("rev-parse", "--is-shallow-repository") == "true"
        raise fatal(REFERENCE, self.path, message, DEEPEN if shallow else "Use a commit that HEAD descends from.")

    def unfiltered(self) -> list[str]:
        """Return the settings that keep git from running the repository's filters while it compares files."""
        done = self.run("config", "--null", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$")
        names = [name for name in text(done.stdout).split("\0") if FILTER.fullmatch(name)]
        strange = [name for name in names if "=" in name]
        if strange:
            raise self.refused(f"fatal: the name of the setting {strange[0]} has an equals sign")
        required = (f"{name.rpartition('.')[0]}.required=false" for name in names)
        return [word for setting in (*(f"{name}=" for name in names), *required) for word in ("-c", setting)]

    def known(self) -> None:
        """Raise Stop if git ignores the directory, so that nothing in it ever counts as changed."""
        if self.place == self.top or self.run("check-ignore", "--quiet", "--", ".").returncode:
            return
        if not self.asked("ls-files", "-z", "--", "."):
            message = "git ignores this directory, so what changed in it is unknown"
            raise fatal(GIT, self.path, message, "Leave out --changed-since, and check the whole repository.")


def changes(path: str, reference: str) -> Changes:
    """Return what differs from the commit at which HEAD left the reference, in the working tree that a path is in.

    Raise Stop if git does not say so.
    """
    tree = _Tree(path)
    base = tree.base(reference)
    tree.known()
    settings = tree.unfiltered()
    tree.place = tree.top
    lists = (
        tree.asked(*settings, "diff", "--name-only", "-z", *SAME, base, "--"),
        tree.asked("ls-files", "-z", "--others", "--exclude-standard"),
    )
    names = {name.rstrip("/") for listed in lists for name in listed.split("\0") if name}
    return Changes(frozenset(os.path.join(tree.top, name) for name in names))  # noqa: PTH118


def found_in(files: Iterable[Path | str]) -> Changes:
    """Return the changes of these files."""
    places = (Path(file) for file in files)
    return Changes(frozenset(os.path.join(os.path.realpath(each.parent), each.name) for each in places))  # noqa: PTH118


def owners(root: str, changed: Changes) -> frozenset[str]:
    """Return the names at the top of a directory that have a changed file below them, also through links."""
    top = os.path.realpath(root)
    places = _links(top)
    found = {name for path in changed.paths for above in _above(path) for name in places.get(above, ())}
    return frozenset(found.union(_first(path, top) for path in changed.paths if top in _above(path)))


def named(places: Iterable[str], changed: Changes) -> bool:
    """Return whether a file that is at one of these places, or below one, has changed."""
    there = {os.path.realpath(place) for place in places}
    return any(above in there for path in changed.paths for above in _above(path))


def _above(path: str) -> Iterator[str]:
    """Yield a path and every directory that it is in."""
    yield path
    while (above := os.path.dirname(path)) != path:  # noqa: PTH120  text: there may be many
        yield (path := above)


def _links(top: str) -> dict[str, set[str]]:
    """Return where the links of a directory lead, each with the names at its top that have such a link."""
    found: dict[str, set[str]] = {}
    for directory, directories, files in os.walk(top):
        for name in (*directories, *files):
            path = os.path.join(directory, name)  # noqa: PTH118
            if os.path.islink(path):  # noqa: PTH114
                found.setdefault(os.path.realpath(path), set()).add(_first(path, top))
    return found


def _first(path: str, top: str) -> str:
    """Return the name at the top of a directory below which a path is."""
    return os.path.relpath(path, top).partition(os.sep)[0]
