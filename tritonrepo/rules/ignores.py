"""Comments that hide findings, and the rules for comments that cannot do what they are meant to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, nearest
from tritonrepo.repository.ignores import Ignore
from tritonrepo.rules.registry import RULES, Finding, Scope, comment_rule

Heard = Mapping[str, Sequence[Diagnostic]]
"""All findings on the comment's model or in its stack file, by rule."""


class Sifted(NamedTuple):
    """The findings that are shown, those about the comments included, and the findings that the comments hide."""

    left: list[Diagnostic]
    hidden: list[Diagnostic]


def sift(found: Sequence[Diagnostic], comments: Sequence[Ignore]) -> Sifted:
    """Hide what the comments ignore, and add what is wrong with the comments, which no comment can hide."""
    by_home: dict[tuple[str, str], dict[str, list[Diagnostic]]] = {_home(comment): {} for comment in comments}
    for each in found:
        for home in {("", each.model), (each.at.path, "")} & by_home.keys():
            by_home[home].setdefault(each.rule, []).append(each)
    hidden = {id(each) for comment in comments for each in _covered(comment, by_home[_home(comment)])}
    said = (each for comment in comments for each in _said(comment, by_home[_home(comment)]))
    left = [each for each in found if id(each) not in hidden]
    return Sifted([*left, *said], [each for each in found if id(each) in hidden])


def _home(comment: Ignore) -> tuple[str, str]:
    return (comment.file, "") if comment.file else ("", comment.model)


def _said(comment: Ignore, heard: Heard) -> Iterator[Diagnostic]:
    for rule in RULES.of(Scope.COMMENT):
        for finding in rule.check(comment, heard):
            assert isinstance(finding.at, Span)  # noqa: S101  a comment's rules give a Span
            yield Diagnostic(rule.name, rule.severity, finding.at, finding.message, finding.hint, comment.model)


def _covered(comment: Ignore, heard: Heard) -> Iterator[Diagnostic]:
    for name in comment.names:
        yield from (each for each in heard.get(name.text, ()) if comment.covers(each))


@comment_rule("ignore-not-readable", Severity.WARNING)
def not_readable(comment: Ignore, _heard: Heard) -> Iterator[Finding]:
    """A comment that begins with "tritonrepo:" should name the rules it ignores."""
    if not comment.names:
        message = "this comment is addressed to tritonrepo, but names no rule"
        yield Finding(comment.at, message, hint="Write `# tritonrepo: ignore[rule-name] reason`.")


@comment_rule("ignore-without-reason", Severity.WARNING)
def without_reason(comment: Ignore, _heard: Heard) -> Iterator[Finding]:
    """A comment that ignores a rule should give a reason."""
    if comment.names and not comment.reason:
        hint = "Add a reason after the closing bracket: why the finding can be ignored."
        yield Finding(comment.at, "the ignore comment has no reason", hint=hint)


@comment_rule("ignore-unknown-rule", Severity.WARNING)
def unknown_rule(comment: Ignore, _heard: Heard) -> Iterator[Finding]:
    """A comment should ignore only rules that exist."""
    for name in comment.names:
        if name.text not in RULES:
            near = nearest(name.text, RULES)
            hint = f'Did you mean "{near}"?' if near else "List the rules with `tritonrepo explain --all`."
            yield Finding(name.at, f'unknown rule "{name.text}"', hint=hint)


@comment_rule("ignore-unused", Severity.WARNING)
def unused(comment: Ignore, heard: Heard) -> Iterator[Finding]:
    """A comment that ignores a rule should hide a finding of that rule."""
    whole = "this file" if comment.file else f'model "{comment.model}"'
    where = f"line {comment.line}" if comment.line else whole
    for name in comment.names:
        found = heard.get(name.text, ())
        if name.text in RULES and not any(comment.covers(each) for each in found):
            yield Finding(name.at, f'{where} has no "{name.text}" finding to ignore', hint=_where(comment, found))


def _where(comment: Ignore, found: Sequence[Diagnostic]) -> str:
    """Return the hint that says where the comment would hide a finding."""
    if not found:
        return "Remove the rule name."
    at = found[0].at
    if at.line and at.path == comment.at.path:
        return f"Move the comment to line {at.line}, which has such a finding."
    if comment.file:
        return f"Move the comment into {at.path}, where such a finding is."
    return f"Move the comment above the first field, where it applies to the whole model, including {at}."
