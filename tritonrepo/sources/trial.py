"""A script that reads and renders a Jinja template within limits of time and memory, and says how that went.

It is run by path (`template`), and never imported for its work: arguments are the limits and the directory of Jinja,
the order comes on stdin as JSON: the template and what it is rendered with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any


def limit(cpu_s: int, memory: int) -> None:
    """Let the system end or refuse what takes more; where it knows no such limit, the one on time outside is left."""
    import resource

    limits = (("RLIMIT_CPU", cpu_s), ("RLIMIT_AS", memory), ("RLIMIT_CORE", 0), ("RLIMIT_FSIZE", 0))
    for name, value in limits:
        with suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (value, value))


class TooLong(Exception):  # noqa: N818  not an error: the end of a trial
    """Raised where a template writes more than any model reads."""


def refuse(message: object) -> None:
    """Stand for `raise_exception` of chat templates."""
    raise ValueError(message)


def written(pieces: Iterable[str], longest: int) -> str:
    """Return what is written; raise TooLong before it gets longer than that."""
    kept, length = [], 0
    for piece in pieces:
        length += len(piece)
        if length > longest:
            raise TooLong(f"it writes more than {longest:,} characters")
        kept.append(piece)
    return "".join(kept)


def judged(text: str, given: Mapping[str, Any], longest: int) -> dict[str, Any]:
    """Return what the template asks for, and what it writes or why it does not."""
    from jinja2 import TemplateError, meta
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    jinja.globals["raise_exception"] = refuse
    said: dict[str, Any] = {}
    try:
        parsed = jinja.parse(text)
        said["names"] = sorted(meta.find_undeclared_variables(parsed) - set(jinja.globals))
        said["others"] = [name or "another template" for name in meta.find_referenced_templates(parsed)]
        template = jinja.from_string(text)
        said["read"] = True
        said["written"] = "" if said["others"] else written(template.generate(**given), longest)
    except MemoryError:
        return said | {"memory": True}
    except (TemplateError, SyntaxError, TooLong) as error:
        return said | {"error": str(error) or type(error).__name__, "line": getattr(error, "lineno", 0) or 0}
    except Exception as error:  # noqa: BLE001  whatever the template brings about
        return said | {"error": f"{type(error).__name__}: {error}"}
    return said


if __name__ == "__main__":
    cpu_s, memory, longest = map(int, sys.argv[1:4])
    limit(cpu_s, memory)
    sys.dont_write_bytecode = True
    sys.path.insert(0, sys.argv[4])
    order = json.load(sys.stdin)
    print(json.dumps(judged(order["text"], order["given"], longest)))  # noqa: T201  a script's answer
