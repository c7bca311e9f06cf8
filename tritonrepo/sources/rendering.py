"""Prompts as the prompt step must make them, rendered from its own templates in a separate, limited process.

Templates can come from anywhere, so they run in Jinja's sandbox, with little time and memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.sources import trial

SECONDS = 5
"""Limit of processor time; a prompt takes about a millisecond."""

BYTES = 1 << 30
"""Limit of memory, including the interpreter's own."""

OPTIONS = ["-P"]
"""Options of Python: nothing is imported from the script's directory, and an installed Jinja is found."""

WAIT_S = 60
"""Limit of waiting, for a busy machine."""


class Question(NamedTuple):
    """What a prompt is asked with: the query, the passages, their metadata, and the turns before.

    Each passage has metadata, or none has. The roles of the turns alternate.
    """

    query: str
    passages: Sequence[str]
    metadata: Sequence[Mapping[str, Any]] = ()
    turns: Sequence[Mapping[str, str]] = ()


class Templates(NamedTuple):
    """The user's message, the model's chat template, and the prompt step's settings."""

    message: str
    chat: str
    settings: Mapping[str, Any]


def rendered(templates: Templates, questions: Sequence[Question]) -> list[str]:
    """Return the prompt of each question; raise ValueError if it cannot be rendered.

    The token limit is not applied here, and special tokens in query and passages are not broken up.
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
        raise ValueError(f"rendering its templates takes more than {WAIT_S} s") from None
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        if "No module named 'jinja2" in words[0]:
            raise ValueError("rendering its templates needs jinja2; run `pip install 'tritonrepo[server]'`")
        raise ValueError(f"its templates cannot be rendered: {words[0]}")
    return [str(prompt) for prompt in json.loads(done.stdout)]
