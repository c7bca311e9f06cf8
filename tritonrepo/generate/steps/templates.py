"""Jinja as chat templates expect it, in its sandbox: a model's own template can come from anywhere."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, NoReturn


def environment() -> Any:  # noqa: ANN401  jinja2 is imported from this model's own directory
    """Return what chat templates expect: transformers, utils/chat_template_utils.py, _compile_jinja_template."""
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """The block in which a template marks an answer; it has no effect on a prompt."""

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
    jinja.globals["strftime_now"] = lambda text: datetime.now(timezone.utc).strftime(text)
    jinja.filters["tojson"] = as_json
    return jinja


def refuse(message: str) -> NoReturn:
    """Raise the error of `raise_exception` in a chat template."""
    raise ValueError(message)
