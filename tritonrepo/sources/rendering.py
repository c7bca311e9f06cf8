"""Prompts as the prompt step must make them, by its own templates, rendered in a limited process of their own.

Templates may come from anywhere: they run in Jinja's sandbox, with little time and memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.sources import trial

SECONDS = 5
"""Of computing; a prompt takes a thousandth of one."""

BYTES = 1 << 30
"""Of memory, the interpreter's own included."""

OPTIONS = ["-P"]
"""Of Python: nothing is imported from beside the script, and an installed Jinja is found."""

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
    """Return the prompt of each question; ValueError says why there is none.

    Neither the limit of tokens is kept here, nor are special tokens in query and passages broken up.
    """
    given = json.dumps({**templates._asdict(), "questions": questions})
    try:
        done = subprocess.run(
            [sys.executable, *OPTIONS, trial.__file__, trial.PROMPTS, str(SECONDS), str(BYTES), "0", ""],
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
