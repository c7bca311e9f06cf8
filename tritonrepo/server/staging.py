"""What the server is shown: a private copy of the repository by hard links, and its backends directory.

The server writes `__pycache__` beside every model.py, which must not land in what the user builds and pushes.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.server.runtime import Runtime
from tritonrepo.stores import open_store
from tritonrepo.stores.beneath import Found
from tritonrepo.stores.links import kept
from tritonrepo.tree import Directory, Entry, File, Link, Tree, Unreadable

WRITTEN_BY_PYTHON = "__pycache__"


def check(repository: Path, links: Sequence[Path] = ()) -> Tree:
    """Return what a server may be shown; raise Stop for what is no directory, cannot be listed, or has links out of it.

    `links` are directories into which links may lead.
    """
    at = str(repository)
    if not repository.exists():
        raise fatal("server-repository", at, "there is no such directory", "Build it first: tritonrepo build")
    if not repository.is_dir():
        raise fatal(
            "server-repository", at, "this is a file, not a model repository", "Name the directory of the models"
        )
    if not os.access(repository, os.R_OK | os.X_OK):
        raise fatal("server-repository", at, "this directory may not be listed by this user", f"chmod u+rx {at}")
    store, prefix = open_store(at, links)
    return kept(store.scan(prefix), at)


def copy(repository: Path, target: Path, links: Sequence[Path] = ()) -> None:
    """Make `target` a copy: links within the repository resolved, what a server could not open refused, FIFOs left out.

    Every file is taken from the place where the look at the repository found it, and no link is followed on the way.
    """
    tree = check(repository, links)
    if found := [problem(repository, path, entry) for path, entry in tree.items() if odd(entry)]:
        raise Stop(found)
    target.mkdir()
    try:
        for path, entry in tree.items():
            if isinstance(entry, Directory):
                (target / path).mkdir(parents=True)
            elif isinstance(entry, Found):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                taken(entry, target / path)
    except OSError as error:
        hint = "Set TMPDIR to a directory on the repository's own file system, where the copy takes no space"
        raise fatal("server-copy", str(repository), f"copying it to {target} failed: {error}", hint) from error


def replace(copied: Path, files: Mapping[str, File]) -> None:
    """Put files into the copy in place of its own; what has a second name in the repository stays there as it is."""
    for path, file in files.items():
        place = copied / path
        place.unlink(missing_ok=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file.content())


def odd(entry: Entry) -> bool:
    """Tell whether an entry would be missing from the copy, though the server would see something there."""
    return isinstance(entry, Link) or entry in {Unreadable.LOCKED, Unreadable.FORBIDDEN}


def problem(repository: Path, path: str, entry: Entry) -> Diagnostic:
    """Return the fatal diagnostic for an odd entry."""
    said = f"is {entry}"
    hint = "Make it readable."
    if isinstance(entry, Link):
        said = f"links to {entry.target}, a directory that it is in itself"
        hint = "Remove the link; a bucket cannot hold links."
    return Diagnostic("server-link", Severity.FATAL, Span(str(repository / path)), f"this {said}", hint)


def taken(file: Found, target: Path) -> None:
    """Give a file a second name, or copy it where the file system or the kernel's rules for links do not let us."""
    try:
        file.spot.link(target)
    except OSError:
        descriptor = file.spot.open()
        with os.fdopen(descriptor, "rb") as source, target.open("xb") as copied:
            shutil.copyfileobj(source, copied)
            os.fchmod(copied.fileno(), stat.S_IMODE(os.fstat(descriptor).st_mode))


def place(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system or the kernel's rules for links do not let us."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def backends(runtime: Runtime, ours: Mapping[str, Path], target: Path) -> None:
    """Make the backends directory: the wheel's Python backend with the stub of this Python, and Python-based ones.

    No symbolic links: Triton 24.10 refuses a backend library that lies outside the backends directory. Python-based
    backends are copied, so that an edit of the original never reaches a server that runs.
    """
    python = target / "python"
    python.mkdir(parents=True)
    for source in (*runtime.backend_files, runtime.stub):
        place(source, python / source.name)
    for name, directory in ours.items():
        if not (directory / "model.py").is_file():
            raise fatal("server-backend", str(directory), f"backend {name} has no model.py here", "Name its directory")
        shutil.copytree(directory, target / name, ignore=shutil.ignore_patterns(WRITTEN_BY_PYTHON))
