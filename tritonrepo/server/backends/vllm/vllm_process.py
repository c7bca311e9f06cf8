"""The real vLLM beside the stub: its process, the requests that it works on, and its end (see vllm_worker)."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO, cast

from vllm_request import Answer

END_S = 6
"""How long vLLM may take to end its own processes; it was seen to take 3 seconds."""

OF_THE_STUB = ("LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""The stub's variables that would break another environment."""

SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_WORKER_SHUTDOWN_TIMEOUT_SECONDS": "1",
}
"""Ours, unless the user has set them: 1 GiB for the key-value cache, no report to vLLM's authors, and a quick end."""

Fail = Callable[[Answer, Exception], None]


class VllmProcess:
    """vLLM in its own environment; made once it is ready."""

    def __init__(self, python: str, model_json: str, weights: str, fail: Fail) -> None:
        self.fail, self.serial, self.lock = fail, itertools.count(), threading.Lock()
        self.running: dict[int, Answer] = {}
        self.gone, self.thread = "", cast("threading.Thread | None", None)
        script = str(Path(__file__).with_name("vllm_worker.py"))
        self.process = subprocess.Popen(
            [python, script, model_json, weights],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment(os.environ, offline=bool(weights)),
            encoding="utf-8",
            start_new_session=True,
        )
        self.orders, self.answers = cast("TextIO", self.process.stdin), cast("TextIO", self.process.stdout)
        said = self.hear()
        if "ready" not in said:
            self.close()
            raise RuntimeError(f"vLLM did not start: {said.get('failed') or self.how_it_ended()}")
        self.version, self.left_out = str(said["ready"]), [str(name) for name in said.get("left_out", ())]
        self.thread = threading.Thread(target=self.listen, name="vllm-answers", daemon=True)
        self.thread.start()

    def submit(self, answer: Answer, sampling: str) -> None:
        """Send a request; its answer comes on another thread. Raise RuntimeError if vLLM has ended."""
        number = next(self.serial)
        with self.lock:
            if self.gone:
                raise RuntimeError(self.gone)
            self.running[number] = answer
        self.say({"id": number, "prompt": answer.prompt, "sampling": sampling})

    def close(self) -> None:
        """End vLLM with all its processes, and wait for that; a second call does nothing."""
        if self.answers.closed:
            return
        with suppress(OSError):
            self.orders.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        for pid in in_session(self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.thread is not None:
            self.thread.join()
        self.answers.close()

    def say(self, order: dict[str, Any]) -> None:
        """Send an order; one to a process that has ended is dropped, since `listen` answers for it."""
        with self.lock, suppress(OSError, ValueError):
            self.orders.write(json.dumps(order) + "\n")
            self.orders.flush()

    def hear(self) -> dict[str, Any]:
        """Return the next message; {} if there are no more."""
        line = self.answers.readline()
        return dict(json.loads(line)) if line else {}

    def listen(self) -> None:
        """Pass on what vLLM says until it ends, and then fail what it has not answered."""
        while said := self.hear():
            number = said["id"]
            if (answer := self.running.get(number)) is None:
                continue
            try:
                ended = self.pass_on(said, answer)
            except Exception as error:
                ended = True
                self.fail(answer, error)
            if ended:
                self.running.pop(number, None)
        why = self.how_it_ended()
        with self.lock:
            self.gone, left = why, [*self.running.values()]
            self.running.clear()
        for answer in left:
            self.fail(answer, RuntimeError(why))

    def pass_on(self, said: dict[str, Any], answer: Answer) -> bool:
        """Send one message to the client; return whether it was the last of this request."""
        if "error" in said:
            raise RuntimeError(said["error"])
        if answer.is_cancelled():
            self.say({"cancel": said["id"]})
            answer.cancel()
            return True
        answer.num_input_tokens = said["prompt_tokens"]
        answer.take(said)
        return said["reason"] is not None

    def how_it_ended(self) -> str:
        """Return how the process ended, waiting for that a moment."""
        with suppress(subprocess.TimeoutExpired):
            return f"vLLM's process has ended with exit code {self.process.wait(END_S)}"
        return "vLLM's process does not answer"


def in_session(session: int) -> list[int]:
    """Return the processes of a session, without the one that removes the shared memory of the others when they end."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            # pid (name) state parent group session …; the name may contain spaces and parentheses
            own = int(stat.read_bytes().rpartition(b")")[2].split()[3])
            if own == session and b"multiprocessing.resource_tracker" not in (stat.parent / "cmdline").read_bytes():
                found.append(int(stat.parent.name))
    return found


def environment(own: Any, *, offline: bool) -> dict[str, str]:  # noqa: ANN401  os.environ
    """Return the environment of vLLM's process; with local weights, the Hub is not asked."""
    kept = {name: value for name, value in own.items() if name not in OF_THE_STUB}
    return {**SETTINGS, **({"HF_HUB_OFFLINE": "1"} if offline else {}), **kept}
