"""Measure a generator at an endpoint, such as a vLLM server of this machine: `python -m benchmarks.endpoint URL MODEL`.

The example is built with `engine: openai` for URL, which ends with /v1, and served on this machine's CPU. Printed are
the time to the first piece and the pieces per second of one client after another and of 4 at once (48 tokens each):
first of the endpoint asked straight, then of the generator in Triton; and an answer of the whole pipeline. A key of the
endpoint is read from LLM_API_KEY.

`python -m benchmarks.engine vllm` measures the same model in Triton's own form.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from benchmarks.engine import PROMPT, TOKENS, speeds
from benchmarks.streams import EXAMPLE, Asking
from tritonrepo import api

KEY = "LLM_API_KEY"
WINDOW = 2048


def built(place: Path, url: str, model: str, work: api.Workspace) -> Path:
    """Build the example with the endpoint in place of its generator's engine."""
    stack = shutil.copytree(EXAMPLE, place / "rag") / "tritonrepo.yaml"
    said = yaml.safe_load(stack.read_text("utf-8"))
    endpoint: dict[str, Any] = {"url": url, "model": model, "extra": {"ignore_eos": False}}
    endpoint |= {"api_key": {"env": KEY}} if KEY in os.environ else {}
    before = said["models"]["generator"]
    kept = {name: before[name] for name in ("sampling",) if name in before}
    tokenizer = before.get("tokenizer", before["local"])
    own = {"role": "generator", "engine": "openai", "endpoint": endpoint, "tokenizer": tokenizer}
    said["models"]["generator"] = {**own, "args": {"max_model_len": WINDOW}, **kept}
    stack.write_text(yaml.safe_dump(said, sort_keys=False), "utf-8")
    api.apply_build(api.plan_build(api.load([stack], work), place / "models"))
    return place / "models"


class Straight(Asking):
    """A client of the endpoint itself."""

    def __init__(self, url: str, model: str) -> None:
        super().__init__(url)
        self.model = model

    def events(self, _: str, body: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401  as for Triton
        """Yield the pieces of an answer; the body is the one for Triton."""
        message = {"role": "user", "content": body["text_input"]}
        sampling = json.loads(body["sampling_parameters"])
        said = {"model": self.model, "messages": [message], "stream": True, **sampling}
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {os.environ[KEY]}"} if KEY in os.environ else {}
        request = urllib.request.Request(f"{self.url}/chat/completions", json.dumps(said).encode(), headers)
        with urllib.request.urlopen(request, timeout=120) as response:
            for line in response:
                if line.startswith(b"data: {"):
                    choices = json.loads(line[len(b"data: ") :])["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        yield choices[0]["delta"]


def main(url: str, model: str) -> int:
    """Measure the endpoint, and the example with it."""
    work = api.Workspace(os.environ)
    print(f"{TOKENS} tokens for {PROMPT!r}; load average {os.getloadavg()[0]:.1f}")
    print("straight:", *speeds(Straight(url, model)), sep="\n  ")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        repository = built(Path(folder), url, model, work)
        server = api.serve(repository, api.ServeOptions(api.Ports(0, 0, 0), deadline_s=600), work)
        print(f"Triton: built and ready after {time.perf_counter() - began:.1f} s")
        try:
            client = Asking(server.http)
            print("through Triton:", *speeds(client), sep="\n  ")
            began = time.perf_counter()
            pieces = [event["answer"] for event in client.rag() if "answer" in event]
            print(f"rag, in {time.perf_counter() - began:.1f} s, {len(pieces)} pieces: {''.join(pieces)!r}")
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
