"""Print how many lines of tests there are for each line of code: no blank lines, comments or docstrings.

The lines of a test file are shared out by how many names it imports of each package; `python -m scripts.lines`.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
SPOKEN = {"diagnostics", "tree"}
"""Whose values almost every test has in hand: they count only in a file that imports nothing else."""

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def lines(text: str) -> int:
    """Return the number of lines that say something to Python."""
    found: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            found.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            said = node.body[0]
            found.difference_update(range(said.lineno, (said.end_lineno or said.lineno) + 1))
    return len(found)


def imported(text: str) -> Iterator[str]:
    """Yield, for each name that a file imports of the project, what comes first below `tritonrepo`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            for name in node.names:
                yield f"{node.module}.{name.name}".removeprefix("tritonrepo.").partition(".")[0]


def shares(path: Path, packages: set[str]) -> dict[str, float]:
    """Return package → how many lines of a test file are about it."""
    text = path.read_text("utf-8")
    if path.parent.name == "rules":
        counted = Counter(["rules"])
    else:
        named = [name for name in imported(text) if name in packages]
        counted = Counter([name for name in named if name not in SPOKEN] or named or ["(shared)"])
    return {name: lines(text) * count / counted.total() for name, count in counted.items()}


def main() -> None:
    code: Counter[str] = Counter()
    tests: defaultdict[str, float] = defaultdict(float)
    for path in sorted((ROOT / "tritonrepo").rglob("*.py")):
        name = path.relative_to(ROOT / "tritonrepo").parts[0].removesuffix(".py")
        code[name] += lines(path.read_text("utf-8"))
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for name, share in shares(path, {*code}).items():
            tests[name] += share
    for name in sorted({*code, *tests}):
        ratio = f"{tests[name] / code[name]:.2f}" if code[name] else ""
        print(f"{name:<16}{code[name]:>8}{tests[name]:>8.0f}{ratio:>8}")
    total = sum(tests.values())
    print(f"{'all':<16}{code.total():>8}{total:>8.0f}{total / code.total():>8.2f}")


if __name__ == "__main__":
    main()
