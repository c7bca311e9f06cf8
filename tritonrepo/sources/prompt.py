"""A prompt template read by the Jinja that the prompt step carries, so that mistakes are told before a server runs.

The template is compiled in a process of its own and never rendered.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tritonrepo.diagnostics import Span, fatal, nearest
from tritonrepo.sources.cache import Cache
from tritonrepo.tree import File

RULE = "source-prompt"
READER = "prompt 1"
GIVEN = ("query", "passages")
"""What the prompt step renders a template with; `raise_exception` is there as for chat templates."""

SCRIPT = """\
import json, sys
sys.path.insert(0, sys.argv[1])
from jinja2 import TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
text = sys.stdin.buffer.read().decode("utf-8")
try:
    jinja.from_string(text)
    parsed = jinja.parse(text)
    others = [name or "another template" for name in meta.find_referenced_templates(parsed)]
    names = sorted(meta.find_undeclared_variables(parsed) - set(jinja.globals) - {"raise_exception"})
    said = {"error": f"it is alone, and takes from {others[0]}", "line": 0} if others else {"names": names}
except (TemplateError, RecursionError, SyntaxError) as error:
    said = {"error": str(error) or type(error).__name__, "line": getattr(error, "lineno", 0) or 0}
print(json.dumps(said))
"""


def checked(file: File, path: Path, vendored: Mapping[str, Mapping[str, File]], cache: Cache) -> File:
    """Give the template back; raise Stop where it is no template, asks for what it is not given, or never for query."""
    text = file.content()
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        at = Span(str(path), text.count(b"\n", 0, error.start) + 1)
        raise fatal(RULE, at, f"is not UTF-8 at byte {error.start}", "Save it as UTF-8 text.") from None
    packages = {name: entry for package in ("jinja2", "markupsafe") for name, entry in vendored[package].items()}

    def make(place: Path) -> None:
        jinja = cache.directory("jinja2", packages)
        done = subprocess.run(
            [sys.executable, "-I", "-c", SCRIPT, str(jinja)], input=text, capture_output=True, check=False
        )
        if done.returncode:
            words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise fatal(RULE, str(path), "cannot be read by Jinja", "\n".join(words))
        _judge(json.loads(done.stdout), str(path))
        (place / "checked").touch()

    cache.tree(f"{READER} {file.sha256}", f"checking {path.name}", make)
    return file


def _judge(said: Mapping[str, object], path: str) -> None:
    if "error" in said:
        raise fatal(RULE, Span(path, int(str(said["line"]))), f"is no Jinja template: {said['error']}")
    names = said["names"]
    assert isinstance(names, list)  # noqa: S101  the script's
    for name in names:
        if name not in GIVEN:
            near = nearest(name, GIVEN)
            hint = f'Did you mean "{near}"?' if near else f"It is given {' and '.join(GIVEN)}."
            raise fatal(RULE, path, f'asks for "{name}", which is nowhere', hint)
    if "query" not in names:
        raise fatal(RULE, path, "never asks for the query", "Write {{ query }} where the question stands.")
