"""Fixes go on round by round until nothing more applies, and no verdict is worse afterwards, whatever a fix does."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from tritonrepo.diagnostics import Create, Diagnostic, Fix, Move, Replacement, Severity, Span, State, Verdict
from tritonrepo.fixes import Write, after
from tritonrepo.flows.rounds import HELD, Mended, mended, squashed
from tritonrepo.rules.judge import Judged
from tritonrepo.tree import File, Tree, of_bytes

Rewrites = Mapping[str, tuple[str, str]]
"""Rule → what it finds in the file of a model, and what its fix makes of that."""


def text(tree: Tree, path: str) -> str:
    entry = tree[path]
    assert isinstance(entry, File)
    return entry.content().decode()


def found(rule: str, path: str, column: int, words: tuple[str, str]) -> Diagnostic:
    at = Span(path, 1, column + 1, 1, column + 1 + len(words[0]))
    model = path.partition("/")[0]
    return Diagnostic(rule, Severity.ERROR, at, "x", model=model, fix=Fix((Replacement(at, words[1]),), safe=True))


def judge(rewrites: Rewrites, verdict: Callable[[str], State]) -> Callable[[Tree], Judged]:
    """Return a judge of models that are one line: each rule finds its words, and the verdict is of the line."""

    def look(tree: Tree) -> Judged:
        lines = {path: text(tree, path) for path in tree}
        diagnostics = [
            found(rule, path, line.index(words[0]), words)
            for path, line in lines.items()
            for rule, words in rewrites.items()
            if words[0] in line
        ]
        return Judged(
            tuple(diagnostics), tuple(Verdict(path.partition("/")[0], verdict(line)) for path, line in lines.items())
        )

    return look


def run(line: str, rewrites: Rewrites, bad: str = "bad") -> tuple[str, Mended]:
    """Return what becomes of a model's line; a line with the bad word is refused."""

    def verdict(text: str) -> State:
        return State.REFUSED if bad in text else State.READY

    made = mended({"m/f": of_bytes(line.encode())}, judge(rewrites, verdict), lambda _: True)
    return text(made.tree, "m/f"), made


def told(made: Mended) -> list[str]:
    return [f"{each.rule} {each.message}" for each in made.held]


def test_what_a_fix_uncovers_is_fixed_as_well() -> None:
    line, made = run("one", {"a": ("one", "two"), "b": ("two", "three"), "c": ("three", "four")})
    assert line == "four"
    assert [each.rule for each in made.fixed] == ["a", "b", "c"]
    assert made.steps == (Write("m/f", b"four"),)
    assert (made.held, made.left.diagnostics) == ((), ())


def test_a_fix_that_makes_the_model_worse_is_held_back_and_no_other() -> None:
    line, made = run("1 2 3", {"x": ("1", "one"), "y": ("2", "bad"), "z": ("3", "three")})
    assert line == "one 2 three"
    assert [each.rule for each in made.fixed] == ["x", "z"]
    assert told(made) == [f"{HELD} the fix for y was not applied: the server's verdict would be worse with it"]
    assert [each.rule for each in made.left.diagnostics] == ["y"]
    assert made.held[0].severity is Severity.WARNING
    assert made.held[0].fix is None


def test_fixes_that_are_worse_only_together_are_held_back_together() -> None:
    line, made = run("1 2", {"x": ("1", "b"), "y": (" 2", "ad")})
    assert line == "b 2"
    assert len(made.held) == 1
    line, made = run("1 2 3 4 5", {word: (word, "bad") for word in "12345"})
    assert (line, len(made.held)) == ("1 2 3 4 5", 5)


def test_a_model_that_was_refused_may_show_another_error() -> None:
    line, made = run("bad 1", {"x": ("1", "2"), "y": ("2", "3")})
    assert (line, made.held) == ("bad 3", ())


def test_fixes_that_undo_each_other_are_told_and_not_repeated() -> None:
    line, made = run("a b", {"x": ("a", "c"), "y": ("c", "a"), "z": ("b", "d")})
    assert line == "a d"
    assert told(made) == [f"{HELD} the fix for x was not applied: fixes would be repeated forever"]
    line, made = run("a", {"x": ("a", "a")})
    assert (line, len(made.held)) == ("a", 1)
    line, made = run("a", {"x": ("a", "aa")})
    assert (line, told(made)) == ("a", [f"{HELD} the fix for x was not applied: fixes would be repeated forever"])


def test_a_fix_that_harms_another_model_is_held_back() -> None:
    def look(tree: Tree) -> Judged:
        line = text(tree, "m/f")
        fixes = [found("x", "m/f", 0, ("a", "b"))] if "a" in line else []
        return Judged(tuple(fixes), (Verdict("e", State.READY if "a" in line else State.CRASH),))

    made = mended({"m/f": of_bytes(b"a")}, look, lambda _: True)
    assert (made.steps, len(made.held)) == ((), 1)


def test_a_model_with_another_name_is_compared_with_itself() -> None:
    moved = Diagnostic("x", Severity.ERROR, Span("m"), "x", model="m", fix=Fix(files=(Move("m", "n"),), safe=True))

    def look(tree: Tree) -> Judged:
        name = next(iter(tree)).partition("/")[0]
        state = State.READY if name == "m" else State.REFUSED
        return Judged((moved,) if name == "m" else (), (Verdict(name, state),))

    made = mended({"m/f": of_bytes(b"a")}, look, lambda _: True)
    assert (made.steps, len(made.held)) == ((), 1)


def test_only_wanted_fixes_are_applied() -> None:
    look = judge({"a": ("one", "two"), "b": ("three", "four")}, lambda _: State.READY)
    made = mended({"m/f": of_bytes(b"one three")}, look, lambda each: each.rule == "b")
    assert text(made.tree, "m/f") == "one four"
    assert [each.rule for each in made.left.diagnostics] == ["a"]


KEPT = {
    "the last": ((Write("f", b"1"), Write("g", b"2"), Write("f", b"3")), (1, 2)),
    "before a move, and after": ((Write("f", b"1"), Move("f", "g"), Write("f", b"2")), (0, 1, 2)),
    "a move of its directory": ((Write("d/f", b"1"), Move("d", "e"), Write("d/f", b"2")), (0, 1, 2)),
    "a change elsewhere": ((Write("f", b"1"), Create("g"), Write("f", b"2")), (1, 2)),
}


@pytest.mark.parametrize(("steps", "kept"), KEPT.values(), ids=KEPT)
def test_a_file_is_written_once_unless_it_moves(steps: tuple[Write | Move, ...], kept: tuple[int, ...]) -> None:
    assert squashed(steps) == tuple(steps[number] for number in kept)


def test_the_steps_make_the_tree() -> None:
    _, made = run("one", {"a": ("one", "two"), "b": ("two", "three")})
    there = after({"m/f": of_bytes(b"one")}, made.steps)
    assert {path: text(there, path) for path in there} == {path: text(made.tree, path) for path in made.tree}
