"""The next step for a text that Python's json module cannot read: what is written there instead of JSON."""

from __future__ import annotations

import re

WORDS = {"True": "true", "False": "false", "None": "null", "yes": "true", "no": "false", "null": "null"}
"""What stands for a value of JSON elsewhere, in Python or YAML."""

COMMENTS = ("//", "/*", "#")
TEMPLATES = ("${", "{{", "{%")
SINGLE = re.compile(r"'([^'\n]{0,80})'")
WORD = re.compile(r"[A-Za-z_][\w./-]{0,80}")
YAML = re.compile(r"(?:---\s*)?([A-Za-z_]\w{0,80}):\s")
ESCAPE = "Write \\\\ for a backslash."

REPORTS = {
    "Invalid control character": "Close the quotes on the line where they are opened.",
    "Unterminated string": "Close the quotes.",
    "Invalid \\escape": ESCAPE,
    "Invalid \\uXXXX escape": "Write four hex digits after \\u, or \\\\ for a backslash.",
    "Extra data": "Remove what follows the object.",
}
"""The hint by the beginning of Python's report, where it says enough."""


def hint(text: str, offset: int, report: str) -> str:
    """Return the next step at the place of a report of the json module; "" if there is nothing to say."""
    rest, before = text[offset:], text[:offset].rstrip()
    if rest.startswith(COMMENTS):
        return "Remove the comment. JSON has none."
    if rest.startswith(TEMPLATES):
        return "Replace the placeholder with a value. The file looks like an unrendered template."
    known = next((said for begins, said in REPORTS.items() if report.startswith(begins)), "")
    return known or _value(rest, before, report)


def _value(rest: str, before: str, report: str) -> str:
    """Return the hint for what is found in place of a name, a value or a comma."""
    if not before and (found := YAML.match(rest)):
        return f'Write JSON instead of YAML, beginning with `{{"{found[1]}": `.'
    if rest[:1] in {"}", "]"} and before.endswith(","):
        return f"Remove the comma before {rest[0]} on line {_line(before)}."
    if found := SINGLE.match(rest):
        return f'Write names and strings in double quotes, such as "{found[1]}".'
    if "',' delimiter" in report and rest[:1] == '"':
        return f"Add a comma after the value that ends on line {_line(before)}."
    return _word(rest) if before or rest.strip() else 'Write at least `{"model": "…"}`.'


def _word(rest: str) -> str:
    name = found[0] if (found := WORD.match(rest)) else ""
    quoted = f'Write "{name}" in double quotes.' if name else ""
    return f"Write {WORDS[name]}." if name in WORDS else quoted


def _line(before: str) -> int:
    return before.count("\n") + 1
