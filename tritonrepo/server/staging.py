"""What the server sees: a private copy of the repository by hard links, and its backends directory.

The server writes `__pycache__` next to every model.py, which must not end up in what the user builds and pushes.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal
from tritonrepo.server.launch import log_path
from tritonrepo.server.runtime import Runtime
from tritonrepo.stores import open_store
from tritonrepo.stores.beneath import Scanned
from tritonrepo.stores.links import kept
from tritonrepo.tree import Directory, Entry, File, Link, Tree, Unreadable

WRITTEN_BY_PYTHON = "__pycache__"


def check(repository: Path, links: Sequence[Path] = ()) -> Tree:
    """Return what a server may see; raise Stop if it is not a directory, cannot be listed, or has links out of it.

    `links` are directories into which links may lead.
    """
    at = str(repository)
    if not repository.exists():
        raise fatal("server-repository", at, "the directory does not exist", "Run `tritonrepo build` first.")
    if not repository.is_dir():
        hint = "Use the directory that contains the models."
        raise fatal("server-repository", at, "the path is a file, not a model repository", hint)
    if not os.access(repository, os.R_OK | os.X_OK):
        hint = f"Run `chmod u+rx {quote(at)}`."
        raise fatal("server-repository", at, "this user cannot list the directory", hint)
    store, prefix = open_store(at, links)
    return kept(store.scan(prefix), at)


COUNTED = "triton_*_backend_shm_region_*"
"""The regions of shared memory of servers that count them."""


def emptied(log: Path) -> Path:
    """Return the path of a log after it was created, or emptied of an earlier server's; raise Stop if it cannot be."""
    try:
        if log.exists() and not log.is_file():
            raise fatal("server-log-file", str(log), "the log would not be a regular file", "Use another path.")
        log.write_bytes(b"")
    except OSError as error:
        message = f"the log cannot be written: {error.strerror or error}"
        raise fatal("server-log-file", str(log), message, "Use a path that this user can write.") from None
    return log


def kept_log(home: Path, kept: Path | None = None) -> Path:
    """Return the path of a log that outlives the server: where it is kept anyway, or a copy."""
    if kept:
        return kept
    with suppress(OSError):  # there is none, or no space for it
        descriptor, path = tempfile.mkstemp(prefix="tritonrepo-server-", suffix=".log")
        os.close(descriptor)
        shutil.copyfile(log_path(home), path)
        return Path(path)
    return log_path(home)


SPECIAL = frozenset("\"'\\$`&;|<>(){}")
"""Characters that bash does not take as they are; those of patterns it does, if no file matches."""


def check_served(repository: Path) -> None:
    """Raise Stop if a server that reads the directory itself would hang: Python models cannot be loaded from it.

    python_backend, src/stub_launcher.cc, StubLauncher::Launch puts the path into a command of bash without quotes.
    """
    if found := next((each for each in str(repository.absolute()) if each.isspace() or each in SPECIAL), ""):
        message = f'a server cannot load Python models from a path that contains "{found}"'
        hint = "Move the repository, or serve it without --poll and --explicit: a copy is served then."
        raise fatal("server-repository", str(repository), message, hint)


def check_memory(folder: Path = Path("/dev/shm")) -> None:  # noqa: S108  where the stubs' regions are
    """Raise Stop if regions of shared memory of another server are there, and this one would use the same names."""
    if found := sorted(folder.glob(COUNTED)):
        message = "another server has this shared memory, and this release would use the same names"
        hint = f"Stop that server. If none is running, run `rm {folder}/{COUNTED}`."
        raise fatal("server-memory", str(found[0]), message, hint)


def copy(repository: Path, target: Path, links: Sequence[Path] = ()) -> None:
    """Create a copy at `target`, with links within the repository resolved and without FIFOs.

    Raise Stop for what a server could not open. Every file is taken from where the scan found it, without following a
    link on the way.
    """
    tree = check(repository, links)
    if found := [problem(repository, path, entry) for path, entry in tree.items() if odd(entry)]:
        raise Stop(found)
    with copying("the repository", str(repository), target):
        target.mkdir()
        for path, entry in tree.items():
            if isinstance(entry, Directory):
                (target / path).mkdir(parents=True)
            elif isinstance(entry, File) and isinstance(entry.place, Scanned):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                taken(entry.place, target / path)


@contextmanager
def copying(what: str, at: str, target: Path) -> Iterator[None]:
    """Raise Stop if what is copied does not fit, or cannot be written for another reason."""
    try:
        yield
    except OSError as error:
        first = error.args[0][0][2] if isinstance(error, shutil.Error) else error
        hint = "Set TMPDIR to a directory with space, best on the repository's file system: the copy takes none there."
        raise fatal("server-copy", at, f"cannot copy {what} to {target}: {first}", hint) from error


def replace(copied: Path, files: Mapping[str, File]) -> None:
    """Replace files of the copy; what they are hard-linked to in the repository stays unchanged."""
    for path, file in files.items():
        place = copied / path
        with copying(path, path, place):
            place.unlink(missing_ok=True)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(file.content())


def odd(entry: Entry) -> bool:
    """Return whether an entry would be missing from the copy although the server would see something there."""
    return isinstance(entry, Link) or entry in {Unreadable.LOCKED, Unreadable.FORBIDDEN}


def problem(repository: Path, path: str, entry: Entry) -> Diagnostic:
    """Return the fatal diagnostic for an odd entry."""
    message, hint = f"this is {entry}", "Make it readable for this user."
    if isinstance(entry, Link):
        message = f"the link points to {entry.target}, a directory that contains the link"
        hint = "Remove the link. A bucket cannot hold links."
    return Diagnostic("server-link", Severity.FATAL, Span(str(repository / path)), message, hint)


def taken(file: Scanned, target: Path) -> None:
    """Hard-link a scanned file, or copy it if the file system or the kernel's rules for links do not allow that."""
    try:
        file.spot.link(target)
    except OSError:
        descriptor = file.spot.open()
        with os.fdopen(descriptor, "rb") as source, target.open("xb") as copied:
            shutil.copyfileobj(source, copied)
            os.fchmod(copied.fileno(), stat.S_IMODE(os.fstat(descriptor).st_mode))


def place(source: Path, target: Path) -> None:
    """Hard-link a file, or copy it if the file system or the kernel's rules for links do not allow that."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy(source, target)


def backends(runtime: Runtime, ours: Mapping[str, Path], target: Path) -> None:
    """Create the backends directory: the wheel's Python backend with the stub of this Python, and Python-based ones.

    No symbolic links: Triton 24.10 refuses a backend library outside the backends directory. Python-based backends are
    copied, so that an edit of the original never reaches a running server.
    """
    python = target / "python"
    with copying("the Python backend", str(runtime.stub), python):
        python.mkdir(parents=True)
        for source in (*runtime.backend_files, runtime.stub):
            place(source, python / source.name)
    for name, directory in ours.items():
        if not (directory / "model.py").is_file():
            hint = "Use the directory that contains the backend's model.py."
            raise fatal("server-backend", str(directory), f"backend {name} has no model.py in this directory", hint)
        with copying(f"backend {name}", str(directory), target / name):
            shutil.copytree(directory, target / name, ignore=shutil.ignore_patterns(WRITTEN_BY_PYTHON))
