"""A script that tries templates, patterns and schemas within limits of time and memory, and prints the result.

It is run by path (`template`, `rendering`, `patterns`), and never imported for its work. Its arguments are the task,
the limits, and the directory of Jinja, "" for an installed one; the order is read from stdin as JSON.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2.sandbox import ImmutableSandboxedEnvironment

JUDGED, PROMPTS, TEXTS = "judged", "prompts", "texts"
"""The tasks."""


def limit(**most: int) -> None:
    """Let the system enforce these limits; if it does not know one, only the caller's time limit remains."""
    import resource

    for name, value in most.items():
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


class TooLong(Exception):  # noqa: N818  not an error: the end of a trial
    """Raised if a template writes more than any model reads."""


def refuse(message: object) -> None:
    """Act as `raise_exception` of chat templates."""
    raise ValueError(message)


def written(pieces: Iterable[str], longest: int) -> str:
    """Return the joined pieces; raise TooLong if they are longer than allowed."""
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > longest:
            raise TooLong(f"it writes more than {longest:,} characters")
        kept.append(piece)
    return "".join(kept)


def environment() -> ImmutableSandboxedEnvironment:
    """Return Jinja's environment as in the prompt step."""
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The block in which a template marks an answer."""

        tags = {"generation"}  # noqa: RUF012  as Jinja declares it

        def parse(self, parser: Any) -> Any:  # noqa: ANN401  jinja2 has no stable types for nodes
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def as_json(value: Any, **options: Any) -> str:  # noqa: ANN401  JSON
        return json.dumps(value, **{"ensure_ascii": False, **options})

    jinja = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    jinja.globals["raise_exception"] = refuse
    jinja.globals["strftime_now"] = lambda text: datetime.now(UTC).strftime(text)
    jinja.filters["tojson"] = as_json
    return jinja


def judged(text: str, given: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """Return the variables and templates that the template uses, and its output or error."""
    from jinja2 import TemplateError, meta

    jinja = environment()
    said: dict[str, Any] = {}
    try:
        parsed = jinja.parse(text)
        said["names"] = sorted(meta.find_undeclared_variables(parsed) - set(jinja.globals))
        said["others"] = [name or "another template" for name in meta.find_referenced_templates(parsed)]
        template = jinja.from_string(text)
        said["read"] = True
        said["written"] = "" if said["others"] else written(template.generate(given), longest)
    except MemoryError:
        return said | {"memory": True}
    except (TemplateError, SyntaxError, TooLong) as error:
        return said | {"error": str(error) or type(error).__name__, "line": getattr(error, "lineno", 0) or 0}
    except Exception as error:  # noqa: BLE001  whatever the template raises
        return said | {"error": f"{type(error).__name__}: {error}"}
    return said


def prompts(message: str, chat: str, settings: Mapping[str, Any], questions: Sequence[Sequence[Any]]) -> list[str]:
    """Return the prompt of each question, as the prompt step makes it; exceptions of the templates pass through."""
    jinja = environment()
    own, model = jinja.from_string(message), jinja.from_string(chat)
    system, bos = settings.get("system"), settings.get("bos_token", "")
    found = []
    for query, passages, metadata, turns in questions:
        sources = [{**said, "text": text} for text, said in zip(passages, metadata or repeat({}), strict=False)]
        content = own.render(query=query, passages=passages, sources=sources).strip()
        messages = [{"role": "system", "content": system}] if system else []
        given = {
            "messages": [*messages, *turns, {"role": "user", "content": content}],
            "add_generation_prompt": True,
            "bos_token": bos,
            "eos_token": settings.get("eos_token", ""),
            "tools": None,
            "documents": None,
        }
        text = model.render(given | settings.get("chat_template_kwargs", {}))
        begins = "".join(settings.get("begins", [bos]))
        while settings.get("adds_bos") and begins and text.startswith(begins):
            text = text[len(begins) :]
        found.append(text)
    return found


def texts(pattern: str | None, schema: dict[str, Any] | None, values: Sequence[str]) -> dict[str, str]:
    """Return what is wrong with texts of which one must match, or all must fulfill a schema, by what asks for it."""
    import re

    said: dict[str, str] = {}
    if pattern is not None and not any(re.search(pattern, value) for value in values):
        said["pattern"] = "no match"
    if schema is not None and (wrong := _unfit(schema, values)):
        said["schema"] = wrong
    return said


def _unfit(schema: dict[str, Any], values: Sequence[str]) -> str:
    from jsonschema import SchemaError
    from jsonschema.validators import validator_for
    from referencing import Registry

    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        return f"the schema itself is wrong: {error.json_path}: {error.message}"
    validator = kind(schema, registry=Registry())  # an empty one: nothing is fetched
    for number, text in enumerate(values):
        try:
            first = next(iter(validator.iter_errors(json.loads(text))), None)
        except (ValueError, RecursionError) as error:
            return f"value {number} is not JSON: {error}"
        if first is not None:
            return f"value {number} does not fulfill the schema: {first.json_path}: {first.message}"
    return ""


if __name__ == "__main__":
    what, home = sys.argv[1], sys.argv[5]
    cpu_s, memory, longest = map(int, sys.argv[2:5])
    limit(RLIMIT_CPU=cpu_s, RLIMIT_AS=memory)
    if what == JUDGED:  # prompts run in the user's own Python, which may write measurements at exit
        limit(RLIMIT_CORE=0, RLIMIT_FSIZE=0)
    sys.dont_write_bytecode = True
    if home:
        sys.path.insert(0, home)
    order = json.load(sys.stdin)
    found: Any = judged(**order, longest=longest) if what == JUDGED else None
    found = prompts(**order) if what == PROMPTS else texts(**order) if what == TEXTS else found
    print(json.dumps(found))  # noqa: T201  the result of a script
