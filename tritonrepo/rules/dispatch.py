"""Which rules are called for a model."""

from __future__ import annotations

from functools import cache

from tritonrepo.rules.registry import OF_REPOSITORIES, RULES, Rule, Scope


class Dispatch(dict[tuple[frozenset[str], bool], tuple[Rule, ...]]):
    """The rules of a scope by a model's traits and whether its config is unknown: then only those that do not need it.

    Most models of a repository share their traits with many others.
    """

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope

    def __missing__(self, key: tuple[frozenset[str], bool]) -> tuple[Rule, ...]:
        traits, unknown = key
        self[key] = found = tuple(RULES[name] for name in _called(self.scope, traits & _wanted(), unknown))
        return found


@cache
def _wanted() -> frozenset[str]:
    """Return the traits by which rules are called; theirs are registered once this package is imported."""
    return frozenset[str]().union(*(rule.when for rule in RULES.of(*OF_REPOSITORIES)))


@cache
def _called(scope: Scope, traits: frozenset[str], unknown: bool) -> tuple[str, ...]:  # noqa: FBT001  as in a key
    """Return the names of the rules that are called for these of the wanted traits."""
    rules = (rule for rule in RULES.of(scope) if rule.after_faults or not unknown)
    return tuple(rule.name for rule in rules if not rule.when or rule.when & traits)
