"""Prompts as the prompt step must make them, by its own templates, rendered in a limited process of their own.

Templates may come from anywhere: they run in Jinja's sandbox, with little time and memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

SECONDS = 5
"""Of computing; a prompt takes a thousandth of one."""

BYTES = 1 << 30
"""Of memory, the interpreter's own included."""

SCRIPT = """\
import json, sys
try:
    import resource
    for kind, most in zip((resource.RLIMIT_CPU, resource.RLIMIT_AS), map(int, sys.argv[1:])):
        resource.setrlimit(kind, (most, most))
except (ImportError, ValueError, OSError):
    pass
from jinja2.sandbox import ImmutableSandboxedEnvironment
jinja = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
def refuse(message):
    raise ValueError(message)
jinja.globals["raise_exception"] = refuse
given = json.load(sys.stdin)
settings = given["settings"]
message, chat = jinja.from_string(given["message"]), jinja.from_string(given["chat"])
system, bos = settings.get("system"), settings.get("bos_token", "")
def rendered(query, passages):
    content = message.render(query=query, passages=passages).strip()
    messages = [{"role": "system", "content": system}] if system else []
    text = chat.render(
        messages=[*messages, {"role": "user", "content": content}], add_generation_prompt=True,
        bos_token=bos, eos_token=settings.get("eos_token", ""),
    )
    while settings.get("adds_bos") and bos and text.startswith(bos):
        text = text[len(bos):]
    return text
json.dump([rendered(*each) for each in given["questions"]], sys.stdout)
"""


WAIT_S = 60
"""Of waiting, on a machine that is busy with other things."""


class Question(NamedTuple):
    """What a prompt is made of."""

    query: str
    passages: Sequence[str]


class Templates(NamedTuple):
    """The user's message, the model's chat template, and the prompt step's settings."""

    message: str
    chat: str
    settings: Mapping[str, Any]


def rendered(templates: Templates, questions: Sequence[Question]) -> list[str]:
    """Give the prompt of each question; ValueError says why there is none.

    Neither the limit of tokens is kept here, nor are special tokens in query and passages broken up.
    """
    given = json.dumps({**templates._asdict(), "questions": questions})
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", SCRIPT, str(SECONDS), str(BYTES)],
            input=given.encode(),
            capture_output=True,
            check=False,
            timeout=WAIT_S,
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"rendering its templates takes longer than {WAIT_S} s") from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        if "No module named 'jinja2" in words[0]:
            raise ValueError("rendering its templates needs jinja2: pip install 'tritonrepo[server]'")
        raise ValueError(f"its templates cannot be rendered: {words[0]}")
    return [str(prompt) for prompt in json.loads(done.stdout)]
