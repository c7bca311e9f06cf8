"""Jinja templates checked before a server runs them: each is parsed and rendered once, by the Jinja of its step.

A template can compute forever or use up all memory, even while it is parsed: Jinja folds constants, and hides a
MemoryError there. So that happens in a separate process (`trial`), which the system limits.
"""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, NoReturn

from tritonrepo.diagnostics import Span, fatal, nearest
from tritonrepo.generate.inputs import ChatFiles
from tritonrepo.sources import trial
from tritonrepo.sources.cache import Cache
from tritonrepo.tree import File, digest

JUDGE = "template 1"
"""Increased when the checks of a template change."""

CPU_S = 3
"""Limit of processor time for a trial; an ordinary one takes 0.2 s, including the start of Python."""

WALL_S = 60
MEMORY = 256 << 20
LONGEST = 1_000_000
"""Maximum characters of a rendered template: no model reads more."""

TEMPLATE_BYTES = 1 << 20
"""Maximum bytes of a template."""

CONTENT = "What stands in the passage?"
"""The user's message of a trial."""

CHAT_RULE = "source-chat-template"
SYSTEM = "Use another model, or, if the template rejects system messages, remove system from the pipeline's prompt."


class Said(NamedTuple):
    """The result of a trial: variables and other templates that are used, whether it could be parsed, its output."""

    names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    read: bool = False
    written: str = ""
    error: str = ""
    line: int = 0
    memory: bool = False


class Jinja(NamedTuple):
    """The packages of the steps, and the cache from which they are imported."""

    packages: Mapping[str, Mapping[str, File]]
    cache: Cache

    def files(self) -> dict[str, File]:
        """Return the files of Jinja and what it needs."""
        return {path: file for name in ("jinja2", "markupsafe") for path, file in self.packages[name].items()}

    def tried(self, text: str, given: Mapping[str, Any], what: str, judge: Callable[[Said], None]) -> None:
        """Try the template; `judge` raises a Stop if it rejects the result.

        A success is cached under the template, what it is rendered with, and everything that judged it.
        """
        order = json.dumps({"text": text, "given": given}, sort_keys=True)
        limits = [str(value) for value in (CPU_S, MEMORY, LONGEST)]
        judges = [JUDGE, *limits, str(WALL_S), sys.version, digest(self.files()), _sha256(_script())]
        key = " ".join([*judges, _sha256(order.encode())])

        def make(place: Path) -> None:
            home = str(self.cache.directory("jinja2", self.files()))
            judge(_said([sys.executable, "-I", "-S", trial.__file__, trial.JUDGED, *limits, home], order))
            (place / "tried").touch()

        self.cache.tree(key, what, make)


def _script() -> bytes:
    return Path(trial.__file__).read_bytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _said(command: list[str], order: str) -> Said:
    """Run the trial and return its result, or the reason why the process did not return one."""
    try:
        done = subprocess.run(command, input=order.encode(), capture_output=True, check=False, timeout=WALL_S)
    except subprocess.TimeoutExpired:
        return Said(read=True, error=f"it did not finish within {WALL_S} s")
    if done.returncode in {-signal.SIGXCPU, -signal.SIGKILL}:
        return Said(read=True, error=f"it takes more than {CPU_S} s of processor time")
    if done.returncode:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return Said(error=" ".join(words) or f"the parser exited with code {done.returncode}")
    said = Said(**json.loads(done.stdout))
    return said._replace(read=True, error=f"it needs more than {MEMORY >> 20} MiB of memory") if said.memory else said


class Given(NamedTuple):
    """What a chat template is rendered with besides the message, and the places of its variables in the stack file."""

    system: str | None = None
    variables: Mapping[str, Any] = MappingProxyType({})
    places: Mapping[str, Span] = MappingProxyType({})


def chat_tried(chat: ChatFiles, given_to: Given, jinja: Jinja, at: Span) -> None:
    """Raise Stop if a model's chat template cannot be parsed, omits the message, or takes too much time or memory.

    So does a variable that it does not use, which is a misspelt one.
    """
    hint = "Use another model file, or fix the template in this one."
    if len(chat.template.encode()) > TEMPLATE_BYTES:
        raise fatal(CHAT_RULE, at, f"the model's chat template exceeds {TEMPLATE_BYTES:,} bytes", hint)

    def judge(said: Said) -> None:
        if said.error:
            verb = "rendered" if said.read else "parsed"
            line = f" (line {said.line})" if said.line else ""
            next_step = SYSTEM if said.read and given_to.system else hint
            raise fatal(CHAT_RULE, at, f"the model's chat template cannot be {verb}: {said.error}{line}", next_step)
        if said.others:
            raise fatal(
                CHAT_RULE,
                at,
                f"the model's chat template uses {said.others[0]}, but it must be complete by itself",
                hint,
            )
        for name in given_to.variables:
            if name not in said.names:
                _unused(name, said.names, given_to.places.get(f"chat_template_kwargs.{name}", at))
        if CONTENT not in said.written:
            raise fatal(CHAT_RULE, at, "the model's chat template omits the user's message", hint)

    messages = [{"role": "system", "content": given_to.system}] if given_to.system else []
    given = {
        "messages": [*messages, {"role": "user", "content": CONTENT}],
        "add_generation_prompt": True,
        "bos_token": chat.bos_token,
        "eos_token": chat.eos_token,
        "tools": None,
        "documents": None,
        **given_to.variables,
    }
    jinja.tried(chat.template, given, "checking the chat template", judge)


def _unused(name: str, names: tuple[str, ...], at: Span) -> NoReturn:
    near = nearest(name, names)
    hint = f'Did you mean "{near}"?' if near else f"Remove {name} from chat_template_kwargs."
    raise fatal(CHAT_RULE, at, f'the model\'s chat template does not use the variable "{name}"', hint)
