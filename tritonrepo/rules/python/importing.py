"""What a Python model imports at its top, and in the files beside it that it imports there.

Source: python_backend, src/pb_stub.cc, ModelContext::StubSetup: the directory of the source and the one around it are
appended to Python's own path, and the source is imported as a module of a package that is named as its version.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, Span, nearest
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.python import modules
from tritonrepo.rules.python.environments import NUMPY, Environment, Use, environment, lacks
from tritonrepo.rules.python.imports import Imported, imports, mentioned
from tritonrepo.rules.python.modules import Found
from tritonrepo.rules.python.script import Script, SyntaxFault, python_of, read, scripts
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

MOST_FILES, MOST_FAILURES = 50, 20
"""Sources beside a model's that are followed, and imports of one model that are reported."""


class Failure(NamedTuple):
    """An import that fails, surely or probably: where, our words, the next step, and Python's words."""

    found: Found
    at: Span | Placed
    message: str
    hint: str
    reason: str


@rule("python-import-error", Severity.ERROR, "backend=python", at=Stage.IMPORT.after("python-syntax-error"))
def import_error(model: Model) -> Iterator[Finding]:
    """Modules that a Python model imports must exist."""
    for each in failures(model):
        if each.found is Found.NO:
            yield Finding(each.at, each.message, hint=each.hint, reason=each.reason)


@rule("python-module-not-in-image", Severity.WARNING, "backend=python")
def not_in_image(model: Model) -> Iterator[Finding]:
    """Modules that a Python model imports should be in its image."""
    for each in failures(model):
        if each.found is Found.PROBABLY_NOT:
            yield Finding(each.at, each.message, hint=each.hint)


@once
def failures(model: Model) -> tuple[Failure, ...]:
    """Return the imports of a model's sources that fail."""
    found: list[Failure] = []
    for script in scripts(model):
        if not _is_plain(model, script):
            walk = _Walk(model, posixpath.dirname(script.path))
            walk.follow(script)
            found += walk.failures
    return tuple(found) or tuple(_without_numpy(model))


def said_first(model: Model, script: Script) -> str:
    """Return what Python says about the first import of a source that fails or may fail, "" if there is none."""
    home = f"{model.name}/{posixpath.dirname(script.path)}/"
    found = (each.reason for each in failures(model) if isinstance(each.at, Span) and each.at.path.startswith(home))
    return next(found, "")


def _is_plain(model: Model, script: Script) -> bool:
    """Return whether a source surely imports only what its image has, as most do; this is cheap."""
    python, target = python_of(model), model.target
    return (
        python is not None
        and environment(model) is None
        and all(name and modules.found(name, target, python) is Found.PERHAPS for name in mentioned(script.text))
    )


@dataclass(slots=True)
class _Walk:
    """A walk through a source, and through the files beside it in the order in which Python imports them."""

    model: Model
    home: str
    failures: list[Failure] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    absent: set[str] = field(default_factory=set)
    over: bool = False
    """Whether what comes next is uncertain."""

    def follow(self, script: Script) -> None:
        """Collect what fails in a source."""
        self.seen.add(script.path)
        if isinstance(script.tree, SyntaxFault) and len(self.seen) > 1:
            self.failures.append(self._unreadable(script, script.tree))
        self.over = not isinstance(script.tree, ast.Module) or len(self.seen) > MOST_FILES
        for each in imports(script.tree) if isinstance(script.tree, ast.Module) else ():
            self.over = self.over or each is None or len(self.failures) >= MOST_FAILURES
            if self.over or each is None:
                return
            if each.level:
                self._relative(script, each)
            else:
                self._absolute(script, each)

    def _absolute(self, script: Script, each: Imported) -> None:
        found = _found(self.model, each.top)
        places = dict.fromkeys((self.home, posixpath.dirname(self.home), ""))
        homes = [home for home in places if _has(self.model, home, each.top)]
        if homes:
            self._beside(homes[0], each.module)
        elif found is not Found.PERHAPS and each.top not in self.absent:
            self.absent.add(each.top)
            self.failures.append(self._absent(script, each, found))

    def _relative(self, script: Script, each: Imported) -> None:
        home = posixpath.dirname(script.path)
        if each.level > 1 or home != self.home:
            return
        if _has(self.model, home, each.top):
            self._beside(home, each.module)
            return
        at = Span(f"{self.model.name}/{script.path}", each.line, each.column)
        package = posixpath.basename(home)
        message = f'Python cannot import ".{each.module}" because {home}/ has no {each.top}.py'
        reason = f"ModuleNotFoundError: No module named '{package}.{each.top}'"
        self.failures.append(Failure(Found.NO, at, message, f"Add {each.top}.py to {self.model.name}/{home}/.", reason))

    def _beside(self, home: str, module: str) -> None:
        """Follow the files of a module that is beside the source, unless Python may find another one first."""
        at = home
        for part in module.split(".") if not modules.is_known(module.partition(".")[0]) else ():
            at = posixpath.join(at, part)
            package = f"{at}/__init__.py"
            path = package if package in self.model.entries else f"{at}.py"
            if path in self.model.entries and path not in self.seen and not self.over:
                script = read(self.model, path)
                self.over = script is None
                if script is not None:
                    self.follow(script)

    def _absent(self, script: Script, each: Imported, found: Found) -> Failure:
        at = Span(f"{self.model.name}/{script.path}", each.line, each.column)
        name, target, own = each.top, self.model.target, environment(self.model)
        reason = f"ModuleNotFoundError: No module named '{name}'"
        if own is not None and own.use is Use.OWN:
            return Failure(found, at, *_not_packed(script, name, own), reason)
        since, until, python = modules.standard_since(name), modules.standard_until(name), target.release.python
        if since or until:
            message = f'Python {python}, which Triton {target.release.name} uses, has no module "{name}"'
            hint = (
                f"Use a release with Python {since} or later." if since else f"Python {until} removed it. Replace it."
            )
            return Failure(found, at, message, hint, reason)
        near = modules.meant(name) if name not in modules.public() else ""
        hint = f'Did you mean "{near}"?' if near else _install(self.model, script, each.module)
        if own is not None:
            hint = f"Pack {own.path} with Python {python}, so that Triton uses its packages."
        verb = "is not" if found is Found.NO else "may not be"
        one = len(target.images) == 1
        where = f'in the image "{target.images[0]}"' if one else "in any image of the target"
        message = f'{script.name} imports "{name}", which {verb} {where}'
        return Failure(found, at, message, hint, reason)

    def _unreadable(self, script: Script, fault: SyntaxFault) -> Failure:
        at = Span(f"{self.model.name}/{script.path}", fault.line, fault.column)
        message = f"Python cannot parse {script.name}: {fault.message}"
        return Failure(Found.NO, at, message, "Fix this line. Nothing after it was checked.", fault.reason)


def _found(model: Model, module: str) -> Found:
    """Return whether a module that is not in the repository can be imported."""
    own = environment(model)
    return lacks(own, module, model) if own is not None else modules.found(module, model.target, python_of(model))


def _not_packed(script: Script, module: str, own: Environment) -> tuple[str, str]:
    """Return message and hint for a module that an environment lacks."""
    near = nearest(module, sorted(own.modules), modules.CLOSE)
    hint = f'Did you mean "{near}"?' if near else f"Install it in the environment, and pack {own.path} again."
    return f'{script.name} imports "{module}", which is not in the Python environment {own.path}', hint


def _without_numpy(model: Model) -> Iterator[Failure]:
    """Yield that an environment lacks what the backend itself imports after a model's own imports."""
    own = environment(model)
    if own is None or own.use is not Use.OWN:
        return
    found = lacks(own, NUMPY, model)
    homes = [posixpath.dirname(script.path) for script in scripts(model)]
    if homes and found is not Found.PERHAPS and not any(_has(model, home, NUMPY) for home in (*homes, "")):
        message = f"the Python environment {own.path} lacks NumPy, which the Python backend itself imports"
        hint = f"Install numpy in the environment, and pack {own.path} again."
        yield Failure(found, own.at, message, hint, f"ModuleNotFoundError: No module named '{NUMPY}'")


def _has(model: Model, home: str, module: str) -> bool:
    """Return whether a directory of the model has something with a module's name."""
    start = f"{home}/{module}" if home else module
    return any(path == start or path.startswith((f"{start}/", f"{start}.")) for path in model.entries)


def _install(model: Model, script: Script, module: str) -> str:
    own = f"If your own image has it, {model.target.says_own}."
    name, _, inner = module.partition(".")
    if name in modules.public():
        return f"{own} Otherwise, pack it in an environment that EXECUTION_ENV_PATH names."
    what = f"the package {name}" if inner else f"{name}.py"
    return f"Add {what} next to {script.name}. {own}"
