"""Rules: functions from a model to findings; each has a page, `pages/NAME.md`."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Fix, Severity, Span, State
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository.ignores import Ignore
from tritonrepo.repository.model import Model, Repository
from tritonrepo.rules.judging import Judging
from tritonrepo.rules.stages import Position

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from tritonrepo.manifests.objects import Manifests, Object


class Finding(NamedTuple):
    """What a rule yields, at a node of the config, a path below the model, or None for the config as a whole.

    `reason` is the server's own text. `item` is the position in a list that the server walks once for several checks:
    if two rules share a walk, the earlier item's reason comes first. A `quiet` finding counts only for the verdict:
    another rule reports the fault, but these are the server's first words about it. `fix` is what repairs it; its paths
    are the repository's.
    """

    at: Placed | Span | str | None
    message: str
    hint: str = ""
    reason: str = ""
    item: int = 0
    quiet: bool = False
    fix: Fix | None = None


class Scope(StrEnum):
    """What a rule checks: one model; a model among the others, once those that it needs are judged; the repository.

    Or, at the end, a comment that hides findings. Or an object of a Kubernetes manifest among the others, which no
    model has a part in.
    """

    MODEL = "model"
    GRAPH = "graph"
    REPOSITORY = "repository"
    COMMENT = "comment"
    MANIFEST = "manifest"


OF_REPOSITORIES = (Scope.MODEL, Scope.GRAPH, Scope.REPOSITORY)
"""The scopes of the rules that make verdicts."""

ModelCheck = Callable[[Model], Iterator[Finding]]
GraphCheck = Callable[[Model, Judging], Iterator[Finding]]
RepositoryCheck = Callable[[Repository], Iterator[Finding]]
Select = Callable[..., Iterator[Finding]]
CommentCheck = Callable[[Ignore, Mapping[str, Sequence[Diagnostic]]], Iterator[Finding]]
ManifestCheck = Callable[["Object", "Manifests"], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A check, its name, which never changes, and what its findings mean for the model."""

    name: str
    severity: Severity
    scope: Scope
    check: Callable[..., Iterator[Finding]]
    when: frozenset[str] = frozenset()
    position: Position | None = None
    state: State = State.REFUSED
    after_faults: bool = False

    @property
    def file(self) -> Traversable:
        """The file of the page; raise Misdeclared if it does not exist."""
        from importlib.resources import files  # only `explain` and messages about pages need one

        file = files(__package__).joinpath("pages", f"{self.name}.md")
        if not file.is_file():
            raise Misdeclared(f'the rule "{self.name}" has no page: create {file}')
        return file

    @property
    def page(self) -> str:
        """The page, in Markdown: a title, then Why, Source, Bad, Says, Good."""
        return self.file.read_text("utf-8")


class Misdeclared(Exception):  # noqa: N818  the name says what is wrong
    """A rule's name is taken, its page is missing, or its position in the server's order is missing or taken."""


class Registry(UserDict[str, Rule]):
    """All rules by name. Those of manifests come with a call of `others`, once something asks for one, or for all."""

    others: Callable[[], None]

    def of(self, *scopes: Scope) -> Iterator[Rule]:
        """Yield the rules of these scopes; others are not needed for those of repositories and comments."""
        if Scope.MANIFEST in scopes:
            self.others()
        return (rule for rule in self.data.values() if rule.scope in scopes)

    def __missing__(self, name: str) -> Rule:
        self.others()
        return self.data[name]

    def __contains__(self, name: object) -> bool:
        if name not in self.data:
            self.others()
        return name in self.data

    def __iter__(self) -> Iterator[str]:
        self.others()
        return iter(self.data)

    def __len__(self) -> int:
        self.others()
        return len(self.data)


RULES = Registry()


def rule(
    name: str,
    severity: Severity,
    *when: str,
    at: Position | None = None,
    state: State = State.REFUSED,
    after_faults: bool = False,
) -> Callable[[ModelCheck], ModelCheck]:
    """Register a check of one model; for an error, `at` is its position in the server's order: see `Stage`.

    It is called only for a model with one of the traits `when` (see `Model.traits`: a top-level field by its name,
    `*.NAME` for one at any depth, `backend=NAME`), or for every model if there are none. With `after_faults` it is also
    called if the config's text is broken, so it must not need the config.
    """

    def register(check: ModelCheck) -> ModelCheck:
        _add(Rule(name, severity, Scope.MODEL, check, frozenset(when), at, state, after_faults))
        return check

    return register


def graph_rule(
    name: str, severity: Severity, *when: str, at: Position | None = None, state: State = State.REFUSED
) -> Callable[[GraphCheck], GraphCheck]:
    """Register a check of a model among the others; those that it needs are judged before it, see `Judging`."""

    def register(check: GraphCheck) -> GraphCheck:
        _add(Rule(name, severity, Scope.GRAPH, check, frozenset(when), at, state))
        return check

    return register


def repository_rule(
    name: str, severity: Severity, *, at: Position | None = None, state: State = State.REFUSED
) -> Callable[[RepositoryCheck], RepositoryCheck]:
    """Register a check of the repository as a whole; its errors count for every model."""

    def register(check: RepositoryCheck) -> RepositoryCheck:
        _add(Rule(name, severity, Scope.REPOSITORY, check, position=at, state=state, after_faults=True))
        return check

    return register


def comment_rule(name: str, severity: Severity) -> Callable[[CommentCheck], CommentCheck]:
    """Register a check of an ignore comment and all findings on its model, by rule; it does not affect verdicts."""

    def register(check: CommentCheck) -> CommentCheck:
        _add(Rule(name, severity, Scope.COMMENT, check, state=State.READY, after_faults=True))
        return check

    return register


def manifest_rule(name: str, severity: Severity, *kinds: str) -> Callable[[ManifestCheck], ManifestCheck]:
    """Register a check of a Kubernetes object among the others; it yields findings at a Span.

    It is called for objects of these kinds, or for all. It has no place in Triton's order: what it finds is in no
    repository, so it does not affect verdicts.
    """

    def register(check: ManifestCheck) -> ManifestCheck:
        _add(Rule(name, severity, Scope.MANIFEST, check, frozenset(kinds), state=State.READY))
        return check

    return register


def rules(
    found: Mapping[str, Severity], *when: str, at: Position, scope: Scope = Scope.MODEL, after_faults: bool = False
) -> Callable[[Select], Select]:
    """Register several rules that one function checks: it is called for each, with the rule's name as last argument.

    Errors form one walk, in the given order.
    """

    def register(select: Select) -> Select:
        position = at
        for name, severity in found.items():
            error, check = severity is Severity.ERROR, _selecting(select, name)
            own = position if error else None
            _add(Rule(name, severity, scope, check, frozenset(when), own, after_faults=after_faults))
            position = at.stage.same_walk(name) if error else position
        return select

    return register


def _selecting(select: Select, name: str) -> Select:
    def check(*seen: Model | Judging) -> Iterator[Finding]:
        return select(*seen, name)

    check.__module__ = select.__module__
    return check


def _add(new: Rule) -> None:
    if new.name in RULES.data:
        raise Misdeclared(f'the rule "{new.name}" already exists: choose another name')
    if new.severity is Severity.ERROR and new.position is None and new.scope is not Scope.MANIFEST:
        raise Misdeclared(
            f'the rule "{new.name}" is an error without a place in the server\'s order: add at=Stage.….after("…")'
        )
    if new.severity is not Severity.ERROR and new.position is not None:
        raise Misdeclared(
            f'the rule "{new.name}" is not an error, so it cannot have a place in the server\'s order: remove at='
        )
    RULES[new.name] = new
