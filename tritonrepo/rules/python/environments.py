"""The environment that EXECUTION_ENV_PATH names: whether its Python is the one that runs the model, and its packages.

The stub is a program that has Python built in, that of the image: it looks for its own version's library beside the
first python3 on PATH, which is the environment's, and falls back on that of the image.

Source: python_backend, src/stub_launcher.cc, StubLauncher::Launch, ParseActivationScript, which put the environment's
bin/ first; cpython, Modules/getpath.c and Modules/getpath.py, lib/pythonX.Y/os.py; seen on 24.10.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.repository.paths import follow
from tritonrepo.rules.layout.environments import HERE, PARAMETER, packed_environment
from tritonrepo.rules.layout.tars import Kind, Member
from tritonrepo.rules.python.modules import Found, found, is_own, is_standard
from tritonrepo.rules.python.script import python_of
from tritonrepo.tree import Directory, File

LANDMARK = re.compile(r"lib/python(\d{1,2}\.\d{1,3})/os\.pyc?")
NUMPY = "numpy"
"""What the Python backend's own module imports."""

CUSTOM = ("sitecustomize", "usercustomize")
HARMLESS = re.compile(r"distutils-precedence\.pth|.{1,200}-nspkg\.pth")
"""Files of .pth that add no directory in which Python looks for modules."""

OUTSIDE = "astunparse backends bin caches gast include lib makefun nvidia packaging python repoagents six tree wheel"
ALSO_THERE = frozenset({*OUTSIDE.split(), "typing_extensions"})
"""Modules that images have outside Python's own directories: those of DALI on PYTHONPATH, and where the server starts.

Source: server, build.py, dockerfile_prepare_container_linux.
"""

MOST_LINKS = 20


class Use(Enum):
    """Which packages the model sees: the environment's, the image's because the Pythons differ, or that is unknown."""

    OWN = "own"
    IGNORED = "ignored"
    UNKNOWN = "unknown"


class Environment(NamedTuple):
    """An environment: its path as users know it, where it is named, and what is in it.

    `versions` are its Pythons, `modules` what its own Python imports. It is `certain` if what can be executed is known.
    """

    path: str
    at: Placed
    use: Use = Use.UNKNOWN
    versions: tuple[str, ...] = ()
    modules: frozenset[str] = frozenset()
    certain: bool = False


@once
def environment(model: Model) -> Environment | None:
    """Return what is known about a model's environment, None if its config names none in the repository."""
    value = model.parameters.get(PARAMETER)
    written = value.text("string_value") if isinstance(value, Message) else ""
    if not isinstance(value, Message) or not written.startswith(f"{HERE}/"):
        return None
    path = posixpath.normpath(f"./{written.removeprefix(HERE)}")
    there, at = follow(model, f"./{written.removeprefix(HERE)}"), value.scalars("string_value")[-1]
    if isinstance(there, File):
        inside = packed_environment(model)
        if inside.wrong or not inside.whole:
            return Environment(path, at)
        return _known(model, Environment(path, at, certain=True), {each.path: each for each in inside.members})
    if isinstance(there, Directory) and not path.startswith("../"):
        below = {each[len(path) + 1 :]: entry for each, entry in model.entries.items() if each.startswith(f"{path}/")}
        made = (Member(name, Kind.FILE if isinstance(entry, File) else Kind.LINK) for name, entry in below.items())
        return _known(model, Environment(path, at), {each.path: each for each in made})
    return Environment(path, at)


def lacks(environment: Environment, module: str, model: Model) -> Found:
    """Return whether a module can be imported in a model's environment."""
    python = python_of(model)
    if environment.use is Use.IGNORED:
        return found(module, model.target, python)
    if environment.use is Use.UNKNOWN or python is None or module in environment.modules | ALSO_THERE:
        return Found.PERHAPS
    if is_standard(module, python):
        return Found.PERHAPS
    return Found.NO if environment.certain and not is_own(model.target) else Found.PROBABLY_NOT


def _known(model: Model, bare: Environment, members: Mapping[str, Member]) -> Environment:
    python = python_of(model)
    versions = tuple(sorted({its[1] for each in members if (its := LANDMARK.fullmatch(each))}))
    if python is None or not versions or "pyvenv.cfg" in members:
        return bare
    wanted = "{}.{}".format(*python)
    if wanted in versions:
        modules = _modules(members, f"lib/python{wanted}/")
        certain = bare.certain and _runs(members, "bin/python3")
        known = modules is not None and (certain or not bare.certain)
        return bare._replace(
            use=Use.OWN if known else Use.UNKNOWN, versions=versions, modules=modules or frozenset(), certain=certain
        )
    both = {f"lib/python{wanted}", f"lib/python{wanted.replace('.', '')}.zip", "lib"}
    linked = any(each in members and members[each].kind is not Kind.DIRECTORY for each in both)
    return bare._replace(use=Use.UNKNOWN if linked else Use.IGNORED, versions=versions, certain=True)


def _runs(members: Mapping[str, Member], path: str) -> bool:
    """Return whether a path leads to a file of the environment that can be executed."""
    for _ in range(MOST_LINKS):
        each = members.get(path)
        if each is None or each.kind is Kind.DIRECTORY:
            return False
        if each.kind is Kind.FILE:
            return each.runs
        home = posixpath.dirname(path) if each.kind is Kind.LINK else ""
        path = posixpath.normpath(posixpath.join(home, each.target))
    return False


def _modules(members: Mapping[str, Member], library: str) -> frozenset[str] | None:
    """Return the modules of a Python's library, None if something there may add others."""
    homes = (library, f"{library}lib-dynload/", f"{library}site-packages/")
    if any(each in members and members[each].kind is not Kind.DIRECTORY for each in _above(homes)):
        return None
    names = {path[len(home) :].partition("/")[0] for path in members for home in homes if path.startswith(home)}
    modules = frozenset(name.partition(".")[0] for name in names)
    adding = any(name.endswith((".pth", ".egg-link")) and not HARMLESS.fullmatch(name) for name in names)
    return None if adding or modules.intersection(CUSTOM) else modules


def _above(homes: Iterable[str]) -> set[str]:
    return {"lib", *(home.rstrip("/") for home in homes)}
