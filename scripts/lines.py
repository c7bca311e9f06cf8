"""Print how many lines of tests there are for each line of code: no blank lines, comments or docstrings.

A test file counts for the package that it imports most; `python -m scripts.lines`.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
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


def package_of(path: Path, packages: set[str]) -> str:
    """Return the package that a test file is about."""
    if path.parent.name == "rules":
        return "rules"
    named = re.findall(r"^\s*(?:from|import) tritonrepo\.(\w+)", path.read_text("utf-8"), re.MULTILINE)
    counted = Counter(name for name in named if name in packages)
    return counted.most_common(1)[0][0] if counted else "(shared)"


def main() -> None:
    code: Counter[str] = Counter()
    tests: Counter[str] = Counter()
    for path in sorted((ROOT / "tritonrepo").rglob("*.py")):
        name = path.relative_to(ROOT / "tritonrepo").parts[0].removesuffix(".py")
        code[name] += lines(path.read_text("utf-8"))
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tests[package_of(path, {*code})] += lines(path.read_text("utf-8"))
    for name in sorted({*code, *tests}):
        ratio = f"{tests[name] / code[name]:.2f}" if code[name] else ""
        print(f"{name:<16}{code[name]:>8}{tests[name]:>8}{ratio:>8}")
    print(f"{'all':<16}{code.total():>8}{tests.total():>8}{tests.total() / code.total():>8.2f}")


if __name__ == "__main__":
    main()
