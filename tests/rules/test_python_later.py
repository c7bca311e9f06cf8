"""Syntax that came after Python 3.10, which our own Python may or may not take; 3.10 and 3.11 were asked about each."""

from __future__ import annotations

import sys
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pages import judged
from tests.rules.test_python import CLASS, Case, source, tree
from tests.tabled import tabled
from tritonrepo.rules.python.later import later
from tritonrepo.rules.python.script import Script

QUOTES, BACKSLASH, COMMENT, LINE = "their own quotes", "a backslash", "a comment", "a line break"
UNMATCHED, EXPECTING = "f-string: unmatched '['", "f-string: expecting '}'"
F_STRINGS = {
    "quotes in an index": ('f"{x["a"]}"', QUOTES, UNMATCHED),
    "quotes of a text": ('f"{"a"}"', QUOTES, EXPECTING),
    "quotes of a separator": ('f"{", ".join(x)}"', QUOTES, EXPECTING),
    "quotes in a call": ('f"{str("a")}"', QUOTES, "f-string: unmatched '('"),
    "quotes in a format": ('f"{x:{"a"}}"', QUOTES, EXPECTING),
    "quotes of another f-string": ("f'{f\"{f'{1}'}\"}'", QUOTES, "f-string: "),
    "three quotes in three": ('f"""{"""a"""}"""', QUOTES, EXPECTING),
    "quotes in capitals": ("Fr'{x['a']}'", QUOTES, UNMATCHED),
    "quotes after what would be a name": ('rf"\\N{x["a"]}"', QUOTES, UNMATCHED),
    "quotes in the second": ('f"{x}", f"{x["a"]}"', QUOTES, UNMATCHED),
    "a backslash": (r'''f"{'\n'.join(x)}"''', BACKSLASH, "f-string expression part cannot include a backslash"),
    "a backslash in a format's field": (r'''f"{x:{'\n'}}"''', BACKSLASH, "f-string expression part cannot include a b"),
    "a comment": ('f"""{x # c\n}"""', COMMENT, "f-string expression part cannot include '#'"),
    "a format in a format of a format": (
        """f"{x:{y:{z}}} {'#'}\"""",
        "a format within a format",
        "f-string: expressions nested too deeply",
    ),
    "a line break": ('f"{x\n}"', LINE, "unterminated string literal"),
    "a line break in a call": ('f"a {x(\n  1)} b"', LINE, "unterminated string literal"),
}
FINE = {
    "other quotes": """f"{x['a']}" f'{x["a"]}'""",
    "one quote in three": 'f"""{"a"} {x["b"]}"""',
    "a backslash outside": r'f"\n{x}\\{y}\"" rf"\d{x}"',
    "a backslash in a format": r'f"{x:\n}"',
    "a letter by name": r'f"\N{EM DASH}{x}"',
    "a number sign in a text": "f\"{'#'}\"",
    "two braces": 'f"{{" f"}}" f"{{{x}}}"',
    "a dict": "f\"{ {'a': 1}['a'] }\"",
    "a comparison": 'f"{x != y} {x <= y} {x == y} {x > y}"',
    "a debugger's": 'f"{x = !r:>{w}}"',
    "a format in a format": 'f"{x:{w:0}.{p!r}}"',
    "no f-string": '"{x["[0], b"{", u"{"',
    "lines in three quotes": 'f"""{\nx\n}"""',
    "a slice": 'f"{x[1:2]:>3}"',
    "one in a comment": 'x # f"{x["a"]}"',
    "a set in a format": 'f"{x:{{1}}}"',
    "one in a text": """'f"{x["a"]}"'""",
}


@tabled(("text", "what", "words"), F_STRINGS.values(), ids=F_STRINGS)
def test_an_f_string_of_later_pythons(text: str, what: str, words: str) -> None:
    found = judged(tree(Case(source(f"{CLASS}y = ({text})\n"))), "--release 24.10")
    (said,) = [each for each in found.diagnostics if each.rule == "python-syntax-error"]
    assert said.message == f"Python cannot parse model.py: f-strings take {what} inside braces only from Python 3.12 on"
    assert found.verdicts[0].server_reason.startswith(f"SyntaxError: {words}")
    assert not judged(tree(Case(source(CLASS + "y = 1\n"))), "--release 24.10").verdicts[0].rule


@tabled("text", FINE.values(), ids=FINE)
def test_an_f_string_that_3_10_takes(text: str) -> None:
    for more in ("", """, f"{'#'}\""""):  # which must be looked at
        assert later(Script("1/model.py", f"y = ({text}{more})\n".encode(), (3, 10))) is None


STARS = {
    "in an index": ("x[*y]", "an index takes a star", 3),
    "after another": ("x[1, *y] = 2", "an index takes a star", 6),
    "in an annotation": ("def f(*y: *z): pass", "an annotation takes a star", 11),
}
NO_STARS = (
    *("x[(*y,)]", "[*y]", "x([*y])", "x[y*z]", "x[y, z * 2]", "def f(*y: z): pass", "f[[*y]]", "x[y, (*z,)]"),
    *("x[i][*y", "x[*", "y = 'x[*y]'\rx[(*y,)]"),
)
REASON = "SyntaxError: invalid syntax (model.py, line "


@pytest.mark.parametrize(("text", "what", "column"), STARS.values(), ids=STARS)
def test_a_star_of_later_pythons(text: str, what: str, column: int) -> None:
    script = Script("1/model.py", f"{text}\n".encode(), (3, 10))
    found = later(script)
    assert found is not None
    assert found.fault == (
        1,
        column,
        f"{what} only from Python 3.11 on",
        "SyntaxError: invalid syntax (model.py, line ",
    )


@tabled("text", NO_STARS)
def test_a_star_that_3_10_takes_or_nothing_takes(text: str) -> None:
    assert later(Script("1/model.py", f"{text}\n".encode(), (3, 10))) is None


def test_the_place_is_that_of_the_f_string() -> None:
    found = later(Script("1/model.py", b'a = 1\nb = "x" + f"{x["a"]}"\n', (3, 10)))
    assert found is not None
    assert found.fault[:2] == (2, 11)


def test_the_first_fault_of_a_file_is_told() -> None:
    text = f'class A\n  pass\ny = f"{{x["a"]}}"\n{CLASS}'
    (said,) = [e for e in judged(tree(Case(source(text)))).diagnostics if e.rule == "python-syntax-error"]
    assert said.at.line == 1


def test_a_text_without_an_end_is_no_f_string() -> None:
    assert later(Script("1/model.py", b"""y = f"{'#'}"; x = "{\n""", (3, 10))) is None


def test_python_3_12_takes_all() -> None:
    for text in [text for text, *_ in (*F_STRINGS.values(), *STARS.values())]:
        assert later(Script("1/model.py", f"{text}\n".encode(), (3, 12))) is None


PARTS = (
    *("f", "r", "F", "'", '"', "'''", '"""', "{", "}", "{{", "\\", "\\N{", "#", ":", "!r", "=", "x"),
    *("[", "]", "(", ")", "é", "\n"),
)


@given(st.lists(st.sampled_from(PARTS), max_size=30).map("".join))
def test_what_3_10_takes_is_never_a_fault(text: str) -> None:
    """Python 3.11 reads f-strings as 3.10 does; what it takes must be fine, later Pythons only must not stumble."""
    script = Script("1/model.py", text.encode(), (3, 10))
    found = later(script)
    if sys.version_info < (3, 12):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                compile(text, "model.py", "exec")
            except (SyntaxError, ValueError):
                return
        assert found is None
