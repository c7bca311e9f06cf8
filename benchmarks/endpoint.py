"""Measure what `engine: openai` adds to a vLLM: `python -m benchmarks.endpoint ENVIRONMENT [ROUNDS]`.

ENVIRONMENT is one with the real vLLM. Triton serves the example with its generator twice: with vLLM inside, and with
`engine: openai` for a vLLM server of its own, which has the same weights and arguments. All are up at once and asked in
turn, in another order each time: the vLLM server straight, the same one through Triton, and the vLLM in Triton. The
three requests of a round have the same prompt, which no other round has; no prefixes are cached. So other work on the
machine slows all three alike. Printed are the medians and minima of the time to the first token and to each further
one, the quartiles of the difference within a round, and how many rounds gave one answer three times.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from benchmarks.streams import EXAMPLE, Asking
from tritonrepo import api
from tritonrepo.diagnostics import Span
from tritonrepo.sources.resolve import resolve
from tritonrepo.sources.vllm_weights import vllm_weights
from tritonrepo.spec.source import parse_source

ROUNDS, WARM, TOKENS = 24, 1, 24
QUIET_S = 0.3
"""Between two requests, so that what an engine does after an answer does not slow the next one."""

START_S = 900
MODEL = "llm"
SAMPLING = {"max_tokens": TOKENS, "temperature": 0, "ignore_eos": True}
JSON = {"Content-Type": "application/json"}
SETTINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "OMP_NUM_THREADS": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
}
"""Of both engines: threads that wait for one another would measure what else runs on the machine."""

STRAIGHT, REMOTE, INSIDE = "straight", "remote", "generator"
WAYS = {STRAIGHT: "straight, without Triton", REMOTE: "through Triton, `engine: openai`", INSIDE: "in Triton"}
NAMES = ["Ada", "Bela", "Cleo", "Dora", "Enzo", "Fritz", "Gala", "Hugo"]


class Timed(NamedTuple):
    """One stream: milliseconds to its first token and to each further one, and its text."""

    first: float
    token: float
    text: str


class Client(Asking):
    """Asks in the three ways."""

    def __init__(self, triton: str, vllm: str) -> None:
        super().__init__(triton)
        self.vllm = vllm

    def said(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401  JSON
        """Return what the vLLM server answers."""
        request = urllib.request.Request(self.vllm + path, json.dumps({"model": MODEL, **body}).encode(), JSON)
        with urllib.request.urlopen(request, timeout=START_S) as response:
            return json.load(response)

    def prompt(self, text: str) -> str:
        """Return a question as the chat template of the endpoint writes it, which a vLLM in Triton is given."""
        tokens = self.said("/tokenize", {"messages": [{"role": "user", "content": text}]})["tokens"]
        return str(self.said("/detokenize", {"tokens": tokens})["prompt"])

    def pieces(self, way: str, text: str) -> Iterator[str]:
        """Yield the pieces of an answer."""
        if way != STRAIGHT:
            sent = {"text_input": text, "stream": True, "sampling_parameters": json.dumps(SAMPLING)}
            yield from (event.get("text_output", "") for event in self.events(way, sent))
            return
        body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "stream": True, **SAMPLING}
        request = urllib.request.Request(f"{self.vllm}/v1/chat/completions", json.dumps(body).encode(), JSON)
        with urllib.request.urlopen(request, timeout=START_S) as response:
            for line in response:
                if line.startswith(b"data: {"):
                    yield from (each["delta"].get("content") or "" for each in json.loads(line[6:])["choices"])

    def timed(self, way: str, text: str) -> Timed:
        """Return the times of an answer."""
        times, pieces, began = list[float](), list[str](), time.perf_counter()
        for piece in filter(None, self.pieces(way, text)):
            times.append(time.perf_counter())
            pieces.append(piece)
        return Timed(1000 * (times[0] - began), 1000 * (times[-1] - times[0]) / (TOKENS - 1), "".join(pieces))


def rounds(client: Client, number: int) -> Iterator[Mapping[str, Timed]]:
    """Yield the times of each way, round by round."""
    chance = random.Random(number)
    for _ in range(number):
        text = f"{' '.join(chance.sample(NAMES, 4))}: tell a story of a ship that carries these four."
        prompt, found = client.prompt(text), dict[str, Timed]()
        for way in chance.sample([*WAYS], len(WAYS)):
            time.sleep(QUIET_S)
            found[way] = client.timed(way, prompt if way == INSIDE else text)
        print(*(f"{way} {each.first:.0f} ms, {each.token:.1f} ms;" for way, each in sorted(found.items())), flush=True)
        yield found


def told(found: list[Mapping[str, Timed]]) -> Iterator[str]:
    """Yield the figures as rows of a table, then what the hop adds, then how many answers were the same."""
    for way, words in WAYS.items():
        firsts, tokens = [each[way].first for each in found], [each[way].token for each in found]
        figures = f"{statistics.median(firsts):.0f} ms | {min(firsts):.0f} ms"
        yield f"| {words} | {figures} | {statistics.median(tokens):.1f} ms | {min(tokens):.1f} ms |"
    first = statistics.quantiles([each[REMOTE].first - each[STRAIGHT].first for each in found], n=4)
    token = statistics.quantiles([each[REMOTE].token - each[STRAIGHT].token for each in found], n=4)
    yield "the hop adds at most, in a quarter, a half and three quarters of the rounds:"
    yield f"{', '.join(f'{each:+.0f} ms' for each in first)} to the first token"
    yield f"{', '.join(f'{each:+.0f} ms' for each in token)} to each further one"
    same = sum(len({timed.text for timed in each.values()}) == 1 for each in found)
    yield f"{same} of {len(found)} rounds had one answer"


def option(name: str, value: object) -> str:
    """Return an engine argument as an option of the server."""
    name = name.replace("_", "-")
    return f"--{'' if value else 'no-'}{name}" if isinstance(value, bool) else f"--{name}={value}"


@contextmanager
def served(python: Path, weights: Path, arguments: Mapping[str, Any]) -> Iterator[str]:
    """Run a vLLM server; give its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [option(name, value) for name, value in arguments.items()]
    words += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port), "--enforce-eager"]
    command = [str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(weights), *words]
    process = subprocess.Popen(command, env={**own, **SETTINGS}, start_new_session=True)
    try:
        deadline = time.monotonic() + START_S
        while not up(f"http://127.0.0.1:{port}/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the vLLM server did not start")
            time.sleep(1)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def up(url: str) -> bool:
    """Whether a server answers."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def built(stack: Path, said: dict[str, Any], url: str, work: api.Workspace) -> Path:
    """Build the example with its generator a second time, at an endpoint; no prefixes are cached."""
    inside = said["models"][INSIDE]
    extra = {"ignore_eos": False}
    endpoint = {"url": f"{url}/v1", "model": MODEL, "extra": extra, "timeouts": {"between": "300s", "first": "300s"}}
    remote = {"role": "generator", "engine": "openai", "endpoint": endpoint, "tokenizer": inside["local"]}
    said["models"][REMOTE] = {**remote, "args": {"max_model_len": inside["args"]["max_model_len"]}}
    stack.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
    api.apply_build(api.plan_build(api.load([stack], work), stack.parent / "models"))
    return stack.parent / "models"


def main(environment: str, number: int) -> int:
    """Start both servers and measure them."""
    os.environ |= SETTINGS
    work, python = api.Workspace(os.environ), Path(environment) / "bin" / "python"
    with tempfile.TemporaryDirectory() as folder:
        stack = shutil.copytree(EXAMPLE, Path(folder) / "rag") / "tritonrepo.yaml"
        said: dict[str, Any] = yaml.safe_load(stack.read_text("utf-8"))
        generator = said["models"][INSIDE]
        generator["args"]["enable_prefix_caching"] = False
        local = resolve(parse_source(generator["local"]), "x86_64", work.cache, None, Span("")).files
        weights = vllm_weights(local, python, work.cache, Span(""))
        with served(python, weights, generator["args"]) as url:
            chosen = api.ServeOptions(
                api.Ports(0, 0, 0), engine="vllm", deadline_s=START_S, llm_environment=Path(environment)
            )
            with api.serve(built(stack, said, url, work), chosen, work) as server:
                client = Client(server.http, url)
                deque(rounds(client, WARM), 0)
                figures = told([*rounds(client, number)])
                print(f"{number} rounds; load average {os.getloadavg()[0]:.1f}", *figures, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if sys.argv[2:] else ROUNDS))
